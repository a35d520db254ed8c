package model_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/driftdb/driftdb/orm"
)

// verbs are what the generated table of a model has.
type verbs[M, K any] interface {
	Create(ctx context.Context, w orm.Writer, m *M, opts ...orm.CreateOption[M]) error
	CreateMany(ctx context.Context, w orm.Writer, ms []M, opts ...orm.CreateOption[M]) error
	CreateSeq(ctx context.Context, w orm.Writer, ms iter.Seq[*M]) (int64, error)
	Find(ctx context.Context, r orm.Reader, key K) (*M, error)
	FindMany(ctx context.Context, r orm.Reader, keys ...K) ([]M, error)
	Exists(ctx context.Context, r orm.Reader, key K) (bool, error)
	Each(ctx context.Context, r orm.Reader, c ...orm.Cond[M]) iter.Seq2[*M, error]
	Where(c ...orm.Cond[M]) orm.Query[M]
	Save(ctx context.Context, w orm.Writer, m *M) error
	Reload(ctx context.Context, r orm.Reader, m *M) error
	Edit(ctx context.Context, w orm.Writer, key K, fn func(*M) error) (*M, error)
	Update(ctx context.Context, w orm.Writer, key K, sets ...orm.Set[M]) error
	UpdateReturning(ctx context.Context, w orm.Writer, key K, sets ...orm.Set[M]) (*M, error)
	Upsert(ctx context.Context, w orm.Writer, m *M, opts ...orm.UpsertOption[M]) error
	UpsertMany(ctx context.Context, w orm.Writer, ms []M, opts ...orm.UpsertOption[M]) error
	Delete(ctx context.Context, w orm.Writer, key K) (bool, error)
	DeleteRow(ctx context.Context, w orm.Writer, m *M) error
	Restore(ctx context.Context, w orm.Writer, key K) (bool, error)
	Purge(ctx context.Context, w orm.Writer, key K) (bool, error)
	Clone(m *M) *M
	Diff(before, after *M) []orm.Set[M]
	Changes(ctx context.Context, src orm.ChangeSource, since orm.Position) iter.Seq2[orm.Change[M], error]
	History(ctx context.Context, src orm.ChangeSource, key K) iter.Seq2[orm.Change[M], error]
}

// setter is an orm.Set and what it does.
type setter[M any] struct {
	name  string
	set   orm.Set[M]
	apply func(*M)
}

// column is a column that an upsert may name.
type column[M any] struct {
	name string
	col  orm.Column[M]
	copy func(dst, src *M)
}

// unique is a key of a model besides its primary one.
type unique[M any] struct {
	index  string
	key    func(*M) any      // as the index compares it; nil for a row that is not in it
	live   func(*M) any      // as key would, were the row not deleted
	keep   func(dst, old *M) // the key's columns stay as they are spelt
	isNull func(*M) bool

	find         func(context.Context, orm.Reader, *M) (*M, error)
	exists       func(context.Context, orm.Reader, *M) (bool, error)
	update       func(context.Context, orm.Writer, *M, ...orm.Set[M]) error
	remove       func(context.Context, orm.Writer, *M) (bool, error)
	upsert       func(context.Context, orm.Writer, *M, ...orm.UpsertOption[M]) error
	findOrCreate func(context.Context, orm.Writer, *M) (bool, error)
	violated     func(error) bool
}

func uniqueOf[M, K any](index string, u orm.Unique[M, K], of func(*M) (K, bool), key, live func(*M) any, keep func(dst, old *M)) unique[M] {
	k := func(m *M) K { v, _ := of(m); return v }
	return unique[M]{
		index: index, key: key, live: live, keep: keep,
		isNull: func(m *M) bool { _, ok := of(m); return !ok },
		find:   func(ctx context.Context, r orm.Reader, m *M) (*M, error) { return u.Find(ctx, r, k(m)) },
		exists: func(ctx context.Context, r orm.Reader, m *M) (bool, error) { return u.Exists(ctx, r, k(m)) },
		update: func(ctx context.Context, w orm.Writer, m *M, sets ...orm.Set[M]) error {
			return u.Update(ctx, w, k(m), sets...)
		},
		remove: func(ctx context.Context, w orm.Writer, m *M) (bool, error) { return u.Delete(ctx, w, k(m)) },
		upsert: u.Upsert, findOrCreate: u.FindOrCreate, violated: u.Violated,
	}
}

// kind is what the test knows of a model.
type kind[M any, K comparable] struct {
	name     string // of the table
	children bool   // rows of others go with a row
	table    verbs[M, K]
	rows     func(*world) *[]M
	key      func(*M) K
	keySQL   func(K) (string, []any)
	setKey   func(*M, K)
	fresh    func(n int) K // stands for the key that Create will choose
	uniques  []unique[M]
	checks   func(*M) []string // the violated ones

	draw       func(*rapid.T, *world) M
	drawKey    func(*rapid.T, *world) K // any, mostly of a row that is not there
	sets       func(*rapid.T, *world) []setter[M]
	cond       func(*rapid.T, *world) pred[M]
	order      []ordering[M] // those of the key first
	keyColumns int
	columns    []column[M]

	fill       func(*M, time.Time) // what Create chooses
	defs       func(*M)            // the defaults that an insert takes
	normal     func(*M)            // as Find returns it
	touch      func(*M, time.Time) // what every update changes besides
	fixed      func(dst, old *M)   // what no write of a whole row changes
	live       func(*M) bool       // nil without soft delete
	bury       func(*M, time.Time) // soft delete
	revive     func(*M)            // and back
	version    func(*M) int64      // nil without
	setVersion func(*M, int64)
	refused    func(*M) bool // a value that cannot be bound
	blank      func(*M)      // what the change log leaves out
}

func (k *kind[M, K]) isLive(m *M) bool { return k.live == nil || k.live(m) }

// violations returns the checks and unique keys that the rows violate.
func (k *kind[M, K]) violations(w *world) (bad []string) {
	rows := *k.rows(w)
	for i := range rows {
		for _, c := range k.checks(&rows[i]) {
			bad = append(bad, k.name+" check "+c)
		}
		for j := range i {
			if k.key(&rows[i]) == k.key(&rows[j]) {
				bad = append(bad, k.name+" unique ")
			}
		}
		for _, u := range k.uniques {
			key := u.key(&rows[i])
			for j := range i {
				if key != nil && key == u.key(&rows[j]) {
					bad = append(bad, k.name+" unique "+u.index)
				}
			}
		}
	}
	return bad
}

// label names what err says was violated, as violations does.
func label(err error) string {
	var u *orm.UniqueError
	var c *orm.CheckError
	var f *orm.ForeignKeyError
	var n *orm.NotNullError
	switch {
	case err == nil:
		return succeeded
	case errors.As(err, &u):
		return u.Table + " unique " + u.Index
	case errors.As(err, &c):
		return c.Table + " check " + c.Constraint
	case errors.As(err, &n):
		return n.Table + " not null " + n.Column
	case errors.As(err, &f):
		return foreignKey
	case errors.Is(err, orm.ErrStale):
		return stale
	case errors.Is(err, orm.ErrNotFound):
		return notFound
	}
	return refused
}

// Other reasons why a verb fails.
const (
	stale    = "stale"
	notFound = "not found"
	refused  = "refused" // before anything was tried
)

// get returns the row with the key, nil if there is none.
func (k *kind[M, K]) get(w *world, key K) *M {
	return find(*k.rows(w), func(m *M) bool { return k.key(m) == key })
}

// put replaces the row with the key by m.
func (k *kind[M, K]) put(w *world, key K, m M) {
	rows := *k.rows(w)
	for i := range rows {
		if k.key(&rows[i]) == key {
			rows[i] = m
		}
	}
}

func (k *kind[M, K]) drop(w *world, match func(*M) bool) {
	rows := k.rows(w)
	*rows = slices.DeleteFunc(*rows, func(m M) bool { return match(&m) })
}

// anyKey draws the key of a row, or another one.
func (k *kind[M, K]) anyKey(t *rapid.T, w *world) K {
	rows := *k.rows(w)
	if n := rapid.IntRange(0, len(rows)+1).Draw(t, "row"); n < len(rows) {
		return k.key(&rows[n])
	}
	return k.drawKey(t, w)
}

// stored is m as an insert leaves it. n tells several keys that Create chooses
// from each other.
func (k *kind[M, K]) stored(m M, now time.Time, n int) (_ M, chosen bool) {
	m = *k.table.Clone(&m)
	if chosen = k.fresh != nil && isZero(k.key(&m)); chosen {
		k.setKey(&m, k.fresh(n))
	}
	k.fill(&m, now)
	k.defs(&m)
	k.normal(&m)
	return m, chosen
}

func isZero[K comparable](k K) bool { var zero K; return k == zero }
