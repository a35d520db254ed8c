package orm

import (
	"context"
	"iter"
)

func (t Table[M, K]) keyed(key K) (k keyed) {
	if k.m = t.m; k.m != nil {
		k.columns = t.m.schema.Key
		t.arg(&k.key, key)
	}
	return k
}

// Create inserts m. A zero primary key, created and updated column are filled,
// columns with omitzero take their default when they are zero; m holds what
// was stored. On an error m is as it was.
func (t Table[M, K]) Create(ctx context.Context, w Writer, m *M, _ ...CreateOption[M]) error {
	return t.m.one(ctx, "create", w, anyRow(m), (*model).createRow)
}

// CreateMany inserts all of ms in one transaction, as Create does each. On an
// error no row is inserted and ms is as it was.
func (t Table[M, K]) CreateMany(ctx context.Context, w Writer, ms []M, _ ...CreateOption[M]) error {
	err := t.m.ready(w)
	if err == nil {
		err = t.m.createRows(ctx, w, t.m.rows(&ms, len(ms)))
	}
	return t.m.wrap("create", err)
}

// one runs a verb that writes one row.
func (m *model) one(ctx context.Context, what string, w Writer, row any, verb func(*model, context.Context, Writer, any) error) error {
	err := m.readyFor(w, row)
	if err == nil {
		err = verb(m, ctx, w, row)
	}
	return m.wrap(what, err)
}

// Find returns the row with the primary key, or ErrNotFound.
func (t Table[M, K]) Find(ctx context.Context, r Reader, key K) (*M, error) {
	return found[M](t.keyed(key).find(ctx, r))
}

// Exists says whether a row has the primary key.
func (t Table[M, K]) Exists(ctx context.Context, r Reader, key K) (bool, error) {
	return t.keyed(key).exists(ctx, r)
}

// First returns a row that matches all of c, or ErrNotFound.
func (t Table[M, K]) First(ctx context.Context, r Reader, c ...Cond[M]) (*M, error) {
	return t.Where(c...).First(ctx, r)
}

// All returns every row that matches all of c.
func (t Table[M, K]) All(ctx context.Context, r Reader, c ...Cond[M]) ([]M, error) {
	return t.Where(c...).All(ctx, r)
}

// Each yields every row that matches all of c: see [Query.Each].
func (t Table[M, K]) Each(ctx context.Context, r Reader, c ...Cond[M]) iter.Seq2[*M, error] {
	return t.Where(c...).Each(ctx, r)
}

// Count returns how many rows match all of c.
func (t Table[M, K]) Count(ctx context.Context, r Reader, c ...Cond[M]) (int64, error) {
	return t.Where(c...).Count(ctx, r)
}

// Where begins a query of the rows that match all of c.
func (t Table[M, K]) Where(c ...Cond[M]) Query[M] {
	return Query[M]{q: query{m: t.m}}.Where(c...)
}

// Update changes the row with the primary key; ErrNotFound if there is none.
// A column with the item updated is set too.
func (t Table[M, K]) Update(ctx context.Context, w Writer, key K, sets ...Set[M]) error {
	return t.keyed(key).update(ctx, w, plainSets(sets))
}

// Upsert inserts m or, when a row has its primary key, updates that row, in
// one statement: see [Unique.Upsert].
func (t Table[M, K]) Upsert(ctx context.Context, w Writer, m *M, opts ...UpsertOption[M]) error {
	row := anyRow(m)
	err := t.m.readyFor(w, row)
	if err == nil {
		err = t.m.upsertRow(ctx, w, row, target{columns: t.m.schema.Key}, conflictOf(opts))
	}
	return t.m.wrap("upsert", err)
}

// Delete removes the row with the primary key and says whether there was one.
func (t Table[M, K]) Delete(ctx context.Context, w Writer, key K) (bool, error) {
	return t.keyed(key).delete(ctx, w)
}

// Raw runs a query of your own whose result has the table's columns, in the
// order of the model, as SELECT * has. ? stands for args in turn.
func (t Table[M, K]) Raw(ctx context.Context, r Reader, query string, args ...any) ([]M, error) {
	all := []M{}
	if err := t.m.wrap("read", t.m.raw(ctx, r, query, args, &all)); err != nil {
		return nil, err
	}
	return all, nil
}

func (m *model) raw(ctx context.Context, r Reader, query string, args []any, all any) error {
	if err := m.ready(r); err != nil {
		return err
	}
	s, err := rawText(query, args)
	if err != nil {
		return err
	}
	s.head = func(columns []string) error { return sameColumns(m.schema, columns) }
	return runRows(ctx, r, false, s, func(rs *rows) error { return m.read(rs.dest, m.grow(all)) })
}
