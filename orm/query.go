package orm

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/driftdb/driftdb/schema"
)

// Query is a choice of rows of M. Queries are values: each method returns a
// new one.
type Query[M any] struct {
	_ [0]func(M)
	q query
}

// query is a Query without its model's type.
type query struct {
	m       *model // nil for the zero Query
	with    []*relation
	where   []*node
	order   []orderTerm
	group   []ref
	having  []*node
	only    []ref // the columns to read, nil for all
	limit   limit
	offset  limit
	all     bool
	deleted deletedRows
}

type orderTerm struct {
	e    expr
	desc bool
}

// deletedRows says what a query does with rows that were soft deleted.
type deletedRows int

const (
	deletedHidden deletedRows = iota
	deletedToo
	deletedOnly
)

// conds returns the conditions of the query, with the one on soft deleted rows
// in front.
func (q *query) conds() []*node {
	live := q.m.live()
	if live == nil || q.deleted == deletedToo {
		return q.where
	}
	if q.deleted == deletedOnly {
		live.sql = " IS NOT NULL"
	}
	return append([]*node{live}, q.where...)
}

type limit struct {
	n   int
	set bool
}

// Where adds conditions: rows must match all of them.
func (q Query[M]) Where(c ...Cond[M]) Query[M] {
	q.q.where = append(slices.Clip(q.q.where), nodes(c)...)
	return q
}

// OrderBy adds terms to the order of the rows. Without any the order is not
// defined.
func (q Query[M]) OrderBy(o ...Order[M]) Query[M] {
	q.q.order = slices.Clip(q.q.order)
	for _, t := range o {
		q.q.order = append(q.q.order, t.orderTerm)
	}
	return q
}

// Limit leaves out all rows after the first n; Limit(0) leaves out all.
func (q Query[M]) Limit(n int) Query[M] {
	q.q.limit = limit{n, true}
	return q
}

// Offset leaves out the first n rows.
func (q Query[M]) Offset(n int) Query[M] {
	q.q.offset = limit{n, true}
	return q
}

// AllRows says that an Update or Delete without a condition means every row.
func (q Query[M]) AllRows() Query[M] {
	q.q.all = true
	return q
}

// Only reads these columns and the primary key, and leaves the fields of all
// others as they are in a new value: for large columns that are not needed.
func (q Query[M]) Only(cols ...Column[M]) Query[M] {
	q.q.only = append(slices.Clip(q.q.only), refs(cols)...)
	return q
}

// GroupBy makes one row of all rows that have the same values in the columns,
// for Select2, Pluck and their like.
func (q Query[M]) GroupBy(cols ...Column[M]) Query[M] {
	q.q.group = append(slices.Clip(q.q.group), refs(cols)...)
	return q
}

// Having adds conditions on the groups: they must match all of them.
func (q Query[M]) Having(c ...Cond[M]) Query[M] {
	q.q.having = append(slices.Clip(q.q.having), nodes(c)...)
	return q
}

// WithDeleted takes rows that were soft deleted for rows like all others.
func (q Query[M]) WithDeleted() Query[M] {
	q.q.deleted = deletedToo
	return q
}

// OnlyDeleted leaves out all rows but those that were soft deleted.
func (q Query[M]) OnlyDeleted() Query[M] {
	q.q.deleted = deletedOnly
	return q
}

func refs[M any](cols []Column[M]) []ref {
	all := make([]ref, len(cols))
	for i, c := range cols {
		if c != nil { // an empty one is an error where it is written
			all[i] = c.ref()
		}
	}
	return all
}

// selectText writes the statement that reads what.
func (q *query) selectText(what string) *text {
	t := new(text)
	t.WriteString(what)
	q.tail(t)
	return t
}

var errGrouped = errors.New("GroupBy and Having are for Select2, Pluck and their like: a group is no whole row")

// rowsText writes the statement that reads whole rows.
func (q *query) rowsText() *text {
	m, t := q.m, new(text)
	if len(q.group) > 0 || len(q.having) > 0 {
		t.fail(errGrouped)
	}
	if q.only == nil {
		t.WriteString(m.selects)
	} else {
		t.WriteString("SELECT ")
		for i, c := range q.columns() {
			if i > 0 {
				t.WriteString(", ")
			}
			t.column(ref{m.schema.Name, m.schema.Columns[c].Name})
		}
		for _, c := range q.only {
			if c.name == "" {
				t.fail(errNoCol)
			}
		}
		t.WriteString(" FROM " + schema.QuoteIdent(m.schema.Name))
	}
	q.tail(t)
	return t
}

// columns returns the indexes of the columns that are read, nil for all.
func (q *query) columns() (at []int) {
	if q.only == nil {
		return nil
	}
	for i, c := range q.m.schema.Columns {
		if slices.Contains(q.m.schema.Key, c.Name) || slices.ContainsFunc(q.only, func(r ref) bool { return r.name == c.Name }) {
			at = append(at, i)
		}
	}
	return at
}

func (q *query) tail(t *text) {
	t.where(q.conds())
	for i, c := range q.group {
		t.WriteString([]string{" GROUP BY ", ", "}[min(i, 1)])
		t.column(c)
	}
	if len(q.having) > 0 {
		t.WriteString(" HAVING ")
		t.node(&node{op: opAnd, kids: q.having})
	}
	for i, o := range q.order {
		t.WriteString([]string{" ORDER BY ", ", "}[min(i, 1)])
		t.expr(o.e)
		if o.desc {
			t.WriteString(" DESC")
		}
	}
	if q.limit.n < 0 || q.offset.n < 0 {
		t.fail(errors.New("a limit or offset is negative"))
	}
	switch {
	case q.limit.set:
		t.WriteString(" LIMIT ?")
		t.bind(int64(q.limit.n))
	case q.offset.set:
		t.WriteString(" LIMIT -1") // SQLite has no OFFSET without one
	}
	if q.offset.set {
		t.WriteString(" OFFSET ?")
		t.bind(int64(q.offset.n))
	}
}

// ToSQL returns the SELECT that All runs, and its arguments.
func (q Query[M]) ToSQL() (string, []any) {
	if q.q.m == nil {
		return "", nil
	}
	t := q.q.rowsText()
	args := make([]any, len(t.args))
	for i, a := range t.args {
		args[i] = a.Value
	}
	return t.String(), args
}

// Each runs the query and yields its rows one by one, as they are read. An
// error is yielded once, with a nil row, and ends the loop. The rows of a DB
// are those at the time the loop began; the loop may write to the DB.
func (q Query[M]) Each(ctx context.Context, r Reader) iter.Seq2[*M, error] {
	return func(yield func(*M, error) bool) {
		q.q.eachRow(ctx, r, func(row any, err error) bool { return yield(rowOf[M](row), err) })
	}
}

func (q *query) eachRow(ctx context.Context, r Reader, yield func(any, error) bool) {
	err := q.m.ready(r)
	switch {
	case err != nil:
	case len(q.with) > 0:
		err = q.eachWith(ctx, r, func(row any) bool { return yield(row, nil) })
	default:
		err = q.each(ctx, r, true, func(row any) bool { return yield(row, nil) })
	}
	if err != nil && !errors.Is(err, errBreak) {
		yield(nil, q.m.wrap("read", err))
	}
}

// each reads the rows of the query and calls fn for every one until it returns
// false. loop says that fn is the caller's.
func (q *query) each(ctx context.Context, r Reader, loop bool, fn func(any) bool) error {
	spread := q.m.spread(q.columns())
	err := runRows(ctx, r, loop, q.rowsText(), func(rs *rows) error {
		row := q.m.fresh()
		if err := q.m.read(spread(rs.dest), row); err != nil {
			return err
		}
		if !fn(row) {
			return errBreak
		}
		return nil
	})
	if errors.Is(err, errBreak) {
		return nil
	}
	return err
}

// one reads the first row of the query, nil if there is none.
func (q *query) one(ctx context.Context, r Reader) (row any, err error) {
	err = q.each(ctx, r, false, func(found any) bool { row = found; return false })
	return row, err
}

// All returns every row of the query; an empty slice if there is none.
func (q Query[M]) All(ctx context.Context, r Reader) ([]M, error) {
	all := []M{}
	if err := q.q.readAll(ctx, r, &all); err != nil {
		return nil, err
	}
	return all, nil
}

// readAll adds every row of the query to a list, which is empty.
func (q *query) readAll(ctx context.Context, r Reader, all any) error {
	if err := q.m.ready(r); err != nil {
		return q.m.wrap("read", err)
	}
	q = q.withRelations()
	err := snapshot(ctx, r, len(q.with) > 0, func(r Reader) error {
		n, err := q.readList(ctx, r, all)
		if err != nil || len(q.with) == 0 {
			return err
		}
		return load(ctx, r, q.m.rows(all, n), q.with)
	})
	return q.m.wrap("read", err)
}

// readList adds the rows of the query to a list, and returns how many they are.
func (q *query) readList(ctx context.Context, r Reader, all any) (n int, err error) {
	spread := q.m.spread(q.columns())
	err = runRows(ctx, r, false, q.rowsText(), func(rs *rows) error {
		n++
		return q.m.read(spread(rs.dest), q.m.grow(all))
	})
	return n, err
}

// First returns the first row, or ErrNotFound. Without an order it is any row.
func (q Query[M]) First(ctx context.Context, r Reader) (*M, error) {
	return q.only(ctx, r, 1)
}

// One returns the only row, ErrNotFound if there is none and ErrNotUnique if
// there are more.
func (q Query[M]) One(ctx context.Context, r Reader) (*M, error) {
	return q.only(ctx, r, 2)
}

// only returns the only row among the first n.
func (q Query[M]) only(ctx context.Context, r Reader, n int) (*M, error) {
	if !q.q.limit.set || q.q.limit.n > n {
		q = q.Limit(n)
	}
	all, err := q.All(ctx, r)
	if err == nil {
		err = q.q.m.wrap("read", oneOf(len(all)))
	}
	if err != nil {
		return nil, err
	}
	return &all[0], nil
}

// oneOf is the error of a read that found n rows where one was wanted.
func oneOf(n int) error {
	switch n {
	case 0:
		return ErrNotFound
	case 1:
		return nil
	}
	return ErrNotUnique
}

// Count returns how many rows the query has, or how many groups.
func (q Query[M]) Count(ctx context.Context, r Reader) (int64, error) { return q.q.count(ctx, r) }

func (q *query) count(ctx context.Context, r Reader) (int64, error) {
	if err := q.m.ready(r); err != nil {
		return 0, q.m.wrap("count", err)
	}
	q = q.unordered()
	t := q.selectText("SELECT count(*) FROM " + schema.QuoteIdent(q.m.schema.Name))
	if q.limit.set || q.offset.set || len(q.group) > 0 || len(q.having) > 0 {
		t = q.selectText("SELECT count(*) FROM (SELECT 1 FROM " + schema.QuoteIdent(q.m.schema.Name))
		t.WriteByte(')')
	}
	return q.m.number(ctx, r, "count", t)
}

// Exists says whether the query has a row.
func (q Query[M]) Exists(ctx context.Context, r Reader) (bool, error) { return q.q.exists(ctx, r) }

func (q *query) exists(ctx context.Context, r Reader) (bool, error) {
	if err := q.m.ready(r); err != nil {
		return false, q.m.wrap("look up", err)
	}
	q = q.unordered()
	t := q.selectText("SELECT EXISTS (SELECT 1 FROM " + schema.QuoteIdent(q.m.schema.Name))
	t.WriteByte(')')
	n, err := q.m.number(ctx, r, "look up", t)
	return n != 0, err
}

// unordered is the query without its order.
func (q *query) unordered() *query {
	u := *q
	u.order = nil
	return &u
}

// errOrdered refuses to guess which rows an ordered or limited write means.
var errOrdered = errors.New("OrderBy, Limit and Offset have no effect on Update and Delete: select the keys first and use In")

// writable checks a query that chooses the rows of a write.
func (q *query) writable() error {
	if len(q.order) > 0 || q.limit.set || q.offset.set {
		return errOrdered
	}
	if len(q.group) > 0 || len(q.having) > 0 {
		return errGrouped
	}
	if !q.all && !(&node{op: opAnd, kids: q.where}).effective() {
		return ErrNoCondition
	}
	return nil
}

// writes checks a query that chooses the rows of a write by w.
func (q *query) writes(w Writer) error {
	if err := q.m.ready(w); err != nil {
		return err
	}
	return q.writable()
}

// Update changes the rows of the query and returns how many matched. A column
// with the item updated is set too. Without a condition it is ErrNoCondition
// unless AllRows was called.
func (q Query[M]) Update(ctx context.Context, w Writer, sets ...Set[M]) (int64, error) {
	return q.q.update(ctx, w, plainSets(sets))
}

func (q *query) update(ctx context.Context, w Writer, sets []set) (n int64, err error) {
	if err = q.writes(w); err == nil {
		n, err = q.m.update(ctx, w, q.conds(), sets)
	}
	return n, q.m.wrap("update", err)
}

// Delete removes the rows of the query and returns how many there were, rows
// that a cascade removed not counted. Without a condition it is ErrNoCondition
// unless AllRows was called.
func (q Query[M]) Delete(ctx context.Context, w Writer) (int64, error) { return q.q.delete(ctx, w) }

func (q *query) delete(ctx context.Context, w Writer) (n int64, err error) {
	if err = q.writes(w); err == nil {
		n, err = q.m.remove(ctx, w, q.conds())
	}
	return n, q.m.wrap("delete", err)
}
