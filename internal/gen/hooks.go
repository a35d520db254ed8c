package gen

import (
	"go/types"
)

// checkHooks reports methods that have the name of a hook and not its
// signature: the runtime would pass over them without a word.
func (c *collector) checkHooks() {
	const within = "func(context.Context, *orm.Tx) error"
	hooks := map[string]string{
		"BeforeCreate": within, "AfterCreate": within, "BeforeUpdate": within, "AfterUpdate": within,
		"BeforeDelete": within, "AfterDelete": within, "AfterCommit": "func(context.Context)",
	}
	for _, m := range c.models {
		for name, want := range hooks {
			obj, _, _ := types.LookupFieldOrMethod(types.NewPointer(m.named), true, c.pkg.Types, name)
			f, ok := obj.(*types.Func)
			if !ok || hasInvalid(f.Type()) {
				continue
			}
			if sig, ok := f.Type().(*types.Signature); !ok || plainSignature(sig) != want {
				c.errorf(c.pos(f.Pos()), "%s.%s has the name of a hook: its signature must be %s, or its name another one", m.name, name, want)
			}
		}
	}
}
