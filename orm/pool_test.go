package orm_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/gen_test/basic"
	"github.com/driftdb/driftdb/orm"
)

// TestLoopsDoNotWaitForEachOther: bodies of loops and read transactions read,
// and loop, however few reading connections there are.
func TestLoopsDoNotWaitForEachOther(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := openAt(t, filepath.Join(t.TempDir(), "t.sqlite"), driftdb.Options{Readers: 1})
	for _, n := range []string{"a", "b", "c"} {
		addUser(t, db, n)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for u, err := range users.Where().Each(ctx, db) {
				is.NoErr(err)
				_, err = users.Find(ctx, db, u.ID)
				is.NoErr(err)
				for _, err := range users.Where().Each(ctx, db) {
					is.NoErr(err)
				}
				is.NoErr(db.ReadTx(ctx, func(ctx context.Context, _ *orm.ReadTx) error {
					_, err := users.Count(ctx, db)
					is.NoErr(err)
					for _, err := range orm.RawEach[string](ctx, db, "SELECT name FROM users") {
						is.NoErr(err)
					}
					return nil
				}))
			}
		})
	}
	wg.Wait()
	is.Equal(count(t, db), int64(3))
}

// TestCloseWaitsForLoops, and no loop begins once it was called.
func TestCloseWaitsForLoops(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db, err := driftdb.Open(ctx, driftdb.Memory, basic.Schema, driftdb.Options{})
	is.NoErr(err)
	addUser(t, db, "a")
	addUser(t, db, "b")
	seen := 0
	var wg sync.WaitGroup
	for u, err := range users.Where().Each(ctx, db) {
		is.NoErr(err)
		if seen++; seen == 1 {
			gone, cancel := context.WithCancel(ctx)
			cancel()
			is.True(errors.Is(db.Shutdown(gone), context.Canceled))
			for range 4 {
				wg.Go(func() { is.NoErr(db.Close()) })
			}
		}
		_, err = users.Find(ctx, db, u.ID)
		is.True(errors.Is(err, orm.ErrClosed))
		for _, err := range users.Where().Each(ctx, db) {
			is.True(errors.Is(err, orm.ErrClosed))
		}
	}
	is.Equal(seen, 2)
	wg.Wait()
	is.NoErr(db.Close())
}
