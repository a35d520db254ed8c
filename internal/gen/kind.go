package gen

import (
	"go/types"

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
)

// goType is what a field's Go type means for its column.
type goType struct {
	kind     kind
	elem     types.Type // the type without its pointer
	basic    types.BasicKind
	nullable bool
}

// classify returns how a Go type is stored, or why it is not.
func (c *collector) classify(t types.Type) (goType, string) {
	g := goType{elem: types.Unalias(t)}
	if p, ok := g.elem.(*types.Pointer); ok {
		g.nullable = true
		g.elem = types.Unalias(p.Elem())
	}
	name := c.typeName(t)
	if isTime(g.elem) {
		g.kind = kindTime
		return g, ""
	}
	_, named := g.elem.(*types.Named)
	switch u := g.elem.Underlying().(type) {
	case *types.Basic:
		g.basic = u.Kind()
		switch info := u.Info(); {
		case u.Kind() == types.Uint || u.Kind() == types.Uint64 || u.Kind() == types.Uintptr:
			return g, name + " does not fit SQLite's 64-bit signed INTEGER: use int64 (or uint32), or store the number as a string"
		case info&types.IsString != 0:
			g.kind = kindStr
		case info&(types.IsInteger|types.IsFloat) != 0:
			g.kind = kindNum
		case info&types.IsBoolean != 0:
			g.kind = kindBool
		default:
			return g, name + ` cannot be stored in a column: leave the field out with drift:"-"`
		}
		return g, ""
	case *types.Slice:
		if b, ok := types.Unalias(u.Elem()).(*types.Basic); ok && b.Kind() == types.Byte {
			switch {
			case named:
				return g, name + " is not supported yet: use []byte"
			case g.nullable:
				return g, "*[]byte is not a column type: use []byte with the item null (nil is NULL)"
			}
			g.kind = kindBytes
			return g, ""
		}
	}
	switch g.elem.Underlying().(type) {
	case *types.Struct, *types.Map, *types.Slice, *types.Array, *types.Interface:
		return g, name + ` is not supported yet as a column: leave the field out with drift:"-"` + structHint(g.elem)
	}
	return g, name + ` cannot be stored in a column: leave the field out with drift:"-"`
}

func structHint(t types.Type) string {
	if _, ok := t.Underlying().(*types.Struct); ok {
		return ", or flatten a struct of columns with drift:\"embed\""
	}
	return ""
}

func isTime(t types.Type) bool {
	n, ok := t.(*types.Named)
	return ok && n.Obj().Name() == "Time" && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == "time"
}

// storage returns the column type of STRICT tables.
func (g goType) storage() schema.Type {
	switch g.kind {
	case kindStr:
		return schema.Text
	case kindBytes:
		return schema.Blob
	case kindNum:
		if g.isFloat() {
			return schema.Real
		}
		return schema.Integer
	default:
		return schema.Integer
	}
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
