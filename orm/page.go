package orm

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// Cursor is where a page ended. It is opaque and safe to hand out: it holds the
// values of the order's columns, encoded and not encrypted, and may be kept for
// as long as the order of the query stays the same. "" is the beginning.
type Cursor string

// Page is a part of a query's rows.
type Page[M any] struct {
	Items []M
	Next  Cursor // where the next page begins; "" after the last row
}

// Page returns at most n rows of the query that follow the cursor. It looks
// them up by the values of the order's columns, so that the last page costs
// what the first one does, and rows that come and go meanwhile shift nothing.
// The primary key is added to the order, which makes it one of its own. A
// cursor of another order, or one that was changed, is ErrBadCursor.
func (q Query[M]) Page(ctx context.Context, r Reader, after Cursor, n int) (Page[M], error) {
	p := Page[M]{Items: []M{}}
	var err error
	if p.Next, err = q.q.readPage(ctx, r, after, n, &p.Items); err != nil {
		return Page[M]{}, err
	}
	return p, nil
}

// readPage adds the rows of a page to a list, which is empty.
func (q *query) readPage(ctx context.Context, r Reader, after Cursor, n int, items any) (next Cursor, err error) {
	if err := q.m.ready(r); err != nil {
		return "", q.m.wrap("read a page", err)
	}
	err = snapshot(ctx, r, len(q.with) > 0, func(r Reader) error {
		to, count, err := q.withRelations().page(ctx, r, after, n, items)
		if next = to; err != nil || len(q.with) == 0 {
			return err
		}
		return load(ctx, r, q.m.rows(items, count), q.with)
	})
	return next, q.m.wrap("read a page", err)
}

var (
	errPageSize    = errors.New("a page has at least one row")
	errPageLimited = errors.New("Limit and Offset have no meaning beside a page's own size")
	errPageOrder   = errors.New("a page is ordered by columns: order by a relation's count or an aggregate has no cursor")
)

func (q *query) page(ctx context.Context, r Reader, after Cursor, n int, items any) (next Cursor, count int, err error) {
	switch {
	case n < 1:
		return "", 0, errPageSize
	case q.limit.set || q.offset.set:
		return "", 0, errPageLimited
	}
	order, err := q.total()
	if err != nil {
		return "", 0, err
	}
	p := *q
	if after != "" {
		values, err := after.decode(order)
		if err != nil {
			return "", 0, err
		}
		p.where = append(slices.Clip(p.where), following(order, values))
	}
	p.order = order
	p.limit = limit{n + 1, true}
	if p.only != nil { // the order's columns make the cursor
		p.only = slices.Clip(p.only)
		for _, o := range order {
			p.only = append(p.only, o.e.col)
		}
	}
	at := p.places()
	spread := p.m.spread(p.columns())
	last := make([]driver.Value, len(order))
	err = runRows(ctx, r, false, p.rowsText(), func(rs *rows) error {
		if count == n {
			next = encodeCursor(order, last)
			return errBreak
		}
		values := spread(rs.dest)
		for i, c := range at {
			last[i] = values[c]
			if b, ok := values[c].([]byte); ok {
				last[i] = slices.Clone(b)
			}
		}
		count++
		return p.m.read(values, p.m.grow(items))
	})
	if errors.Is(err, errBreak) {
		err = nil
	}
	return next, count, err
}

// total returns the order with the columns of the primary key at its end, so
// that no two rows are equal in it.
func (q *query) total() ([]orderTerm, error) {
	order := slices.Clone(q.order)
	var have []string
	for _, o := range order {
		if !o.e.isColumn() {
			return nil, errPageOrder
		}
		if o.e.col.name == "" {
			return nil, errNoCol
		}
		have = append(have, o.e.col.name)
	}
	for _, k := range q.m.schema.Key {
		if !slices.Contains(have, k) {
			order = append(order, orderTerm{e: expr{col: ref{q.m.schema.Name, k}}})
		}
	}
	return order, nil
}

// places returns the index in the table of each column of the order.
func (q *query) places() []int {
	at := make([]int, len(q.order))
	for i, o := range q.order {
		for j, c := range q.m.schema.Columns {
			if c.Name == o.e.col.name {
				at[i] = j
			}
		}
	}
	return at
}

// following is the condition on rows that stand after the one with the values:
// equal in the first columns of the order and beyond it in the next.
func following(order []orderTerm, values []driver.Value) *node {
	var kids []*node
	for i, o := range order {
		beyond := o.beyond(values[i])
		if beyond == nil {
			continue
		}
		var all []*node
		for j := range i {
			all = append(all, &node{op: opCompare, col: order[j].e.col, sql: " IS ", args: []driver.Value{values[j]}})
		}
		kids = append(kids, &node{op: opAnd, kids: append(all, beyond)})
	}
	return &node{op: opOr, kids: kids}
}

// beyond is the condition on rows that the term orders after v, nil if there
// are none. NULL is smaller than every value.
func (o orderTerm) beyond(v driver.Value) *node {
	col := o.e.col
	null := func(sql string) *node { return &node{op: opNull, col: col, sql: sql} }
	switch {
	case v == nil && o.desc:
		return nil
	case v == nil:
		return null(" IS NOT NULL")
	case o.desc:
		less := &node{op: opCompare, col: col, sql: " < ", args: []driver.Value{v}}
		return &node{op: opOr, kids: []*node{less, null(" IS NULL")}}
	}
	return &node{op: opCompare, col: col, sql: " > ", args: []driver.Value{v}}
}

// Batches yields the rows of the query n at a time, in its order and then by
// primary key. Each batch is a page of its own: no transaction is open while the
// loop's body runs, which may write to the same table. An error is yielded once,
// with nil, and ends the loop.
func (q Query[M]) Batches(ctx context.Context, r Reader, n int) iter.Seq2[[]M, error] {
	return func(yield func([]M, error) bool) {
		var next Cursor
		for {
			p, err := q.Page(ctx, r, next, n)
			if err != nil {
				yield(nil, err)
				return
			}
			if len(p.Items) > 0 && !yield(p.Items, nil) || p.Next == "" {
				return
			}
			next = p.Next
		}
	}
}

// Explain returns how SQLite will find the rows of the query, one step a line:
// SCAN reads a whole table, SEARCH uses the index that it names.
func (q Query[M]) Explain(ctx context.Context, r Reader) (string, error) {
	return q.q.explain(ctx, r)
}

func (q *query) explain(ctx context.Context, r Reader) (string, error) {
	if err := q.m.ready(r); err != nil {
		return "", q.m.wrap("explain", err)
	}
	t := q.rowsText()
	if t.err != nil {
		return "", q.m.wrap("explain", t.err)
	}
	c, release, err := r.reader(ctx, false)
	if err != nil {
		return "", q.m.wrap("explain", err)
	}
	steps, err := c.plan(ctx, t)
	return steps, q.m.wrap("explain", also(err, release()))
}

// plan asks for the steps of a query, by the indexes that are there now: EXPLAIN itself
// does not notice that another connection has made one.
func (c *conn) plan(ctx context.Context, t *text) (steps string, err error) {
	explain := "EXPLAIN QUERY PLAN " + t.String()
	if err := c.forget(explain); err != nil {
		return "", err
	}
	if err := c.each(ctx, "SELECT 1 FROM sqlite_schema LIMIT 1", nil, func([]driver.Value) error { return nil }); err != nil {
		return "", err
	}
	depth := map[int64]int{0: -1}
	err = c.each(ctx, explain, t.args, func(v []driver.Value) error {
		id, _ := v[0].(int64)
		parent, _ := v[1].(int64)
		depth[id] = depth[parent] + 1
		steps += fmt.Sprintf("%*s%s\n", 2*depth[id], "", textOf(v[3]))
		return nil
	})
	return steps, err
}
