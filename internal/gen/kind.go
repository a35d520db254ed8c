package gen

import (
	"go/types"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

// kind is how the runtime reads and writes a column: the suffix of its
// functions (ScanStr, BindStr, NewStr).
type kind string

const (
	kindStr   kind = "Str"
	kindNum   kind = "Num"
	kindBool  kind = "Bool"
	kindTime  kind = "Time"
	kindBytes kind = "Bytes"
	kindJSON  kind = "JSON"
	kindValue kind = "Value" // Scan and Value
	kindText  kind = "Text"  // MarshalText and UnmarshalText
	kindID    kind = "ID"    // 16 bytes
	kindUint  kind = "Uint"  // uint64 as digits
)

// custom says whether the column's type is Custom.
func (k kind) custom() bool {
	return slices.Contains([]kind{kindValue, kindText, kindID, kindUint}, k)
}

// goType is what a field's Go type means for its column.
type goType struct {
	kind     kind
	elem     types.Type // the type without its pointer, or inside its sql.Null
	basic    types.BasicKind
	nullable bool
	pointer  bool        // nullable as a pointer
	valid    string      // nullable as a sql.Null or its like: the name of its value
	nilable  bool        // the type itself has nil
	stored   schema.Type // "" for what the kind says
	uuid     bool        // google/uuid's
}

const sqlPath = "database/sql"

// classify returns how a Go type is stored, or why it is not.
func (c *collector) classify(t types.Type, tag *fieldTag) (g goType, why string) {
	name := c.typeName(t)
	g.elem = types.Unalias(t)
	if p, ok := g.elem.(*types.Pointer); ok {
		g.nullable, g.pointer = true, true
		g.elem = types.Unalias(p.Elem())
	}
	if it := tag.get("type"); it != nil {
		g.stored = schema.Type(it.Value)
	}
	if tag.has("json") {
		g.kind = kindJSON
		g.nilable = hasNil(g.elem)
		return g, ""
	}
	if field, value := sqlNull(g.elem); field != "" {
		if g.pointer {
			return g, name + " is nullable twice: use " + c.typeName(g.elem)
		}
		inner, why := c.classify(value, tag)
		if why != "" || inner.nullable {
			return g, name + " is not supported as a column: use a pointer"
		}
		inner.nullable, inner.valid = true, field
		return inner, ""
	}
	if isTime(g.elem) {
		g.kind = kindTime
		return g, ""
	}
	if isUUID(g.elem) {
		g.kind, g.uuid = kindText, true
		return g, ""
	}
	if ownForm(&g) {
		return g, ""
	}
	return g, c.byStructure(&g, name)
}

// ownForm classifies types that say themselves how they are stored.
func ownForm(g *goType) bool {
	n, ok := g.elem.(*types.Named)
	if !ok {
		return false
	}
	switch {
	case hasMethod(n, "Scan", "func(src any) error") && hasMethod(n, "Value", "func() (driver.Value, error)"):
		g.kind = kindValue
	case g.stored == schema.Text && hasMethod(n, "MarshalText", "func() ([]byte, error)") && hasMethod(n, "UnmarshalText", "func([]byte) error"):
		g.kind = kindText
	default:
		return false
	}
	if g.stored == "" {
		g.stored = basicStorage(n)
	}
	g.nilable = hasNil(n)
	return true
}

// byStructure classifies a type by what it is made of.
func (c *collector) byStructure(g *goType, name string) (why string) {
	switch u := g.elem.Underlying().(type) {
	case *types.Basic:
		g.basic = u.Kind()
		switch info := u.Info(); {
		case u.Kind() == types.Uint || u.Kind() == types.Uint64:
			if g.stored != schema.Text {
				return name + " does not fit SQLite's 64-bit signed INTEGER: use int64 or uint32, or store it as digits with type=TEXT"
			}
			g.kind = kindUint
		case u.Kind() == types.Uintptr:
			return name + ` cannot be stored in a column: leave the field out with drift:"-"`
		case info&types.IsString != 0:
			g.kind = kindStr
		case info&(types.IsInteger|types.IsFloat) != 0:
			g.kind = kindNum
		case info&types.IsBoolean != 0:
			g.kind = kindBool
		default:
			return name + ` cannot be stored in a column: leave the field out with drift:"-"`
		}
		return ""
	case *types.Slice:
		if b, ok := types.Unalias(u.Elem()).(*types.Basic); ok && b.Kind() == types.Byte && !isRawMessage(g.elem) {
			if g.nullable {
				return name + " is not a column type: use " + c.typeName(g.elem) + " with the item null (nil is NULL)"
			}
			g.kind, g.nilable = kindBytes, true
			return ""
		}
	case *types.Array:
		if b, ok := types.Unalias(u.Elem()).(*types.Basic); ok && b.Kind() == types.Byte && u.Len() == 16 {
			g.kind = kindID
			return ""
		}
	}
	switch g.elem.Underlying().(type) {
	case *types.Struct, *types.Map, *types.Slice, *types.Array, *types.Interface:
		return name + ` is no column by itself: store it with drift:"json", or leave it out with drift:"-"` + c.structHint(g.elem)
	}
	return name + ` cannot be stored in a column: leave the field out with drift:"-"`
}

// structHint says what else a struct can be.
func (c *collector) structHint(t types.Type) string {
	n, named := t.(*types.Named)
	_, isStruct := t.Underlying().(*types.Struct)
	switch {
	case named && hasMethod(n, "MarshalText", "func() ([]byte, error)") && hasMethod(n, "UnmarshalText", "func([]byte) error"):
		return ", or as its own text with type=TEXT"
	case named && isStruct && c.structs[n.Obj()] != nil && c.isModel(c.structs[n.Obj()]):
		return ", or load the rows of another model with one=, many= or via="
	case isStruct:
		return ", or flatten a struct of columns with drift:\"embed\""
	}
	return ""
}

func isTime(t types.Type) bool { return isNamed(t, "time", "Time") }

func isUUID(t types.Type) bool { return isNamed(t, "github.com/google/uuid", "UUID") }

func isRawMessage(t types.Type) bool { return isNamed(t, "encoding/json", "RawMessage") }

func isNamed(t types.Type, pkg, name string) bool {
	n, ok := t.(*types.Named)
	return ok && n.Obj().Name() == name && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == pkg
}

// hasNil says whether values of t can be nil.
func hasNil(t types.Type) bool {
	switch t.Underlying().(type) {
	case *types.Map, *types.Slice, *types.Interface, *types.Pointer:
		return true
	}
	return false
}

// sqlNull returns the name and type of the value in a type of database/sql that
// stands for a value or NULL, "" for any other type.
func sqlNull(t types.Type) (field string, value types.Type) {
	n, ok := t.(*types.Named)
	if !ok || n.Obj().Pkg() == nil || n.Obj().Pkg().Path() != sqlPath {
		return "", nil
	}
	st, ok := n.Underlying().(*types.Struct)
	if !ok || st.NumFields() != 2 || st.Field(1).Name() != "Valid" {
		return "", nil
	}
	return st.Field(0).Name(), types.Unalias(st.Field(0).Type())
}

// hasMethod says whether t or its pointer has the method. Names of parameters
// do not count, nor that any is interface{}.
func hasMethod(t *types.Named, name, signature string) bool {
	obj, _, _ := types.LookupFieldOrMethod(types.NewPointer(t), true, nil, name)
	f, ok := obj.(*types.Func)
	if !ok {
		return false
	}
	sig, ok := f.Type().(*types.Signature)
	return ok && plainSignature(sig) == signature
}

func plainSignature(sig *types.Signature) string {
	tuple := func(t *types.Tuple) string {
		var all []string
		for v := range t.Variables() {
			all = append(all, plainType(v.Type()))
		}
		return strings.Join(all, ", ")
	}
	s := "func(" + tuple(sig.Params()) + ")"
	if s == "func(any)" {
		s = "func(src any)"
	}
	switch sig.Results().Len() {
	case 0:
		return s
	case 1:
		return s + " " + tuple(sig.Results())
	}
	return s + " (" + tuple(sig.Results()) + ")"
}

func plainType(t types.Type) string {
	if i, ok := types.Unalias(t).(*types.Interface); ok && i.Empty() {
		return "any"
	}
	return types.TypeString(t, func(p *types.Package) string { return p.Name() })
}

// basicStorage is how a type with a form of its own is stored when the tag does
// not say it: as its underlying type would be; "" where that says nothing.
func basicStorage(t *types.Named) schema.Type {
	switch u := t.Underlying().(type) {
	case *types.Basic:
		switch info := u.Info(); {
		case info&types.IsString != 0:
			return schema.Text
		case info&types.IsFloat != 0:
			return schema.Real
		case info&(types.IsInteger|types.IsBoolean) != 0:
			return schema.Integer
		}
	case *types.Slice:
		if b, ok := types.Unalias(u.Elem()).(*types.Basic); ok && b.Kind() == types.Byte {
			return schema.Blob
		}
	}
	return ""
}

// storage returns the column type of STRICT tables.
func (col *column) storage() schema.Type {
	switch {
	case col.stored != "":
		return col.stored
	case col.kind == kindTime && col.unit == unitText:
		return schema.Text
	}
	switch col.kind {
	case kindStr, kindJSON, kindText, kindUint:
		return schema.Text
	case kindBytes, kindID:
		return schema.Blob
	case kindNum:
		if col.isFloat() {
			return schema.Real
		}
	}
	return schema.Integer
}

func (g goType) isFloat() bool   { return g.basic == types.Float32 || g.basic == types.Float64 }
func (g goType) isInteger() bool { return g.kind == kindNum && !g.isFloat() }

// bits returns the width of an integer or float type.
func (g goType) bits() int {
	switch g.basic {
	case types.Int8, types.Uint8:
		return 8
	case types.Int16, types.Uint16:
		return 16
	case types.Int32, types.Uint32, types.Float32:
		return 32
	default:
		return 64
	}
}

func (g goType) isUnsigned() bool {
	return g.basic == types.Uint8 || g.basic == types.Uint16 || g.basic == types.Uint32
}
