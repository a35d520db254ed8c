package gen

import (
	"fmt"
	"go/token"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

// applyItems gives col what the items of its tag say. What needs other
// columns or models (groups, references) is resolved later.
func (c *collector) applyItems(col *column) {
	if col.unit = "Millisecond"; col.model.unit != "" {
		col.unit = col.model.unit
	}
	if it := col.tag.get("column"); it != nil {
		// First: the expressions of other items name the column.
		col.sql = strings.TrimSuffix(col.sql, schema.SnakeCase(col.path[len(col.path)-1])) + it.Value
	}
	if col.kind == kindBool {
		col.checks = append(col.checks, checkExpr{"check", schema.QuoteIdent(col.sql) + " IN (0, 1)"})
	}
	for i := range col.tag.items {
		it := &col.tag.items[i]
		if why := c.applyItem(col, it); why != "" {
			pos := it.pos
			if it.HasValue {
				pos = it.value
			}
			c.errorf(pos, "%s", why)
		}
	}
	c.checkConflicts(col)
}

// applyItem returns what is wrong with the item, if anything.
func (c *collector) applyItem(col *column, it *item) string {
	switch it.Key {
	case "name":
		if !token.IsIdentifier(it.Value) || !token.IsExported(it.Value) {
			return "name needs an exported Go identifier"
		}
		col.name = it.Value
	case "pk":
		col.pk = true
		if col.nullable {
			return "a primary key cannot be a pointer: it is never NULL"
		}
		if col.kind != kindStr && !col.isInteger() && !(col.kind == kindText && col.uuid) && col.kind != kindID {
			return fmt.Sprintf("pk needs a string or an integer; %s is not supported as a primary key", c.typeName(col.elem))
		}
	case "uuid7", "uuid4":
		col.fill = "UUID" + it.Key[len(it.Key)-1:]
		if col.nullable || col.kind != kindStr && col.kind != kindID && !col.uuid {
			return it.Key + " fills a string, a uuid.UUID or a [16]byte"
		}
	case "created", "updated":
		col.created, col.updated = col.created || it.Key == "created", col.updated || it.Key == "updated"
		if col.kind != kindTime || col.nullable {
			return it.Key + " needs a time.Time"
		}
	case "time":
		return col.applyTime(it)
	case "nocase":
		col.collate = "NOCASE"
		if col.kind != kindStr {
			return "nocase needs a string"
		}
	case "null":
		switch {
		case col.nullable:
			return "null says nothing more: a pointer is a nullable column already"
		case !col.nilable && col.kind != kindValue:
			return fmt.Sprintf("null needs a type with nil: make the field *%s", c.typeName(col.elem))
		}
		col.nullable = true
	case "default":
		def, why := col.readDefault(it)
		col.def = def
		return why
	case "check":
		col.checks = append(col.checks, checkExpr{"check", it.Value})
	case "min", "max", "minlen", "maxlen":
		return col.applyBound(it)
	default:
		return c.applyMore(col, it)
	}
	return ""
}

func (col *column) applyTime(it *item) string {
	if col.kind != kindTime {
		return "time needs a time.Time"
	}
	for _, u := range timeUnits() {
		if it.Value == u[0] {
			col.unit = u[1]
			return ""
		}
	}
	return fmt.Sprintf("time=%s is not known: it is one of s, ms, us, ns, rfc3339", it.Value)
}

// timeUnits are the values of the item time, with the names that orm has for
// them.
func timeUnits() [5][2]string {
	return [5][2]string{{"s", "Second"}, {"ms", "Millisecond"}, {"us", "Microsecond"}, {"ns", "Nanosecond"}, {"rfc3339", unitText}}
}

// unitWord is the item's value for orm's name of a unit.
func unitWord(name string) string {
	for _, u := range timeUnits() {
		if name == u[1] {
			return u[0]
		}
	}
	return ""
}

// applyBound makes a CHECK of min, max, minlen or maxlen.
func (col *column) applyBound(it *item) string {
	op := " >= "
	if strings.HasPrefix(it.Key, "max") {
		op = " <= "
	}
	left, bound := schema.QuoteIdent(col.sql), it.Value
	if strings.HasSuffix(it.Key, "len") {
		if col.kind != kindStr && col.kind != kindBytes && col.kind != kindText {
			return it.Key + " needs a string or []byte"
		}
		n, err := strconv.ParseUint(bound, 10, 31)
		if err != nil {
			return it.Key + " needs a number of characters"
		}
		bound = strconv.FormatUint(n, 10)
		left = "length(" + left + ")"
	} else {
		if col.kind != kindNum {
			return it.Key + " needs a number" + map[bool]string{true: "; for the length of a string it is " + it.Key + "len"}[col.kind == kindStr]
		}
		n, why := col.number(bound)
		if why != "" {
			return why
		}
		bound = n
	}
	col.checks = append(col.checks, checkExpr{it.Key + "_check", left + op + bound})
	return col.empty(it)
}

// empty says why no value is left between min and max, once the second of them
// is applied.
func (col *column) empty(it *item) string {
	length := strings.TrimLeft(it.Key, "minax")
	var least, most string
	for i := range col.tag.items {
		o := &col.tag.items[i]
		switch o.Key {
		case "min" + length:
			least = o.Value
		case "max" + length:
			most = o.Value
		}
		if o == it {
			break
		}
	}
	a, ok := new(big.Rat).SetString(least)
	b, both := new(big.Rat).SetString(most)
	if !ok || !both || a.Cmp(b) <= 0 {
		return ""
	}
	return fmt.Sprintf("no value is at least %s and at most %s", least, most)
}

// number returns the literal as SQL, if the column's Go type can hold it.
func (col *column) number(s string) (string, string) {
	if col.isFloat() {
		f, err := strconv.ParseFloat(s, col.bits())
		if err != nil || f != f || f-f != 0 {
			return "", fmt.Sprintf("%q is no %s", s, col.elem.Underlying())
		}
		return strconv.FormatFloat(f, 'g', -1, col.bits()), ""
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err == nil && !col.isUnsigned() {
		n, err = strconv.ParseInt(s, 10, col.bits())
	}
	if err != nil || col.isUnsigned() && (n < 0 || n >= 1<<col.bits()) {
		return "", fmt.Sprintf("%q is no %s", s, col.elem.Underlying())
	}
	return strconv.FormatInt(n, 10), ""
}

// readDefault reads default=v and default=(SQL).
func (col *column) readDefault(it *item) (*defaultValue, string) {
	if it.Paren {
		return &defaultValue{sql: "(" + it.Value + ")", doc: "(" + it.Value + ")"}, ""
	}
	v := it.Value
	if it.Quoted && col.storage() != schema.Text {
		return nil, "a quoted default needs a string"
	}
	switch col.kind {
	case kindStr:
		return &defaultValue{sql: schema.QuoteText(v), doc: schema.QuoteText(v), zero: v == ""}, ""
	case kindNum:
		n, why := col.number(v)
		if why != "" {
			return nil, "default " + why
		}
		f, _ := strconv.ParseFloat(n, 64)
		return &defaultValue{sql: n, doc: n, zero: f == 0}, ""
	case kindBool:
		switch v {
		case "true":
			return &defaultValue{sql: "1", doc: v}, ""
		case "false":
			return &defaultValue{sql: "0", doc: v, zero: true}, ""
		}
		return nil, fmt.Sprintf("default %q is no bool: write true or false", v)
	case kindText, kindValue, kindJSON:
		if col.storage() == schema.Text {
			return &defaultValue{sql: schema.QuoteText(v), doc: schema.QuoteText(v)}, ""
		}
	}
	return nil, "this default needs an SQL expression: default=(…)"
}

// checkConflicts reports items that exclude or need each other.
func (c *collector) checkConflicts(col *column) {
	t := &col.tag
	for _, pair := range [][2]string{
		{"uuid7", "uuid4"}, {"created", "updated"}, {"omitzero", "writezero"}, {"pk", "default"},
		{"created", "default"}, {"updated", "default"}, {"uuid7", "auto"}, {"uuid4", "auto"}, {"version", "pk"}, {"version", "default"},
		{"softdelete", "default"}, {"generated", "default"}, {"generated", "pk"}, {"generated", "readonly"}, {"generated", "createonly"},
		{"generated", "nolog"}, {"generated", "ref"}, {"createonly", "readonly"}, {"readonly", "pk"}, {"nolog", "pk"}, {"json", "type"}, {"json", "enum"},
	} {
		if !t.has(pair[0]) || !t.has(pair[1]) {
			continue
		}
		c.errorf(t.get(pair[1]).pos, "%s and %s exclude each other", pair[0], pair[1])
	}
	for _, need := range [][2]string{
		{"uuid7", "pk"}, {"uuid4", "pk"}, {"auto", "pk"}, {"omitzero", "default"}, {"writezero", "default"}, {"ondelete", "ref"}, {"onupdate", "ref"},
		{"deferred", "ref"}, {"stored", "generated"},
	} {
		if t.has(need[0]) && !t.has(need[1]) {
			c.errorf(t.get(need[0]).pos, "%s needs %s", need[0], need[1])
		}
	}
	for _, it := range t.items {
		if (it.Key == "unique" || it.Key == "uniquelive" || it.Key == "index") && it.HasValue && !isWord(it.Value) {
			c.errorf(it.value, "%s=%s: the name of a group is lower case letters, digits and _", it.Key, it.Value)
		}
	}
	c.checkEnum(col)
	c.checkDefault(col)
}

// checkDefault decides what the zero value of a column with a default means,
// and reports when nobody has said it.
func (c *collector) checkDefault(col *column) {
	it := col.tag.get("default")
	if it == nil || col.def == nil || col.pk || col.created || col.updated || !col.inserted() {
		return
	}
	omitzero, writezero := col.tag.has("omitzero"), col.tag.has("writezero")
	if col.kind == kindBytes && omitzero && !col.nullable {
		// nil and empty are one value here; nil is the one that was left out.
		col.omit = true
		return
	}
	switch {
	case omitzero:
		col.omit = true
	case writezero:
	case col.nullable:
		col.omit = true
	case !col.def.zero:
		zero := map[kind]string{kindStr: `""`, kindNum: "0", kindBool: "false", kindTime: "the zero time", kindBytes: "nil"}[col.kind]
		if zero == "" {
			zero = "the zero value"
		}
		pointer := "a pointer (nil takes the default)"
		if col.nilable {
			pointer = "nullable with the item null (nil takes the default)"
		}
		c.errorf(it.pos, "default %s is not the zero value of %s; say what %s means there: make the field %s, or add omitzero (%s takes the default) or writezero (%s is stored)",
			col.def.doc, col.selector(), zero, pointer, zero, zero)
	}
}

// buildConstraints finds the key of m and the groups of its unique and plain
// indexes.
func (c *collector) buildConstraints(m *model) {
	var unique, live []*group
	for _, col := range m.columns {
		if col.pk {
			m.key = append(m.key, col)
		}
		uniqueAlone := slices.ContainsFunc(col.tag.items, func(it item) bool { return it.Key == "unique" && !it.HasValue })
		for _, it := range col.tag.items {
			switch {
			case it.Key == "unique":
				unique = addTo(unique, it, col)
			case it.Key == "uniquelive":
				live = addTo(live, it, col)
			case it.Key == "index" && !it.HasValue && uniqueAlone:
				// The unique index serves: one is made.
			case it.Key == "index":
				m.indexes = addTo(m.indexes, it, col)
			}
		}
	}
	for _, g := range unique {
		m.uniques = append(m.uniques, &uniqueKey{group: *g})
	}
	for _, g := range live {
		if m.first(func(col *column) bool { return col.softdelete }) == nil {
			c.errorf(g.pos, "uniquelive is unique among rows that are not soft deleted: %s has no column with the item softdelete", m.name)
			continue
		}
		m.uniques = append(m.uniques, &uniqueKey{group: *g, live: true})
	}
}

// addTo puts col into the group that it names.
func addTo(groups []*group, it item, col *column) []*group {
	g := &group{pos: it.pos, columns: []*column{col}}
	if it.HasValue {
		g.name = col.group + it.Value
		for _, o := range groups {
			if o.name == g.name {
				o.columns = append(o.columns, col)
				return groups
			}
		}
	}
	return append(groups, g)
}
