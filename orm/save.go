package orm

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"

	"github.com/driftdb/driftdb/schema"
)

// Save writes every column of m to the row with m's primary key; ErrNotFound if
// there is none. What only Create writes stays. A model with a version column
// is written only over the version that m has: ErrStale if the row has changed
// since. m holds the row as it stands then; on an error it is as it was.
func (t Table[M, K]) Save(ctx context.Context, w Writer, m *M) error {
	return t.m.one(ctx, "save", w, anyRow(m), (*model).save)
}

// Reload reads the row with m's primary key into m again, soft deleted or not;
// ErrNotFound if it is gone. Fields that are not columns stay.
func (t Table[M, K]) Reload(ctx context.Context, r Reader, m *M) error {
	row := anyRow(m)
	err := t.m.readyFor(r, row)
	if err == nil {
		err = t.m.reload(ctx, r, row)
	}
	return t.m.wrap("reload", err)
}

// Edit reads the row with the primary key, calls fn with a copy of it and
// writes the columns that fn changed, and only those; it returns the row as it
// stands then. No transaction is open while fn runs, and nothing is overwritten:
// when the row changes meanwhile, fn is called again with the new one (within a
// Tx that cannot happen). An error of fn ends it without a write. ErrNotFound if
// there is no such row.
func (t Table[M, K]) Edit(ctx context.Context, w Writer, key K, fn func(*M) error) (*M, error) {
	return found[M](t.keyed(key).edit(ctx, w, func(row any) error { return fn(rowOf[M](row)) }))
}

// Clone returns a deep copy of m: nothing that one of them changes in its
// columns shows in the other. A json column with pointers, or with slices or maps
// inside others, is copied by way of JSON: what JSON does not hold, such as
// members tagged json:"-", is lost, and an integer in an any that no float64
// holds exactly is a json.Number. A type with Scan and Value, or with text of its
// own, that holds such memory is copied by way of these.
func (t Table[M, K]) Clone(m *M) *M {
	if t.m == nil || m == nil {
		return nil
	}
	return rowOf[M](t.m.copyOf(m))
}

// Diff returns the setters that make the columns of before those of after. The
// primary key and columns that only Create writes are not among them.
func (t Table[M, K]) Diff(before, after *M) []Set[M] {
	if t.m == nil || before == nil || after == nil {
		return nil
	}
	sets := t.m.diff(before, after)
	all := make([]Set[M], len(sets))
	for i, s := range sets {
		all[i].set = s
	}
	return all
}

func (m *model) diff(before, after any) []set {
	b, err := m.values(before)
	if err != nil {
		return []set{{err: err}}
	}
	sets, err := m.changed(b, after, false)
	if err != nil {
		return []set{{err: err}}
	}
	return sets
}

// values returns what a row's columns hold, in the order of bound.
func (m *model) values(row any) ([]driver.Value, error) {
	a := Args{table: m.schema, bound: m.bound}
	m.bind(&a, row)
	if a.err != nil {
		return nil, a.err
	}
	v := make([]driver.Value, len(a.values))
	for i := range a.values {
		v[i] = a.values[i].Value
	}
	return v, nil
}

// column returns the name of a bound column.
func (m *model) column(i int) schema.Column { return m.schema.Columns[m.bound[i]] }

// keyIn is the condition on the row whose bound columns hold values.
func (m *model) keyIn(values []driver.Value) []*node { return m.valuesIn(m.schema.Key, values) }

// valuesIn is the condition on rows that hold values in these columns.
func (m *model) valuesIn(columns []string, values []driver.Value) (all []*node) {
	for _, k := range columns {
		for i := range m.bound {
			if c := m.column(i); c.Name == k {
				all = append(all, &node{op: opCompare, col: ref{m.schema.Name, k}, sql: " = ", args: values[i : i+1]})
			}
		}
	}
	return all
}

// unchanged is the condition on the row with these values and no others: its
// version tells, or every column does.
func (m *model) unchanged(values []driver.Value) []*node {
	all := m.keyIn(values)
	for i, v := range values {
		c := m.column(i)
		if m.lockCol != "" && c.Name != m.lockCol || m.lockCol == "" && slices.Contains(m.schema.Key, c.Name) {
			continue
		}
		n := &node{op: opCompare, col: ref{m.schema.Name, c.Name}, sql: " IS ", args: []driver.Value{v}}
		if c.Type == schema.Text {
			n.suffix = " COLLATE BINARY"
		}
		all = append(all, n)
	}
	return all
}

// rowSets gives every column its value but those that only Create writes, and
// those that every update sets.
func (m *model) rowSets(values []driver.Value) (sets []set) {
	for i, v := range values {
		name := m.column(i).Name
		if !slices.Contains(m.fixed, name) && name != m.lockCol && name != m.updated {
			sets = append(sets, m.setter(i, v))
		}
	}
	if len(sets) == 0 && m.updated == "" && m.lockCol == "" { // a table of keys: say whether the row is there
		sets = append(sets, set{col: ref{m.schema.Name, m.schema.Key[0]}, self: true})
	}
	return sets
}

func (m *model) setter(i int, v driver.Value) set {
	return set{col: ref{m.schema.Name, m.column(i).Name}, sql: "?", args: []driver.Value{v}}
}

// changed returns the setters of the columns that differ from before. Columns
// that every update sets do not count. With keys a changed key is a change and
// a change of what only Create writes is an error.
func (m *model) changed(before []driver.Value, row any, keys bool) ([]set, error) {
	after, err := m.values(row)
	if err != nil {
		return nil, err
	}
	return m.differing(before, after, keys)
}

func (m *model) differing(before, after []driver.Value, keys bool) (sets []set, err error) {
	for i, v := range after {
		name := m.column(i).Name
		if sameValue(before[i], v) || name == m.lockCol || name == m.updated {
			continue
		}
		if slices.Contains(m.fixed, name) {
			if !keys {
				continue
			}
			if !slices.Contains(m.schema.Key, name) {
				return nil, fmt.Errorf("%s.%s is written by Create only", m.schema.Name, name)
			}
		}
		sets = append(sets, m.setter(i, v))
	}
	return sets, nil
}

func sameValue(a, b driver.Value) bool {
	x, ok := a.([]byte)
	y, ok2 := b.([]byte)
	if ok || ok2 {
		return ok == ok2 && string(x) == string(y)
	}
	return a == b
}

// updateOne changes the one row that where names and reads it into row as it
// stands then. It says whether there was one.
func (m *model) updateOne(ctx context.Context, w Writer, where []*node, sets []set, row any) (found bool, err error) {
	t := m.updateText(w, where, sets)
	t.WriteString(" RETURNING " + m.columns)
	if t.err != nil {
		return false, t.err
	}
	err = w.writing(ctx, false, func(c *conn) error {
		values, err := c.one(quiet(ctx), t.String(), t.args)
		if err != nil {
			return w.base().explain(m, err)
		}
		if found = values != nil; !found {
			return nil
		}
		return m.read(values, row)
	})
	return found && err == nil, err
}

func (m *model) save(ctx context.Context, w Writer, row any) error {
	saved := m.copyOf(row)
	write := func(ctx context.Context, w Writer) error {
		filled := m.fresh()
		if err := m.cutRow(w, filled, saved, true); err != nil {
			return err
		}
		values, err := m.values(filled)
		if err != nil {
			return err
		}
		q := query{m: m, where: m.keyIn(values), deleted: deletedToo}
		where := q.conds()
		if m.lock != nil {
			where = append(where, m.version(*m.lock(row)))
		}
		m.assign(saved, filled)
		found, err := m.updateOne(ctx, w, where, m.rowSets(values), saved)
		if err == nil && !found {
			err = q.missing(ctx, w)
		}
		return err
	}
	if err := m.aroundUpdate(ctx, w, saved, write); err != nil {
		return err
	}
	m.assign(row, saved)
	return nil
}

// aroundUpdate runs write between the hooks of row.
func (m *model) aroundUpdate(ctx context.Context, w Writer, row any, write func(context.Context, Writer) error) error {
	if !m.hooks.any(hookBeforeUpdate | hookAfterUpdate | hookAfterCommit) {
		return write(ctx, w)
	}
	return inTx(ctx, w, func(ctx context.Context, tx *Tx) error {
		if err := m.hooks.run(ctx, tx, hookBeforeUpdate, row); err != nil {
			return err
		}
		if err := write(ctx, tx); err != nil {
			return err
		}
		if err := m.hooks.run(ctx, tx, hookAfterUpdate, row); err != nil {
			return err
		}
		m.hooks.afterCommit(ctx, tx, row)
		return nil
	})
}

// version is the condition on a row's version.
func (m *model) version(v int64) *node {
	return &node{op: opCompare, col: ref{m.schema.Name, m.lockCol}, sql: " = ", args: []driver.Value{v}}
}

// missing tells a row that is not there from one of another version.
func (q *query) missing(ctx context.Context, r Reader) error {
	n, err := q.m.number(ctx, r, "look up", q.selectText("SELECT count(*) FROM "+schema.QuoteIdent(q.m.schema.Name)))
	switch {
	case err != nil:
		return err
	case n > 0 && q.m.lock != nil:
		return ErrStale
	}
	return ErrNotFound
}

func (m *model) reload(ctx context.Context, r Reader, row any) error {
	values, err := m.values(row)
	if err != nil {
		return err
	}
	q := query{m: m, where: m.keyIn(values), deleted: deletedToo}
	found, fresh := false, m.shallow(row)
	err = runRows(ctx, r, false, q.rowsText(), func(rs *rows) error {
		found = true
		return m.read(rs.dest, fresh)
	})
	if err == nil && !found {
		err = ErrNotFound
	}
	if err == nil {
		m.assign(row, fresh)
	}
	return err
}

// editTries is how often Edit begins again when others change the row.
const editTries = 20

func (k keyed) edit(ctx context.Context, w Writer, fn func(any) error) (any, error) {
	q, err := k.query(w)
	if err != nil {
		return nil, k.m.wrap("edit", err)
	}
	row, err := q.edit(ctx, w, fn)
	return row, k.m.wrap("edit", err)
}

func (q *query) edit(ctx context.Context, w Writer, fn func(any) error) (any, error) {
	for range editTries {
		row, stored, err := q.stored(ctx, w)
		if err != nil {
			return nil, err
		}
		before, err := q.m.values(row)
		if err != nil {
			return nil, err
		}
		if err := fn(row); err != nil { // nobody else has row: it is the copy
			return nil, err
		}
		done, wrote, err := q.m.editOnce(ctx, w, before, stored, row)
		if done && !wrote && err == nil { // fn may have changed what is no column of ours to write
			row, _, err = q.stored(ctx, w)
		}
		if done || err != nil {
			return row, err
		}
	}
	return nil, fmt.Errorf("%w again and again: %d times", ErrStale, editTries)
}

// stored reads the row of the query, and what stands in its bound columns: of
// JSON and of types of the application that is not always what binding the row
// again would store.
func (q *query) stored(ctx context.Context, r Reader) (row any, values []driver.Value, err error) {
	err = runRows(ctx, r, false, q.rowsText(), func(rs *rows) error {
		row = q.m.fresh()
		values = make([]driver.Value, len(q.m.bound))
		for i, c := range q.m.bound {
			values[i] = rs.dest[c]
			if b, ok := values[i].([]byte); ok {
				values[i] = slices.Clone(b)
			}
		}
		return q.m.read(rs.dest, row)
	})
	if err == nil && row == nil {
		err = ErrNotFound
	}
	return row, values, err
}

// editOnce writes what row has changed since before. done says that the row was
// still the one in which the values stored stand.
func (m *model) editOnce(ctx context.Context, w Writer, before, stored []driver.Value, row any) (done, wrote bool, err error) {
	filled := m.fresh()
	if err := m.cutRow(w, filled, row, true); err != nil { // times as they are stored
		return false, false, err
	}
	if sets, err := m.changed(before, filled, true); err != nil || len(sets) == 0 {
		return true, false, err
	}
	m.assign(row, filled)
	err = m.aroundUpdate(ctx, w, row, func(ctx context.Context, w Writer) error {
		if err := m.cutRow(w, filled, row, true); err != nil {
			return err
		}
		sets, err := m.changed(before, filled, true)
		if err != nil {
			return err
		}
		if len(sets) == 0 { // a hook took it back
			done = true
			return nil
		}
		done, err = m.updateOne(ctx, w, m.unchanged(stored), sets, row)
		if wrote = done; err == nil && !done {
			err = errAgain
		}
		return err
	})
	if err == errAgain { //nolint:errorlint // our own, never wrapped
		return false, false, nil
	}
	return done, wrote, err
}
