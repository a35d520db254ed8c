package orm

import (
	"database/sql/driver"
	"errors"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

// exists is a condition on the related rows of each row of from.
func (l *link) exists(op string, extra []*node) *node {
	return &node{op: opWrite, sub: func(t *text) {
		t.WriteString(op + "(SELECT 1")
		l.related(t, extra)
		t.WriteByte(')')
	}}
}

// related writes FROM and WHERE of a sub-query over the related rows of the row
// around it.
func (l *link) related(t *text, extra []*node) {
	if err := l.usable(); err != nil {
		t.fail(err)
		return
	}
	if l.limit.set {
		t.fail(errLimited)
	}
	near := func(i int) { t.column(ref{l.from.schema.Name, l.on.From[i]}) }
	t.WriteString(" FROM ")
	if l.from.schema.Name == l.to.schema.Name { // inside, its name means the related rows: the others come in by another one
		t.WriteString("(SELECT ")
		for i := range l.on.From {
			t.comma(i)
			near(i)
			t.WriteString(" AS " + keyColumn(i))
		}
		t.WriteString(") CROSS JOIN ")
		near = func(i int) { t.WriteString(keyColumn(i)) }
	}
	t.WriteString(schema.QuoteIdent(l.to.schema.Name) + " WHERE ")
	l.match(t, near, extra)
}

// keyColumn names the column of a sub-query that holds the value of From[i]. No
// column of a model can have such a name.
func keyColumn(i int) string { return "_driftdb_" + strconv.Itoa(i) }

// match writes the condition on rows of to that are related to the row whose
// values near writes, and that match the conditions of the relation.
func (l *link) match(t *text, near func(i int), extra []*node) {
	if l.via == nil {
		l.equal(t, l.to, l.on.To, near)
	} else { // a row is related once, however often the table between says so
		l.tuple(t, l.to, l.on.To)
		t.WriteString(" IN (SELECT ")
		l.columns(t, l.via, l.on.Far)
		t.WriteString(" FROM " + schema.QuoteIdent(l.via.schema.Name) + " WHERE ")
		l.equal(t, l.via, l.on.Near, near)
		t.and(l.via, nil, deletedHidden)
		t.WriteByte(')')
	}
	t.and(l.to, slices.Concat(l.where, extra), l.deleted)
}

// and adds the conditions of a query on table.
func (t *text) and(table *model, where []*node, deleted deletedRows) {
	q := query{m: table, where: where, deleted: deleted}
	all := &node{op: opAnd, kids: q.conds()}
	if v, ok := all.constant(); ok && v {
		t.check(all)
		return
	}
	t.WriteString(" AND ")
	t.paren(all)
}

// equal writes that columns of table equal what near writes. They compare as the
// columns do that are referred to, which is how SQLite enforces the key.
func (l *link) equal(t *text, table *model, columns []string, near func(i int)) {
	for i, c := range columns {
		if i > 0 {
			t.WriteString(" AND ")
		}
		t.column(ref{table.schema.Name, c})
		t.WriteString(" = ")
		near(i)
		if want := l.from.collation(l.on.From[i]); !l.refers() && want != table.collation(c) {
			t.WriteString(" COLLATE " + want)
		}
	}
}

// refers says whether it is from whose columns refer to those of to.
func (l *link) refers() bool {
	return l.via == nil && slices.ContainsFunc(l.from.schema.ForeignKeys, func(f schema.ForeignKey) bool {
		return f.RefTable == l.to.schema.Name && slices.Equal(f.Columns, l.on.From) && slices.Equal(f.RefColumns, l.on.To)
	})
}

func (m *model) collation(column string) string {
	for _, c := range m.schema.Columns {
		if c.Name == column && c.Collate != "" {
			return strings.ToUpper(c.Collate)
		}
	}
	return "BINARY"
}

func (l *link) columns(t *text, table *model, names []string) {
	for i, c := range names {
		t.comma(i)
		t.column(ref{table.schema.Name, c})
	}
}

func (l *link) tuple(t *text, table *model, names []string) {
	if len(names) == 1 {
		l.columns(t, table, names)
		return
	}
	t.WriteByte('(')
	l.columns(t, table, names)
	t.WriteByte(')')
}

// comma separates the elements of a list.
func (t *text) comma(i int) {
	if i > 0 {
		t.WriteString(", ")
	}
}

// loadKeys is how many rows' relations one statement reads.
const loadKeys = 512

var (
	errAggOrder = errors.New("an aggregate over rows has no value for each of them: order by a column, or by the count of a relation")
	errLimit    = errors.New("a limit is negative")
)

// loadText reads the rows that are related to the keys. Its first column is the
// index of the key.
func (l *link) loadText(keys [][]driver.Value) *text {
	t := new(text)
	t.WriteString("WITH _driftdb_keys(_driftdb_n")
	for i := range l.on.From {
		t.WriteString(", " + keyColumn(i))
	}
	t.WriteString(") AS (VALUES ")
	marks := strings.Repeat(", ?", len(l.on.From)) + ")"
	for i := range 1 << bits.Len(uint(max(len(keys), 1)-1)) { // few statements are prepared and kept
		t.comma(i)
		t.WriteString("(" + strconv.Itoa(i) + marks)
		if i < len(keys) {
			t.bind(keys[i]...)
		} else {
			t.bind(make([]driver.Value, len(l.on.From))...) // NULL has no related row
		}
	}
	t.WriteString(") SELECT _driftdb_n, " + l.to.columns)
	if !l.limit.set {
		l.loadFrom(t)
		t.WriteString(" ORDER BY ")
		if l.single && l.to.deleted != "" { // NULL first: the live row, should others have been its like before
			t.column(ref{l.to.schema.Name, l.to.deleted})
			t.WriteString(", ")
		}
		l.orderBy(t)
		return t
	}
	if l.limit.n < 0 {
		t.fail(errLimit)
	}
	t.WriteString(" FROM (SELECT _driftdb_n, " + l.to.columns + ", row_number() OVER (PARTITION BY _driftdb_n ORDER BY ")
	l.orderBy(t)
	t.WriteString(") AS _driftdb_at")
	l.loadFrom(t)
	t.WriteString(") WHERE _driftdb_at <= ? ORDER BY _driftdb_n, _driftdb_at")
	t.bind(int64(l.limit.n))
	return t
}

// loadFrom writes FROM and WHERE of loadText. The keys are the outer loop: they
// are few, and the other table may be large.
func (l *link) loadFrom(t *text) {
	t.WriteString(" FROM _driftdb_keys CROSS JOIN " + schema.QuoteIdent(l.to.schema.Name) + " WHERE ")
	l.match(t, func(i int) { t.WriteString(keyColumn(i)) }, nil)
}

// orderBy writes the order of the related rows, with the primary key at its end.
func (l *link) orderBy(t *text) {
	for i, o := range l.order {
		t.comma(i)
		if o.e.open != "" || o.e.rows {
			t.fail(errAggOrder)
		}
		t.expr(o.e)
		if o.desc {
			t.WriteString(" DESC")
		}
	}
	for i, k := range l.to.schema.Key {
		t.comma(i + len(l.order))
		t.column(ref{l.to.schema.Name, k})
	}
}
