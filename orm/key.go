package orm

import (
	"context"
	"fmt"
)

// keyed are the verbs by one value of a key, the primary one or another unique
// one.
type keyed struct {
	m       *model
	columns []string
	key     Args
}

func (k keyed) query(r Reader) (q query, err error) {
	if err := k.m.ready(r); err != nil {
		return q, err
	}
	if k.key.err != nil {
		return q, k.key.err
	}
	q.m = k.m
	for i, c := range k.columns {
		n := &node{op: opCompare, col: ref{k.m.schema.Name, c}, sql: " = "}
		n.args = append(n.args, k.key.values[i].Value)
		q.where = append(q.where, n)
	}
	return q, nil
}

func (k keyed) find(ctx context.Context, r Reader) (any, error) {
	q, err := k.query(r)
	var found any
	if err == nil {
		found, err = q.one(ctx, r)
	}
	if err == nil && found == nil {
		err = ErrNotFound
	}
	return found, k.m.wrap("find", err)
}

func (k keyed) exists(ctx context.Context, r Reader) (bool, error) {
	q, err := k.query(r)
	if err != nil {
		return false, k.m.wrap("look up", err)
	}
	return q.exists(ctx, r)
}

func (k keyed) update(ctx context.Context, w Writer, sets []set) error {
	q, err := k.query(w)
	found := false
	switch {
	case err != nil:
	case k.m.hooks.any(hookBeforeUpdate | hookAfterUpdate | hookAfterCommit):
		found, err = k.m.updateKeyed(ctx, w, q.conds(), sets, k.m.fresh())
	default:
		var n int64
		n, err = k.m.update(ctx, w, q.conds(), sets)
		found = n > 0
	}
	if err == nil && !found {
		err = ErrNotFound
	}
	return k.m.wrap("update", err)
}

func (k keyed) updateReturning(ctx context.Context, w Writer, sets []set) (any, error) {
	q, err := k.query(w)
	if err != nil {
		return nil, k.m.wrap("update", err)
	}
	row := k.m.fresh()
	found, err := k.m.updateKeyed(ctx, w, q.conds(), sets, row)
	if err == nil && !found {
		err = ErrNotFound
	}
	return row, k.m.wrap("update", err)
}

func (k keyed) delete(ctx context.Context, w Writer) (found bool, err error) {
	q, err := k.query(w)
	switch {
	case err != nil:
	case k.m.hooks.any(hookBeforeDelete | hookAfterDelete | hookAfterCommit):
		found, err = k.m.deleteHooked(ctx, w, q)
	default:
		var n int64
		n, err = k.m.remove(ctx, w, q.conds())
		found = n > 0
	}
	return found, k.m.wrap("delete", err)
}

// found is a row that a verb of keyed returned, nil beside an error.
func found[M any](row any, err error) (*M, error) {
	if err != nil {
		return nil, err
	}
	return rowOf[M](row), nil
}

// Unique is a unique key K of M besides the primary one. Generated code makes
// one for each, named ByX.
type Unique[M, K any] struct {
	_    [0]func(M, K)
	u    unique
	bind func(*Args, K)
	of   func(*M) (K, bool)
}

// unique is a Unique without its types.
type unique struct {
	m       *model
	index   string
	columns []string
}

// NewUnique is called by generated code. of returns a row's key, false if a
// part of it is NULL.
func NewUnique[M, PK, K any](d *Def[M, PK], index string, columns []string, of func(*M) (K, bool), bind func(*Args, K)) Unique[M, K] {
	return Unique[M, K]{u: unique{d.model(), index, columns}, of: of, bind: bind}
}

func (u Unique[M, K]) keyed(key K) (k keyed) {
	if k.m, k.columns = u.u.m, u.u.columns; k.m != nil {
		u.bind(&k.key, key)
	}
	return k
}

// Find returns the row with the key, or ErrNotFound.
func (u Unique[M, K]) Find(ctx context.Context, r Reader, key K) (*M, error) {
	return found[M](u.keyed(key).find(ctx, r))
}

// Exists says whether a row has the key.
func (u Unique[M, K]) Exists(ctx context.Context, r Reader, key K) (bool, error) {
	return u.keyed(key).exists(ctx, r)
}

// Update changes the row with the key; ErrNotFound if there is none.
func (u Unique[M, K]) Update(ctx context.Context, w Writer, key K, sets ...Set[M]) error {
	return u.keyed(key).update(ctx, w, plainSets(sets))
}

// Delete removes the row with the key and says whether there was one.
func (u Unique[M, K]) Delete(ctx context.Context, w Writer, key K) (bool, error) {
	return u.keyed(key).delete(ctx, w)
}

// Upsert inserts m or, when a row has its key, updates that row with m's other
// columns, in one statement. m holds the row as it stands then. The primary
// key and the created column of an existing row stay.
func (u Unique[M, K]) Upsert(ctx context.Context, w Writer, m *M, opts ...UpsertOption[M]) error {
	row := anyRow(m)
	err := u.u.m.readyFor(w, row)
	if err == nil {
		if _, ok := u.of(m); !ok {
			err = u.u.nullKey()
		}
	}
	if err == nil {
		err = u.u.m.upsertRow(ctx, w, row, u.u.target(), conflictOf(opts))
	}
	return u.u.m.wrap("upsert", err)
}

// Violated says whether err is the violation of this key.
func (u Unique[M, K]) Violated(err error) bool { return u.u.violated(err) }

func (u *unique) violated(err error) bool {
	e, ok := asUnique(err)
	return ok && u.m != nil && e.Table == u.m.schema.Name && e.Index == u.index
}

func (u *unique) nullKey() error {
	return fmt.Errorf("a column of the key %s is NULL: the row has no such key", u.index)
}
