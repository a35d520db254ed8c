package replicate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// A store whose conditional writes do not work, as with entity tags that it
// quotes in another way, is asked no more often than one that is away.
func TestPreconditionStorm(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{true, false} {
		is := is.New(t)
		store := faultstore.New(memstore.New())
		a := openApp(t, dbPath(t))
		r := start(t, a, store, fast())
		if !first {
			flush(t, r)
		}
		before := store.Count(faultstore.Any)
		store.Set(faultstore.Always(faultstore.Put, "manifest.json", faultstore.Precondition))
		a.insert(1, 3)
		err := r.Flush(t.Context())
		is.True(err != nil && strings.Contains(err.Error(), "check-bucket"))
		is.True(store.Count(faultstore.Any)-before < 20)
		is.Equal(r.Status().State, replicate.StateRetry)
		store.Set()
		flush(t, r)
		sameAsRestored(t, a, store)
		shutdown(t, r)
	}
}

// A clock that stands still gives two attempts at a snapshot the same time: they
// are not taken for the same object.
func TestSnapshotsOfOneMillisecond(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := faultstore.New(memstore.New(), faultstore.Rule{Op: faultstore.Put, Key: "/snapshots/", Kind: faultstore.LostReply})
	a := openApp(t, dbPath(t))
	o := sealedOptions(replicate.NewKey())
	o.Now = func() time.Time { return time.UnixMilli(1_700_000_000_000) }
	r := start(t, a, store, o)
	a.insert(1, 3)
	is.NoErr(r.Snapshot(t.Context()))
	is.Equal(store.Fired(), 1)
	sameWith(t, a, store, o.Encryption.Keys...)
	shutdown(t, r)
}
