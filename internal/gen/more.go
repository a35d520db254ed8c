package gen

import (
	"cmp"
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

// unitText is orm's unit of times that are stored as text.
const unitText = "RFC3339"

// applyMore applies the items that few columns have.
func (c *collector) applyMore(col *column, it *item) string {
	switch it.Key {
	case "auto":
		col.auto = true
		if !col.isInteger() || col.bits() != 64 || col.nullable {
			return "auto needs an int64: SQLite chooses 64-bit integers"
		}
		col.omit = true
	case "version":
		col.version = true
		if n, ok := col.elem.(*types.Basic); !ok || n.Kind() != types.Int64 || col.nullable {
			return "version needs an int64"
		}
	case "softdelete":
		col.softdelete = true
		if col.kind != kindTime || !col.pointer {
			return "softdelete needs a *time.Time: nil is a row that is there"
		}
	case "createonly":
		col.createonly = true
	case "readonly":
		col.readonly = true
		if !col.nullable && !col.tag.has("default") {
			return "readonly needs a default or a type with NULL: Create does not write the column"
		}
	case "generated":
		col.generated, col.onWrite = it.Value, col.tag.has("stored")
	case "nolog":
		col.nolog = true
		if !col.nullable && !col.tag.has("default") && !col.tag.has("null") {
			return "nolog needs a default or a type with NULL: a restored row has no value for the column"
		}
	case "secret":
		col.secret = true
	case "was":
		col.was = strings.TrimSuffix(col.sql, schema.SnakeCase(col.path[len(col.path)-1])) + it.Value
		if col.tag.has("column") {
			col.was = it.Value
		}
		if strings.EqualFold(col.was, col.sql) {
			return "was is the column's former name; " + it.Value + " is its name now"
		}
	case "type":
		return col.applyType(it)
	case "json":
		col.checks = append(col.checks, checkExpr{"json_check", "json_valid(" + schema.QuoteIdent(col.sql) + ")"})
	case "enum":
		return c.applyEnum(col)
	case "one", "many", "via":
		return it.Key + " is for a field that holds rows of another model"
	}
	return ""
}

func (col *column) applyType(it *item) string {
	classes := []schema.Type{schema.Integer, schema.Real, schema.Text, schema.Blob, schema.Any}
	t := schema.Type(it.Value)
	if !slices.Contains(classes, t) {
		msg := fmt.Sprintf("type=%s is not known: it is one of INTEGER, REAL, TEXT, BLOB, ANY", it.Value)
		if slices.Contains(classes, schema.Type(strings.ToUpper(it.Value))) {
			msg += `; did you mean "` + strings.ToUpper(it.Value) + `"?`
		}
		return msg
	}
	switch {
	case col.kind == kindValue:
		return ""
	case col.kind == kindText && t != schema.Text:
		return "a type with MarshalText is stored as TEXT"
	case col.kind == kindText || col.kind == kindUint && t == schema.Text:
		return ""
	}
	plain := *col
	plain.stored = ""
	if plain.storage() == t {
		return ""
	}
	return fmt.Sprintf("type=%s is for types with Scan and Value or with MarshalText: this one is stored as %s", t, plain.storage())
}

// enum is a named type whose constants are the values of a column.
type enum struct {
	named  *types.Named
	names  []string // of the constants
	values []string // as SQL
	local  bool     // declared in the models' package
	emit   bool     // here the output has its helper
}

// applyEnum finds the constants of the column's type.
func (c *collector) applyEnum(col *column) string {
	n, ok := col.elem.(*types.Named)
	if !ok || col.kind != kindStr && !col.isInteger() {
		return "enum needs a named string or integer type with constants"
	}
	e := &enum{named: n, local: n.Obj().Pkg() == c.pkg.Types}
	scope := n.Obj().Pkg().Scope()
	var consts []*types.Const
	for _, name := range scope.Names() {
		if k, ok := scope.Lookup(name).(*types.Const); ok && types.Identical(types.Unalias(k.Type()), n) && (e.local || k.Exported()) && name != "_" {
			consts = append(consts, k)
		}
	}
	if len(consts) == 0 {
		return fmt.Sprintf("enum: there is no constant of the type %s beside it", c.typeName(n))
	}
	slices.SortStableFunc(consts, func(a, b *types.Const) int {
		if e.local { // as they are written
			return cmp.Or(strings.Compare(c.pos(a.Pos()).Filename, c.pos(b.Pos()).Filename), cmp.Compare(a.Pos(), b.Pos()))
		}
		if constant.Compare(a.Val(), token.LSS, b.Val()) {
			return -1
		}
		return 1
	})
	for _, k := range consts {
		v := k.Val().ExactString()
		if k.Val().Kind() == constant.String {
			v = schema.QuoteText(constant.StringVal(k.Val()))
		}
		if !slices.Contains(e.values, v) {
			e.names, e.values = append(e.names, k.Name()), append(e.values, v)
		}
	}
	col.enum = e
	col.checks = append(col.checks, checkExpr{"enum_check", schema.QuoteIdent(col.sql) + " IN (" + strings.Join(e.values, ", ") + ")"})
	return ""
}

// checkEnum reports a default that is none of the values.
func (c *collector) checkEnum(col *column) {
	if col.enum != nil && col.def != nil && !strings.HasPrefix(col.def.sql, "(") && !slices.Contains(col.enum.values, col.def.sql) {
		c.errorf(col.tag.get("default").value, "default %s is none of the values of %s: %s", col.def.doc, c.typeName(col.enum.named), strings.Join(col.enum.values, ", "))
	}
}
