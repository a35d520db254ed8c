package gen

import "go/types"

// relation notes a field that holds rows of another model.
func (c *collector) relation(m *model, v *types.Var, at fieldPlace, tag fieldTag) {
}

// resolveRelations finds what the relations of all models lead to.
func (c *collector) resolveRelations() {}
