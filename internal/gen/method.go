package gen

import (
	"go/types"
	"slices"
)

// checkMethods reports fields of m that the methods of the output would clash
// with, or hide.
func (c *collector) checkMethods(m *model, why string, methods ...string) {
	st, ok := m.named.Underlying().(*types.Struct)
	if !ok {
		return
	}
	for v := range st.Fields() {
		if slices.Contains(methods, v.Name()) {
			c.errorf(c.pos(v.Pos()), "%s has the name of a method that the output gives %s, %s: rename the field (column= keeps the column)", v.Name(), m.name, why)
		}
	}
	for _, col := range m.columns {
		if len(col.path) == 1 && slices.Contains(methods, col.path[0]) && m.method(col.path[0]) == nil && !hasField(st, col.path[0]) {
			c.errorf(col.pos, "%s of an embedded struct has the name of a method that the output gives %s, %s: rename the field (column= keeps the column)", col.path[0], m.name, why)
		}
	}
}

func hasField(st *types.Struct, name string) bool {
	for v := range st.Fields() {
		if v.Name() == name {
			return true
		}
	}
	return false
}

// method returns the method that the package itself declares for m.
func (m *model) method(name string) *types.Func {
	for f := range m.named.Methods() {
		if f.Name() == name {
			return f
		}
	}
	return nil
}

// checkPrinted reports what keeps a model with secret columns from being
// printed without them. A Format or LogValue of the package's own stands in
// place of that of the output.
func (c *collector) checkPrinted(m *model) {
	if !m.secrets() {
		return
	}
	c.checkMethods(m, "which has secret columns", "LogValue", "Format")
	for name, want := range map[string]string{"LogValue": "func() slog.Value", "Format": "func(fmt.State, rune)"} {
		f := m.method(name)
		if f == nil || hasInvalid(f.Type()) {
			continue
		}
		if sig, ok := f.Type().(*types.Signature); !ok || plainSignature(sig) != want && plainSignature(sig) != "func(fmt.State, int32)" {
			c.errorf(c.pos(f.Pos()), "%s.%s prints a model with secret columns: its signature must be %s, or its name another one", m.name, name, want)
		}
	}
}

// secrets says whether m is printed without some of its columns.
func (m *model) secrets() bool {
	return m.first(func(col *column) bool { return col.secret }) != nil
}

// checkRowMethods reports what the methods of a row of a query clash with.
func (c *collector) checkRowMethods(m *model) {
	c.checkMethods(m, "the row of a query", "RowColumns", "ScanRow")
	for _, name := range []string{"RowColumns", "ScanRow"} {
		if f := m.method(name); f != nil {
			c.errorf(c.pos(f.Pos()), "the output declares %s.%s, as for every row of a query: rename this one", m.name, name)
		}
	}
}

// checkQueries reports names of the output for queries that the package or
// another output has taken.
func (c *collector) checkQueries(taken map[string]string) {
	for _, q := range c.queries {
		for _, n := range q.declared() {
			if o := c.pkg.Types.Scope().Lookup(n); o != nil {
				c.errorf(q.pos, "the output for %s declares %s, which %s declares already: rename one of them", q.name, n, c.place(o))
			} else if by := taken[n]; by != "" {
				c.errorf(q.pos, "the output for %s and for %s both declare %s: rename one of them", by, q.name, n)
				break
			}
			taken[n] = q.name
		}
	}
}

// argName returns the name that the output gives a parameter of a query: its
// own, unless it would hide something that the code needs.
func (c *collector) argName(m *queryMethod, name string) string {
	scope := c.pkg.Types.Scope()
	hides := func(name string) bool {
		if scope.Lookup(name) != nil || types.Universe.Lookup(name) != nil || slices.Contains([]string{"_", "orm", "driftorm", "one", "err"}, name) {
			return true
		}
		if slices.ContainsFunc(c.queries, func(q *querySet) bool { return slices.Contains(q.declared(), name) }) {
			return true
		}
		return slices.ContainsFunc(c.pkg.Types.Imports(), func(p *types.Package) bool { return p.Name() == name || "drift"+p.Name() == name })
	}
	for hides(name) {
		name += "Arg"
		for slices.ContainsFunc(m.params, func(p queryParam) bool { return p.name == name }) {
			name += "Arg"
		}
	}
	return name
}
