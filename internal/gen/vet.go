package gen

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

// Vet looks for what compiles and is seldom meant: in the models, what NewPlan
// warns of; in the code that uses them, patterns that no index can serve and
// values that an enum does not have. The findings are the plan's diagnostics.
// The packages may be models or their users. The generated files must be those
// of the models.
func Vet(ctx context.Context, c Config) (*Plan, error) {
	plan, err := NewPlan(ctx, c)
	if err != nil || plan.Failed() {
		return plan, err
	}
	if plan.Stale() {
		return nil, errors.New("the generated files are not those of the models: run driftgen first")
	}
	pkgs, err := packages.Load(&packages.Config{Context: ctx, Mode: loadMode, Dir: plan.dir, Env: c.Env, Tests: true}, plan.patterns...)
	if err != nil {
		return nil, loadError(ctx, err)
	}
	r := &reporter{all: plan.Diagnostics}
	v := vetter{reporter: r, enums: map[string][]constant.Value{}}
	for _, p := range pkgs {
		for _, e := range p.Errors {
			r.errorf(parsePos(plan.dir, e.Pos), "%s", e.Msg)
		}
	}
	if !r.failed() {
		for _, p := range pkgs {
			v.enumsOf(p)
		}
		for _, p := range pkgs {
			v.vet(p)
		}
		if c.Plans {
			if err := v.plans(ctx, c, plan.packages); err != nil {
				return nil, err
			}
		}
	}
	plan.Diagnostics = r.sorted()
	return plan, nil
}

// vetter looks at code that uses models.
type vetter struct {
	*reporter
	enums map[string][]constant.Value // by the name of the type; what its columns hold
}

// enumsOf notes the types of the columns that a package of models, or one that
// it imports, has as enums.
func (v *vetter) enumsOf(p *packages.Package) {
	for _, pkg := range append([]*types.Package{p.Types}, p.Types.Imports()...) {
		scope := pkg.Scope()
		for _, name := range scope.Names() {
			obj, ok := scope.Lookup(name).(*types.TypeName)
			if !ok {
				continue
			}
			st, ok := obj.Type().Underlying().(*types.Struct)
			if !ok {
				continue
			}
			for i := range st.NumFields() {
				tag := readTag(&reporter{}, newLiteral(strconv.Quote(st.Tag(i)), token.Position{}), token.Position{})
				if tag.has("enum") {
					v.enum(st.Field(i).Type())
				}
			}
		}
	}
}

// enum notes the constants of an enum's type.
func (v *vetter) enum(t types.Type) {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		t = p.Elem()
	}
	n, ok := types.Unalias(t).(*types.Named)
	if !ok || n.Obj().Pkg() == nil {
		return
	}
	key := types.TypeString(n, nil)
	if v.enums[key] != nil {
		return
	}
	scope := n.Obj().Pkg().Scope()
	for _, name := range scope.Names() {
		if c, ok := scope.Lookup(name).(*types.Const); ok && types.Identical(types.Unalias(c.Type()), n) {
			v.enums[key] = append(v.enums[key], c.Val())
		}
	}
}

func (v *vetter) vet(p *packages.Package) {
	for _, f := range p.Syntax {
		if ast.IsGenerated(f) {
			continue
		}
		constants := constantNames(f)
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				v.pattern(p, n)
			case *ast.BasicLit:
				if !constants[n] {
					v.value(p, n)
				}
			}
			return true
		})
	}
}

// constantNames returns the literals that are values of declared constants:
// these are what an enum has.
func constantNames(f *ast.File) map[*ast.BasicLit]bool {
	all := map[*ast.BasicLit]bool{}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		ast.Inspect(g, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok {
				all[lit] = true
			}
			return true
		})
	}
	return all
}

// pattern reports a condition whose pattern begins with a wildcard.
func (v *vetter) pattern(p *packages.Package, call *ast.CallExpr) {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 {
		return
	}
	f, ok := p.TypesInfo.Uses[sel.Sel].(*types.Func)
	if !ok || f.Pkg() == nil || f.Pkg().Path() != ormPath {
		return
	}
	var wildcards, better string
	switch f.Name() {
	case "Like":
		wildcards, better = "%_", "Contains says the same for plain text"
	case "Glob":
		wildcards = "*?["
	default:
		return
	}
	arg := p.TypesInfo.Types[call.Args[0]].Value
	if arg == nil || arg.Kind() != constant.String {
		return
	}
	text := constant.StringVal(arg)
	if text == "" || !strings.ContainsRune(wildcards, rune(text[0])) {
		return
	}
	msg := fmt.Sprintf("%s(%q) begins with a wildcard: no index can serve it, so every row is read", f.Name(), text)
	if better != "" && len(text) > 1 && strings.Trim(text, "%") != "" && strings.HasPrefix(text, "%") && strings.HasSuffix(text, "%") && strings.Count(text, "%") == 2 && !strings.Contains(text, "_") {
		msg += "; " + better
	}
	v.warnf(p.Fset.Position(call.Args[0].Pos()), "%s", msg)
}

// value reports a constant that an enum does not have. The zero value stands
// for what was not said.
func (v *vetter) value(p *packages.Package, lit *ast.BasicLit) {
	tv := p.TypesInfo.Types[lit]
	if tv.Value == nil || tv.Type == nil {
		return
	}
	n, ok := types.Unalias(tv.Type).(*types.Named)
	if !ok {
		return
	}
	values, ok := v.enums[types.TypeString(n, nil)]
	if !ok || slices.ContainsFunc(values, func(c constant.Value) bool { return constant.Compare(c, token.EQL, tv.Value) }) || isZero(tv.Value) {
		return
	}
	var known []string
	for _, c := range values {
		known = append(known, c.ExactString())
	}
	v.warnf(p.Fset.Position(lit.Pos()), "%s is none of the values of %s: %s; a column with enum refuses it", lit.Value, n.Obj().Name(), strings.Join(known, ", "))
}

func isZero(v constant.Value) bool {
	switch v.Kind() {
	case constant.String:
		return constant.StringVal(v) == ""
	case constant.Int:
		return constant.Sign(v) == 0
	}
	return false
}
