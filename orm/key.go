package orm

import (
	"context"
)

// keyed are the verbs by one key, the primary one or another unique one.
type keyed[M, K any] struct {
	m       *model[M]
	columns []string
	bind    func(*Args, K)
}

func (k keyed[M, K]) query(r Reader, key K) (q Query[M], err error) {
	if err := k.m.ready(r); err != nil {
		return q, err
	}
	q.m = k.m
	q.q.where, err = byKey(k.m.schema.Name, k.columns, k.bind, key)
	return q, err
}

func (k keyed[M, K]) find(ctx context.Context, r Reader, key K) (*M, error) {
	q, err := k.query(r, key)
	if err != nil {
		return nil, k.m.wrap("find", err)
	}
	var found *M
	err = k.m.each(ctx, r, false, q.q.rowsText(&k.m.info), nil, func(m *M) bool {
		found = m
		return false
	})
	if err == nil && found == nil {
		err = ErrNotFound
	}
	if err != nil {
		return nil, k.m.wrap("find", err)
	}
	return found, nil
}

func (k keyed[M, K]) exists(ctx context.Context, r Reader, key K) (bool, error) {
	q, err := k.query(r, key)
	if err != nil {
		return false, k.m.wrap("look up", err)
	}
	return q.Exists(ctx, r)
}

func (k keyed[M, K]) update(ctx context.Context, w Writer, key K, sets []Set[M]) error {
	q, err := k.query(w, key)
	if err != nil {
		return k.m.wrap("update", err)
	}
	where := q.q.conds(&k.m.info)
	if k.m.hooks.any(hookBeforeUpdate | hookAfterUpdate | hookAfterCommit) {
		found, err := k.m.updateKeyed(ctx, w, where, plainSets(sets), new(M))
		if err == nil && !found {
			err = ErrNotFound
		}
		return k.m.wrap("update", err)
	}
	n, err := k.m.update(ctx, w, where, plainSets(sets))
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return k.m.wrap("update", err)
}

func (k keyed[M, K]) delete(ctx context.Context, w Writer, key K) (bool, error) {
	q, err := k.query(w, key)
	if err != nil {
		return false, k.m.wrap("delete", err)
	}
	if k.m.hooks.any(hookBeforeDelete | hookAfterDelete | hookAfterCommit) {
		found, err := k.m.deleteHooked(ctx, w, q.q)
		return found, k.m.wrap("delete", err)
	}
	n, err := k.m.remove(ctx, w, q.q.conds(&k.m.info))
	return n > 0, k.m.wrap("delete", err)
}

// Unique is a unique key K of M besides the primary one. Generated code makes
// one for each, named ByX.
type Unique[M, K any] struct {
	_     [0]func(M, K)
	k     keyed[M, K]
	index string
	of    func(*M) (K, bool)
}

// NewUnique is called by generated code. of returns a row's key, false if a
// part of it is NULL.
func NewUnique[M, PK, K any](d *Def[M, PK], index string, columns []string, of func(*M) (K, bool), bind func(*Args, K)) Unique[M, K] {
	return Unique[M, K]{k: keyed[M, K]{m: d.model(), columns: columns, bind: bind}, index: index, of: of}
}

// Find returns the row with the key, or ErrNotFound.
func (u Unique[M, K]) Find(ctx context.Context, r Reader, key K) (*M, error) {
	return u.k.find(ctx, r, key)
}

// Exists says whether a row has the key.
func (u Unique[M, K]) Exists(ctx context.Context, r Reader, key K) (bool, error) {
	return u.k.exists(ctx, r, key)
}

// Update changes the row with the key; ErrNotFound if there is none.
func (u Unique[M, K]) Update(ctx context.Context, w Writer, key K, sets ...Set[M]) error {
	return u.k.update(ctx, w, key, sets)
}

// Delete removes the row with the key and says whether there was one.
func (u Unique[M, K]) Delete(ctx context.Context, w Writer, key K) (bool, error) {
	return u.k.delete(ctx, w, key)
}

// Upsert inserts m or, when a row has its key, updates that row with m's other
// columns, in one statement. m holds the row as it stands then. The primary
// key and the created column of an existing row stay.
func (u Unique[M, K]) Upsert(ctx context.Context, w Writer, m *M, opts ...UpsertOption[M]) error {
	if err := u.k.m.writableRow(w, m); err != nil {
		return u.k.m.wrap("upsert", err)
	}
	if _, ok := u.of(m); !ok {
		return u.k.m.wrap("upsert", errNullKey(u.index))
	}
	return u.k.m.wrap("upsert", u.k.m.upsertRow(ctx, w, m, u.target(), opts))
}

// Violated says whether err is the violation of this key.
func (u Unique[M, K]) Violated(err error) bool {
	e, ok := asUnique(err)
	return ok && u.k.m != nil && e.Table == u.k.m.schema.Name && e.Index == u.index
}
