package replicate_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// A program that runs for a week and is looked at every hour: the clock of
// engine, bucket and triggers is synctest's, in steps of one second; the file is
// a real one. There are hours of steady writes and hours without any, outages
// of every kind, clean restarts, crashes, lost disks, snapshots, points and
// pruning. DRIFTDB_WEEK_DAYS=7 is the week, two days are the slice for every
// run; DRIFTDB_WEEK_SEED is another week.
func TestWeek(t *testing.T) {
	if _, err := os.Stat("/dev/shm"); err == nil {
		t.Setenv("TMPDIR", "/dev/shm") // what an fsync costs is not the question here
	}
	slice := 2
	if raceDetector {
		slice = 1
	}
	days, seed := number(t, "DRIFTDB_WEEK_DAYS", slice), number(t, "DRIFTDB_WEEK_SEED", 1)
	synctest.Test(t, func(t *testing.T) {
		w := newWeek(t, uint64(seed), days)
		for day := range days {
			w.today = day
			for hour := range 24 {
				w.hour(hour)
			}
			w.measure(day)
		}
		w.end()
	})
}

func number(t *testing.T, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q", name, text)
	}
	return n
}

// rows is the content of the tables: a line for each row, by its name.
type rows map[string]string

// change is what one transaction did; "" is a row that is gone.
type change struct {
	sequence int64
	rows     rows
}

// checkpoint is what the tables held at a time.
type checkpoint struct {
	at       time.Time
	sequence int64
	rows     rows
}

// flat is what must not grow from day to day.
type flat struct {
	goroutines, files, objects int
	heap, local, stored        int64
	oldest                     time.Duration // age of the oldest object
}

type week struct {
	t       *testing.T
	rng     *rand.Rand
	seed    uint64
	today   int
	busy    int // transactions in the hour of steady writes
	bucket  *memstore.Store
	store   *faultstore.Store
	events  *recorder
	a       *app
	r       *replicate.Replica
	release func() // ends an outage in which requests hang

	model       rows     // of the file
	base        rows     // of the last restore
	journal     []change // between the two
	checkpoints []checkpoint
	newest      int64 // sequence of the file
	acked       int64 // the highest that was reported

	outageEnds time.Time // zero: none
	days       []flat
	sums       struct {
		transactions, restores, past, outages, restarts, lost, snapshots, pruned, idle, busiest int
	}
}

func newWeek(t *testing.T, seed uint64, days int) *week {
	bucket := memstore.New()
	w := &week{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 7)), bucket: bucket, store: faultstore.New(bucket), events: &recorder{},
		model: rows{}, base: rows{}, busy: 3600,
	}
	if days < 7 {
		w.busy = 600
	}
	w.a = openAppWith(t, dbPath(t), w.ownClock)
	w.start()
	w.newest = w.sequence()
	return w
}

func (w *week) options() replicate.Options {
	return replicate.Options{
		AutoRestore: true, LogTail: 500, Events: w.events.add,
		Snapshot:  replicate.SnapshotRule{Every: 1000, MinLogRatio: 0.1},
		Retention: replicate.Retention{Window: 12 * time.Hour},
	}
}

// ownClock lets the triggers of the program tell synctest's time.
func (w *week) ownClock(a *app) {
	conn, err := a.db.Conn(w.t.Context())
	w.check(err)
	w.check(conn.Raw(func(c any) error {
		registers, ok := c.(interface {
			RegisterFunc(name string, impl any, pure bool) error
		})
		if !ok {
			return fmt.Errorf("%T registers no functions", c)
		}
		return registers.RegisterFunc("unixepoch", func(string) float64 { return float64(time.Now().UnixMilli()) / 1000 }, false)
	}))
	_, err = conn.ExecContext(w.t.Context(), "PRAGMA trusted_schema=ON")
	w.check(errors.Join(err, conn.Close()))
}

func (w *week) check(err error) {
	w.t.Helper()
	if err != nil {
		w.fatalf("%v", err)
	}
}

func (w *week) fatalf(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("seed %d, %s: %s", w.seed, time.Now().UTC().Format("Mon 15:04:05"), fmt.Sprintf(format, args...))
}

func (w *week) start() {
	w.r = newReplica(w.t, w.store, w.options())
	w.check(w.r.Prepare(w.t.Context(), w.a.path))
	w.check(w.r.Start(w.t.Context(), w.a.path))
}

func (w *week) sequence() (n int64) {
	w.check(w.a.db.QueryRowContext(w.t.Context(), changelog.NewestSQL).Scan(&n))
	return n
}

// writes says how many transactions an hour of the day has.
func (w *week) writes(hour int) int {
	busy := w.busy
	if w.today%3 > 0 { // two days in three are slow ones
		busy /= 4
	}
	switch hour {
	case 9:
		return busy
	case 10, 11, 14:
		return busy / 10
	case 20:
		return 3
	}
	return 0
}

// hour is one hour of 3600 ticks, and a look at everything behind it.
func (w *week) hour(hour int) {
	begins := time.Now()
	planned := w.plan(hour)
	writes := w.writes(hour)
	calm := len(planned) == 0 && w.outageEnds.IsZero()
	quiet := calm && writes == 0 && w.r.Metrics().PendingChanges == 0
	w.store.Forget()
	w.events.forget()
	must := int64(0)
	for second := range 3600 {
		<-time.After(time.Until(begins.Add(time.Duration(second+1) * time.Second)))
		if f := planned[second]; f != nil {
			f()
		}
		if !w.outageEnds.IsZero() && !time.Now().Before(w.outageEnds) {
			w.heal()
		}
		if second*writes/3600 != (second+1)*writes/3600 {
			w.write()
		}
		if second == 3584 {
			must = w.newest
		}
		if second == 120 && quiet {
			w.store.Forget() // what the last hour has left to acknowledge is done
		}
	}
	synctest.Wait()
	calls := w.store.Calls()
	w.sums.pruned += len(w.events.of(replicate.EventPruned))
	if quiet {
		w.sums.idle++
		if len(calls) > 0 {
			w.fatalf("%d requests in an idle hour: %v", len(calls), calls)
		}
	}
	if calm && writes > 0 {
		w.budget(calls)
	}
	if !calm {
		must = 0
	}
	w.compare(must)
	if hour%6 == 5 {
		w.comparePast()
	}
	w.checkpoints = append(w.checkpoints, checkpoint{at: time.Now(), sequence: w.newest, rows: maps.Clone(w.model)})
}

// budget holds an hour of writes without any trouble to what it may request.
func (w *week) budget(calls []faultstore.Call) {
	n := map[string]int{}
	for _, c := range calls {
		kind := c.Op.String()
		for _, part := range []string{"/logs/", "/packs/", "/snapshots/", "manifest.json"} {
			if strings.Contains(c.Key, part) {
				kind += " " + strings.Trim(part, "/")
			}
		}
		n[kind]++
	}
	w.sums.busiest = max(w.sums.busiest, len(calls))
	if len(w.events.of(replicate.EventClaimed)) > 0 {
		return // the first change after a restart: the claim reads and lists
	}
	snapshots, prunes := len(w.events.of(replicate.EventSnapshot)), n["list"]
	// A sixteenth of the batches, a sixteenth of that, and so on, and for each of
	// four sizes one that an hour before has begun.
	packs := n["put logs"]/15 + 4
	switch {
	case n["put logs"] > 3600, n["put manifest.json"] > 360+snapshots+prunes, n["put packs"] > packs, n["put snapshots"] > snapshots+1:
		w.fatalf("too many requests in an hour: %v", n)
	case prunes > 1, n["get logs"]+n["get packs"]+n["get snapshots"] > 0, n["get manifest.json"] > prunes:
		w.fatalf("an hour of writes reads from the bucket: %v", n)
	}
}

// plan draws what happens in an hour, and when.
func (w *week) plan(hour int) map[int]func() {
	planned := map[int]func(){}
	if hour == 9 && w.today%6 == 0 {
		return planned // a whole hour of steady writes without trouble
	}
	draw := func(chance int, f func()) {
		if w.rng.IntN(chance) == 0 {
			planned[w.rng.IntN(3600)] = f
		}
	}
	draw(10, w.outage)
	draw(12, w.cleanRestart)
	draw(12, w.crash)
	draw(40, w.lostDisk)
	draw(16, w.snapshot)
	draw(16, w.flush)
	if hour == 9 {
		draw(2, w.outage)
		draw(2, w.crash)
		draw(2, w.cleanRestart)
	}
	return planned
}

// write is one transaction of a few changes.
func (w *week) write() {
	c := change{rows: rows{}}
	w.a.in(func(x changelog.Execer) error {
		for range 1 + w.rng.IntN(3) {
			if err := w.one(x, c.rows); err != nil {
				return err
			}
		}
		return nil
	})
	c.sequence = w.sequence()
	w.newest = c.sequence
	w.journal = append(w.journal, c)
	apply(w.model, c.rows)
	w.sums.transactions++
	if w.rng.IntN(10) > 0 { // else it is another process's
		w.r.Notify()
	}
}

func (w *week) one(x changelog.Execer, to rows) error {
	ctx, v := w.t.Context(), w.rng.Int64N(1_000_000)
	id, pair := w.rng.Int64N(300), w.rng.Int64N(50)
	item, key := fmt.Sprintf("item %05d", id), fmt.Sprintf("k%02d", pair)
	switch w.rng.IntN(8) {
	case 0:
		to[item] = ""
		return x.Exec(ctx, `DELETE FROM items WHERE id = ?1`, id)
	case 1:
		to["pair "+key] = ""
		return x.Exec(ctx, `DELETE FROM pairs WHERE a = ?1 AND b = 'b'`, key)
	case 2, 3:
		to["pair "+key] = fmt.Sprintf("'%s' 'b' %d", key, v)
		return x.Exec(ctx, `INSERT OR REPLACE INTO pairs (a, b, v) VALUES (?1, 'b', ?2)`, key, v)
	default:
		data := make([]byte, 1+w.rng.IntN(60))
		for i := range data {
			data[i] = byte(w.rng.Uint32())
		}
		to[item] = fmt.Sprintf("'item %d/%d' %d %d.5 X'%X'", id, v, v, v, data)
		return x.Exec(ctx, `INSERT INTO items (id, name, n, x, data) VALUES (?1, ?2, ?3, ?4, ?5)
			ON CONFLICT (id) DO UPDATE SET name = excluded.name, n = excluded.n, x = excluded.x, data = excluded.data`,
			id, fmt.Sprintf("item %d/%d", id, v), v, float64(v)+0.5, data)
	}
}

func apply(to, changes rows) {
	for k, v := range changes {
		if v == "" {
			delete(to, k)
		} else {
			to[k] = v
		}
	}
}

// outage makes every request go wrong, in one way, for a while.
func (w *week) outage() {
	if !w.outageEnds.IsZero() {
		return
	}
	w.sums.outages++
	lasts := []time.Duration{20 * time.Second, 5 * time.Minute, time.Hour, 5 * time.Hour}[w.rng.IntN(4)]
	kinds := []faultstore.Kind{faultstore.Error, faultstore.LostReply, faultstore.Permanent, faultstore.Hang, faultstore.Precondition}
	rule := faultstore.Always(faultstore.Any, "", kinds[w.rng.IntN(len(kinds))])
	if rule.Kind == faultstore.Hang {
		release := make(chan struct{})
		rule.Release, w.release = release, func() { close(release) }
	}
	w.store.Set(rule)
	w.outageEnds = time.Now().Add(lasts)
}

func (w *week) heal() {
	w.store.Set()
	if w.release != nil {
		w.release()
		w.release = nil
	}
	w.outageEnds = time.Time{}
}

func (w *week) cleanRestart() {
	w.sums.restarts++
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	err := w.r.Shutdown(ctx)
	w.trouble(err)
	if err == nil && w.newest > 0 && w.outageEnds.IsZero() {
		if m := manifest(w.t, w.bucket); m != nil && m.Head != w.newest {
			w.fatalf("shut down with head %d, the file is at %d", m.Head, w.newest)
		}
	}
	w.start()
}

func (w *week) crash() {
	w.sums.restarts++
	w.acknowledged()
	kill(w.t, w.r)
	w.start()
}

// lostDisk is a crash after which the file is gone: what was not uploaded is
// lost, what was acknowledged is not.
func (w *week) lostDisk() {
	w.sums.lost++
	w.acknowledged()
	kill(w.t, w.r)
	w.a.close()
	removeDatabase(w.t, w.a.path)
	w.heal() // an unreachable bucket is no empty one: Prepare would say so
	w.r = newReplica(w.t, w.store, w.options())
	w.check(w.r.Prepare(w.t.Context(), w.a.path))
	w.a = openAppWith(w.t, w.a.path, w.ownClock)
	at := w.sequence()
	if at < w.acked {
		w.fatalf("the file came back at %d, %d was acknowledged", at, w.acked)
	}
	w.rebase(at)
	w.same("restored after a lost disk", w.a.path, w.base)
	w.model, w.journal, w.newest = maps.Clone(w.base), nil, at
	for i, c := range w.checkpoints {
		if c.sequence > at {
			w.checkpoints = w.checkpoints[:i]
			break
		}
	}
	w.check(w.r.Start(w.t.Context(), w.a.path))
}

func (w *week) snapshot() {
	w.sums.snapshots++
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	w.trouble(w.r.Snapshot(ctx))
}

func (w *week) flush() {
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	err := w.r.Flush(ctx)
	w.trouble(err)
	if err == nil && w.r.Status().Acknowledged < w.newest {
		w.fatalf("flushed to %d, the file is at %d", w.r.Status().Acknowledged, w.newest)
	}
}

// trouble accepts an error in an outage alone, or just behind one.
func (w *week) trouble(err error) {
	w.t.Helper()
	w.acknowledged()
	if err != nil && w.store.Fired() == 0 && w.r.Status().State != replicate.StateRetry {
		w.fatalf("without a fault: %v", err)
	}
	if errors.Is(err, replicate.ErrFenced) || errors.Is(err, replicate.ErrForked) {
		w.fatalf("false alarm: %v", err)
	}
}

// acknowledged keeps what was reported to be safe.
func (w *week) acknowledged() { w.acked = max(w.acked, w.r.Status().Acknowledged) }

// rebase moves base to what the tables held at a sequence.
func (w *week) rebase(at int64) {
	for len(w.journal) > 0 && w.journal[0].sequence <= at {
		apply(w.base, w.journal[0].rows)
		w.journal = w.journal[1:]
	}
}

// compare restores the newest state, which must reach at least to a sequence.
func (w *week) compare(must int64) {
	w.acknowledged()
	s := w.r.Status()
	if s.State == replicate.StateHalted {
		w.fatalf("halted: %v", s.LastError)
	}
	if s.Acknowledged < s.Captured && s.LastError == nil && w.outageEnds.IsZero() && s.State == replicate.StateIdle {
		w.fatalf("idle with %d of %d acknowledged", s.Acknowledged, s.Captured)
	}
	path := filepath.Join(w.t.TempDir(), "restored.sqlite")
	result, err := replicate.Restore(w.t.Context(), dbName, w.bucket, path, replicate.RestoreOptions{})
	if errors.Is(err, replicate.ErrNoBackup) && w.acked == 0 {
		return
	}
	w.check(err)
	at := result.Position.Sequence
	if at < w.acked {
		w.fatalf("restored to %d, %d was acknowledged", at, w.acked)
	}
	if at < must {
		w.fatalf("restored to %d, the file was at %d 15 s ago; %+v", at, must, s)
	}
	w.rebase(at)
	w.same("restored", path, w.base)
	w.sums.restores++
	w.check(os.RemoveAll(filepath.Dir(path)))
}

// comparePast restores to a time inside of the window.
func (w *week) comparePast() {
	oldest := time.Now().Add(-w.options().Retention.Window)
	var known []checkpoint
	for _, c := range w.checkpoints {
		if c.at.After(oldest) && c.sequence > 0 {
			known = append(known, c)
		}
	}
	w.checkpoints = known
	if len(known) == 0 {
		return
	}
	c := known[w.rng.IntN(len(known))]
	if c.sequence > w.acked {
		return
	}
	path := filepath.Join(w.t.TempDir(), "past.sqlite")
	result, err := replicate.Restore(w.t.Context(), dbName, w.bucket, path, replicate.RestoreOptions{At: c.at})
	w.check(err)
	if result.Position.Sequence != c.sequence {
		w.fatalf("restored to %d, at %v it was %d", result.Position.Sequence, c.at, c.sequence)
	}
	w.same("restored to "+c.at.String(), path, c.rows)
	w.sums.past++
	w.check(os.RemoveAll(filepath.Dir(path)))
}

func (w *week) same(what, path string, want rows) {
	w.t.Helper()
	got := readRows(w.t, path)
	if !maps.Equal(got, want) {
		w.fatalf("%s: rows differ (-model +file):\n%s", what, cmp.Diff(want, got))
	}
}

// measure notes at midnight what must stay flat.
func (w *week) measure(day int) {
	runtime.GC()
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	f := flat{goroutines: runtime.NumGoroutine(), heap: int64(mem.HeapAlloc), local: w.r.Metrics().DBSizeBytes}
	for info, err := range w.bucket.List(w.t.Context(), "", "") {
		w.check(err)
		f.objects++
		f.oldest = max(f.oldest, time.Since(info.Modified))
		f.stored += info.Size
	}
	f.heap -= f.stored
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		f.files = len(fds)
	}
	w.days = append(w.days, f)
	w.t.Logf("day %d: %d goroutines, %d open files, heap %d KiB beside the bucket, file %d KiB, %d objects of %d KiB, the oldest of %v",
		day+1, f.goroutines, f.files, f.heap>>10, f.local>>10, f.objects, f.stored>>10, f.oldest.Round(time.Hour))
}

func (w *week) end() {
	w.heal()
	pass(time.Minute)
	flush(w.t, w.r)
	w.compare(w.newest)
	claimed := w.r.Status().Epoch > 0
	shutdown(w.t, w.r)
	w.t.Logf("%+v", w.sums)
	if claimed && !manifest(w.t, w.bucket).Released {
		w.fatalf("the name was not released")
	}
	w.flat()
}

// flat compares the last days with the earlier ones: nothing grows.
func (w *week) flat() {
	if len(w.days) < 4 {
		return
	}
	most := w.days[1]
	for _, d := range w.days[:len(w.days)-1] {
		most = flat{
			goroutines: max(most.goroutines, d.goroutines), files: max(most.files, d.files),
			heap: max(most.heap, d.heap), local: max(most.local, d.local),
		}
	}
	last := w.days[len(w.days)-1]
	switch {
	case last.goroutines > most.goroutines+2, last.files > most.files+3:
		w.fatalf("%d goroutines and %d files at the end, %d and %d before", last.goroutines, last.files, most.goroutines, most.files)
	case last.heap > most.heap+4<<20:
		w.fatalf("the heap grew from %d to %d bytes", most.heap, last.heap)
	case last.local > most.local*3/2:
		w.fatalf("the local file grew from %d to %d bytes", most.local, last.local)
	case last.oldest > 96*time.Hour || w.sums.pruned == 0: // the window, a day of age, and a slow day without a snapshot
		w.fatalf("the oldest object is %v old", last.oldest)
	}
}
