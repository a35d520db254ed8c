package gen

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dave/jennifer/jen"

	"github.com/driftdb/driftdb/schema"
)

const commentWidth = 118

// beside returns text as the comment at the end of a line.
func beside(text string) *jen.Statement {
	return jen.Comment("// " + strings.Join(strings.Fields(text), " "))
}

// comments returns text as comment lines.
func comments(text string) []jen.Code {
	var out []jen.Code
	line := "//"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > commentWidth && line != "//" {
			out = append(out, jen.Comment(line))
			line = "//"
		}
		line += " " + word
	}
	return append(out, jen.Comment(line))
}

// doc describes the column: its SQL type and constraints, and what Create does
// with it.
func (col *column) doc() string {
	s := strings.Join(append([]string{col.model.names.table + "." + col.sql + " " + col.definition()}, col.notes()...), ", ") + "."
	if what := col.filled(); what != "" {
		s += " Create " + what + "."
	}
	return s
}

// keyAlone says whether the column is the whole primary key.
func (col *column) keyAlone() bool { return len(col.model.key) == 1 && col.model.key[0] == col }

// definition returns the column's SQL type with what belongs to it.
func (col *column) definition() string {
	s := string(col.storage())
	if col.keyAlone() {
		s += " PRIMARY KEY"
	}
	if !col.nullable {
		s += " NOT NULL"
	}
	if col.def != nil {
		s += " DEFAULT " + col.def.sql
	}
	if col.collate != "" {
		s += " COLLATE " + col.collate
	}
	return s
}

// notes says what else is to be known of the column.
func (col *column) notes() (notes []string) {
	m := col.model
	switch {
	case col.kind == kindTime && col.unit == unitText:
		notes = append(notes, "RFC 3339 in UTC")
	case col.kind == kindTime:
		notes = append(notes, "Unix "+unitName(col.unit))
	}
	if col.generated != "" {
		notes = append(notes, "generated as ("+col.generated+")")
	}
	for _, is := range []struct {
		yes  bool
		what string
	}{
		{col.createonly, "written by Create only"}, {col.readonly, "never written"}, {col.nolog, "not in the change log"},
		{col.secret, "redacted when printed"}, {col.version, "the row's version, counted by every update"}, {col.softdelete, "set by Delete"},
	} {
		if is.yes {
			notes = append(notes, is.what)
		}
	}
	if col.pk && !col.keyAlone() {
		notes = append(notes, "part of the primary key")
	}
	for _, u := range m.uniques {
		notes = append(notes, u.note(col, "unique")...)
	}
	for _, g := range m.indexes {
		notes = append(notes, g.note(col, "indexed")...)
	}
	if col.ref != nil {
		to := col.ref.to[slices.Index(col.ref.from, col)]
		n := "refers to " + to.model.names.table + "." + to.sql
		if col.ref.onDelete != "" {
			n += " ON DELETE " + string(col.ref.onDelete)
		}
		if col.ref.deferred {
			n += " DEFERRABLE INITIALLY DEFERRED"
		}
		if col.ref.onUpdate != "" {
			n += " ON UPDATE " + string(col.ref.onUpdate)
		}
		notes = append(notes, n)
	}
	for _, ch := range col.checks {
		notes = append(notes, "CHECK ("+ch.expr+")")
	}
	if col.kind == kindBytes && !col.nullable {
		notes = append(notes, "nil is stored as empty")
	}
	return notes
}

// note says that col belongs to g.
func (g *group) note(col *column, what string) []string {
	var others []string
	found := false
	for _, o := range g.columns {
		if o == col {
			found = true
		} else {
			others = append(others, o.name)
		}
	}
	switch {
	case !found:
		return nil
	case len(others) == 0:
		return []string{what}
	}
	return []string{what + " with " + and(others)}
}

// filled says what Create does with the column by itself, as the rest of a
// sentence.
func (col *column) filled() string {
	switch {
	case col.fill != "":
		return fmt.Sprintf("fills %s with a %s", col.zero(), strings.Replace(col.fill, "UUID", "UUIDv", 1))
	case col.updated:
		return "sets " + col.zero() + ", Update every one"
	case col.created:
		return "sets " + col.zero()
	case col.auto:
		return "fills " + col.zero() + " with the next number; numbers of two restored copies collide"
	case col.version:
		return "sets " + col.zero() + " to 1"
	case col.omit:
		return "stores the default for " + col.zero()
	}
	return ""
}

// zero names the value that Create replaces: a false Active.
func (col *column) zero() string {
	what := "a zero "
	switch {
	case col.valid != "":
		what = "an invalid "
	case col.nullable || col.nilable:
		what = "a nil "
	case col.kind == kindBool:
		what = "a false "
	case col.kind == kindStr && col.fill == "":
		what = "an empty "
	}
	return what + col.name
}

func unitName(unit string) string {
	if unit == unitText {
		return "nanoseconds"
	}
	return strings.ToLower(unit) + "s"
}

// and joins words to a phrase: a, b and c.
func and(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

func or(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// keyNames returns the primary key in words: ID, or TeamID and UserID.
func (m *model) keyNames() string {
	var names []string
	for _, col := range m.key {
		names = append(names, col.name)
	}
	return and(names)
}

// createDoc says what Create does for this model.
func (m *model) createDoc() string {
	says := []string{"Create inserts m."}
	var times, units []string
	for _, col := range m.columns {
		switch {
		case col.fill != "":
			says = append(says, fmt.Sprintf("%s becomes a %s.", upperFirst(col.zero()), strings.Replace(col.fill, "UUID", "UUIDv", 1)))
		case col.created || col.updated:
			times = append(times, col.name)
		case col.auto:
			says = append(says, upperFirst(col.zero())+" becomes the next number.")
		case col.version:
			says = append(says, upperFirst(col.zero())+" becomes 1.")
		case col.omit:
			says = append(says, fmt.Sprintf("%s takes the column's default, %s.", upperFirst(col.zero()), col.def.doc))
		}
		if col.kind == kindTime && col.unit != unitText && !slices.Contains(units, unitName(col.unit)) {
			units = append(units, unitName(col.unit))
		}
	}
	switch len(times) {
	case 0:
	case 1:
		says = append(says, "A zero "+times[0]+" becomes the time of the call.")
	default:
		says = append(says, "A zero "+and(times)+" become the time of the call.")
	}
	if len(units) == 1 {
		says = append(says, "Times are cut to "+units[0]+", as they are stored.")
	} else if len(units) > 1 {
		says = append(says, "Times are cut to their column's "+or(units)+".")
	}
	if m.fills() || len(m.omitted()) > 0 {
		says = append(says, "What was chosen stands in m afterwards.")
	}
	return strings.Join(says, " ")
}

// deleteDoc says what Delete does for this model and the rows that refer to
// it.
func (m *model) deleteDoc() string {
	says := []string{"Delete removes the row with the key and says whether there was one."}
	if col := m.first(func(col *column) bool { return col.softdelete }); col != nil {
		return "Delete sets " + col.name + " of the row with the key, which queries do not see from then on, and says whether there was one. Restore brings it back, Purge removes it for good."
	}
	for _, fk := range m.childs {
		who := fmt.Sprintf("%s whose %s to it", fk.from[0].model.names.value, refer(fk.from))
		switch fk.onDelete {
		case schema.Cascade:
			says = append(says, who+" are deleted with it.")
		case schema.SetNull:
			says = append(says, who+" lose the reference.")
		case schema.SetDefault:
			says = append(says, who+" get the column's default.")
		default:
			says = append(says, "It is refused while there are "+who+".")
		}
	}
	return strings.Join(says, " ")
}

// updateDoc says what Update does for this model.
func (m *model) updateDoc() string {
	return "Update changes columns of the row with the key; orm.ErrNotFound if there is none." + m.updatesDoc()
}

// updatesDoc says which columns change with every update.
func (m *model) updatesDoc() string {
	var s string
	if col := m.updated(); col != nil {
		s += " " + col.name + " becomes the time of the call."
	}
	if col := m.version(); col != nil {
		s += " " + col.name + " grows by one."
	}
	return s
}

// saveDoc says what Save does for this model.
func (m *model) saveDoc() string {
	s := fmt.Sprintf("Save writes every column of m to the row with its %s", m.keyNames())
	var stay []string
	for _, col := range m.columns {
		if !col.pk && (col.created || col.createonly || col.readonly) {
			stay = append(stay, col.name)
		}
	}
	if len(stay) > 0 {
		s += ", except " + and(stay)
	}
	s += "; orm.ErrNotFound if there is none"
	if col := m.version(); col != nil {
		s += ", orm.ErrStale if its " + col.name + " is not m's"
	}
	return s + "." + m.updatesDoc()
}

// upsertDoc says what Upsert does for this model.
func (m *model) upsertDoc() string {
	s := fmt.Sprintf("Upsert inserts m as Create does. A row with the same %s gets m's columns instead", m.keyNames())
	if col := m.created(); col != nil {
		s += ", except " + col.name
	}
	return s + ": m is the row as it stands afterwards."
}
