package orm

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

// seqRows is how many rows CreateSeq holds at a time.
const seqRows = 500

// CreateSeq inserts the rows that ms yields, as Create does each, and returns
// how many they were. All of them are one transaction: on an error none is
// inserted. Memory does not grow with their number. The transaction is open
// while ms runs, which may read from the database and must not write to it. The
// rows hold what was stored as soon as they are inserted, even if a later one
// fails.
func (t Table[M, K]) CreateSeq(ctx context.Context, w Writer, ms iter.Seq[*M]) (n int64, err error) {
	if ms == nil {
		return 0, t.m.wrap("create", errNoRow)
	}
	return t.m.createSeq(ctx, w, func(yield func(any) bool) {
		for m := range ms {
			if !yield(anyRow(m)) {
				return
			}
		}
	})
}

func (m *model) createSeq(ctx context.Context, w Writer, seq iter.Seq[any]) (n int64, err error) {
	if err := m.ready(w); err != nil {
		return 0, m.wrap("create", err)
	}
	err = inTx(ctx, w, func(ctx context.Context, tx *Tx) error {
		var rows, given []any
		list := m.list(seqRows)
		flush := func() error {
			if err := m.createRows(ctx, tx, rows); err != nil {
				return fmt.Errorf("rows from %d on: %w", n, err)
			}
			m.assignAll(given, rows)
			n += int64(len(rows))
			rows, given, list = rows[:0], given[:0], m.list(seqRows)
			return ctx.Err()
		}
		for row := range seq {
			if row == nil {
				return fmt.Errorf("row %d: %w", n+int64(len(rows)), errNoRow)
			}
			held := m.grow(list) // the caller may yield one pointer again and again
			m.assign(held, row)
			rows, given = append(rows, held), append(given, row)
			if len(rows) == seqRows {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		return flush()
	})
	if err != nil {
		return 0, m.wrap("create", err)
	}
	return n, nil
}

// UpsertMany upserts all of ms in one transaction, as Upsert does each: on an
// error nothing is changed and ms is as it was.
func (t Table[M, K]) UpsertMany(ctx context.Context, w Writer, ms []M, opts ...UpsertOption[M]) error {
	err := t.m.ready(w)
	if err == nil {
		err = t.m.upsertMany(ctx, w, t.m.rows(&ms, len(ms)), target{columns: t.m.schema.Key}, conflictOf(opts))
	}
	return t.m.wrap("upsert", err)
}

// UpsertMany upserts all of ms in one transaction, as Upsert does each: on an
// error nothing is changed and ms is as it was.
func (u Unique[M, K]) UpsertMany(ctx context.Context, w Writer, ms []M, opts ...UpsertOption[M]) error {
	m := u.u.m
	err := m.ready(w)
	for i := 0; err == nil && i < len(ms); i++ {
		if _, ok := u.of(&ms[i]); !ok {
			err = fmt.Errorf("row %d: %w", i, u.u.nullKey())
		}
	}
	if err == nil {
		err = m.upsertMany(ctx, w, m.rows(&ms, len(ms)), u.u.target(), conflictOf(opts))
	}
	return m.wrap("upsert", err)
}

func (m *model) upsertMany(ctx context.Context, w Writer, all []any, key target, c conflict) error {
	if len(all) == 0 {
		return nil
	}
	stored := make([]any, len(all))
	err := inTx(ctx, w, func(ctx context.Context, tx *Tx) error {
		for i, row := range all {
			stored[i] = m.shallow(row)
			if err := m.upsertRow(ctx, tx, stored[i], key, c); err != nil {
				return fmt.Errorf("row %d: %w", i, err)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		m.assignAll(all, stored)
	}
	return err
}

// FindMany returns the rows with these primary keys, in the order of the keys.
// A key that no row has is left out, and one that stands twice counts once.
func (t Table[M, K]) FindMany(ctx context.Context, r Reader, keys ...K) ([]M, error) {
	all := []M{}
	bind := func(a *Args, i int) { t.arg(a, keys[i]) }
	if err := t.m.wrap("find", t.m.findMany(ctx, r, len(keys), bind, &all)); err != nil {
		return nil, err
	}
	return all, nil
}

// findKeys is how many keys one statement looks up.
const findKeys = 500

// findMany adds the rows with n keys to a list; bind binds one of them.
func (m *model) findMany(ctx context.Context, r Reader, n int, bind func(*Args, int), all any) error {
	if err := m.ready(r); err != nil {
		return err
	}
	size := max(1, findKeys/len(m.schema.Key))
	seen := make(map[string]bool, n)
	var part Args
	held := 0
	flush := func() error {
		if held == 0 {
			return nil
		}
		s := m.findText(part, held)
		part, held = Args{}, 0
		return runRows(ctx, r, false, s, func(rs *rows) error { return m.read(rs.dest, m.grow(all)) })
	}
	for i := range n {
		at := len(part.values)
		bind(&part, i)
		if part.err != nil {
			return part.err
		}
		id := m.keyText(part.values[at:])
		if seen[id] {
			part.values = part.values[:at]
			continue
		}
		seen[id] = true
		if held++; held == size {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// findText reads the rows with the n keys that are bound in a, in their order.
func (m *model) findText(a Args, n int) *text {
	s := new(text)
	columns := m.schema.Key
	s.WriteString("WITH _driftdb_keys(_driftdb_n")
	for i := range columns {
		s.WriteString(", _driftdb_" + strconv.Itoa(i))
	}
	one := strings.Repeat(", ?", len(columns)) + ")"
	s.WriteString(") AS (VALUES ")
	for i := range n {
		if i > 0 {
			s.WriteString(", ")
		}
		s.WriteString("(" + strconv.Itoa(i) + one)
	}
	for _, v := range a.values {
		s.bind(v.Value)
	}
	s.WriteString(") " + m.selects + " JOIN _driftdb_keys ON ")
	for i, c := range columns {
		if i > 0 {
			s.WriteString(" AND ")
		}
		s.column(ref{m.schema.Name, c})
		s.WriteString(" = _driftdb_" + strconv.Itoa(i))
	}
	if live := m.live(); live != nil {
		s.WriteString(" AND ")
		s.node(live)
	}
	s.WriteString(" ORDER BY _driftdb_n")
	return s
}

// target is what an upsert's row collides with: a key, and the condition of its
// index.
type target struct {
	columns []string
	where   string
}

func (u *unique) target() target {
	t := target{columns: u.columns}
	for _, ix := range u.m.schema.Indexes {
		if ix.Name == u.index {
			t.where = ix.Where
		}
	}
	return t
}

func (t target) write(s *text) {
	s.WriteString(" ON CONFLICT (")
	for i, k := range t.columns {
		if i > 0 {
			s.WriteString(", ")
		}
		s.WriteString(schema.QuoteIdent(k))
	}
	s.WriteByte(')')
	if t.where != "" {
		s.WriteString(" WHERE " + t.where)
	}
}

// FindOrCreate looks for the row with m's key and reads it into m; if there is
// none it inserts m as Create does. created says which. However many do so at
// once, one row is made.
func (u Unique[M, K]) FindOrCreate(ctx context.Context, w Writer, m *M) (created bool, err error) {
	row := anyRow(m)
	err = u.u.m.readyFor(w, row)
	if err == nil {
		if key, ok := u.of(m); ok {
			created, err = u.keyed(key).findOrCreate(ctx, w, row)
		} else {
			err = u.u.nullKey()
		}
	}
	return created, u.u.m.wrap("find or create", err)
}

func (k keyed) findOrCreate(ctx context.Context, w Writer, row any) (created bool, err error) {
	q, err := k.query(w)
	if err != nil {
		return false, err
	}
	look := func(ctx context.Context, r Reader) (found bool, err error) {
		there := k.m.shallow(row)
		err = runRows(ctx, r, false, q.rowsText(), func(rs *rows) error {
			found = true
			return k.m.read(rs.dest, there)
		})
		if found && err == nil {
			k.m.assign(row, there)
		}
		return found && err == nil, err
	}
	if found, err := look(ctx, w); found || err != nil { // most of the time nobody has to wait
		return false, err
	}
	made := k.m.shallow(row)
	err = inTx(ctx, w, func(ctx context.Context, tx *Tx) error {
		found, err := look(ctx, tx)
		if found || err != nil {
			return err
		}
		created = true
		return k.m.createRow(ctx, tx, made)
	})
	if err != nil {
		return false, err
	}
	if created {
		k.m.assign(row, made)
	}
	return created, nil
}
