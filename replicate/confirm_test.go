package replicate_test

import (
	"context"
	"errors"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// These are about what a file believes to be acknowledged when it is opened: some
// bucket has said so once.

// waiters are the calls whose nil means that everything committed is in the bucket.
func waiters(a *app) map[string]func(context.Context, *replicate.Replica) error {
	return map[string]func(context.Context, *replicate.Replica) error{
		"Flush":    func(ctx context.Context, r *replicate.Replica) error { return r.Flush(ctx) },
		"Snapshot": func(ctx context.Context, r *replicate.Replica) error { return r.Snapshot(ctx) },
		"Mark":     func(ctx context.Context, r *replicate.Replica) error { return r.Mark(ctx, "here") },
		"WaitDurable": func(ctx context.Context, r *replicate.Replica) error {
			conn, err := a.db.Conn(ctx)
			if err != nil {
				return err
			}
			p, err := changelog.ReadPosition(ctx, changelog.SQL(conn))
			if err = errors.Join(err, conn.Close()); err != nil {
				return err
			}
			return r.WaitDurable(ctx, p)
		},
	}
}

// shipped returns a file of which everything is acknowledged, and the store.
func shipped(t *testing.T) (*app, *faultstore.Store, *memstore.Store) {
	t.Helper()
	inner := memstore.New()
	store := faultstore.New(inner)
	a := openApp(t, dbPath(t))
	a.insert(1, 10)
	shutdown(t, start(t, a, store, fast()))
	return a, store, inner
}

// Whoever waits in a start that has written nothing is told the truth about the
// bucket of this start, not about the one that the file was shipped to.
func TestWaitersSpeakOfThisBucket(t *testing.T) {
	for what := range waiters(nil) {
		t.Run("another bucket: "+what, func(t *testing.T) {
			t.Parallel()
			is := is.New(t)
			a, _, _ := shipped(t)
			wait := waiters(a)[what]
			store := faultstore.New(memstore.New(), down)
			r := start(t, a, store, fast())
			is.True(errors.Is(wait(t.Context(), r), faultstore.ErrInjected))
			store.Set()
			is.NoErr(wait(t.Context(), r))
			sameAsRestored(t, a, store)
			shutdown(t, r)
			sameAsRestored(t, a, store)
		})
		t.Run("another bucket, its first snapshot held back: "+what, func(t *testing.T) {
			t.Parallel()
			is := is.New(t)
			inner := memstore.New()
			a := openApp(t, dbPath(t))
			a.insert(1, 10)
			o := fast()
			o.LogTail = -1 // the new bucket's history cannot begin at nothing
			shutdown(t, start(t, a, inner, o))
			wait := waiters(a)[what]
			inner = memstore.New()
			store := faultstore.New(inner, faultstore.Always(faultstore.Put, "/snapshots/", faultstore.Error))
			for range 2 { // of a claim that is new, and of one that an earlier start has made
				r := start(t, a, store, o)
				for range 2 {
					is.True(errors.Is(wait(t.Context(), r), faultstore.ErrInjected))
					is.True(manifest(t, inner) != nil)
					is.Equal(manifest(t, inner).Snapshots, nil)
				}
				kill(t, r)
			}
			store.Set()
			r := start(t, a, store, o)
			is.NoErr(wait(t.Context(), r))
			sameAsRestored(t, a, store)
			shutdown(t, r)
			sameAsRestored(t, a, store)
		})
		t.Run("lost manifest: "+what, func(t *testing.T) {
			t.Parallel()
			is := is.New(t)
			a, store, _ := shipped(t)
			is.NoErr(store.Delete(t.Context(), replicate.ManifestKey(dbName)))
			before := contents(t, store)
			r := start(t, a, store, fast())
			is.True(errors.Is(waiters(a)[what](t.Context(), r), replicate.ErrManifestLost))
			is.Equal(contents(t, store), before)
		})
		t.Run("older state: "+what, func(t *testing.T) {
			t.Parallel()
			is := is.New(t)
			a, store, inner := shipped(t)
			old := get(t, inner, replicate.ManifestKey(dbName))
			a.insert(11, 12)
			shutdown(t, start(t, a, store, fast()))
			put(t, inner, replicate.ManifestKey(dbName), old) // as if an older copy had been put back
			r := start(t, a, store, fast())
			is.True(errors.Is(waiters(a)[what](t.Context(), r), replicate.ErrForked))
		})
		t.Run("somebody else's: "+what, func(t *testing.T) {
			t.Parallel()
			is := is.New(t)
			a, store, _ := shipped(t)
			b := openApp(t, copyFile(t, a.path))
			rb := start(t, b, store, fast())
			b.insert(20, 20)
			flush(t, rb)
			r := start(t, a, store, fast())
			is.True(errors.Is(waiters(a)[what](t.Context(), r), replicate.ErrOwned))
			shutdown(t, rb)
			sameAsRestored(t, b, store)
		})
	}
}

// The truth costs one look, once in a start; nothing is claimed, and nobody is
// asked where nobody waits: a program that opens a file, reads and closes it needs
// no network.
func TestWaitingCostsOneLook(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	a, store, _ := shipped(t)
	before := manifest(t, store)
	for _, what := range []string{"Flush", "WaitDurable"} {
		wait := waiters(a)[what]
		all, gets := store.Count(faultstore.Any), store.Count(faultstore.Get)
		r := start(t, a, store, fast())
		is.NoErr(wait(t.Context(), r))
		is.Equal(store.Count(faultstore.Any)-all, 1)
		is.Equal(store.Count(faultstore.Get)-gets, 1)
		for _, again := range []string{"Flush", "WaitDurable"} {
			is.NoErr(waiters(a)[again](t.Context(), r))
		}
		shutdown(t, r)
		is.Equal(store.Count(faultstore.Any)-all, 1)
	}
	is.Equal(manifest(t, store), before)

	store.Set(down)
	all := store.Count(faultstore.Any)
	r := start(t, a, store, fast())
	shutdown(t, r)
	is.Equal(store.Count(faultstore.Any), all)
	r = start(t, a, store, fast())
	is.True(errors.Is(r.Flush(t.Context()), faultstore.ErrInjected))
	is.NoErr(r.Shutdown(t.Context())) // nothing is left to do
}

// A start after a crash looks at the manifest when it is shut down, to release the
// name. What it sees there it does not keep to itself: an empty bucket gets
// everything, one that has lost its manifest is an error.
func TestIdleShutdownSaysWhatItSaw(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	crashed := func() (*app, *memstore.Store) {
		store := memstore.New()
		a := openApp(t, dbPath(t))
		a.insert(1, 10)
		r := start(t, a, store, fast())
		flush(t, r)
		kill(t, r)
		return a, store
	}
	a, store := crashed()
	is.NoErr(store.Delete(t.Context(), replicate.ManifestKey(dbName)))
	before := contents(t, store)
	for range 2 {
		r := start(t, a, store, fast())
		is.True(errors.Is(r.Shutdown(t.Context()), replicate.ErrManifestLost))
		is.Equal(contents(t, store), before)
	}

	a, _ = crashed()
	store = memstore.New()
	r := start(t, a, store, fast())
	shutdown(t, r)
	sameAsRestored(t, a, store)
	is.True(manifest(t, store).Released)
}
