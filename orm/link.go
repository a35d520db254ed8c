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
	far     func(*Args, *R) // the values of To
	between between
	make    func(m *M, rs []*R) any // rows between, a []J
}

// NewManyMany is called by generated code. pair makes the row of J that relates
// the two.
func NewManyMany[M, J, R any](
	name string, from modelOf[M], via modelOf[J], to modelOf[R], on On,
	bind func(*Args, *M), far func(*Args, *R), set func(*M, []R), pair func(*M, *R) J,
) ManyMany[M, R] {
	x := ManyMany[M, R]{Many: NewMany(name, from, to, on, bind, set), far: far}
	x.between = tableBetween[J]{via.model()}
	x.l.via = &via.model().info
	x.make = func(m *M, rs []*R) any {
		all := make([]J, len(rs))
		for i, r := range rs {
			all[i] = pair(m, r)
		}
		return all
	}
	return x
}

// Add relates m to each of rs, in one transaction. What is related already stays
// so, and the field of m stays as it is: [Table.Load] reads it again.
func (x ManyMany[M, R]) Add(ctx context.Context, w Writer, m *M, rs ...*R) error {
	return x.change(ctx, w, "add to", m, rs, func(ctx context.Context, tx *Tx, near []driver.Value, set *keySet, rs []*R) error {
		return x.add(ctx, tx, m, near, set, rs)
	})
}

// Remove takes away that m is related to any of rs, in one transaction. The rows
// of R themselves stay, and so does the field of m.
func (x ManyMany[M, R]) Remove(ctx context.Context, w Writer, m *M, rs ...*R) error {
	return x.change(ctx, w, "remove from", m, rs, func(ctx context.Context, tx *Tx, near []driver.Value, set *keySet, _ []*R) error {
		for _, far := range set.keys {
			if err := x.between.remove(ctx, tx, x.l.pair(near, far)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Replace relates m to each of rs and to no other row, in one transaction. Rows
// between that are right already stay as they are, and so does the field of m.
func (x ManyMany[M, R]) Replace(ctx context.Context, w Writer, m *M, rs ...*R) error {
	return x.change(ctx, w, "replace", m, rs, func(ctx context.Context, tx *Tx, near []driver.Value, set *keySet, rs []*R) error {
		linked, err := x.l.linked(ctx, tx, near)
		if err != nil {
			return err
		}
		for _, far := range linked {
			if _, stays := set.index[set.id(far)]; stays {
				continue
			}
			if err := x.between.remove(ctx, tx, x.l.pair(near, far)); err != nil {
				return err
			}
		}
		return x.add(ctx, tx, m, near, set, rs)
	})
}

// change checks m and rs and runs fn in a transaction with their keys. rs are
// the different ones.
func (x ManyMany[M, R]) change(
	ctx context.Context, w Writer, what string, m *M, rs []*R,
	fn func(ctx context.Context, tx *Tx, near []driver.Value, set *keySet, rs []*R) error,
) error {
	if err := x.l.usable(); err != nil {
		return err
	}
	err := usable(w)
	if err == nil {
		var near []driver.Value
		var set keySet
		if near, rs, err = x.keys(m, rs, &set); err == nil {
			err = inTx(ctx, w, func(ctx context.Context, tx *Tx) error { return fn(ctx, tx, near, &set, rs) })
		}
	}
	if err != nil {
		return fmt.Errorf("%s %s.%s: %w", what, x.l.from.schema.Name, x.l.name, err)
	}
	return nil
}

// keys returns the key of m, and puts those of rs into set; different are rs
// without those that stand twice.
func (x ManyMany[M, R]) keys(m *M, rs []*R, set *keySet) (near []driver.Value, different []*R, err error) {
	if m == nil {
		return nil, nil, errNoRow
	}
	var a Args
	x.bind(&a, m)
	var one keySet
	if n, err := one.add(&a); err != nil || n < 0 {
		return nil, nil, also(err, nullIn(x.l.from, x.l.on.From, &a))
	}
	for i, r := range rs {
		if r == nil {
			return nil, nil, fmt.Errorf("row %d: %w", i, errNoRow)
		}
		var a Args
		x.far(&a, r)
		n, err := set.add(&a)
		if err != nil || n < 0 {
			return nil, nil, fmt.Errorf("row %d: %w", i, also(err, nullIn(x.l.to, x.l.on.To, &a)))
		}
		if n == len(different) {
			different = append(different, r)
		}
	}
	return one.keys[0], different, nil
}

// nullIn says which column of a key is NULL, nil if none is.
func nullIn(t *info, columns []string, a *Args) error {
	for i, v := range a.values {
		if v.Value == nil {
			return fmt.Errorf("%s.%s is NULL: no row can refer to it", t.schema.Name, columns[i])
		}
	}
	return nil
}

// add relates m to those of rs, whose keys are set, that it is not related to.
func (x ManyMany[M, R]) add(ctx context.Context, tx *Tx, m *M, near []driver.Value, set *keySet, rs []*R) error {
	var missing []*R
	for i, far := range set.keys {
		there, err := x.between.there(ctx, tx, x.l.pair(near, far))
		if err == nil && !there && x.l.kept() {
			there, err = x.between.restore(ctx, tx, x.l.pair(near, far))
		}
		if err != nil {
			return err
		}
		if !there {
			missing = append(missing, rs[i])
		}
	}
	return x.between.create(ctx, tx, x.make(m, missing))
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
func (l *link) holds(columns []string, key []driver.Value, table *info, referred []string) []*node {
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
	t.where((&query{where: l.holds(l.on.Near, near, l.from, l.on.From)}).conds(l.via))
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

// between is the table between the two of a relation, whatever its model.
type between interface {
	there(ctx context.Context, tx *Tx, pair []*node) (bool, error)
	restore(ctx context.Context, tx *Tx, pair []*node) (bool, error)
	remove(ctx context.Context, tx *Tx, pair []*node) error
	create(ctx context.Context, tx *Tx, rows any) error
}

type tableBetween[J any] struct{ m *model[J] }

func (b tableBetween[J]) there(ctx context.Context, tx *Tx, pair []*node) (bool, error) {
	q := Query[J]{m: b.m}
	q.q.where = pair
	return q.Exists(ctx, tx)
}

func (b tableBetween[J]) restore(ctx context.Context, tx *Tx, pair []*node) (bool, error) {
	q := Query[J]{m: b.m}.OnlyDeleted()
	q.q.where = pair
	n, err := q.restore(ctx, tx)
	return n > 0, b.m.wrap("restore", err)
}

// remove removes the rows of the pair, one by one if the model has hooks.
func (b tableBetween[J]) remove(ctx context.Context, tx *Tx, pair []*node) error {
	q := query{where: pair}
	if !b.m.hooks.any(hookBeforeDelete | hookAfterDelete | hookAfterCommit) {
		_, err := b.m.remove(ctx, tx, q.conds(&b.m.info))
		return b.m.wrap("delete", err)
	}
	for {
		keys, err := Query[J]{m: b.m, q: q}.Limit(1).All(ctx, tx)
		if err != nil || len(keys) == 0 {
			return err
		}
		if err := b.m.deleteRow(ctx, tx, &keys[0]); err != nil {
			return b.m.wrap("delete", err)
		}
	}
}

func (b tableBetween[J]) create(ctx context.Context, tx *Tx, rows any) error {
	all, _ := rows.([]J) // what NewManyMany makes
	return b.m.wrap("create", b.m.createMany(ctx, tx, all))
}
