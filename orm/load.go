package orm

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// With loads relations of the rows with them, each with one more query for every
// 512 rows however deep they are nested. All of them see the same state of the
// database. Of two settings of one relation the last counts. What a relation
// refers to by its columns is read even if Only does not name them.
func (q Query[M]) With(rels ...Rel[M]) Query[M] {
	q.with = append(slices.Clip(q.with), rels...)
	return q
}

// Load reads relations of rows that are there already into their fields. On an
// error ms is as it was.
func (t Table[M, K]) Load(ctx context.Context, r Reader, ms []M, rels ...Rel[M]) error {
	return t.load(ctx, r, pointers(ms), rels)
}

// LoadRow is Load for one row.
func (t Table[M, K]) LoadRow(ctx context.Context, r Reader, m *M, rels ...Rel[M]) error {
	return t.load(ctx, r, []*M{m}, rels)
}

func (t Table[M, K]) load(ctx context.Context, r Reader, ms []*M, rels []Rel[M]) error {
	err := t.m.ready(r)
	if err == nil && slices.Contains(ms, nil) {
		err = errNoRow
	}
	if err == nil {
		err = snapshot(ctx, r, len(rels) > 0, func(r Reader) error { return load(ctx, r, ms, rels) })
	}
	return t.m.wrap("load", err)
}

func pointers[M any](ms []M) []*M {
	all := make([]*M, len(ms))
	for i := range ms {
		all[i] = &ms[i]
	}
	return all
}

// snapshot runs fn with a Reader whose queries all see the same state. It is r
// itself if there is one query only, or if r is such a Reader.
func snapshot(ctx context.Context, r Reader, several bool, fn func(Reader) error) error {
	db, ok := r.(*DB)
	if !ok || !several {
		return fn(r)
	}
	return db.ReadTx(ctx, func(_ context.Context, tx *ReadTx) error { return fn(tx) })
}

// load reads the relations of ms. Nothing is put into a field before all has
// been read.
func load[M any](ctx context.Context, r Reader, ms []*M, rels []Rel[M]) error {
	var found []func()
	for i, rel := range rels {
		if rel == nil {
			return errNoRel
		}
		l := rel.link()
		if err := l.usable(); err != nil {
			return err
		}
		again := func(other Rel[M]) bool { return other != nil && other.link().name == l.name }
		if slices.ContainsFunc(rels[i+1:], again) {
			continue
		}
		apply, err := rel.load(ctx, r, ms)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
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
type relatedRows[R any] struct {
	rows []R
	of   []int
	key  []int // negative for none
	n    int   // of keys
}

// read reads the related rows of ms, and their own relations.
func (x rel[M, R]) read(ctx context.Context, r Reader, ms []*M) (all relatedRows[R], err error) {
	var set keySet
	all.key = make([]int, len(ms))
	for i, m := range ms {
		var a Args
		x.bind(&a, m)
		if all.key[i], err = set.add(&a); err != nil {
			return all, err
		}
	}
	all.n = len(set.keys)
	if all.n == 0 { // what is wrong with the relation is wrong without rows, too
		err = x.l.loadText(nil).err
	}
	for first := 0; first < all.n && err == nil; first += loadKeys {
		s := x.l.loadText(set.keys[first:min(first+loadKeys, all.n)])
		err = runRows(ctx, r, false, s, func(rs *rows) error {
			n, ok := rs.dest[0].(int64)
			if !ok {
				return errors.New("the index of a key is no integer")
			}
			var zero R
			all.rows, all.of = append(all.rows, zero), append(all.of, first+int(n))
			return x.to.read(rs.dest[1:], &all.rows[len(all.rows)-1])
		})
	}
	if err == nil && len(x.with) > 0 {
		err = load(ctx, r, pointers(all.rows), x.with)
	}
	return all, err
}

func (x One[M, R]) load(ctx context.Context, r Reader, ms []*M) (func(), error) {
	all, err := x.read(ctx, r, ms)
	if err != nil {
		return nil, err
	}
	found := make([]*R, all.n)
	for i := range all.rows {
		if at := &found[all.of[i]]; *at == nil {
			*at = &all.rows[i]
		}
	}
	return func() {
		for i, m := range ms {
			if k := all.key[i]; k >= 0 {
				x.set(m, found[k])
			} else {
				x.set(m, nil)
			}
		}
	}, nil
}

func (x Many[M, R]) load(ctx context.Context, r Reader, ms []*M) (func(), error) {
	all, err := x.read(ctx, r, ms)
	if err != nil {
		return nil, err
	}
	size := make([]int, all.n)
	for _, k := range all.of {
		size[k]++
	}
	found := make([][]R, all.n)
	for i, k := range all.of {
		if found[k] == nil {
			found[k] = make([]R, 0, size[k])
		}
		found[k] = append(found[k], all.rows[i])
	}
	return func() {
		given := make([]bool, all.n)
		for i, m := range ms {
			rows := []R{}
			if k := all.key[i]; k >= 0 && found[k] != nil {
				if rows = found[k]; given[k] { // a slice of its own for each row
					rows = slices.Clone(rows)
				}
				given[k] = true
			}
			x.set(m, rows)
		}
	}, nil
}

// withRelations returns the query with what its relations need among the columns
// of Only.
func (q Query[M]) withRelations() Query[M] {
	if q.q.only == nil {
		return q
	}
	q.q.only = slices.Clip(q.q.only)
	for _, rel := range q.with {
		if rel == nil || rel.link().usable() != nil {
			continue // an error where it is loaded
		}
		for _, c := range rel.link().on.From {
			q.q.only = append(q.q.only, ref{q.m.schema.Name, c})
		}
	}
	return q
}

// eachRows is how many rows a loop reads ahead to load their relations
// together.
const eachRows = 100

// eachWith is Each of a query with relations.
func (q Query[M]) eachWith(ctx context.Context, r Reader) iter.Seq2[*M, error] {
	q = q.withRelations()
	return func(yield func(*M, error) bool) {
		stopped := false
		err := snapshot(ctx, r, true, func(r Reader) error {
			var ahead []*M
			flush := func() error {
				if err := load(ctx, r, ahead, q.with); err != nil {
					return err
				}
				for _, m := range ahead {
					if stopped = !yield(m, nil); stopped {
						return errBreak
					}
				}
				ahead = nil
				return nil
			}
			var ferr error
			err := q.m.each(ctx, r, true, q.q.rowsText(&q.m.info), q.q.columns(&q.m.info), func(m *M) bool {
				if ahead = append(ahead, m); len(ahead) == eachRows {
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
		if err != nil && !stopped {
			yield(nil, q.m.wrap("read", err))
		}
	}
}
