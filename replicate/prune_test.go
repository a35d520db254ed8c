package replicate_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// calendar is a clock that the test moves, for the store, the replica and the
// times in the log.
type calendar struct{ now atomic.Int64 }

func newCalendar() *calendar {
	c := &calendar{}
	c.now.Store(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli())
	return c
}

func (c *calendar) time() time.Time      { return time.UnixMilli(c.now.Load()) }
func (c *calendar) pass(d time.Duration) { c.now.Add(d.Milliseconds()) }

// day is what the database was at one time.
type day struct {
	at       time.Time
	sequence int64
	rows     string
}

// days writes a row every six hours for n days, ships it, takes a snapshot a
// day, and returns what was there at each time.
func (c *calendar) days(t *testing.T, a *app, r *replicate.Replica, n int) (all []day) {
	t.Helper()
	is := is.New(t)
	var last int64
	is.NoErr(a.db.QueryRowContext(t.Context(), `SELECT coalesce(max(id), 0) FROM items`).Scan(&last))
	for i := range int64(4 * n) {
		var before int64
		is.NoErr(a.db.QueryRowContext(t.Context(), changelog.NewestSQL).Scan(&before))
		a.insert(int(last+i+1), int(last+i+1))
		_, err := a.db.ExecContext(t.Context(), `UPDATE _driftdb_log SET timestamp = ? WHERE sequence > ?`, c.now.Load(), before)
		is.NoErr(err)
		flush(t, r)
		all = append(all, day{c.time(), r.Status().Acknowledged, dump(t, a.path)})
		if i%4 == 3 {
			is.NoErr(r.Snapshot(t.Context()))
		}
		c.pass(6 * time.Hour)
	}
	return all
}

// options are such that nothing is deleted but by Prune.
func (c *calendar) options() (replicate.Options, replicate.PruneOptions) {
	o := fast()
	o.Now = c.time
	o.Retention.Disabled = true
	return o, replicate.PruneOptions{Now: c.time, Retry: fast().Retry}
}

// After pruning every point of the last week can be restored, older ones say
// that they are gone, and what is stored does not grow with the age of the
// backup.
func TestPrune(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	c := newCalendar()
	store := memstore.NewWithOptions(memstore.Options{Now: c.time})
	o, po := c.options()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, o)
	all := c.days(t, a, r, 10)
	stored := 0
	for week := range 4 {
		if week == 2 { // another epoch
			shutdown(t, r)
			r = start(t, a, store, o)
		}
		all = append(all, c.days(t, a, r, 7)...)
		dry := po
		dry.DryRun = true
		before := keys(t, store)
		plan, err := replicate.Prune(t.Context(), dbName, store, dry)
		is.NoErr(err)
		is.Equal(keys(t, store), before)
		done, err := replicate.Prune(t.Context(), dbName, store, po)
		is.NoErr(err)
		is.Equal(plan.Floor, done.Floor)
		is.True(plan.Objects > 0 && plan.Objects <= done.Objects) // the store's clock was read a little earlier
		is.True(done.Objects > 0 && done.Bytes > 0 && done.Floor > 0)
		is.Equal(len(before)-len(keys(t, store)), done.Objects)
		again, err := replicate.Prune(t.Context(), dbName, store, po)
		is.NoErr(err)
		is.Equal(again.Objects, 0)
		for _, d := range all {
			path := filepath.Join(t.TempDir(), "r.sqlite")
			_, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{At: d.at, Retry: o.Retry})
			if !d.at.Before(c.time().Add(-7 * 24 * time.Hour)) {
				is.NoErr(err)
			}
			if err == nil {
				is.Equal(cmp.Diff(d.rows, dump(t, path)), "")
			} else {
				is.True(errors.Is(err, replicate.ErrNoPoint))
			}
		}
		if week == 0 {
			stored = len(keys(t, store))
		}
		is.True(len(keys(t, store)) <= stored+12)
	}
	shutdown(t, r)
	sameAsRestored(t, a, store)
}

// A named point keeps what it needs until it is unmarked.
func TestPruneKeepsPoints(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	c := newCalendar()
	store := memstore.NewWithOptions(memstore.Options{Now: c.time})
	o, po := c.options()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, o)
	c.days(t, a, r, 5)
	is.NoErr(r.Mark(t.Context(), "release"))
	want := dump(t, a.path)
	c.days(t, a, r, 30)
	report, err := replicate.Prune(t.Context(), dbName, store, po)
	is.NoErr(err)
	is.Equal(report.HeldBy, "release")
	is.True(report.Objects > 0)
	path := filepath.Join(t.TempDir(), "r.sqlite")
	_, err = replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{Point: "release"})
	is.NoErr(err)
	is.Equal(dump(t, path), want)
	is.NoErr(r.Unmark(t.Context(), "release"))
	again, err := replicate.Prune(t.Context(), dbName, store, po)
	is.NoErr(err)
	is.True(again.Floor > report.Floor && again.Objects > 0 && again.HeldBy == "")
	shutdown(t, r)
	sameAsRestored(t, a, store)
}

// Pruning may end between any two calls, or get no answer: nothing that is
// needed is ever missing, and the next one does the rest.
func TestPruneUnderFaults(t *testing.T) {
	t.Parallel()
	c := newCalendar()
	grown := memstore.NewWithOptions(memstore.Options{Now: c.time})
	o, po := c.options()
	a := openApp(t, dbPath(t))
	r := start(t, a, grown, o)
	c.days(t, a, r, 12)
	shutdown(t, r)
	for _, kind := range []faultstore.Kind{faultstore.Error, faultstore.LostReply} {
		for nth := 1; ; nth++ {
			is := is.New(t)
			inner := copyStore(t, grown, c.time)
			store := faultstore.New(inner)
			store.Set(faultstore.Rule{Nth: nth, Times: -1, Kind: kind}) // from there on everything
			_, err := replicate.Prune(t.Context(), dbName, store, po)
			fired := store.Fired()
			store.Set()
			is.True(err != nil || fired == 0)
			sameAsRestored(t, a, inner)
			_, err = replicate.Prune(t.Context(), dbName, store, po)
			is.NoErr(err)
			sameAsRestored(t, a, inner)
			is.True(len(keys(t, inner)) < 60)
			if fired == 0 {
				break
			}
		}
	}
}

// copyStore returns a store that holds what from does, as old, and goes on with the
// clock now.
func copyStore(t *testing.T, from *memstore.Store, now func() time.Time) *memstore.Store {
	t.Helper()
	var stored time.Time // zero: now
	to := memstore.NewWithOptions(memstore.Options{Now: func() time.Time {
		if stored.IsZero() {
			return now()
		}
		return stored
	}})
	for info, err := range from.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		stored = info.Modified
		put(t, to, info.Key, get(t, from, info.Key))
	}
	stored = time.Time{}
	return to
}

// Credentials that may not delete are no error: the report says what is due.
func TestPruneMayNotDelete(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	c := newCalendar()
	store := faultstore.New(memstore.NewWithOptions(memstore.Options{Now: c.time}))
	o, po := c.options()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, o)
	c.days(t, a, r, 12)
	store.Set(faultstore.Rule{Op: faultstore.Delete, Times: -1, Kind: faultstore.Permanent})
	before := len(keys(t, store))
	report, err := replicate.Prune(t.Context(), dbName, store, po)
	is.NoErr(err)
	is.True(report.NotAllowed != nil && report.Objects > 0)
	is.Equal(len(keys(t, store)), before)
	a.insert(1000, 1001) // and the owner goes on
	flush(t, r)
	shutdown(t, r)
	sameAsRestored(t, a, store)
}

// A Replica prunes by itself; a pack's batches and what an interrupted snapshot
// or an older epoch left behind go, too.
func TestReplicaPrunes(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	c := newCalendar()
	store := memstore.NewWithOptions(memstore.Options{Now: c.time})
	o, _ := c.options()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, o)
	pack(t, a, r, 40)
	c.days(t, a, r, 3)
	shutdown(t, r)
	var seen recorder // of a replica that has all of it to delete, at once
	o.Events, o.Retention.Disabled = seen.add, false
	r = start(t, a, store, o)
	r.PruneNow()
	a.insert(5000, 5000)
	flush(t, r)
	r.WaitForPrune()
	a.insert(5001, 5001)
	flush(t, r)
	is.Equal(len(seen.of(replicate.EventPruned)), 1)
	logs := slices.DeleteFunc(keys(t, store), func(k string) bool { return !strings.Contains(k, "/logs/") })
	_, _, from, _, ok := replicate.BatchRange(logs[0])
	is.True(ok && from > 32) // the first sixteens are in packs
	shutdown(t, r)
	sameAsRestored(t, a, store)
}
