package gen

import (
	"fmt"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

// relation is a field that holds rows of another model.
type relation struct {
	model *model
	name  string   // in Go, at the table value
	path  []string // selectors from the model to the field
	part  part     // the struct it stands in
	pos   token.Position
	typ   types.Type
	typAt token.Position
	item  item // one, many or via
	named *item

	to        *model
	own       bool      // columns of the model itself refer to the other one
	from, far []*column // equal one by one, or by way of via
	via       *model
	near, out []*column // of via: they refer to from, and to far
}

// isSlice says whether the field holds any number of rows.
func (r *relation) isSlice() bool { return r.item.Key != "one" }

// relation notes a field that holds rows of another model.
func (c *collector) relation(m *model, v *types.Var, at fieldPlace, tag fieldTag) {
	r := &relation{model: m, name: at.goName + v.Name(), part: at.part, pos: at.pos, typ: types.Unalias(v.Type()), typAt: at.typePos}
	for i := range tag.items {
		it := &tag.items[i]
		switch {
		case it.Key == "name":
			if !token.IsIdentifier(it.Value) || !token.IsExported(it.Value) {
				c.errorf(it.value, "name needs an exported Go identifier")
				return
			}
			r.name, r.named = it.Value, it
		case it.Key != "one" && it.Key != "many" && it.Key != "via":
			c.errorf(it.pos, "%s is for columns; %s is a relation", it.Key, v.Name())
			return
		case r.item.Key != "":
			c.errorf(it.pos, "%s and %s exclude each other", r.item.Key, it.Key)
			return
		default:
			r.item = *it
		}
	}
	switch {
	case v.Embedded():
		c.errorf(tag.pos, "%s is embedded: give the relation a field of its own", v.Name())
		return
	case !v.Exported():
		c.errorf(tag.pos, "%s is unexported: a relation needs a field that other packages can read", v.Name())
		return
	}
	r.path = c.selector(m, v, append(slices.Clone(at.path), v.Name()), at.part)
	m.related = append(m.related, r)
}

// resolveRelations finds what the relations of all models lead to.
func (c *collector) resolveRelations() {
	for _, m := range c.models {
		for _, r := range m.related {
			if hasInvalid(r.typ) {
				continue // the type checker says more
			}
			switch r.item.Key {
			case "one":
				c.resolveOne(r)
			case "many":
				c.resolveInverse(r)
			default:
				c.resolveVia(r)
			}
		}
		c.checkRelationNames(m)
	}
}

// fault reports what is wrong with the value of the relation's item.
func (c *collector) fault(r *relation, format string, args ...any) {
	c.errorf(r.item.value, "%s=%s: %s", r.item.Key, r.item.Value, fmt.Sprintf(format, args...))
}

// resolveOne settles one=TeamID, and one=Profile.UserID.
func (c *collector) resolveOne(r *relation) {
	col := r.model.columnNamed(r.item.Value, r.part)
	switch {
	case col == nil && strings.Contains(r.item.Value, "."):
		c.resolveInverse(r)
		return
	case col == nil:
		c.fault(r, "%s has no column %s%s", r.model.name, r.item.Value, suggest(r.item.Value, r.model.columnNames()))
		return
	case col.ref == nil && col.tag.has("ref"):
		return // reported there
	case col.ref == nil:
		c.fault(r, "%s refers to nothing: add ref=%s to its tag", r.item.Value, elemName(r.typ))
		return
	}
	r.own, r.from, r.far, r.to = true, col.ref.from, col.ref.to, col.ref.to[0].model
	c.checkRelationType(r, r.to)
}

// resolveInverse settles many=Post.AuthorID and one=Profile.UserID: columns of
// the other model refer to this one.
func (c *collector) resolveInverse(r *relation) {
	name, field, dotted := strings.Cut(r.item.Value, ".")
	to := c.byName(name)
	switch {
	case !dotted && r.item.Key == "many":
		c.fault(r, "name the model and its column that refers to %s, as in many=%s.%sID", r.model.name, elemName(r.typ), r.model.name)
		return
	case to == nil:
		c.fault(r, "there is no model %s in this package%s", name, suggest(name, c.modelNames()))
		return
	}
	fk := c.refersTo(r, to, field, r.model)
	if fk == nil {
		return
	}
	if r.item.Key == "one" && !to.keyed(fk.from) {
		c.fault(r, "nothing makes %s unique in %s, so a %s may have several: add unique to it, or make the relation many=%s", field, name, r.model.name, r.item.Value)
		return
	}
	r.to, r.from, r.far = to, fk.to, fk.from
	c.checkRelationType(r, to)
}

// refersTo returns the foreign key of m by its column, if it leads to target.
func (c *collector) refersTo(r *relation, m *model, field string, target *model) *foreignKey {
	col := m.columnNamed(field, part{})
	switch {
	case col == nil:
		c.fault(r, "%s has no column %s%s", m.name, field, suggest(field, m.columnNames()))
	case col.ref == nil && col.tag.has("ref"):
		// Reported there.
	case col.ref == nil:
		c.fault(r, "%s.%s refers to nothing: add ref=%s to its tag", m.name, field, target.name)
	case col.ref.to[0].model != target:
		c.fault(r, "%s.%s refers to %s, not to %s", m.name, field, col.ref.to[0].model.name, target.name)
	default:
		return col.ref
	}
	return nil
}

// resolveVia settles via=PostTag: a model between refers to both.
func (c *collector) resolveVia(r *relation) {
	parts := strings.Split(r.item.Value, ".")
	via := c.byName(parts[0])
	to := c.modelOf(elemOf(r.typ))
	switch {
	case via == nil:
		c.fault(r, "there is no model %s in this package%s", parts[0], suggest(parts[0], c.modelNames()))
		return
	case len(parts) > 3:
		c.fault(r, "write via=%s, or which of its columns refer to the two: via=%s.Near.Far", parts[0], parts[0])
		return
	case to == nil:
		c.checkRelationType(r, nil)
		return
	case via == r.model || via == to:
		c.fault(r, "%s is one of the two models itself: a model between them refers to both", via.name)
		return
	}
	near := c.leg(r, via, r.model, parts, 1, nil)
	if near == nil {
		return
	}
	out := c.leg(r, via, to, parts, 2, near)
	if out == nil {
		return
	}
	r.via, r.to = via, to
	r.from, r.near, r.far, r.out = near.to, near.from, out.to, out.from
	c.checkRelationType(r, to)
}

// leg returns the foreign key of via that leads to target: the one whose column
// the tag names as its n-th part, or the only one besides other.
func (c *collector) leg(r *relation, via, target *model, parts []string, n int, other *foreignKey) *foreignKey {
	if n < len(parts) {
		fk := c.refersTo(r, via, parts[n], target)
		if fk != nil && fk == other {
			c.fault(r, "%s cannot refer to both", parts[n])
			return nil
		}
		return fk
	}
	var all []*foreignKey
	for _, fk := range via.parents {
		if fk != other && fk.to[0].model == target {
			all = append(all, fk)
		}
	}
	switch len(all) {
	case 1:
		return all[0]
	case 0:
		for _, col := range via.columns {
			if col.tag.has("ref") && col.ref == nil {
				return nil // reported there
			}
		}
		c.fault(r, "no %scolumn of %s refers to %s", map[bool]string{true: "other "}[other != nil && other.to[0].model == target], via.name, target.name)
	default:
		c.fault(r, "%s and %s of %s both refer to %s: say which leads to %s, as in via=%s.%s",
			all[0].from[0].selector(), all[1].from[0].selector(), via.name, target.name,
			map[int]string{1: "this model", 2: "the other one"}[n], strings.Join(append([]string{via.name}, parts[1:]...), "."), all[0].from[0].selector())
	}
	return nil
}

// keyed says whether a key of m is among cols, so that they tell rows apart.
func (m *model) keyed(cols []*column) bool {
	within := func(key []*column) bool {
		return len(key) > 0 && !slices.ContainsFunc(key, func(k *column) bool { return !slices.Contains(cols, k) })
	}
	return within(m.key) || slices.ContainsFunc(m.uniques, func(u *uniqueKey) bool { return within(u.columns) })
}

// columnNamed returns the column of a field as a tag within p names it.
func (m *model) columnNamed(field string, p part) *column {
	if col := m.first(func(col *column) bool { return col.name == p.goName+field }); col != nil {
		return col
	}
	return m.first(func(col *column) bool { return col.name == field || col.selector() == field })
}

func (m *model) columnNames() (names []string) {
	for _, col := range m.columns {
		names = append(names, col.name)
	}
	return names
}

func suggest(word string, among []string) string {
	if s := schema.Nearest(word, among); s != "" {
		return "; did you mean " + quoted(s) + "?"
	}
	return ""
}

// elemOf returns what a pointer leads to or a slice holds.
func elemOf(t types.Type) types.Type {
	switch t := t.(type) {
	case *types.Pointer:
		return types.Unalias(t.Elem())
	case *types.Slice:
		if p, ok := types.Unalias(t.Elem()).(*types.Pointer); ok {
			return types.Unalias(p.Elem())
		}
		return types.Unalias(t.Elem())
	}
	return t
}

func elemName(t types.Type) string {
	if n, ok := elemOf(t).(*types.Named); ok {
		return n.Obj().Name()
	}
	return "Model"
}

// modelOf returns the model of a Go type, of this package or one it refers to;
// nil for none. Packages loaded twice have types of their own: names compare.
func (c *collector) modelOf(t types.Type) *model {
	n, ok := t.(*types.Named)
	if !ok || n.Obj().Pkg() == nil {
		return nil
	}
	if other := c.others[n.Obj().Pkg().Path()]; other != nil {
		return other.byName(n.Obj().Name())
	}
	return nil
}

// checkRelationType reports a field whose type cannot hold rows of to.
func (c *collector) checkRelationType(r *relation, to *model) {
	want, right := "", false
	if to != nil {
		want = to.name
		if to.home != c {
			want = to.home.pkg.Name + "." + want
		}
	} else {
		want = "Model"
	}
	if r.isSlice() {
		want = "[]" + want
		s, ok := r.typ.(*types.Slice)
		right = ok && to != nil && c.modelOf(types.Unalias(s.Elem())) == to
	} else {
		want = "*" + want
		p, ok := r.typ.(*types.Pointer)
		right = ok && to != nil && c.modelOf(types.Unalias(p.Elem())) == to
	}
	if !right {
		r.to = nil
		c.errorf(r.typAt, "%s holds rows of the relation %s=%s: its type must be %s, not %s", r.name, r.item.Key, r.item.Value, want, c.typeName(r.typ))
	}
}

// checkRelationNames reports relations that are in the way of other names.
func (c *collector) checkRelationNames(m *model) {
	names := map[string]bool{}
	for _, r := range m.related {
		pos := r.pos
		if r.named != nil {
			pos = r.named.value
		}
		switch {
		case isVerb(r.name):
			c.errorf(pos, "%s would hide the method %s.%s: name the relation otherwise, as in name=%sRows", r.name, m.names.typ, r.name, r.name)
		case names[r.name], m.first(func(col *column) bool { return col.name == r.name }) != nil,
			slices.ContainsFunc(m.uniques, func(u *uniqueKey) bool { return u.by == r.name }):
			c.errorf(pos, "%s.%s is there already: name the relation otherwise with name=", m.names.value, r.name)
		}
		names[r.name] = true
	}
}
