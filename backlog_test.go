package driftdb_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/gen_test/basic"
	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// A write that the backlog's bound refuses changes nothing and holds nobody up;
// reads go on, and so do writes once the store is back.
func TestBacklogRefusesWrites(t *testing.T) {
	is := is.New(t)
	store := faultstore.New(memstore.New(), faultstore.Always(faultstore.Any, "", faultstore.Error))
	replica, err := replicate.New("app", store, replicate.Options{
		Sync:    replicate.Sync{Debounce: time.Millisecond, Interval: 10 * time.Millisecond},
		Retry:   replicate.Retry{Base: time.Millisecond, Max: 10 * time.Millisecond},
		Backlog: replicate.Backlog{Policy: replicate.BacklogBlock, Bound: 20_000, Wait: -1},
	})
	is.NoErr(err)
	db, err := driftdb.Open(t.Context(), filepath.Join(t.TempDir(), "app.sqlite"), basic.Schema, driftdb.Options{Replica: replica})
	is.NoErr(err)
	var written int64
	for err == nil {
		u := basic.User{Name: "a", Email: time.Now().String(), Nick: time.Now().String()}
		if err = basic.Users.Create(t.Context(), db, &u); err == nil {
			written++
		}
	}
	is.True(errors.Is(err, replicate.ErrBacklog))
	is.True(written > 10)
	n, err := basic.Users.Where().Count(t.Context(), db) // reads do not wait
	is.NoErr(err)
	is.Equal(n, written)

	store.Set()
	is.NoErr(replica.Flush(t.Context()))
	addUser(t, db, "b")
	is.NoErr(db.Close())
}
