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
	if err := t.m.ready(w); err != nil {
		return 0, t.m.wrap("create", err)
	}
	if ms == nil {
		return 0, t.m.wrap("create", errNoRow)
	}
	err = inTx(ctx, w, func(ctx context.Context, tx *Tx) error {
		rows, at := make([]M, 0, seqRows), make([]*M, 0, seqRows)
		flush := func() error {
			if err := t.m.createMany(ctx, tx, rows); err != nil {
				return fmt.Errorf("rows from %d on: %w", n, err)
			}
			for i, p := range at {
				*p = rows[i]
			}
			n += int64(len(rows))
			rows, at = rows[:0], at[:0]
			return ctx.Err()
		}
		for m := range ms {
			if m == nil {
				return fmt.Errorf("row %d: %w", n+int64(len(rows)), errNoRow)
			}
			rows, at = append(rows, *m), append(at, m)
			if len(rows) == seqRows {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		return flush()
	})
	if err != nil {
		return 0, t.m.wrap("create", err)
	}
	return n, nil
}

// UpsertMany upserts all of ms in one transaction, as Upsert does each: on an
// error nothing is changed and ms is as it was.
func (t Table[M, K]) UpsertMany(ctx context.Context, w Writer, ms []M, opts ...UpsertOption[M]) error {
	err := t.m.ready(w)
	if err == nil {
		err = t.m.upsertMany(ctx, w, ms, target{columns: t.m.schema.Key}, opts)
	}
	return t.m.wrap("upsert", err)
}

// UpsertMany upserts all of ms in one transaction, as Upsert does each: on an
// error nothing is changed and ms is as it was.
func (u Unique[M, K]) UpsertMany(ctx context.Context, w Writer, ms []M, opts ...UpsertOption[M]) error {
	err := u.k.m.ready(w)
	for i := 0; err == nil && i < len(ms); i++ {
		if _, ok := u.of(&ms[i]); !ok {
			err = fmt.Errorf("row %d: %w", i, errNullKey(u.index))
		}
	}
	if err == nil {
		err = u.k.m.upsertMany(ctx, w, ms, u.target(), opts)
	}
	return u.k.m.wrap("upsert", err)
}

func (m *model[M]) upsertMany(ctx context.Context, w Writer, ms []M, key target, opts []UpsertOption[M]) error {
	if len(ms) == 0 {
		return nil
	}
	stored := make([]M, len(ms))
	err := inTx(ctx, w, func(ctx context.Context, tx *Tx) error {
		for i := range ms {
			stored[i] = ms[i]
			if err := m.upsertRow(ctx, tx, &stored[i], key, opts); err != nil {
				return fmt.Errorf("row %d: %w", i, err)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		copy(ms, stored)
	}
	return err
}

// FindMany returns the rows with these primary keys, in the order of the keys.
// A key that no row has is left out, and one that stands twice counts once.
func (t Table[M, K]) FindMany(ctx context.Context, r Reader, keys ...K) ([]M, error) {
	err := t.m.ready(r)
	var all []M
	if err == nil {
		all, err = t.findMany(ctx, r, keys)
	}
	if err != nil {
		return nil, t.m.wrap("find", err)
	}
	return all, nil
}

// findKeys is how many keys one statement looks up.
const findKeys = 500

func (t Table[M, K]) findMany(ctx context.Context, r Reader, keys []K) ([]M, error) {
	all := []M{}
	columns := t.m.schema.Key
	size := max(1, findKeys/len(columns))
	seen := make(map[string]bool, len(keys))
	var part Args
	n := 0
	flush := func() error {
		if n == 0 {
			return nil
		}
		s := t.m.findText(part, n)
		part, n = Args{}, 0
		return runRows(ctx, r, false, s, func(rs *rows) error {
			var zero M
			all = append(all, zero)
			return t.m.read(rs.dest, &all[len(all)-1])
		})
	}
	for _, k := range keys {
		at := len(part.values)
		t.arg(&part, k)
		if part.err != nil {
			return nil, part.err
		}
		var id strings.Builder
		for _, v := range part.values[at:] {
			fmt.Fprintf(&id, "%T %q ", v.Value, fmt.Sprint(v.Value))
		}
		if seen[id.String()] {
			part.values = part.values[:at]
			continue
		}
		seen[id.String()] = true
		if n++; n == size {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	return all, flush()
}

// findText reads the rows with the n keys that are bound in a, in their order.
func (t *info) findText(a Args, n int) *text {
	s := new(text)
	columns := t.schema.Key
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
	s.WriteString(") " + t.selects + " JOIN _driftdb_keys ON ")
	for i, c := range columns {
		if i > 0 {
			s.WriteString(" AND ")
		}
		s.column(ref{t.schema.Name, c})
		s.WriteString(" = _driftdb_" + strconv.Itoa(i))
	}
	if live := t.live(); live != nil {
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

func (u Unique[M, K]) target() target {
	t := target{columns: u.k.columns}
	for _, ix := range u.k.m.schema.Indexes {
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
	created, err = u.findOrCreate(ctx, w, m)
	return created, u.k.m.wrap("find or create", err)
}

func (u Unique[M, K]) findOrCreate(ctx context.Context, w Writer, m *M) (created bool, err error) {
	if err := u.k.m.writableRow(w, m); err != nil {
		return false, err
	}
	key, ok := u.of(m)
	if !ok {
		return false, errNullKey(u.index)
	}
	q, err := u.k.query(w, key)
	if err != nil {
		return false, err
	}
	look := func(ctx context.Context, r Reader) (found bool, err error) {
		row := *m
		err = runRows(ctx, r, false, q.q.rowsText(&u.k.m.info), func(rs *rows) error {
			found = true
			return u.k.m.read(rs.dest, &row)
		})
		if found && err == nil {
			*m = row
		}
		return found && err == nil, err
	}
	if found, err := look(ctx, w); found || err != nil { // most of the time nobody has to wait
		return false, err
	}
	made := *m
	err = inTx(ctx, w, func(ctx context.Context, tx *Tx) error {
		found, err := look(ctx, tx)
		if found || err != nil {
			return err
		}
		created = true
		return u.k.m.createRow(ctx, tx, &made)
	})
	if err != nil {
		return false, err
	}
	if created {
		*m = made
	}
	return created, nil
}
