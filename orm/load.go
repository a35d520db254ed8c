package orm

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// With loads relations of the rows with them, each with one more query for every
// 512 rows however deep they are nested. All of them see the same state of the
// database. Of two settings of one relation the last counts. What a relation
// refers to by its columns is read even if Only does not name them.
func (q Query[M]) With(rels ...Rel[M]) Query[M] {
	q.q.with = append(slices.Clip(q.q.with), relations(rels)...)
	return q
}

// Load reads relations of rows that are there already into their fields. On an
// error ms is as it was.
func (t Table[M, K]) Load(ctx context.Context, r Reader, ms []M, rels ...Rel[M]) error {
	err := t.m.ready(r)
	if err == nil {
		err = loadRows(ctx, r, t.m.rows(&ms, len(ms)), relations(rels))
	}
	return t.m.wrap("load", err)
}

// LoadRow is Load for one row.
func (t Table[M, K]) LoadRow(ctx context.Context, r Reader, m *M, rels ...Rel[M]) error {
	row := anyRow(m)
	err := t.m.readyFor(r, row)
	if err == nil {
		err = loadRows(ctx, r, []any{row}, relations(rels))
	}
	return t.m.wrap("load", err)
}

func loadRows(ctx context.Context, r Reader, rows []any, rels []*relation) error {
	return snapshot(ctx, r, len(rels) > 0, func(r Reader) error { return load(ctx, r, rows, rels) })
}

// snapshot runs fn with a Reader whose queries all see the same state. It is r
// itself if there is one query only, or if r is such a Reader.
func snapshot(ctx context.Context, r Reader, several bool, fn func(Reader) error) error {
	if !several {
		return fn(r)
	}
	switch r := r.(type) {
	case *DB:
		return r.ReadTx(ctx, func(_ context.Context, tx *ReadTx) error { return fn(tx) })
	case foreigner:
		return r.readTx(ctx, fn)
	}
	return fn(r)
}

// load reads the relations of rows. Nothing is put into a field before all has
// been read.
func load(ctx context.Context, r Reader, rows []any, rels []*relation) error {
	var found []func()
	for i, rel := range rels {
		if rel == nil {
			return errNoRel
		}
		if err := rel.usable(); err != nil {
			return err
		}
		again := func(other *relation) bool { return other != nil && other.name == rel.name }
		if slices.ContainsFunc(rels[i+1:], again) {
			continue
		}
		apply, err := rel.load(ctx, r, rows)
		if err != nil {
			return fmt.Errorf("%s: %w", rel.name, err)
		}
		found = append(found, apply)
	}
	for _, apply := range found {
		apply()
	}
	return nil
}

// keySet is a list of different keys.
type keySet struct {
	keys  [][]driver.Value
	index map[string]int
	text  strings.Builder
}

// add returns the index of the key; negative if a part of it is NULL.
func (s *keySet) add(a *Args) (int, error) {
	if a.err != nil {
		return 0, a.err
	}
	key := make([]driver.Value, len(a.values))
	for i, v := range a.values {
		if v.Value == nil {
			return -1, nil
		}
		key[i] = v.Value
	}
	id := s.id(key)
	if n, ok := s.index[id]; ok {
		return n, nil
	}
	if s.index == nil {
		s.index = make(map[string]int)
	}
	s.index[id] = len(s.keys)
	s.keys = append(s.keys, key)
	return len(s.keys) - 1, nil
}

// id returns text that no other key has.
func (s *keySet) id(key []driver.Value) string {
	s.text.Reset()
	for _, v := range key {
		switch x := v.(type) {
		case string:
			fmt.Fprintf(&s.text, "%d:%s,", len(x), x)
		case []byte:
			fmt.Fprintf(&s.text, "%d;%s,", len(x), x)
		default:
			fmt.Fprintf(&s.text, "%v,", x)
		}
	}
	return s.text.String()
}

// relatedRows are the rows of a relation, with the index of the key that each
// belongs to, and the key of each row that they are related to.
type relatedRows struct {
	rows []any
	of   []int
	key  []int // negative for none
	n    int   // of keys
}

// read reads the rows that are related to those of near, and their own relations.
func (x *relation) read(ctx context.Context, r Reader, near []any) (all relatedRows, err error) {
	var set keySet
	all.key = make([]int, len(near))
	for i, row := range near {
		var a Args
		x.bind(&a, row)
		if all.key[i], err = set.add(&a); err != nil {
			return all, err
		}
	}
	all.n = len(set.keys)
	if all.n == 0 { // what is wrong with the relation is wrong without rows, too
		err = x.loadText(nil).err
	}
	list := x.to.list(0)
	for first := 0; first < all.n && err == nil; first += loadKeys {
		s := x.loadText(set.keys[first:min(first+loadKeys, all.n)])
		err = runRows(ctx, r, false, s, func(rs *rows) error {
			n, ok := rs.dest[0].(int64)
			if !ok {
				return errors.New("the index of a key is no integer")
			}
			all.of = append(all.of, first+int(n))
			return x.to.read(rs.dest[1:], x.to.grow(list))
		})
	}
	all.rows = x.to.rows(list, len(all.of))
	if err == nil && len(x.with) > 0 {
		err = load(ctx, r, all.rows, x.with)
	}
	return all, err
}

// load reads what is related to rows; apply puts it into their fields.
func (x *relation) load(ctx context.Context, r Reader, rows []any) (apply func(), err error) {
	all, err := x.read(ctx, r, rows)
	if err != nil {
		return nil, err
	}
	if x.single {
		return x.one(rows, &all), nil
	}
	return x.many(rows, &all), nil
}

func (x *relation) one(rows []any, all *relatedRows) func() {
	found := make([]any, all.n)
	for i, k := range all.of {
		if found[k] == nil {
			found[k] = all.rows[i]
		}
	}
	return func() {
		for i, row := range rows {
			if k := all.key[i]; k >= 0 {
				x.set(row, found[k])
			} else {
				x.set(row, nil)
			}
		}
	}
}

func (x *relation) many(rows []any, all *relatedRows) func() {
	related := make([][]any, all.n) // by key
	for i, k := range all.of {
		related[k] = append(related[k], all.rows[i])
	}
	return func() {
		for i, row := range rows { // a list of its own for each
			var found []any
			if k := all.key[i]; k >= 0 {
				found = related[k]
			}
			list := x.to.list(len(found))
			for _, r := range found {
				x.to.assign(x.to.grow(list), r)
			}
			x.set(row, list)
		}
	}
}

// withRelations returns the query with what its relations need among the columns
// of Only.
func (q *query) withRelations() *query {
	if q.only == nil {
		return q
	}
	w := *q
	w.only = slices.Clip(w.only)
	for _, rel := range q.with {
		if rel == nil || rel.usable() != nil {
			continue // an error where it is loaded
		}
		for _, c := range rel.on.From {
			w.only = append(w.only, ref{q.m.schema.Name, c})
		}
	}
	return &w
}

// eachRows is how many rows a loop reads ahead to load their relations
// together.
const eachRows = 100

// eachWith is each of a query with relations.
func (q *query) eachWith(ctx context.Context, r Reader, fn func(any) bool) error {
	q = q.withRelations()
	return snapshot(ctx, r, true, func(r Reader) error {
		var ahead []any
		flush := func() error {
			if err := load(ctx, r, ahead, q.with); err != nil {
				return err
			}
			for _, row := range ahead {
				if !fn(row) {
					return errBreak
				}
			}
			ahead = nil
			return nil
		}
		var ferr error
		err := q.each(ctx, r, true, func(row any) bool {
			if ahead = append(ahead, row); len(ahead) == eachRows {
				ferr = flush()
			}
			return ferr == nil
		})
		if err == nil {
			err = ferr
		}
		if err == nil {
			err = flush()
		}
		return err
	})
}
