package replicate_test

import (
	"errors"
	"path/filepath"
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

// skewed is the clock of a machine, which is off by some time from the store's.
type skewed struct {
	*calendar
	by atomic.Int64 // a time.Duration
}

func (s *skewed) time() time.Time { return s.calendar.time().Add(time.Duration(s.by.Load())) }

// kept restores some of the points that the last week must still have, the oldest
// of them among those.
func kept(t *testing.T, c *calendar, store replicate.Store, all []day) {
	t.Helper()
	n := 0
	for _, d := range all {
		if d.at.Before(c.time().Add(-7 * 24 * time.Hour)) {
			continue
		}
		if n++; n > 3 && n%9 != 0 {
			continue
		}
		path := filepath.Join(t.TempDir(), "r.sqlite")
		_, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{At: d.at, Retry: fast().Retry})
		if err != nil {
			t.Errorf("%s before now: %v", c.time().Sub(d.at), err)
			continue
		}
		if diff := cmp.Diff(d.rows, dump(t, path)); diff != "" {
			t.Error(diff)
		}
	}
	if n < 20 {
		t.Errorf("only %d points", n)
	}
}

// A machine whose clock is ahead, of a replica or of an operator, prunes no more
// than one whose clock is right: the store's clock counts. When the clock is right
// again what is due is pruned.
func TestPruneOnAMachineThatIsAhead(t *testing.T) {
	for _, ahead := range []time.Duration{20 * time.Hour, 5 * 24 * time.Hour, 365 * 24 * time.Hour} {
		for _, tool := range []bool{false, true} {
			t.Run(ahead.String(), func(t *testing.T) {
				t.Parallel()
				is := is.New(t)
				c := newCalendar()
				machine := &skewed{calendar: c}
				store := memstore.NewWithOptions(memstore.Options{Now: c.time})
				o, po := c.options()
				o.Now, po.Now = machine.time, machine.time
				a := openApp(t, dbPath(t))
				r := start(t, a, store, o)
				all := c.days(t, a, r, 12)
				shutdown(t, r)
				n := 5000
				insert := func() {
					var before int64
					is.NoErr(a.db.QueryRowContext(t.Context(), changelog.NewestSQL).Scan(&before))
					a.insert(n, n)
					n++
					_, err := a.db.ExecContext(t.Context(), `UPDATE _driftdb_log SET timestamp = ? WHERE sequence > ?`, machine.time().UnixMilli(), before)
					is.NoErr(err)
				}
				prune := func() {
					if tool {
						_, err := replicate.Prune(t.Context(), dbName, store, po)
						is.NoErr(err)
						return
					}
					oo := o
					oo.Retention.Disabled = false
					r := start(t, a, store, oo)
					r.PruneNow()
					for range 2 {
						insert()
						flush(t, r)
						r.WaitForPrune()
					}
					shutdown(t, r)
				}
				machine.by.Store(int64(ahead))
				prune()
				kept(t, c, store, all)

				machine.by.Store(0)
				c.pass(25 * time.Hour)
				prune()
				is.True(manifest(t, store).Floor > 0)
				kept(t, c, store, all)
				sameAsRestored(t, a, store)
			})
		}
	}
}

// Where the store has no clock nothing is said of ages: no floor is raised, no
// object deleted.
func TestPruneWithoutAClock(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	c := newCalendar()
	inner := memstore.NewWithOptions(memstore.Options{Now: func() time.Time { return time.Time{} }})
	store := faultstore.New(inner)
	o, po := c.options()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, o)
	c.days(t, a, r, 12)
	shutdown(t, r)
	before := keys(t, inner)
	_, err := replicate.Prune(t.Context(), dbName, store, po)
	is.True(err != nil)
	is.Equal(keys(t, inner), before)
	is.Equal(manifest(t, inner).Floor, int64(0))
	o.Retention.Disabled = false
	r = start(t, a, store, o)
	r.PruneNow()
	a.insert(5000, 5000)
	flush(t, r)
	r.WaitForPrune()
	shutdown(t, r)
	is.Equal(store.Count(faultstore.Delete), 0)
	is.Equal(manifest(t, inner).Floor, int64(0))
}

// A clock that was ahead for a while leaves times in the log, and in a snapshot,
// that lie ahead for long. They keep nothing from being pruned: what counts for
// such snapshots is when the store has got them. What the last week held can be
// restored by its sequence; by a time it can be when the times lie ahead no more.
func TestPruneAfterAClockWasAhead(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	c := newCalendar()
	machine := &skewed{calendar: c}
	store := memstore.NewWithOptions(memstore.Options{Now: c.time})
	o, po := c.options()
	o.Now, po.Now = machine.time, machine.time
	a := openApp(t, dbPath(t))
	r := start(t, a, store, o)
	c.days(t, a, r, 3)

	machine.by.Store(int64(365 * 24 * time.Hour))
	var before int64
	is.NoErr(a.db.QueryRowContext(t.Context(), changelog.NewestSQL).Scan(&before))
	a.insert(5000, 5001)
	a.exec(`UPDATE _driftdb_log SET timestamp = ? WHERE sequence > ?`, machine.time().UnixMilli(), before)
	flush(t, r)
	is.NoErr(r.Snapshot(t.Context()))
	machine.by.Store(0)
	c.pass(time.Hour)
	a.exec(`DELETE FROM items WHERE id >= 5000`) // days counts on from the largest id

	all := c.days(t, a, r, 12)
	_, err := replicate.Prune(t.Context(), dbName, store, po)
	is.NoErr(err)
	stored := len(keys(t, store))
	all = append(all, c.days(t, a, r, 20)...)
	report, err := replicate.Prune(t.Context(), dbName, store, po)
	is.NoErr(err)
	is.True(report.Floor > before+100)
	is.True(len(keys(t, store)) <= stored+12) // not three weeks more
	restoreTo := func(ro replicate.RestoreOptions) (string, error) {
		path := filepath.Join(t.TempDir(), "r.sqlite")
		ro.Retry = fast().Retry
		_, err := replicate.Restore(t.Context(), dbName, store, path, ro)
		return path, err
	}
	for i, d := range all {
		age := c.time().Sub(d.at)
		if near := age - 7*24*time.Hour; near.Abs() > 24*time.Hour && i%11 != 0 {
			continue
		}
		path, err := restoreTo(replicate.RestoreOptions{Sequence: d.sequence})
		if age <= 7*24*time.Hour {
			is.NoErr(err)
		}
		if err == nil {
			is.Equal(cmp.Diff(d.rows, dump(t, path)), "")
		} else {
			is.True(errors.Is(err, replicate.ErrNoPoint))
		}
		_, err = restoreTo(replicate.RestoreOptions{At: d.at})
		is.True(errors.Is(err, replicate.ErrNoPoint)) // and no older state in its place
	}

	// An owner that was ahead when it wrote last has left its time in the manifest;
	// who prunes with a clock that is right is not kept from it.
	machine.by.Store(int64(365 * 24 * time.Hour))
	is.NoErr(r.Mark(t.Context(), "ahead"))
	is.NoErr(r.Unmark(t.Context(), "ahead"))
	_, err = replicate.Prune(t.Context(), dbName, store, po)
	is.True(err != nil)
	machine.by.Store(0)
	_, err = replicate.Prune(t.Context(), dbName, store, po)
	is.NoErr(err)

	c.pass(365 * 24 * time.Hour)
	all = c.days(t, a, r, 12)
	report, err = replicate.Prune(t.Context(), dbName, store, po)
	is.NoErr(err)
	is.True(report.Objects > 0)
	kept(t, c, store, all)
	shutdown(t, r)
	sameAsRestored(t, a, store)
}

// A machine whose clock was behind has dated its changes long before they were
// made. When the clock is right again they are as old as the store says, so that
// the window still has them; they are pruned when they have left it.
func TestPruneAfterAClockWasBehind(t *testing.T) {
	for name, tool := range map[string]bool{"replica": false, "tool": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			is := is.New(t)
			machine := newCalendar()
			right := func() time.Time { return machine.time().Add(365 * 24 * time.Hour) }
			store := memstore.NewWithOptions(memstore.Options{Now: right})
			o, po := machine.options()
			a := openApp(t, dbPath(t))
			r := start(t, a, store, o)
			all := machine.days(t, a, r, 6)
			shutdown(t, r)
			o.Now, po.Now, o.Retention.Disabled = right, right, false
			n := 5000
			prune := func() {
				machine.pass(25 * time.Hour)
				if tool {
					_, err := replicate.Prune(t.Context(), dbName, store, po)
					is.NoErr(err)
					return
				}
				r := start(t, a, store, o)
				r.PruneNow()
				for range 2 {
					a.insert(n, n)
					n++
					flush(t, r)
					r.WaitForPrune()
				}
				shutdown(t, r)
			}
			prune()
			is.Equal(manifest(t, store).Floor, int64(0))
			for _, d := range all {
				path := filepath.Join(t.TempDir(), "r.sqlite")
				_, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{Sequence: d.sequence, Retry: o.Retry})
				is.NoErr(err)
				is.Equal(cmp.Diff(d.rows, dump(t, path)), "")
			}

			machine.pass(9 * 24 * time.Hour)
			prune()
			is.True(manifest(t, store).Floor > 0)
			sameAsRestored(t, a, store)
		})
	}
}
