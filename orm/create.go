package orm

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

// CreateOption configures Create and CreateMany. There are none yet.
type CreateOption[M any] interface{ createOption(M) }

// createRow is create with the model's hooks around it.
func (m *model[M]) createRow(ctx context.Context, w Writer, row *M) error {
	if !m.hooks.any(hookBeforeCreate | hookAfterCreate | hookAfterCommit) {
		return m.create(ctx, w, row)
	}
	var stored M
	err := inTx(ctx, w, func(ctx context.Context, tx *Tx) (err error) {
		if stored, _, err = m.fillRow(tx, row); err != nil {
			return err
		}
		if err := m.hooks.run(ctx, tx, hookBeforeCreate, &stored); err != nil {
			return err
		}
		if err := m.create(ctx, tx, &stored); err != nil {
			return err
		}
		if err := m.hooks.run(ctx, tx, hookAfterCreate, &stored); err != nil {
			return err
		}
		m.hooks.afterCommit(ctx, tx, &stored)
		return nil
	})
	if err == nil {
		*row = stored
	}
	return err
}

// create inserts m. What it chooses is written to m only when the insert
// succeeds.
func (m *model[M]) create(ctx context.Context, w Writer, row *M) error {
	filled, mask, err := m.fillRow(w, row)
	if err != nil {
		return err
	}
	a := &Args{table: m.schema, bound: m.bound, values: make([]driver.NamedValue, 0, len(m.schema.Columns))}
	if mask == 0 && len(m.bound) == len(m.schema.Columns) {
		m.bind(a, &filled)
		if a.err != nil {
			return a.err
		}
		err = w.writing(ctx, false, func(c *conn) error {
			res, err := c.exec(quiet(ctx), m.insert, a.values)
			if err != nil {
				return w.base().explain(&m.info, err)
			}
			return stored(res, 1)
		})
	} else {
		s := m.insertText(1, m.binder([]M{filled}), nil, mask)
		s.WriteString(" RETURNING " + m.columns)
		err = m.returning(ctx, w, s, &filled)
	}
	if err == nil {
		*row = filled
	}
	return err
}

// writableRow refuses what create and upsert cannot begin with.
func (m *model[M]) writableRow(w Writer, row *M) error {
	if err := m.ready(w); err != nil {
		return err
	}
	if row == nil {
		return errNoRow
	}
	return nil
}

// fillRow returns row with what Create chooses, and the columns that take
// their default.
func (m *model[M]) fillRow(w Writer, row *M) (filled M, mask uint64, err error) {
	if filled, err = m.cutRow(w, row, false); err != nil {
		return filled, 0, err
	}
	if m.lock != nil {
		if v := m.lock(&filled); *v == 0 {
			*v = 1
		}
	}
	if m.omit != nil {
		mask = m.omit(&filled)
	}
	return filled, mask, nil
}

// returning runs a statement that returns one whole row, into row.
func (m *model[M]) returning(ctx context.Context, w Writer, s *text, row *M) error {
	if s.err != nil {
		return s.err
	}
	return w.writing(ctx, false, func(c *conn) error {
		values, err := c.one(quiet(ctx), s.String(), s.args)
		if err != nil {
			return w.base().explain(&m.info, err)
		}
		if values == nil {
			return errNothing
		}
		return m.read(values, row)
	})
}

// errNothing says that an insert did not write its rows: a trigger of the
// application can leave one out with RAISE(IGNORE), without an error.
var errNothing = errors.New("no row was written")

// stored refuses an insert that wrote fewer rows than it was given.
func stored(res driver.Result, want int) error {
	n, err := res.RowsAffected()
	if err == nil && n < int64(want) {
		return errNothing
	}
	return err
}

// cutRow returns row with its times as they are stored. Unless the row is there
// already (keep) it has what Create chooses too.
func (m *model[M]) cutRow(w Writer, row *M, keep bool) (M, error) {
	cut := *row
	f := &Fill{keep: keep}
	if m.fill != nil {
		f.now = w.base().o.Now()
		m.fill(f, &cut)
	}
	return cut, f.err
}

// binder returns a function that binds row i of all.
func (m *model[M]) binder(all []M) func(*Args, int) {
	return func(a *Args, i int) { m.bind(a, &all[i]) }
}

// insertText writes an INSERT of n rows without the columns of mask; bind binds
// one of them. at has their indexes in the caller's slice, for errors; nil for a
// row alone.
func (t *info) insertText(n int, bind func(*Args, int), at []int, mask uint64) *text {
	skip := make([]bool, len(t.schema.Columns))
	for bit, col := range t.omitCols {
		skip[col] = mask&(1<<bit) != 0
	}
	var names []string
	for _, i := range t.bound {
		if !skip[i] {
			names = append(names, schema.QuoteIdent(t.schema.Columns[i].Name))
		}
	}
	s := new(text)
	s.WriteString("INSERT INTO " + schema.QuoteIdent(t.schema.Name))
	if len(names) == 0 { // every column takes its default: one of them is named, for DEFAULT VALUES is one row and has no ON CONFLICT
		column, value := t.anyDefault()
		s.WriteString(" (" + schema.QuoteIdent(column) + ") VALUES " + value + strings.Repeat(", "+value, n-1))
		return s
	}
	one := "(?" + strings.Repeat(", ?", len(names)-1) + ")"
	s.WriteString(" (" + strings.Join(names, ", ") + ") VALUES " + one)
	s.WriteString(strings.Repeat(", "+one, n-1))
	a := &Args{table: t.schema, bound: t.bound}
	for i := range n {
		a.values = a.values[:0]
		bind(a, i)
		if a.err != nil {
			if at != nil {
				a.err = fmt.Errorf("row %d: %w", at[i], a.err)
			}
			s.fail(a.err)
			return s
		}
		for j, v := range a.values {
			if !skip[t.bound[j]] {
				s.bind(v.Value)
			}
		}
	}
	return s
}

// anyDefault returns a column that an INSERT may name, and its default as a row
// of VALUES. NULL in a primary key without a default is SQLite's own choice.
func (t *info) anyDefault() (column, value string) {
	i := slices.IndexFunc(t.schema.Columns, func(c schema.Column) bool { return c.Generated == "" })
	c := t.schema.Columns[max(i, 0)]
	if c.Default == "" {
		return c.Name, "(NULL)"
	}
	return c.Name, "(" + c.Default + ")"
}

const (
	manyRows   = 50    // rows of one INSERT: more gain nothing (measured)
	manyValues = 30000 // SQLite allows 32,766 parameters
)

// createMany inserts all in one transaction, many rows a statement. Rows that
// leave out the same columns go together; all keeps its order.
func (m *model[M]) createMany(ctx context.Context, w Writer, all []M) error {
	if len(all) == 0 {
		return nil
	}
	if m.hooks.any(hookBeforeCreate | hookAfterCreate | hookAfterCommit) {
		return m.createManyHooked(ctx, w, all)
	}
	return m.insertMany(ctx, w, all)
}

func (m *model[M]) insertMany(ctx context.Context, w Writer, all []M) error {
	filled, masks := make([]M, len(all)), make([]uint64, len(all))
	for i := range all {
		var err error
		if filled[i], masks[i], err = m.fillRow(w, &all[i]); err != nil {
			return err
		}
	}
	size := max(1, min(manyRows, manyValues/len(m.schema.Columns)))
	err := w.writing(ctx, true, func(c *conn) error {
		for _, group := range m.groups(masks) {
			mask := masks[group[0]]
			for len(group) > 0 {
				n := min(size, len(group))
				if err := m.insertSome(ctx, w.base(), c, filled, group[:n], mask); err != nil {
					return err
				}
				group = group[n:]
			}
		}
		return nil
	})
	if err == nil {
		copy(all, filled)
	}
	return err
}

// groups returns the indexes of rows that can be inserted together, because
// they leave out the same columns. Where rows can refer to each other they keep
// their order.
func (t *info) groups(masks []uint64) (all [][]int) {
	ordered := slices.ContainsFunc(t.schema.ForeignKeys, func(f schema.ForeignKey) bool { return f.RefTable == t.schema.Name })
	of := make(map[uint64]int)
	for i, mask := range masks {
		at, ok := of[mask]
		if !ok || ordered && at < len(all)-1 {
			at = len(all)
			of[mask], all = at, append(all, nil)
		}
		all[at] = append(all[at], i)
	}
	return all
}

// insertSome inserts the rows of filled at the indexes at, and reads back what
// the database chose.
func (m *model[M]) insertSome(ctx context.Context, db *DB, c *conn, filled []M, at []int, mask uint64) (err error) {
	part := make([]M, len(at))
	for i, j := range at {
		part[i] = filled[j]
	}
	s := m.insertText(len(part), m.binder(part), at, mask)
	if s.err != nil {
		return s.err
	}
	if mask == 0 && len(m.bound) == len(m.schema.Columns) {
		res, err := c.exec(ctx, s.String(), s.args)
		if err != nil {
			return db.explain(&m.info, err)
		}
		return stored(res, len(at))
	}
	s.WriteString(" RETURNING " + m.columns)
	rs, err := c.query(ctx, s.String(), s.args)
	if err != nil {
		return db.explain(&m.info, err)
	}
	defer func() { err = also(err, rs.close()) }()
	for i := 0; ; i++ { // SQLite returns the rows in the order they were inserted
		ok, err := rs.next()
		switch {
		case err != nil:
			return db.explain(&m.info, err)
		case !ok && i < len(at): // and none for a row that a trigger ignored: which one is not known
			return errNothing
		case !ok:
			return nil
		}
		if err := m.read(rs.dest, &filled[at[i]]); err != nil {
			return err
		}
	}
}
