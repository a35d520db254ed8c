package replicate_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// A process that dies between any two steps of dropping and of closing the gap
// goes on with the same gap, or with another one: what was acknowledged is there,
// and the newest state comes back.
func TestResnapshotCrashes(t *testing.T) {
	of := []string{"dropped", "gap-sealed", "gap-closed"}
	for i, point := range append(of, points...) {
		for nth := 1; nth <= 2; nth++ {
			for _, takeOver := range []bool{false, true} {
				if i >= len(of) && takeOver != (nth == 1) {
					continue // of the other steps, one of each is enough
				}
				t.Run(fmt.Sprintf("%s-%d-%v", point, nth, takeOver), func(t *testing.T) {
					t.Parallel()
					is := is.New(t)
					o := resnapshot()
					o.TakeOver = takeOver
					w := newGapWorld(t, o)
					kill(t, w.r)
					w.store.Set(down)
					o.TakeOver = false
					w.r = newReplica(t, w.store, o)
					w.r.SetHook(crashAt(point, nth))
					is.NoErr(w.r.Start(t.Context(), w.path))
					crashed := false
					for i := 0; i < 4 && !crashed; i++ {
						w.insert(6+50*i, 55+50*i)
						if i == 3 {
							w.store.Set()
						}
						crashed = errors.Is(w.r.Flush(t.Context()), errCrash)
					}
					if !crashed {
						w.insert(300, 310)
						err := w.r.Snapshot(t.Context())
						is.True(err == nil || errors.Is(err, errCrash))
					}
					kill(t, w.r)
					w.store.Set()
					_, result := restore(t, w.store)
					is.True(result.Position.Sequence >= w.before.sequence)
					rows, err := w.restoreTo(replicate.RestoreOptions{Sequence: w.before.sequence})
					is.NoErr(err)
					is.Equal(rows, w.before.rows)

					o.TakeOver = takeOver
					w.r = start(t, w.app, w.store, o)
					w.insert(500, 502)
					flush(t, w.r)
					sameAsRestored(t, w.app, w.store)
					is.Equal(len(w.events.of(replicate.EventMovedAside)), 0)
					shutdown(t, w.r)
					is.True(manifest(t, w.store).Released)
				})
			}
		}
	}
}

// The answer to the write that records the gap is lost, for as long as one likes:
// nothing is shipped before it is known what became of it.
func TestResnapshotLostReplies(t *testing.T) {
	t.Parallel()
	for nth := 1; nth <= 4; nth++ {
		for _, kind := range []faultstore.Kind{faultstore.LostReply, faultstore.Error} {
			is := is.New(t)
			w := newGapWorld(t, resnapshot())
			w.outage()
			w.store.Set(faultstore.Rule{Op: faultstore.Put, Nth: nth, Times: 4, Kind: kind})
			err := w.r.Flush(t.Context())
			is.True(err == nil || errors.Is(err, faultstore.ErrInjected))
			w.insert(206, 210)
			w.store.Set()
			flush(t, w.r)
			sameAsRestored(t, w.app, w.store)
			b, err := replicate.ReadBackup(t.Context(), dbName, w.store, replicate.ReadOptions{})
			is.NoErr(err)
			is.Equal(len(b.Gaps), 1)
			is.Equal(b.Gaps[0].Before.Sequence, w.before.sequence)
			shutdown(t, w.r)
		}
	}
}

// A batch whose answer was lost, and which was dropped then, is no gap if it
// arrived; a restart with TakeOver does not take the file for a forked one.
func TestResnapshotAdoptsWhatArrived(t *testing.T) {
	t.Parallel()
	for _, takeOver := range []bool{false, true} {
		is := is.New(t)
		w := newGapWorld(t, resnapshot())
		w.insert(6, 15)
		w.store.Set(faultstore.Rule{Op: faultstore.Put, Key: "/logs/", Kind: faultstore.LostReply}, faultstore.Rule{Op: faultstore.Put, Nth: 2, Times: -1, Kind: faultstore.Error})
		arrived := w.state()
		is.True(w.r.Flush(t.Context()) != nil)
		w.before = arrived
		w.store.Set(down)
		w.insert(16, 205)
		is.True(w.r.Flush(t.Context()) != nil)
		is.True(w.r.Status().Dropped > arrived.sequence)
		kill(t, w.r)
		w.store.Set()
		o := resnapshot()
		o.TakeOver, o.Events = takeOver, w.events.add
		w.r = start(t, w.app, w.store, o)
		w.insert(206, 207)
		flush(t, w.r)
		is.Equal(len(w.events.of(replicate.EventMovedAside)), 0)
		sameAsRestored(t, w.app, w.store)
		rows, err := w.restoreTo(replicate.RestoreOptions{Sequence: arrived.sequence})
		is.NoErr(err)
		is.Equal(cmp.Diff(arrived.rows, rows), "")
		shutdown(t, w.r)
	}
}

// When everything is dropped before there is any backup, the backup begins with a
// snapshot: there is nothing that a gap could follow.
func TestResnapshotBeforeTheFirstClaim(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	w := &gapWorld{app: openApp(t, dbPath(t)), store: faultstore.New(memstore.New()), events: &recorder{}}
	w.store.Set(down)
	o := resnapshot()
	o.Events = w.events.add
	w.r = start(t, w.app, w.store, o)
	for i := range 5 {
		w.insert(100*i+1, 100*i+100)
		is.True(w.r.Flush(t.Context()) != nil)
	}
	is.True(w.r.Status().Dropped > 0)
	kill(t, w.r)
	w.r = start(t, w.app, w.store, o)
	w.store.Set()
	flush(t, w.r)
	sameAsRestored(t, w.app, w.store)
	w.insert(600, 601)
	shutdown(t, w.r)
	sameAsRestored(t, w.app, w.store)
	b, err := replicate.ReadBackup(t.Context(), dbName, w.store, replicate.ReadOptions{})
	is.NoErr(err)
	is.Equal(len(b.Gaps), 0)
}

// A lost manifest is made anew behind the gap; what lies before it is left out,
// and the report says so.
func TestRebuildOverGap(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	w := newGapWorld(t, resnapshot())
	w.outage()
	flush(t, w.r)
	w.insert(300, 301)
	flush(t, w.r)
	kill(t, w.r)
	is.NoErr(w.store.Delete(t.Context(), replicate.ManifestKey(dbName)))
	report, err := replicate.RebuildManifest(t.Context(), dbName, w.store, replicate.RebuildOptions{})
	is.NoErr(err)
	is.Equal(len(report.LeftOut), 1)
	is.Equal(report.LeftOut[0].To, w.before.sequence)
	sameAsRestored(t, w.app, w.store)
	w.r = start(t, w.app, w.store, resnapshot())
	w.insert(302, 303)
	shutdown(t, w.r)
	sameAsRestored(t, w.app, w.store)
}

// Random lives of a database whose store goes away again and again, with crashes
// at every step and answers that are lost. After each step the bucket gives back
// a state that the file has had, with everything that was acknowledged, and
// nothing from inside of a gap.
//
// DRIFTDB_LIVES sets the number of lives, DRIFTDB_SEED the first.
func TestResnapshotLives(t *testing.T) {
	n, seed := env("DRIFTDB_LIVES", 4), env("DRIFTDB_SEED", 1)
	for i := range n {
		t.Run(strconv.Itoa(seed+i), func(t *testing.T) {
			t.Parallel()
			w := &gapLife{t: t, rand: rand.New(rand.NewPCG(uint64(seed+i), 7)), states: map[int64]string{}}
			w.inner = memstore.New()
			w.store = faultstore.New(w.inner)
			w.app = openApp(t, dbPath(t))
			w.note("begins")
			for range 25 {
				w.step()
				w.check()
			}
			w.finish()
		})
	}
}

type gapLife struct {
	t      *testing.T
	rand   *rand.Rand
	inner  *memstore.Store // what is stored, whatever the network does
	store  *faultstore.Store
	app    *app
	r      *replicate.Replica // nil: no process
	row    int
	states map[int64]string // by sequence, at the end of transactions
	acked  int64
	log    []string
}

func (w *gapLife) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf(format, args...))
	w.states[w.newest()] = w.rows(w.app.path)
}

func (w *gapLife) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\nafter:\n  %s", fmt.Sprintf(format, args...), strings.Join(w.log, "\n  "))
}

func (w *gapLife) newest() (n int64) {
	if err := w.app.db.QueryRowContext(w.t.Context(), changelog.NewestSQL).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *gapLife) rows(path string) string { return fmt.Sprint(len(readRows(w.t, path))) }

func (w *gapLife) step() {
	if w.r == nil {
		w.start()
		return
	}
	switch w.rand.IntN(12) {
	case 0:
		w.note("crash")
		w.stop()
	case 1:
		err := w.r.Shutdown(w.t.Context())
		w.note("shutdown: %v", err)
		w.stop()
	case 2, 3:
		w.note("the store is away")
		w.store.Set(down)
	case 4, 5:
		w.note("the store is back")
		w.store.Set()
	case 6:
		kind := []faultstore.Kind{faultstore.LostReply, faultstore.Error}[w.rand.IntN(2)]
		rule := faultstore.Rule{Op: faultstore.Put, Nth: 1 + w.rand.IntN(4), Times: 1 + w.rand.IntN(3), Kind: kind}
		w.note("writes %d and %d more: %v", rule.Nth, rule.Times, kind)
		w.store.Set(rule)
	default:
		for range 1 + w.rand.IntN(60) {
			w.row++
			w.app.insert(w.row, w.row)
			w.states[w.newest()] = strconv.Itoa(w.row)
		}
		before := w.newest()
		ask := w.r.Flush
		if w.rand.IntN(5) == 0 {
			ask = w.r.Snapshot
		}
		err := ask(w.t.Context())
		w.note("wrote up to row %d, %d; dropped %d: %v", w.row, before, w.r.Status().Dropped, err)
		if err == nil {
			w.acked = before
		}
		if errors.Is(err, errCrash) {
			w.stop()
			return
		}
		w.named(err)
	}
}

func (w *gapLife) named(err error) {
	if err != nil && !errors.Is(err, faultstore.ErrInjected) && !errors.Is(err, errCrash) {
		w.fail("an error that must not be: %v", err)
	}
}

func (w *gapLife) start() {
	o := resnapshot()
	o.TakeOver = w.rand.IntN(4) == 0
	r := newReplica(w.t, w.store, o)
	r.SetCut(2+w.rand.IntN(20), 30)
	r.SetFan(3)
	crash := -1
	if w.rand.IntN(2) == 0 {
		crash = w.rand.IntN(60)
	}
	r.SetHook(func(string) error {
		if crash--; crash == -1 {
			return errCrash
		}
		return nil
	})
	err := r.Start(w.t.Context(), w.app.path)
	w.note("start (TakeOver %v): %v", o.TakeOver, err)
	w.named(err)
	w.r = r
	if err != nil {
		w.stop()
	}
}

func (w *gapLife) stop() {
	if err := w.r.Kill(); err != nil {
		w.fail("kill: %v", err)
	}
	w.r = nil
}

// check restores from what is stored, whatever the network does.
func (w *gapLife) check() {
	w.t.Helper()
	inner := w.inner
	path := filepath.Join(w.t.TempDir(), "check.sqlite")
	result, err := replicate.Restore(w.t.Context(), dbName, inner, path, replicate.RestoreOptions{Retry: fast().Retry})
	if err != nil {
		if w.acked > 0 || !errors.Is(err, replicate.ErrNoBackup) && !errors.Is(err, replicate.ErrNoRestorePoint) {
			w.fail("the bucket does not restore: %v", err)
		}
		return
	}
	at := result.Position.Sequence
	if rows, ok := w.states[at]; !ok || rows != w.rows(path) || at < w.acked {
		w.fail("restored to %d with %s rows; the file had %q there, and %d is acknowledged", at, w.rows(path), rows, w.acked)
	}
	b, err := replicate.ReadBackup(w.t.Context(), dbName, inner, replicate.ReadOptions{})
	if err != nil {
		w.fail("%v", err)
	}
	for _, g := range b.Gaps {
		for _, at := range []int64{g.Before.Sequence, g.Before.Sequence + 1, g.After.Sequence - 1, g.After.Sequence} {
			path := filepath.Join(w.t.TempDir(), "point.sqlite")
			_, err := replicate.Restore(w.t.Context(), dbName, inner, path, replicate.RestoreOptions{Sequence: at, Retry: fast().Retry})
			inside := at > g.Before.Sequence && at < g.After.Sequence
			none := at <= b.Floor.Sequence && errors.Is(err, replicate.ErrNoPoint) // the backup began later
			switch {
			case inside && !errors.Is(err, replicate.ErrGap), !inside && err != nil && !none:
				w.fail("restore to %d, gap %d-%d: %v", at, g.Before.Sequence, g.After.Sequence, err)
			case err == nil && w.rows(path) != w.states[at]:
				w.fail("restore to %d gives %s rows, the file had %s", at, w.rows(path), w.states[at])
			}
		}
	}
}

// finish heals everything: the file goes on, and then another machine.
func (w *gapLife) finish() {
	w.store.Set()
	if w.r != nil {
		w.stop()
	}
	o := resnapshot()
	w.r = newReplica(w.t, w.store, o)
	if err := w.r.Start(w.t.Context(), w.app.path); err != nil {
		w.fail("the last start: %v", err)
	}
	w.row++
	w.app.insert(w.row, w.row)
	if err := w.r.Shutdown(w.t.Context()); err != nil {
		w.fail("the last shutdown: %v", err)
	}
	sameAsRestored(w.t, w.app, w.store)
	for e, err := range replicate.ReadLog(w.t.Context(), dbName, w.store, replicate.LogOptions{Retry: o.Retry}) {
		if err != nil {
			w.fail("read the log: %v", err)
		}
		_ = e
	}
	report, err := replicate.Verify(w.t.Context(), dbName, w.store, replicate.VerifyOptions{Retry: o.Retry})
	if err != nil || !report.OK() {
		w.fail("verify: %v", err)
	}
	o.AutoRestore = true
	other := newReplica(w.t, w.store, o)
	path := dbPath(w.t)
	if err := other.Prepare(w.t.Context(), path); err != nil {
		w.fail("another machine: %v", err)
	}
	b := openApp(w.t, path)
	if err := other.Start(w.t.Context(), path); err != nil {
		w.fail("another machine: %v", err)
	}
	b.insert(w.row+1, w.row+2)
	shutdown(w.t, other)
	sameAsRestored(w.t, b, w.store)
}

// What was dropped before the first claim is not safe when a claim fails.
func TestResnapshotClaimFails(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	w := &gapWorld{app: openApp(t, dbPath(t)), store: faultstore.New(memstore.New())}
	w.store.Set(down)
	w.r = start(t, w.app, w.store, resnapshot())
	for i := range 5 {
		w.insert(100*i+1, 100*i+100)
		is.True(w.r.Flush(t.Context()) != nil)
	}
	is.True(w.r.Status().Dropped > 0)
	w.store.Set(faultstore.Always(faultstore.Put, "manifest", faultstore.Error))
	is.True(errors.Is(w.r.Flush(t.Context()), faultstore.ErrInjected))
	is.True(manifest(t, w.store) == nil)
	w.store.Set()
	flush(t, w.r)
	sameAsRestored(t, w.app, w.store)
}

// A first claim that arrives after the log was dropped on which it stands is gone
// on from.
func TestResnapshotLateFirstClaim(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	inner := memstore.New()
	w := &gapWorld{app: openApp(t, dbPath(t)), store: faultstore.New(inner)}
	w.r = start(t, w.app, w.store, resnapshot())
	w.store.Set(
		faultstore.Rule{Op: faultstore.Get, Nth: 2, Times: -1, Kind: faultstore.Error},
		faultstore.Rule{Op: faultstore.Put, Kind: faultstore.LostReply},
	)
	w.insert(1, 2)
	is.True(w.r.Flush(t.Context()) != nil)
	is.Equal(manifest(t, inner).Head, int64(0))
	late := get(t, inner, replicate.ManifestKey(dbName))
	is.NoErr(inner.Delete(t.Context(), replicate.ManifestKey(dbName)))
	w.store.Set(down)
	for i := range 5 {
		w.insert(100*i+11, 100*i+110)
		is.True(w.r.Flush(t.Context()) != nil)
	}
	is.True(w.r.Status().Dropped > 0)
	w.store.Set(faultstore.Always(faultstore.Put, "manifest", faultstore.Error))
	is.True(w.r.Flush(t.Context()) != nil)
	put(t, inner, replicate.ManifestKey(dbName), late)
	w.store.Set()
	flush(t, w.r)
	sameAsRestored(t, w.app, w.store)
}

// A part of a transaction that a gap has cut off is in no pack: a manifest that
// names one would be refused for ever.
func TestResnapshotCutsATransaction(t *testing.T) {
	for extra := range 3 { // what the part follows is packed already, or waits for a neighbour
		t.Run("", func(t *testing.T) {
			t.Parallel()
			cutTransaction(t, extra)
		})
	}
}

func cutTransaction(t *testing.T, extra int) {
	is := is.New(t)
	w := &gapWorld{app: openApp(t, dbPath(t)), store: faultstore.New(memstore.New())}
	w.r = newReplica(t, w.store, resnapshot())
	w.r.SetCut(2, 2)
	w.r.SetFan(2)
	is.NoErr(w.r.Prepare(t.Context(), w.path))
	is.NoErr(w.r.Start(t.Context(), w.path))
	for i := range extra {
		w.insert(1000+i, 1000+i)
	}
	flush(t, w.r)
	w.store.Set(faultstore.Rule{Op: faultstore.Put, Key: "/logs/", Nth: 2, Times: -1, Kind: faultstore.Error})
	w.bulk(2, 7) // its first part is stored

	is.True(w.r.Flush(t.Context()) != nil)
	w.store.Set(down)
	w.insert(10, 200)
	is.True(w.r.Flush(t.Context()) != nil)
	is.True(w.r.Status().Dropped > 0)
	w.store.Set()
	for i := 300; i < 306; i++ {
		w.insert(i, i)
		flush(t, w.r)
		w.r.WaitForPack()
	}
	shutdown(t, w.r)
	sameAsRestored(t, w.app, w.store)
}
