package replicate_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// These are about programs that live for a moment.

// A program that is started every few hours and lives for seconds prunes all the same,
// once a day: the manifest says when that was done last.
func TestShortProgramsPruneTheStore(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	c := newCalendar()
	inner := memstore.NewWithOptions(memstore.Options{Now: c.time})
	store := faultstore.New(inner)
	o, _ := c.options()
	var seen recorder
	o.Events, o.Retention.Disabled = seen.add, false
	a := openApp(t, dbPath(t))
	o.Retention.Window, o.Retention.Snapshots = 2*24*time.Hour, 1
	const days = 9
	largest := 0
	for hour := 0; hour < 24*days; hour += 3 {
		r := start(t, a, store, o)
		a.insert(hour+1, hour+1)
		if hour%24 == 12 {
			is.NoErr(r.Snapshot(t.Context()))
		}
		shutdown(t, r)
		c.pass(3 * time.Hour)
		if hour == 24*5 {
			largest = len(keys(t, inner))
		}
	}
	is.True(len(seen.of(replicate.EventPruned)) >= 4)
	is.True(manifest(t, inner).Floor > 0)
	is.True(len(keys(t, inner)) < largest+10)       // what a day leaves; not four days more
	is.True(store.Count(faultstore.List) <= 2*days) // a day's pruning, and a snapshot's
	sameAsRestored(t, a, inner)
}

// A pruning that the end of the program has cut off is not counted as done.
func TestCutOffPruningIsMadeUpFor(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	c := newCalendar()
	inner := memstore.NewWithOptions(memstore.Options{Now: c.time})
	store := faultstore.New(inner)
	o, _ := c.options()
	var seen recorder
	o.Events = seen.add
	a := openApp(t, dbPath(t))
	r := start(t, a, store, o)
	c.days(t, a, r, 12)
	shutdown(t, r)
	o.Retention.Disabled = false
	c.pass(48 * time.Hour)
	store.Set(faultstore.Always(faultstore.Delete, "", faultstore.Error))
	r = start(t, a, store, o)
	a.insert(1000, 1000)
	shutdown(t, r)
	is.Equal(len(seen.of(replicate.EventPruned)), 0)
	store.Set()
	r = start(t, a, store, o)
	a.insert(1001, 1001)
	shutdown(t, r)
	is.Equal(len(seen.of(replicate.EventPruned)), 1)
	before := store.Count(faultstore.List)
	r = start(t, a, store, o)
	a.insert(1002, 1002)
	shutdown(t, r)
	is.Equal(store.Count(faultstore.List), before) // done for today
	sameAsRestored(t, a, inner)
}

// A release that has waited long enough for pruning, and waits for a snapshot since,
// sleeps meanwhile.
func TestReleaseSleeps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		store := faultstore.New(memstore.New())
		a := openApp(t, dbPath(t))
		r := start(t, a, store, fast())
		a.insert(1, 3)
		flush(t, r)
		release := make(chan struct{})
		store.Set(
			faultstore.Rule{Op: faultstore.List, Times: -1, Kind: faultstore.Hang, Release: release},
			faultstore.Rule{Op: faultstore.Put, Key: "/snapshots/", Times: -1, Kind: faultstore.Hang, Release: release},
		)
		r.PruneNow()
		a.insert(4, 4)
		flush(t, r)
		down, snapshot := make(chan error), make(chan error)
		go func() { down <- r.Shutdown(context.WithoutCancel(t.Context())) }()
		pass(time.Second)
		a.insert(5, 5)
		go func() { snapshot <- r.Snapshot(context.WithoutCancel(t.Context())) }()
		pass(time.Minute) // were anything asked again and again, no time would pass
		close(release)
		is.NoErr(<-snapshot)
		is.NoErr(<-down)
		sameAsRestored(t, a, store)
	})
}

// After a crash, a start that has nothing to ship and a clean shutdown hand the
// name over; after that a start and a shutdown ask for nothing.
func TestIdleShutdownReleases(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"", "claimed", "acknowledged", "settled"} {
		t.Run(point, func(t *testing.T) {
			is := is.New(t)
			store := faultstore.New(memstore.New())
			a := openApp(t, dbPath(t))
			a.insert(1, 3)
			r := newReplica(t, store, fast())
			if point == "settled" {
				r.SetHook(crashAt(point, 2)) // of the acknowledgement; the first is the claim's
			} else if point != "" {
				r.SetHook(crashAt(point, 1))
			}
			is.NoErr(r.Start(t.Context(), a.path))
			is.True((r.Flush(t.Context()) != nil) == (point != ""))
			kill(t, r)
			r = start(t, a, store, fast())
			if point != "settled" && point != "" {
				flush(t, r) // what had been left
				kill(t, r)
				r = start(t, a, store, fast())
			}
			is.True(!manifest(t, store).Released)
			epoch, before := manifest(t, store).Epoch, store.Count(faultstore.Any)
			shutdown(t, r)
			is.True(manifest(t, store).Released)
			is.Equal(manifest(t, store).Epoch, epoch) // no claim
			if point == "" || point == "settled" {
				is.True(store.Count(faultstore.Any)-before <= 2+3) // a look and a write; three looks of ours
			}
			is.True(!manifest(t, store).Open)

			before = store.Count(faultstore.Any)
			r = start(t, a, store, fast())
			shutdown(t, r)
			is.Equal(store.Count(faultstore.Any), before)
			r = start(t, a, store, fast())
			flush(t, r) // one look
			shutdown(t, r)
			is.Equal(store.Count(faultstore.Any), before+1)

			o := fast()
			o.AutoRestore = true
			other := newReplica(t, store, o)
			path := dbPath(t)
			is.NoErr(other.Prepare(t.Context(), path))
			b := openApp(t, path)
			is.NoErr(other.Start(t.Context(), path))
			b.insert(10, 11)
			flush(t, other)
			kill(t, other)

			// The first one knows nothing of that, and releases nothing of it.
			r = start(t, a, store, fast())
			shutdown(t, r)
			is.True(!manifest(t, store).Released)
		})
	}
}

// An idle shutdown that cannot reach the store says that the name stays claimed,
// and a later one releases it; a lost answer does no harm.
func TestIdleShutdownWithoutStore(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := faultstore.New(memstore.New())
	a := openApp(t, dbPath(t))
	a.insert(1, 3)
	r := start(t, a, store, fast())
	flush(t, r)
	kill(t, r)
	store.Set(down)
	r = start(t, a, store, fast())
	err := r.Shutdown(t.Context())
	is.True(errors.Is(err, faultstore.ErrInjected))
	is.True(strings.Contains(err.Error(), "without releasing the name"))
	store.Set(faultstore.Rule{Op: faultstore.Put, Kind: faultstore.LostReply})
	r = start(t, a, store, fast())
	shutdown(t, r)
	is.True(manifest(t, store).Released)
	a.insert(4, 5)
	r = start(t, a, store, fast())
	shutdown(t, r)
	sameAsRestored(t, a, store)
}

// A process that runs on a copy of the whole machine is not disturbed by an idle
// shutdown of the other: it finds its own claim, and goes on.
func TestIdleShutdownOfAClone(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	a.insert(1, 3)
	r := start(t, a, store, fast())
	flush(t, r)
	path := copyFile(t, a.path)
	node, err := os.ReadFile(filepath.Join(a.path+"-drift", "node.json"))
	is.NoErr(err)
	is.NoErr(os.Mkdir(path+"-drift", 0o700))
	is.NoErr(os.WriteFile(filepath.Join(path+"-drift", "node.json"), node, 0o600))
	clone := newReplica(t, store, fast())
	is.NoErr(clone.Start(t.Context(), path))
	shutdown(t, clone)
	is.True(manifest(t, store).Released)
	a.insert(4, 5)
	flush(t, r)
	is.True(!manifest(t, store).Released)
	shutdown(t, r)
	sameAsRestored(t, a, store)
}

// With TakeOver a start of the node that has claimed the name last asks once, and
// writes nothing; when somebody else has claimed it since, it takes over before
// the file is opened.
func TestTakeOverOfOnesOwn(t *testing.T) {
	t.Parallel()
	for _, clean := range []bool{true, false} {
		is := is.New(t)
		store := faultstore.New(memstore.New())
		o := fast()
		o.TakeOver = true
		a := openApp(t, dbPath(t))
		a.insert(1, 3)
		r := start(t, a, store, o)
		flush(t, r)
		if clean {
			shutdown(t, r)
		} else {
			kill(t, r)
		}
		epoch, before := manifest(t, store).Epoch, store.Count(faultstore.Any)
		r = start(t, a, store, o)
		is.Equal(store.Count(faultstore.Any), before+1)
		is.Equal(manifest(t, store).Epoch, epoch)
		a.insert(4, 5)
		flush(t, r)
		is.Equal(manifest(t, store).Epoch, epoch+1)
		kill(t, r)

		second := newReplica(t, store, o)
		path := dbPath(t)
		is.NoErr(second.Prepare(t.Context(), path))
		b := openApp(t, path)
		is.NoErr(second.Start(t.Context(), path))
		b.insert(10, 12)
		flush(t, second)
		kill(t, second)

		a.close()
		r = newReplica(t, store, o)
		is.NoErr(r.Prepare(t.Context(), a.path))
		is.Equal(dump(t, a.path), dump(t, path)) // what the other one has acknowledged is here
		kill(t, r)
	}
}

// moving is a store whose manifest is claimed anew whenever batches are listed.
type moving struct {
	replicate.Store
	t *testing.T
}

func (m moving) Get(ctx context.Context, key string) (io.ReadCloser, replicate.Info, error) {
	if strings.Contains(key, "/logs/") {
		if err := replicate.Touch(ctx, m.Store, dbName); err != nil {
			m.t.Error(err)
		}
		return nil, replicate.Info{}, replicate.ErrNotExist
	}
	return m.Store.Get(ctx, key)
}

// A restore that is overtaken by the backup again and again says so by name.
func TestRestoreOvertaken(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 3)
	shutdown(t, r)
	path := dbPath(t)
	_, err := replicate.Restore(t.Context(), dbName, moving{store, t}, path, replicate.RestoreOptions{Retry: fast().Retry})
	is.True(errors.Is(err, replicate.ErrMoved))
	is.True(!errors.Is(err, replicate.ErrMissing)) // nothing is wrong with the backup
	is.True(!fileExists(t, path))
	_, err = replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{})
	is.NoErr(err)
}
