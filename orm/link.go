package orm

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"

	"github.com/driftdb/driftdb/schema"
)

// ManyMany is a [Many] by way of a table between the two, each of whose rows
// refers to one row of either. A row is related once, however many rows between
// say so.
type ManyMany[M, R any] struct {
	Many[M, R]
	pairs pairs
}

// pairs are the rows of the table between the two of a relation.
type pairs struct {
	far  func(a *Args, row any) // the values of To
	make func(row, other any) any
}

// NewManyMany is called by generated code. pair makes the row of J that relates
// the two.
func NewManyMany[M, J, R any](
	name string, from modelOf[M], via modelOf[J], to modelOf[R], on On,
	bind func(*Args, *M), far func(*Args, *R), set func(*M, []R), pair func(*M, *R) J,
) ManyMany[M, R] {
	x := ManyMany[M, R]{Many: NewMany(name, from, to, on, bind, set)}
	x.core.via = via.model()
	x.pairs.far = func(a *Args, row any) { far(a, rowOf[R](row)) }
	x.pairs.make = func(row, other any) any { return new(pair(rowOf[M](row), rowOf[R](other))) }
	return x
}

// Add relates m to each of rs, in one transaction. What is related already stays
// so, and the field of m stays as it is: [Table.Load] reads it again.
func (x ManyMany[M, R]) Add(ctx context.Context, w Writer, m *M, rs ...*R) error {
	return x.core.change(ctx, w, "add to", x.pairs, anyRow(m), anyRows(rs), (*pairing).add)
}

// Remove takes away that m is related to any of rs, in one transaction. The rows
// of R themselves stay, and so does the field of m.
func (x ManyMany[M, R]) Remove(ctx context.Context, w Writer, m *M, rs ...*R) error {
	return x.core.change(ctx, w, "remove from", x.pairs, anyRow(m), anyRows(rs), (*pairing).remove)
}

// Replace relates m to each of rs and to no other row, in one transaction. Rows
// between that are right already stay as they are, and so does the field of m.
func (x ManyMany[M, R]) Replace(ctx context.Context, w Writer, m *M, rs ...*R) error {
	return x.core.change(ctx, w, "replace", x.pairs, anyRow(m), anyRows(rs), (*pairing).replace)
}

func anyRows[R any](rs []*R) []any {
	all := make([]any, len(rs))
	for i, r := range rs {
		all[i] = anyRow(r)
	}
	return all
}

// pairing is a change of what one row is related to.
type pairing struct {
	*relation
	pairs

	row  any
	near []driver.Value // its key
	rows []any          // the different rows that are to be related to it, or not
	set  keySet         // their keys
}

// change checks rows and runs fn in a transaction with their keys.
func (x *relation) change(ctx context.Context, w Writer, what string, p pairs, row any, rows []any, fn func(*pairing, context.Context, *Tx) error) error {
	if err := x.usable(); err != nil {
		return err
	}
	err := usable(w)
	if err == nil {
		c := &pairing{relation: x, pairs: p, row: row}
		if err = c.keys(rows); err == nil {
			err = inTx(ctx, w, func(ctx context.Context, tx *Tx) error { return fn(c, ctx, tx) })
		}
	}
	if err != nil {
		return fmt.Errorf("%s %s.%s: %w", what, x.from.schema.Name, x.name, err)
	}
	return nil
}

// keys works out the keys of the row and of rows, without those that stand
// twice.
func (c *pairing) keys(rows []any) error {
	if c.row == nil {
		return errNoRow
	}
	var a Args
	c.bind(&a, c.row)
	var one keySet
	if n, err := one.add(&a); err != nil || n < 0 {
		return also(err, nullIn(c.from, c.on.From, &a))
	}
	c.near = one.keys[0]
	for i, r := range rows {
		if r == nil {
			return fmt.Errorf("row %d: %w", i, errNoRow)
		}
		var a Args
		c.far(&a, r)
		n, err := c.set.add(&a)
		if err != nil || n < 0 {
			return fmt.Errorf("row %d: %w", i, also(err, nullIn(c.to, c.on.To, &a)))
		}
		if n == len(c.rows) {
			c.rows = append(c.rows, r)
		}
	}
	return nil
}

// add relates the row to those that it is not related to.
func (c *pairing) add(ctx context.Context, tx *Tx) error {
	var missing []any
	for i, far := range c.set.keys {
		q := query{m: c.via, where: c.pair(c.near, far)}
		there, err := q.exists(ctx, tx)
		if err == nil && !there && c.kept() {
			n, rerr := q.restore(ctx, tx)
			there, err = n > 0, c.via.wrap("restore", rerr)
		}
		if err != nil {
			return err
		}
		if !there {
			missing = append(missing, c.make(c.row, c.rows[i]))
		}
	}
	return c.via.wrap("create", c.via.createRows(ctx, tx, missing))
}

// remove takes away that the row is related to any of the others.
func (c *pairing) remove(ctx context.Context, tx *Tx) error {
	for _, far := range c.set.keys {
		if err := c.unlink(ctx, tx, far); err != nil {
			return err
		}
	}
	return nil
}

// replace relates the row to the others and to no row besides.
func (c *pairing) replace(ctx context.Context, tx *Tx) error {
	linked, err := c.linked(ctx, tx, c.near)
	if err != nil {
		return err
	}
	for _, far := range linked {
		if _, stays := c.set.index[c.set.id(far)]; stays {
			continue
		}
		if err := c.unlink(ctx, tx, far); err != nil {
			return err
		}
	}
	return c.add(ctx, tx)
}

// unlink removes the rows between that relate the row to the one with the key
// far, one by one if their model has hooks.
func (c *pairing) unlink(ctx context.Context, tx *Tx, far []driver.Value) error {
	q := query{m: c.via, where: c.pair(c.near, far)}
	if !c.via.hooks.any(hookBeforeDelete | hookAfterDelete | hookAfterCommit) {
		_, err := c.via.remove(ctx, tx, q.conds())
		return c.via.wrap("delete", err)
	}
	for {
		row, err := q.one(ctx, tx)
		if err != nil {
			return c.via.wrap("read", err)
		}
		if row == nil {
			return nil
		}
		if err := c.via.deleteRow(ctx, tx, row); err != nil {
			return c.via.wrap("delete", err)
		}
	}
}

// nullIn says which column of a key is NULL, nil if none is.
func nullIn(t *model, columns []string, a *Args) error {
	for i, v := range a.values {
		if v.Value == nil {
			return fmt.Errorf("%s.%s is NULL: no row can refer to it", t.schema.Name, columns[i])
		}
	}
	return nil
}

// kept says whether a pair that was soft deleted is in the way of a new one.
func (l *link) kept() bool {
	within := func(key []string) bool {
		return len(key) > 0 && !slices.ContainsFunc(key, func(c string) bool {
			return !slices.Contains(l.on.Near, c) && !slices.Contains(l.on.Far, c)
		})
	}
	t := l.via.schema
	return l.via.deleted != "" && (within(t.Key) ||
		slices.ContainsFunc(t.Indexes, func(ix schema.Index) bool { return ix.Unique && ix.Where == "" && within(ix.Columns) }))
}

// pair is the condition on rows between that relate the two keys.
func (l *link) pair(near, far []driver.Value) []*node {
	return append(l.holds(l.on.Near, near, l.from, l.on.From), l.holds(l.on.Far, far, l.to, l.on.To)...)
}

// holds is the condition on rows between whose columns equal a key of the table
// they refer to, compared as that table does.
func (l *link) holds(columns []string, key []driver.Value, table *model, referred []string) []*node {
	all := make([]*node, len(columns))
	for i, c := range columns {
		all[i] = &node{op: opCompare, col: ref{l.via.schema.Name, c}, sql: " = ", args: key[i : i+1]}
		if want := table.collation(referred[i]); want != l.via.collation(c) {
			all[i].suffix = " COLLATE " + want
		}
	}
	return all
}

// linked returns the keys that a row is related to.
func (l *link) linked(ctx context.Context, r Reader, near []driver.Value) (all [][]driver.Value, err error) {
	t := new(text)
	t.WriteString("SELECT DISTINCT ")
	l.columns(t, l.via, l.on.Far)
	t.WriteString(" FROM " + schema.QuoteIdent(l.via.schema.Name))
	t.where((&query{m: l.via, where: l.holds(l.on.Near, near, l.from, l.on.From)}).conds())
	err = runRows(ctx, r, false, t, func(rs *rows) error {
		key := slices.Clone(rs.dest)
		for i, v := range key {
			if b, ok := v.([]byte); ok {
				key[i] = slices.Clone(b)
			}
		}
		if !slices.Contains(key, nil) {
			all = append(all, key)
		}
		return nil
	})
	return all, err
}
