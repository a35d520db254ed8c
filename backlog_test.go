package driftdb_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/gen_test/basic"
	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/orm"
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

// A reader of the change feed that was behind what the backlog's bound has dropped
// is told so, and one that was not goes on; WaitDurable of what was dropped returns
// when a snapshot stands for it.
func TestCursorsOfWhatWasDropped(t *testing.T) {
	is := is.New(t)
	down := faultstore.Always(faultstore.Any, "", faultstore.Error)
	store := faultstore.New(memstore.New())
	replica, err := replicate.New("app", store, replicate.Options{
		Sync:    replicate.Sync{Manual: true},
		Retry:   replicate.Retry{Base: time.Millisecond, Max: 10 * time.Millisecond, MaxAttempts: 2},
		LogTail: 20,
		Backlog: replicate.Backlog{Policy: replicate.BacklogResnapshot, Bound: 20_000},
	})
	is.NoErr(err)
	db, err := driftdb.Open(t.Context(), filepath.Join(t.TempDir(), "app.sqlite"), basic.Schema, driftdb.Options{Replica: replica})
	is.NoErr(err)
	addUser(t, db, "before")
	is.NoErr(replica.Flush(t.Context()))
	old, err := db.Position(t.Context())
	is.NoErr(err)
	store.Set(down)
	var middle orm.Position
	for i := range 300 {
		addUser(t, db, fmt.Sprint("during ", i))
		if i == 150 {
			middle, err = db.Position(t.Context())
			is.NoErr(err)
		}
	}
	is.True(replica.Flush(t.Context()) != nil)
	is.True(replica.Status().Dropped > middle.Sequence)
	recent, err := db.Position(t.Context())
	is.NoErr(err)
	addUser(t, db, "last")
	read := func(since orm.Position) (n int, err error) {
		for _, err := range basic.Users.Changes(t.Context(), db, since) {
			if err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	}
	for _, since := range []orm.Position{old, middle} {
		_, err = read(since)
		is.True(errors.Is(err, orm.ErrCursorLost))
	}
	n, err := read(recent)
	is.NoErr(err)
	is.Equal(n, 1)
	is.True(replica.WaitDurable(t.Context(), middle) != nil) // the store is still away
	store.Set()
	is.NoErr(replica.WaitDurable(t.Context(), middle))
	is.True(replica.Status().Snapshot >= middle.Sequence)
	is.NoErr(db.Close())
}
