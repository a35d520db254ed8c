package replicate_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// In these tests time is synctest's: a day passes as soon as everyone sleeps.

// pass lets d go by and everything end that it set off.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestIdleIsFree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		store := faultstore.New(memstore.New())
		a := openApp(t, dbPath(t))
		r := start(t, a, store, replicate.Options{})
		a.insert(1, 5)
		r.Notify()
		pass(time.Minute)
		is.Equal(r.Status().State, replicate.StateIdle)
		is.Equal(r.Metrics().PendingChanges, int64(0))
		before := store.Count(faultstore.Any)
		pass(23 * time.Hour) // once a day the next change also looks for what is not needed any more
		flush(t, r)          // nothing to flush: nothing to ask
		is.Equal(store.Count(faultstore.Any), before)

		a.insert(6, 6)
		r.Notify()
		pass(time.Minute)
		is.Equal(store.Count(faultstore.Any), before+2) // a batch and a manifest
		sameAsRestored(t, a, store)
		shutdown(t, r)
	})
}

func TestCommitWakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		store := memstore.New()
		a := openApp(t, dbPath(t))
		r := start(t, a, store, replicate.Options{})
		pass(15 * time.Second) // the schema is shipped, and acknowledged after 10 s
		a.insert(1, 5)
		r.Notify()
		pass(40 * time.Millisecond)
		is.True(r.Status().Uploaded < r.Status().Captured || r.Status().Captured < 7) // still waiting for company
		pass(20 * time.Millisecond)
		s := r.Status()
		is.Equal(s.Uploaded, s.Captured)
		is.True(s.Acknowledged < s.Uploaded) // the manifest waits for its interval
		pass(10 * time.Second)
		is.Equal(r.Status().Acknowledged, s.Uploaded)

		a.insert(6, 6) // another process, which does not notify
		pass(5 * time.Second)
		is.True(r.Status().Uploaded > s.Uploaded)
		shutdown(t, r)
	})
}

// Writes all the time: one manifest per interval, no LIST, no GET.
func TestManifestIsCoalesced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		store := faultstore.New(memstore.New())
		a := openApp(t, dbPath(t))
		r := start(t, a, store, replicate.Options{Sync: replicate.Sync{Debounce: time.Second}, Snapshot: replicate.SnapshotRule{Disabled: true}})
		a.insert(1, 1)
		flush(t, r)
		calls := len(store.Calls())
		for i := range 100 {
			a.insert(10+i, 10+i)
			r.Notify()
			pass(time.Second)
		}
		pass(20 * time.Second)
		batches, manifests, packs := 0, 0, 0
		for _, c := range store.Calls()[calls:] {
			is.Equal(c.Op, faultstore.Put)
			if c.Key == replicate.ManifestKey(dbName) {
				manifests++
			} else if strings.Contains(c.Key, "/packs/") {
				packs++
			} else {
				batches++
			}
		}
		is.True(batches >= 50 && batches <= 101)
		is.True(manifests >= 5 && manifests <= 12)
		is.True(packs >= 3 && packs <= 6) // sixteen batches each, from memory
		is.Equal(r.Metrics().PendingChanges, int64(0))
		shutdown(t, r)
	})
}

func TestOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		down := errors.New("503 SlowDown")
		store := faultstore.New(memstore.New())
		a := openApp(t, dbPath(t))
		events := &recorder{}
		r := start(t, a, store, replicate.Options{Events: events.add})
		a.insert(1, 3)
		flush(t, r)
		store.Set(faultstore.Rule{Times: -1, Kind: faultstore.Error, Err: down})
		before, probes := store.Count(faultstore.Any), store.Count(faultstore.Get)
		for i := range 60 { // an hour
			a.insert(100+i, 100+i)
			r.Notify()
			pass(time.Minute)
		}
		probes = store.Count(faultstore.Get) - probes
		asked := store.Count(faultstore.Any) - before - probes
		is.True(asked > 60)    // never gives up
		is.True(asked < 600)   // nor hammers: at most 30 s between attempts, half of that on average
		is.True(probes < 1300) // one small GET every four seconds or so, to be back soon after the store is
		is.Equal(r.Status().State, replicate.StateRetry)
		is.True(errors.Is(r.Status().LastError, down))
		is.True(len(events.of(replicate.EventRetry)) > 50)
		err := r.Flush(t.Context()) // bounded by Retry.MaxAttempts
		is.True(errors.Is(err, down))
		is.True(r.Metrics().PendingChanges >= 60)

		store.Set()
		pass(31 * time.Second)
		flush(t, r)
		is.Equal(r.Status().LastError, nil)
		sameAsRestored(t, a, store)
		shutdown(t, r)
	})
}

// What a person must mend is tried seldom, reported at once, and mends itself
// when it is mended.
func TestPermanentError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		forbidden := errors.New("403 AccessDenied")
		store := faultstore.New(memstore.New(), faultstore.Rule{Op: faultstore.Put, Times: -1, Kind: faultstore.Permanent, Err: forbidden})
		a := openApp(t, dbPath(t))
		r := start(t, a, store, replicate.Options{})
		a.insert(1, 3)
		began := time.Now()
		is.True(errors.Is(r.Flush(t.Context()), forbidden))
		is.Equal(time.Since(began), time.Duration(0)) // no second attempt
		pass(10 * time.Minute)
		is.True(store.Fired() >= 15 && store.Fired() <= 25) // every 30 s
		store.Set()
		pass(time.Minute)
		is.Equal(r.Metrics().PendingChanges, int64(0))
		sameAsRestored(t, a, store)
		shutdown(t, r)
	})
}

func TestStopSync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		store := faultstore.New(memstore.New())
		a := openApp(t, dbPath(t))
		r := start(t, a, store, replicate.Options{})
		pass(time.Minute)
		r.StopSync()
		before := store.Count(faultstore.Any)
		a.insert(1, 3)
		r.Notify()
		pass(time.Hour)
		is.Equal(store.Count(faultstore.Any), before)
		flush(t, r)
		is.Equal(r.Metrics().PendingChanges, int64(0))
		a.insert(4, 6)
		pass(time.Hour)
		is.True(r.Status().Acknowledged < 14)
		r.StartSync()
		pass(time.Minute)
		is.Equal(r.Metrics().PendingChanges, int64(0))
		sameAsRestored(t, a, store)
		shutdown(t, r)
	})
}

func TestSnapshotRule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		store := memstore.New()
		a := openApp(t, dbPath(t))
		r := start(t, a, store, replicate.Options{Snapshot: replicate.SnapshotRule{Every: 200, MinLogRatio: 0.1}})
		a.insert(1, 60) // 120 entries and the schema
		r.Notify()
		pass(time.Minute)
		is.Equal(len(manifest(t, store).Snapshots), 0)
		a.insert(61, 120)
		r.Notify()
		pass(time.Minute)
		is.Equal(len(manifest(t, store).Snapshots), 1) // counted, whatever the batches' bounds
		for i := range 10 {
			a.insert(200+i*20, 219+i*20)
			r.Notify()
			pass(time.Minute)
		}
		is.Equal(len(manifest(t, store).Snapshots), 3)
		is.Equal(r.Metrics().Snapshots, int64(3))
		sameAsRestored(t, a, store)
		shutdown(t, r)
	})
}

// A snapshot that cannot be stored does not hold up the batches, and is made
// when it can.
func TestSnapshotFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		down := errors.New("507 Insufficient Storage")
		store := faultstore.New(memstore.New(), faultstore.Rule{Op: faultstore.Put, Key: "/snapshots/", Times: -1, Kind: faultstore.Error, Err: down})
		a := openApp(t, dbPath(t))
		r := start(t, a, store, replicate.Options{Snapshot: replicate.SnapshotRule{Every: 100, MinLogRatio: 0.1}})
		a.insert(1, 120)
		is.True(errors.Is(r.Snapshot(t.Context()), down))
		for i := range 20 {
			a.insert(200+i, 200+i)
			r.Notify()
			pass(time.Minute)
			is.Equal(r.Metrics().PendingChanges, int64(0))
		}
		is.True(store.Fired() > 10)
		store.Set()
		a.insert(300, 300)
		r.Notify()
		pass(time.Minute)
		is.True(len(manifest(t, store).Snapshots) >= 1)
		sameAsRestored(t, a, store)
		shutdown(t, r)
	})
}

// A store that hangs stops nobody from stopping.
func TestHungStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		inner := memstore.New()
		store := faultstore.New(inner)
		a := openApp(t, dbPath(t))
		r := start(t, a, store, replicate.Options{Sync: replicate.Sync{CloseTimeout: 3 * time.Second}})
		a.insert(1, 3)
		flush(t, r)
		store.Set(faultstore.Rule{Times: -1, Kind: faultstore.Hang})
		a.insert(4, 6)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		is.True(errors.Is(r.Flush(ctx), context.DeadlineExceeded))
		is.Equal(time.Since(began), time.Second)
		began = time.Now()
		err := r.Close()
		is.True(errors.Is(err, context.DeadlineExceeded))
		is.Equal(time.Since(began), 3*time.Second)
		is.Equal(r.Status().State, replicate.StateStopped)
		is.True(errors.Is(r.Flush(t.Context()), replicate.ErrClosed))
		is.NoErr(r.Close()) // a second one does nothing

		store.Set()
		is.NoErr(r.Start(t.Context(), a.path)) // and a stopped one starts again
		shutdown(t, r)
		sameAsRestored(t, a, store)
		is.True(manifest(t, store).Released)
	})
}

// A snapshot that ends while the store is down, or after shipping was stopped,
// keeps nobody busy.
func TestSnapshotEndsInOutage(t *testing.T) {
	t.Parallel()
	for _, fenced := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			release := make(chan struct{})
			store := faultstore.New(memstore.New())
			a := openApp(t, dbPath(t))
			r := start(t, a, store, replicate.Options{})
			a.insert(1, 3)
			flush(t, r)
			rules := []faultstore.Rule{{Op: faultstore.Put, Key: "/snapshots/", Kind: faultstore.Hang, Release: release}}
			if !fenced {
				rules = append(rules, faultstore.Rule{Op: faultstore.Put, Key: "/logs/", Times: -1, Kind: faultstore.Error})
			}
			store.Set(rules...)
			snapped := make(chan error, 1)
			go func() { snapped <- r.Snapshot(t.Context()) }()
			synctest.Wait()
			if fenced {
				o := fast()
				o.TakeOver = true
				other := newReplica(t, store, o)
				is.NoErr(other.Prepare(t.Context(), dbPath(t)))
			}
			a.insert(4, 6)
			is.True(r.Flush(t.Context()) != nil)
			close(release)
			pass(time.Hour)
			is.True(<-snapped != nil)
			is.Equal(errors.Is(r.Status().LastError, replicate.ErrFenced), fenced)
			if !fenced {
				store.Set()
				pass(time.Minute)
				shutdown(t, r)
				sameAsRestored(t, a, store)
			}
		})
	}
}

// While somebody writes without a pause, uploads keep their distance: a bucket
// bills requests. Flush does not wait for it.
func TestSteadyWritesShareUploads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		store := faultstore.New(memstore.New(), faultstore.Rule{Op: faultstore.Put, Times: -1, Kind: faultstore.Slow, Delay: 30 * time.Millisecond})
		o := fast()
		o.Sync = replicate.Sync{Debounce: time.Millisecond, MinInterval: 300 * time.Millisecond}
		o.Snapshot = replicate.SnapshotRule{Disabled: true} // a batch ends where a snapshot does
		a := openApp(t, dbPath(t))
		r := start(t, a, store, o)
		flush(t, r)
		before := r.Metrics().Batches
		for i := range 500 { // in three seconds
			a.insert(i+1, i+1)
			r.Notify()
			pass(6 * time.Millisecond)
		}
		uploads := r.Metrics().Batches - before
		is.True(uploads >= 9) // one each 300 ms
		is.True(uploads <= 11)
		flush(t, r)
		shutdown(t, r)
		sameAsRestored(t, a, store)
	})
}

// TestResumesSoon: the store has been away for so long that the wait before the
// next attempt has grown to half a minute; five seconds after it is back
// everything is stored all the same. A store that can be read and not written,
// as one that throttles, is not asked more often for that.
func TestResumesSoon(t *testing.T) {
	t.Parallel()
	for round := range 10 { // waits are random
		synctest.Test(t, func(t *testing.T) {
			is := is.New(t)
			store := faultstore.New(memstore.New())
			a := openApp(t, dbPath(t))
			r := start(t, a, store, replicate.Options{})
			a.insert(1, 3)
			flush(t, r)
			store.Set(faultstore.Rule{Times: -1, Kind: faultstore.Error})
			a.insert(4, 6)
			r.Notify()
			pass(10*time.Minute + time.Duration(round)*777*time.Millisecond)
			is.True(r.Status().Uploaded < r.Status().Captured)
			store.Set()
			pass(5 * time.Second)
			is.Equal(r.Status().Uploaded, r.Status().Captured)
			flush(t, r)
			sameAsRestored(t, a, store)
			shutdown(t, r)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		store := faultstore.New(memstore.New())
		a := openApp(t, dbPath(t))
		r := start(t, a, store, replicate.Options{})
		a.insert(1, 3)
		flush(t, r)
		store.Set(faultstore.Rule{Op: faultstore.Put, Times: -1, Kind: faultstore.Error})
		a.insert(4, 6)
		r.Notify()
		pass(time.Minute)
		before := store.Count(faultstore.Any)
		pass(time.Hour)
		perHour := store.Count(faultstore.Any) - before // a probe among them only while the last one was right
		is.True(perHour >= 120 && perHour <= 500)       // a wait is 15 s in the mean
		store.Set()
		flush(t, r)
		shutdown(t, r)
	})
}
