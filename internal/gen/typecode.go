package gen

import (
	"go/ast"
	"go/token"
	"go/types"
	"strconv"
	"strings"

	"github.com/dave/jennifer/jen"
)

// typeCode writes a column's type: basic, or named with its arguments.
func typeCode(t types.Type) *jen.Statement {
	t = types.Unalias(t)
	switch t := t.(type) {
	case *types.Named:
		s := jen.Id(t.Obj().Name())
		if p := t.Obj().Pkg(); p != nil {
			s = jen.Qual(p.Path(), t.Obj().Name())
		}
		if t.TypeArgs().Len() == 0 {
			return s
		}
		var args []jen.Code
		for a := range t.TypeArgs().Types() {
			args = append(args, typeCode(a))
		}
		return s.Types(args...)
	case *types.Pointer:
		return jen.Op("*").Add(typeCode(t.Elem()))
	case *types.Slice:
		return jen.Index().Add(typeCode(t.Elem()))
	case *types.Array:
		return jen.Index(jen.Lit(int(t.Len()))).Add(typeCode(t.Elem()))
	case *types.Map:
		return jen.Map(typeCode(t.Key())).Add(typeCode(t.Elem()))
	case *types.Interface:
		if t.Empty() {
			return jen.Any()
		}
	case *types.Struct:
		var fields []jen.Code
		for i := range t.NumFields() {
			f := jen.Id(t.Field(i).Name()).Add(typeCode(t.Field(i).Type()))
			if t.Field(i).Embedded() {
				f = typeCode(t.Field(i).Type())
			}
			if tag := t.Tag(i); tag != "" {
				f.Id(strconv.Quote(tag))
			}
			fields = append(fields, f)
		}
		return jen.Struct(fields...)
	}
	return jen.Id(types.TypeString(t, func(p *types.Package) string { return p.Name() }))
}

// syntaxCode writes Go syntax again, with the output's own imports in place
// of the file's. It knows what can stand in the type of a field.
type syntaxCode struct {
	info *types.Info
	// of the generic type that is written, and what stands for them
	params *types.TypeParamList
	args   *types.TypeList
}

func (w syntaxCode) expr(e ast.Expr) *jen.Statement {
	switch e := e.(type) {
	case *ast.Ident:
		// A dot import makes another package's name look like one of ours.
		if o := w.info.Uses[e]; o != nil && o.Pkg() != nil && o.Parent() == o.Pkg().Scope() {
			return jen.Qual(o.Pkg().Path(), e.Name)
		}
		for i := range w.args.Len() {
			if w.info.Uses[e] == w.params.At(i).Obj() {
				return typeCode(w.args.At(i))
			}
		}
		return jen.Id(e.Name)
	case *ast.SelectorExpr:
		if x, ok := e.X.(*ast.Ident); ok {
			if p, ok := w.info.Uses[x].(*types.PkgName); ok {
				return jen.Qual(p.Imported().Path(), e.Sel.Name)
			}
		}
		return w.expr(e.X).Dot(e.Sel.Name)
	case *ast.StarExpr:
		return jen.Op("*").Add(w.expr(e.X))
	case *ast.ParenExpr:
		return jen.Parens(w.expr(e.X))
	case *ast.ArrayType:
		if e.Len == nil {
			return jen.Index().Add(w.expr(e.Elt))
		}
		return jen.Index(w.length(e.Len)).Add(w.expr(e.Elt))
	case *ast.MapType:
		return jen.Map(w.expr(e.Key)).Add(w.expr(e.Value))
	case *ast.ChanType:
		switch e.Dir {
		case ast.SEND:
			return jen.Chan().Op("<-").Add(w.expr(e.Value))
		case ast.RECV:
			return jen.Op("<-").Chan().Add(w.expr(e.Value))
		}
		return jen.Chan().Add(w.expr(e.Value))
	case *ast.FuncType:
		return jen.Func().Add(w.signature(e))
	case *ast.StructType:
		return w.structType(e)
	case *ast.InterfaceType:
		return w.interfaceType(e)
	case *ast.IndexExpr:
		return w.expr(e.X).Types(w.expr(e.Index))
	case *ast.IndexListExpr:
		var args []jen.Code
		for _, a := range e.Indices {
			args = append(args, w.expr(a))
		}
		return w.expr(e.X).Types(args...)
	case *ast.Ellipsis:
		return jen.Op("...").Add(w.expr(e.Elt))
	case *ast.UnaryExpr:
		return jen.Op(e.Op.String()).Add(w.expr(e.X))
	case *ast.BinaryExpr:
		return w.expr(e.X).Op(e.Op.String()).Add(w.expr(e.Y))
	case *ast.BasicLit:
		return jen.Id(e.Value)
	}
	return jen.Id("any")
}

// length writes the length of an array: what it comes to, if that is known.
func (w syntaxCode) length(e ast.Expr) *jen.Statement {
	if tv, ok := w.info.Types[e]; ok && tv.Value != nil {
		return jen.Id(tv.Value.ExactString())
	}
	return w.expr(e)
}

func (w syntaxCode) signature(e *ast.FuncType) *jen.Statement {
	s := jen.Params(w.parameters(e.Params)...)
	if e.Results != nil {
		s.Params(w.parameters(e.Results)...)
	}
	return s
}

// parameters writes parameters without their names, which say nothing in a type.
func (w syntaxCode) parameters(l *ast.FieldList) []jen.Code {
	var out []jen.Code
	for _, f := range l.List {
		for range max(1, len(f.Names)) {
			out = append(out, w.expr(f.Type))
		}
	}
	return out
}

func (w syntaxCode) structType(st *ast.StructType) *jen.Statement {
	var fields []jen.Code
	for _, f := range st.Fields.List {
		s := jen.Null()
		for i, n := range f.Names {
			if i > 0 {
				s.Op(",")
			}
			s.Id(n.Name)
		}
		s.Add(w.expr(f.Type))
		if f.Tag != nil {
			s.Id(tagCode(f.Tag))
		}
		fields = append(fields, s)
	}
	return jen.Struct(fields...)
}

// tagCode writes a tag as it stands in the source: a tag over several lines in
// one, so that it does not depend on the line ends of the checkout.
func tagCode(l *ast.BasicLit) string {
	if l.Kind == token.STRING && strings.ContainsAny(l.Value, "\n") {
		text, _ := unquote(l.Value)
		return strconv.Quote(text)
	}
	return l.Value
}

func (w syntaxCode) interfaceType(e *ast.InterfaceType) *jen.Statement {
	var methods []jen.Code
	for _, f := range e.Methods.List {
		if ft, ok := f.Type.(*ast.FuncType); ok && len(f.Names) == 1 {
			methods = append(methods, jen.Id(f.Names[0].Name).Add(w.signature(ft)))
			continue
		}
		methods = append(methods, w.expr(f.Type))
	}
	return jen.Interface(methods...)
}
