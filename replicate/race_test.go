package replicate_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// meddler lets something happen in the middle of somebody else's requests.
type meddler struct {
	replicate.Store
	beforeList func()           // once
	beforeGet  func(key string) // every time
}

func (m *meddler) List(ctx context.Context, prefix, after string) iter.Seq2[replicate.Info, error] {
	if f := m.beforeList; f != nil {
		m.beforeList = nil
		f()
	}
	return m.Store.List(ctx, prefix, after)
}

func (m *meddler) Get(ctx context.Context, key string) (io.ReadCloser, replicate.Info, error) {
	if m.beforeGet != nil {
		m.beforeGet(key)
	}
	return m.Store.Get(ctx, key)
}

// A take-over between a restore's first look at the manifest and its listing:
// the old owner uploads beyond the point where it was fenced, and the restore
// sees those batches. They must not get into the result.
func TestRestoreDuringTakeOver(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	inner := memstore.New()
	a := openApp(t, dbPath(t))
	ra := newReplica(t, inner, fast())
	ra.SetHook(crashAt("acknowledging", 2))
	is.NoErr(ra.Start(t.Context(), a.path))
	a.insert(1, 5)
	flush(t, ra)

	o := fast()
	o.TakeOver = true
	path := dbPath(t)
	store := &meddler{Store: inner, beforeList: func() {
		rb := newReplica(t, inner, o)
		is.NoErr(rb.Prepare(t.Context(), path))
		b := openApp(t, path)
		is.NoErr(rb.Start(t.Context(), path))
		b.insert(100, 103)
		flush(t, rb)
		a.insert(6, 9) // uploaded by the fenced owner, which does not know yet
		is.True(errors.Is(ra.Flush(t.Context()), errCrash))
	}}
	got, _ := restore(t, store)
	is.Equal(dump(t, got), dump(t, path))
	is.True(!strings.Contains(dump(t, got), "item 6 "))
}

// What a restore is about to read is pruned because a newer snapshot has
// replaced it: the restore plans again.
func TestRestoreDuringPrune(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	inner := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, inner, fast())
	a.insert(1, 5)
	flush(t, r)
	a.insert(6, 9)
	flush(t, r)
	var pruned atomic.Bool // batches are read ahead, several at once
	store := &meddler{Store: inner}
	store.beforeGet = func(key string) {
		if !strings.Contains(key, "/logs/") || pruned.Swap(true) {
			return
		}
		is.NoErr(r.Snapshot(t.Context()))
		for _, k := range keys(t, inner) {
			if strings.Contains(k, "/logs/") {
				is.NoErr(inner.Delete(t.Context(), k))
			}
		}
	}
	result := sameAsRestored(t, a, store)
	is.True(pruned.Load())
	is.Equal(result.Snapshot, result.Position.Sequence)

	// The same with a manifest that stays where it is is an error with a name.
	for _, k := range keys(t, inner) {
		if strings.Contains(k, "/snapshots/") {
			is.NoErr(inner.Delete(t.Context(), k))
		}
	}
	to := dbPath(t)
	_, err := replicate.Restore(t.Context(), dbName, inner, to, replicate.RestoreOptions{Retry: fast().Retry})
	is.True(errors.Is(err, replicate.ErrMissing))
	is.True(!fileExists(t, to))
}

// Two machines restore to one path at once: one of them does.
func TestTwoRestoresAtOnce(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	inner := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, inner, fast())
	a.insert(1, 5)
	flush(t, r)
	path := dbPath(t)
	store := &meddler{Store: inner, beforeList: func() {
		_, err := replicate.Restore(t.Context(), dbName, inner, path, replicate.RestoreOptions{})
		is.True(errors.Is(err, replicate.ErrLocked))
	}}
	_, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{})
	is.NoErr(err)
	_, err = replicate.Restore(t.Context(), dbName, inner, path, replicate.RestoreOptions{})
	is.True(errors.Is(err, replicate.ErrExists))
	is.Equal(dump(t, path), dump(t, a.path))
}

// A node that was refused goes on by itself once the owner lets go.
func TestWaitsForOwner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		store := faultstore.New(memstore.New())
		a := openApp(t, dbPath(t))
		ra := start(t, a, store, fast())
		a.insert(1, 5)
		shutdown(t, ra)
		path, _ := restore(t, store)
		ra = start(t, a, store, fast())
		is.NoErr(ra.Snapshot(t.Context())) // claims, and changes nothing

		b := openApp(t, path)
		rb := start(t, b, store, replicate.Options{})
		b.insert(10, 12)
		rb.Notify()
		pass(time.Hour)
		is.True(errors.Is(rb.Status().LastError, replicate.ErrOwned))
		shutdown(t, ra)
		pass(time.Minute)
		is.Equal(rb.Metrics().PendingChanges, int64(0))
		sameAsRestored(t, b, store)
		shutdown(t, rb)
	})
}

// Commits while a snapshot is copied and uploaded are shipped meanwhile, and a
// writer that never pauses does not keep a Flush from its answer.
func TestWritesDuringSnapshot(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	inner := memstore.New()
	release := make(chan struct{})
	store := faultstore.New(inner, faultstore.Rule{Op: faultstore.Put, Key: "/snapshots/", Kind: faultstore.Hang, Release: release})
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 20)
	snapped := make(chan error, 1)
	go func() { snapped <- r.Snapshot(context.Background()) }()
	for i := range 10 {
		a.insert(100+10*i, 105+10*i)
		flush(t, r)
		is.Equal(r.Metrics().PendingChanges, int64(0))
	}
	close(release)
	is.NoErr(<-snapped)
	sameAsRestored(t, a, store)
	is.True(r.Status().Snapshot > 0)
}
