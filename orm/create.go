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
func (m *model) createRow(ctx context.Context, w Writer, row any) error {
	if !m.hooks.any(hookBeforeCreate | hookAfterCreate | hookAfterCommit) {
		return m.create(ctx, w, row)
	}
	stored := m.fresh()
	err := inTx(ctx, w, func(ctx context.Context, tx *Tx) error {
		if _, err := m.fillRow(tx, stored, m.copyOf(row)); err != nil { // a hook may change what the fields lead to
			return err
		}
		if err := m.hooks.run(ctx, tx, hookBeforeCreate, stored); err != nil {
			return err
		}
		if err := m.create(ctx, tx, stored); err != nil {
			return err
		}
		if err := m.hooks.run(ctx, tx, hookAfterCreate, stored); err != nil {
			return err
		}
		m.hooks.afterCommit(ctx, tx, stored)
		return nil
	})
	if err == nil {
		m.assign(row, stored)
	}
	return err
}

// create inserts row. What it chooses is written to row only when the insert
// succeeds.
func (m *model) create(ctx context.Context, w Writer, row any) error {
	filled := m.fresh()
	mask, err := m.fillRow(w, filled, row)
	if err != nil {
		return err
	}
	if m.asBound(mask) {
		a := &Args{table: m.schema, bound: m.bound, values: make([]driver.NamedValue, 0, len(m.schema.Columns))}
		m.bind(a, filled)
		if a.err != nil {
			return a.err
		}
		err = w.writing(ctx, false, func(c *conn) error {
			res, err := c.exec(quiet(ctx), m.insert, a.values)
			if err != nil {
				return w.base().explain(m, err)
			}
			return stored(res, 1)
		})
	} else {
		s := m.insertText([]any{filled}, nil, mask)
		s.WriteString(" RETURNING " + m.columns)
		err = m.returning(ctx, w, s, filled)
	}
	if err == nil {
		m.assign(row, filled)
	}
	return err
}

// asBound says whether an insert without the columns of mask stores every column
// as it is bound: there is nothing to read back.
func (m *model) asBound(mask uint64) bool {
	return mask == 0 && len(m.bound) == len(m.schema.Columns)
}

// fillRow makes filled a copy of row with what Create chooses. It returns the
// columns that take their default.
func (m *model) fillRow(w Writer, filled, row any) (mask uint64, err error) {
	if err := m.cutRow(w, filled, row, false); err != nil {
		return 0, err
	}
	if m.lock != nil {
		if v := m.lock(filled); *v == 0 {
			*v = 1
		}
	}
	if m.omit != nil {
		mask = m.omit(filled)
	}
	return mask, nil
}

// returning runs a statement that returns one whole row, into row.
func (m *model) returning(ctx context.Context, w Writer, s *text, row any) error {
	if s.err != nil {
		return s.err
	}
	return w.writing(ctx, false, func(c *conn) error {
		values, err := c.one(quiet(ctx), s.String(), s.args)
		if err != nil {
			return w.base().explain(m, err)
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

// cutRow makes cut a copy of row with its times as they are stored. Unless the
// row is there already (keep) it has what Create chooses too.
func (m *model) cutRow(w Writer, cut, row any, keep bool) error {
	m.assign(cut, row)
	if m.fill == nil {
		return nil
	}
	f := &Fill{keep: keep, now: w.base().o.Now()}
	m.fill(f, cut)
	return f.err
}

// insertText writes an INSERT of rows without the columns of mask. at has their
// indexes in the caller's slice, for errors; nil for a row alone.
func (m *model) insertText(rows []any, at []int, mask uint64) *text {
	n := len(rows)
	skip := make([]bool, len(m.schema.Columns))
	for bit, col := range m.omitCols {
		skip[col] = mask&(1<<bit) != 0
	}
	var names []string
	for _, i := range m.bound {
		if !skip[i] {
			names = append(names, schema.QuoteIdent(m.schema.Columns[i].Name))
		}
	}
	s := new(text)
	s.WriteString("INSERT INTO " + schema.QuoteIdent(m.schema.Name))
	if len(names) == 0 { // every column takes its default: one of them is named, for DEFAULT VALUES is one row and has no ON CONFLICT
		column, value := m.anyDefault()
		s.WriteString(" (" + schema.QuoteIdent(column) + ") VALUES " + value + strings.Repeat(", "+value, n-1))
		return s
	}
	one := "(?" + strings.Repeat(", ?", len(names)-1) + ")"
	s.WriteString(" (" + strings.Join(names, ", ") + ") VALUES " + one)
	s.WriteString(strings.Repeat(", "+one, n-1))
	a := &Args{table: m.schema, bound: m.bound}
	for i, row := range rows {
		a.values = a.values[:0]
		m.bind(a, row)
		if a.err != nil {
			if at != nil {
				a.err = fmt.Errorf("row %d: %w", at[i], a.err)
			}
			s.fail(a.err)
			return s
		}
		for j, v := range a.values {
			if !skip[m.bound[j]] {
				s.bind(v.Value)
			}
		}
	}
	return s
}

// anyDefault returns a column that an INSERT may name, and its default as a row
// of VALUES. NULL in a primary key without a default is SQLite's own choice.
func (m *model) anyDefault() (column, value string) {
	i := slices.IndexFunc(m.schema.Columns, func(c schema.Column) bool { return c.Generated == "" })
	c := m.schema.Columns[max(i, 0)]
	if c.Default == "" {
		return c.Name, "(NULL)"
	}
	return c.Name, "(" + c.Default + ")"
}

const (
	manyRows   = 50    // rows of one INSERT: more gain nothing (measured)
	manyValues = 30000 // SQLite allows 32,766 parameters
)

// createRows inserts all in one transaction, many rows a statement. Rows that
// leave out the same columns go together; all keeps its order.
func (m *model) createRows(ctx context.Context, w Writer, all []any) error {
	if len(all) == 0 {
		return nil
	}
	if m.hooks.any(hookBeforeCreate | hookAfterCreate | hookAfterCommit) {
		return m.createRowsHooked(ctx, w, all)
	}
	return m.insertRows(ctx, w, all)
}

func (m *model) insertRows(ctx context.Context, w Writer, all []any) error {
	list := m.list(len(all))
	filled, masks := make([]any, len(all)), make([]uint64, len(all))
	for i, row := range all {
		filled[i] = m.grow(list)
		var err error
		if masks[i], err = m.fillRow(w, filled[i], row); err != nil {
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
		m.assignAll(all, filled)
	}
	return err
}

func (m *model) assignAll(to, from []any) {
	for i := range to {
		m.assign(to[i], from[i])
	}
}

// groups returns the indexes of rows that can be inserted together, because
// they leave out the same columns. Where rows can refer to each other they keep
// their order.
func (m *model) groups(masks []uint64) (all [][]int) {
	ordered := slices.ContainsFunc(m.schema.ForeignKeys, func(f schema.ForeignKey) bool { return f.RefTable == m.schema.Name })
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
func (m *model) insertSome(ctx context.Context, db *DB, c *conn, filled []any, at []int, mask uint64) (err error) {
	part := make([]any, len(at))
	for i, j := range at {
		part[i] = filled[j]
	}
	s := m.insertText(part, at, mask)
	if s.err != nil {
		return s.err
	}
	if m.asBound(mask) {
		res, err := c.exec(ctx, s.String(), s.args)
		if err != nil {
			return db.explain(m, err)
		}
		return stored(res, len(at))
	}
	s.WriteString(" RETURNING " + m.columns)
	rs, err := c.query(ctx, s.String(), s.args)
	if err != nil {
		return db.explain(m, err)
	}
	defer func() { err = also(err, rs.close()) }()
	for i := 0; ; i++ { // SQLite returns the rows in the order they were inserted
		ok, err := rs.next()
		switch {
		case err != nil:
			return db.explain(m, err)
		case !ok && i < len(at): // and none for a row that a trigger ignored: which one is not known
			return errNothing
		case !ok:
			return nil
		}
		if err := m.read(rs.dest, part[i]); err != nil {
			return err
		}
	}
}
