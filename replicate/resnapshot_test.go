package replicate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// resnapshot are options under which little log may wait.
func resnapshot() replicate.Options {
	o := fast()
	o.LogTail = 10
	o.Backlog = replicate.Backlog{Policy: replicate.BacklogResnapshot, Alarm: 2000, Bound: 8000}
	return o
}

// gapWorld is a database whose store was away for longer than its log could wait.
type gapWorld struct {
	*app
	store  *faultstore.Store
	r      *replicate.Replica
	events *recorder
	before state // the last one before the gap
	after  state // the first one behind it
}

// state is what a database was at one moment.
type state struct {
	sequence int64
	rows     string
}

func (w *gapWorld) state() (s state) {
	if err := w.db.QueryRowContext(w.t.Context(), changelog.NewestSQL).Scan(&s.sequence); err != nil {
		w.t.Fatal(err)
	}
	s.rows = dump(w.t, w.path)
	return s
}

func (w *gapWorld) logRows() (n int) {
	if err := w.db.QueryRowContext(w.t.Context(), `SELECT count(*) FROM _driftdb_log`).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// dated commits what f writes with the time ms in the log.
func (w *gapWorld) dated(ms int64, f func()) {
	w.t.Helper()
	before := w.state().sequence
	f()
	if _, err := w.db.ExecContext(w.t.Context(), `UPDATE _driftdb_log SET timestamp = ? WHERE sequence > ?`, ms, before); err != nil {
		w.t.Fatal(err)
	}
}

var down = faultstore.Always(faultstore.Any, "", faultstore.Error)

// outage writes the rows 6 to 205 while the store is away, so that much of the
// log goes.
func (w *gapWorld) outage() {
	w.t.Helper()
	is := is.New(w.t)
	w.store.Set(down)
	for i := 6; i <= 205; i += 20 {
		w.dated(2_000_000_000_000+int64(i), func() { w.insert(i, i+19) })
		is.True(errors.Is(w.r.Flush(w.t.Context()), faultstore.ErrInjected))
		is.True(w.logRows() <= 170) // what waits and what was written since it was looked at
	}
	is.True(w.r.Status().Dropped > w.before.sequence)
	w.store.Set()
}

func newGapWorld(t *testing.T, o replicate.Options) *gapWorld {
	t.Helper()
	w := &gapWorld{app: openApp(t, dbPath(t)), store: faultstore.New(memstore.New()), events: &recorder{}}
	o.Events = w.events.add
	w.r = start(t, w.app, w.store, o)
	w.dated(1_900_000_000_000, func() { w.insert(1, 5) })
	flush(t, w.r)
	w.before = w.state()
	return w
}

func (w *gapWorld) restoreTo(o replicate.RestoreOptions) (string, error) {
	path := filepath.Join(w.t.TempDir(), "r.sqlite")
	o.Retry = fast().Retry
	_, err := replicate.Restore(w.t.Context(), dbName, w.store, path, o)
	if err != nil {
		return "", err
	}
	return dump(w.t, path), nil
}

// While the store is away the log keeps to its bound; afterwards a snapshot
// stands for what was dropped. What is acknowledged is all there, on both sides of
// the gap, and what lies in it is refused by name.
func TestResnapshot(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	w := newGapWorld(t, resnapshot())
	w.outage()
	is.True(len(w.events.of(replicate.EventDropped)) > 1)
	is.True(w.r.Metrics().DroppedEntries > 100)
	flush(t, w.r)
	w.after = w.state()
	is.Equal(w.r.Status().Acknowledged, w.after.sequence)
	is.Equal(w.r.Status().Dropped, int64(0))
	is.Equal(w.r.Metrics().Gaps, int64(1))
	gaps := w.events.of(replicate.EventGap)
	is.Equal(len(gaps), 1)
	is.Equal(gaps[0].From, w.before.sequence+1)
	is.Equal(gaps[0].To, w.after.sequence)
	sameAsRestored(t, w.app, w.store)

	// Life goes on behind it, over a restart and on another machine.
	w.dated(2_100_000_000_000, func() { w.insert(300, 310) })
	flush(t, w.r)
	kill(t, w.r)
	w.r = start(t, w.app, w.store, resnapshot())
	w.dated(2_100_000_000_001, func() { w.insert(311, 312) })
	shutdown(t, w.r)
	o := resnapshot()
	o.AutoRestore = true
	other := newReplica(t, w.store, o)
	path := dbPath(t)
	is.NoErr(other.Prepare(t.Context(), path))
	b := openApp(t, path)
	is.NoErr(other.Start(t.Context(), path))
	b.insert(400, 401)
	shutdown(t, other)
	sameAsRestored(t, b, w.store)

	w.points(t)
	w.log(t)
	for _, o := range []replicate.VerifyOptions{{}, {Quick: true}, {Sample: 0.5}, {Sample: 1}} {
		o.Retry = fast().Retry
		report, err := replicate.Verify(t.Context(), dbName, w.store, o)
		is.NoErr(err)
		is.True(report.OK())
	}
	backup, err := replicate.ReadBackup(t.Context(), dbName, w.store, replicate.ReadOptions{})
	is.NoErr(err)
	is.Equal(len(backup.Gaps), 1)
	is.Equal(backup.Gaps[0].Before.Sequence, w.before.sequence)
	is.Equal(backup.Gaps[0].After.Sequence, w.after.sequence)
	is.Equal(backup.Gaps[0].Time.UnixMilli(), int64(2_000_000_000_006))
}

// points restores to every sequence around the gap, and to times.
func (w *gapWorld) points(t *testing.T) {
	is := is.New(t)
	check := func(o replicate.RestoreOptions, want *state) {
		t.Helper()
		rows, err := w.restoreTo(o)
		if want != nil {
			is.NoErr(err)
			is.Equal(cmp.Diff(want.rows, rows), "")
			return
		}
		is.True(errors.Is(err, replicate.ErrGap))
		is.True(errors.Is(err, replicate.ErrNoPoint))
		gap, ok := errors.AsType[*replicate.GapError](err)
		is.True(ok)
		is.Equal(gap.Before, w.before.sequence)
		is.Equal(gap.After, w.after.sequence)
		is.True(strings.Contains(err.Error(), fmt.Sprint(w.before.sequence)) && strings.Contains(err.Error(), fmt.Sprint(w.after.sequence)))
	}
	check(replicate.RestoreOptions{Sequence: w.before.sequence}, &w.before)
	check(replicate.RestoreOptions{Sequence: w.after.sequence}, &w.after)
	for _, n := range []int64{w.before.sequence + 1, (w.before.sequence + w.after.sequence) / 2, w.after.sequence - 1} {
		check(replicate.RestoreOptions{Sequence: n}, nil)
	}
	check(replicate.RestoreOptions{At: time.UnixMilli(1_900_000_000_000)}, &w.before)
	check(replicate.RestoreOptions{At: time.UnixMilli(2_000_000_000_005)}, &w.before)
	check(replicate.RestoreOptions{At: time.UnixMilli(2_000_000_000_006)}, nil)
	check(replicate.RestoreOptions{At: time.UnixMilli(2_000_000_000_185)}, nil)
	check(replicate.RestoreOptions{At: time.UnixMilli(2_000_000_000_186)}, &w.after)
	check(replicate.RestoreOptions{At: time.UnixMilli(2_099_000_000_000)}, &w.after)
}

// log reads the changes around the gap: it is told, not jumped over.
func (w *gapWorld) log(t *testing.T) {
	is := is.New(t)
	read := func(o replicate.LogOptions) (ops []string, err error) {
		for e, err := range replicate.ReadLog(t.Context(), dbName, w.store, o) {
			if err != nil {
				return ops, err
			}
			op := e.Operation
			if op == "gap" {
				op += fmt.Sprintf(" %d-%d", e.Gap.Before.Sequence, e.Gap.After.Sequence)
				is.Equal(e.Time.UnixMilli(), int64(2_000_000_000_006))
			}
			ops = append(ops, op)
		}
		return ops, nil
	}
	marker := fmt.Sprintf("gap %d-%d", w.before.sequence, w.after.sequence)
	before := []string{"schema", "insert", "insert", "insert", "insert", "insert"}
	behind := slices.Repeat([]string{"insert"}, 15)
	at := func(n int64) replicate.Moment { return replicate.Moment{Sequence: n} }

	ops, err := read(replicate.LogOptions{})
	is.NoErr(err)
	is.Equal(cmp.Diff(slices.Concat(before, []string{marker}, behind), ops), "")
	ops, err = read(replicate.LogOptions{To: at(w.before.sequence)})
	is.NoErr(err)
	is.Equal(cmp.Diff(before, ops), "")
	ops, err = read(replicate.LogOptions{From: at(w.before.sequence), To: at(w.after.sequence)})
	is.NoErr(err)
	is.Equal(cmp.Diff([]string{marker}, ops), "")
	ops, err = read(replicate.LogOptions{From: at(w.after.sequence)})
	is.NoErr(err)
	is.Equal(cmp.Diff(behind, ops), "")
	for _, o := range []replicate.LogOptions{{From: at(w.after.sequence - 1)}, {To: at(w.before.sequence + 1)}} {
		_, err = read(o)
		is.True(errors.Is(err, replicate.ErrGap))
	}
	_, err = replicate.Diff(t.Context(), dbName, w.store, replicate.LogOptions{From: at(w.before.sequence)})
	is.True(errors.Is(err, replicate.ErrGap))
	rows, err := replicate.Diff(t.Context(), dbName, w.store, replicate.LogOptions{From: at(w.after.sequence)})
	is.NoErr(err)
	is.Equal(len(rows), 15)
	var history []string
	for e, err := range replicate.History(t.Context(), dbName, w.store, "items", `{"id":3}`, replicate.LogOptions{}) {
		is.NoErr(err)
		history = append(history, e.Operation)
	}
	is.Equal(history, []string{"insert", "gap"})
}

// A row that was deleted before a gap does not come back as if nothing could have
// happened to it since, unless one says so.
func TestUndeleteAcrossGap(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	w := newGapWorld(t, resnapshot())
	w.exec(`DELETE FROM items WHERE id = 2`)
	flush(t, w.r)
	w.before = w.state()
	w.outage()
	flush(t, w.r)
	w.exec(`DELETE FROM items WHERE id = 100`)
	w.exec(`DELETE FROM items WHERE id = 3`)
	shutdown(t, w.r)
	undelete := func(id string, o replicate.UndeleteOptions) error {
		_, err := replicate.Undelete(t.Context(), dbName, w.store, w.path, "items", `{"id":`+id+`}`, o)
		return err
	}
	is.True(errors.Is(undelete("2", replicate.UndeleteOptions{}), replicate.ErrGap))
	is.NoErr(undelete("2", replicate.UndeleteOptions{To: replicate.Moment{Sequence: w.before.sequence}}))
	is.NoErr(undelete("3", replicate.UndeleteOptions{}))
	is.NoErr(undelete("100", replicate.UndeleteOptions{}))
	var n int
	is.NoErr(w.db.QueryRowContext(t.Context(), `SELECT count(*) FROM items WHERE id IN (2, 3, 100)`).Scan(&n))
	is.Equal(n, 3)
}

// A damaged snapshot at the end of a gap is an error, never the older state
// before the gap.
func TestDamagedSnapshotBehindGap(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	w := newGapWorld(t, resnapshot())
	is.NoErr(w.r.Snapshot(t.Context())) // one to fall back to
	w.outage()
	flush(t, w.r)
	w.after = w.state()
	snapshots := manifest(t, w.store).Snapshots
	is.Equal(len(snapshots), 2)
	whole := get(t, w.store, snapshots[1])
	put(t, w.store, snapshots[1], flip(whole, len(whole)/2))
	_, err := w.restoreTo(replicate.RestoreOptions{})
	is.True(errors.Is(err, replicate.ErrCorrupt))
	rows, err := w.restoreTo(replicate.RestoreOptions{Sequence: w.before.sequence})
	is.NoErr(err)
	is.Equal(rows, w.before.rows)
	report, err := replicate.Verify(t.Context(), dbName, w.store, replicate.VerifyOptions{Retry: fast().Retry})
	is.True(errors.Is(err, replicate.ErrCorrupt))
	is.True(!report.OK())
}

// Retention takes the gap away with what lies before it.
func TestPruneOverGap(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	c := newCalendar()
	w := &gapWorld{app: openApp(t, dbPath(t)), store: faultstore.New(memstore.NewWithOptions(memstore.Options{Now: c.time})), events: &recorder{}}
	o := resnapshot()
	o.Now, o.Events, o.Retention.Disabled = c.time, w.events.add, true
	w.r = start(t, w.app, w.store, o)
	w.insert(1, 5)
	flush(t, w.r)
	w.before = w.state()
	w.outage()
	flush(t, w.r)
	w.after = w.state()
	c.pass(20 * 24 * time.Hour)
	w.insert(300, 310)
	is.NoErr(w.r.Snapshot(t.Context()))
	w.insert(311, 312)
	is.NoErr(w.r.Snapshot(t.Context()))
	c.pass(20 * 24 * time.Hour)
	w.insert(313, 314)
	flush(t, w.r)
	_, err := replicate.Prune(t.Context(), dbName, w.store, replicate.PruneOptions{Now: c.time, Retry: fast().Retry, Retention: replicate.Retention{Snapshots: 3}})
	is.NoErr(err)
	backup, err := replicate.ReadBackup(t.Context(), dbName, w.store, replicate.ReadOptions{})
	is.NoErr(err)
	is.Equal(len(backup.Gaps), 0)
	is.Equal(backup.Floor.Sequence, w.after.sequence)
	_, err = w.restoreTo(replicate.RestoreOptions{Sequence: w.before.sequence})
	is.True(errors.Is(err, replicate.ErrNoPoint) && !errors.Is(err, replicate.ErrGap))
	rows, err := w.restoreTo(replicate.RestoreOptions{Sequence: w.after.sequence})
	is.NoErr(err)
	is.Equal(rows, w.after.rows)
	w.insert(320, 321)
	shutdown(t, w.r)
	sameAsRestored(t, w.app, w.store)
}

// The reader in another language knows gaps, too.
func TestReaderKnowsGaps(t *testing.T) {
	t.Parallel()
	python := python(t)
	is := is.New(t)
	w := newGapWorld(t, resnapshot())
	w.outage()
	flush(t, w.r)
	w.after = w.state()
	w.insert(300, 301)
	shutdown(t, w.r)
	dir := t.TempDir()
	for _, key := range keys(t, w.store) {
		path := filepath.Join(dir, filepath.FromSlash(key))
		is.NoErr(os.MkdirAll(filepath.Dir(path), 0o700))
		is.NoErr(os.WriteFile(path, get(t, w.store, key), 0o600))
	}
	read := func(at int64) (string, string) {
		out := filepath.Join(t.TempDir(), "out.sqlite")
		b, err := exec.CommandContext(t.Context(), python, "../docs/reader/driftread.py", dir, dbName, out, fmt.Sprint(at)).CombinedOutput()
		if err != nil {
			return "", string(b)
		}
		return triggerLines.ReplaceAllString(dump(t, out), ""), ""
	}
	for _, want := range []state{w.before, w.after, w.state()} {
		rows, text := read(want.sequence)
		is.Equal(text, "")
		is.Equal(cmp.Diff(triggerLines.ReplaceAllString(want.rows, ""), rows), "")
	}
	for _, at := range []int64{w.before.sequence + 1, w.after.sequence - 1} {
		_, text := read(at)
		is.True(strings.Contains(text, "gap"))
	}
}

// held is a store that stores no snapshot before it is let go.
type held struct {
	replicate.Store
	let chan struct{}
}

func (h held) Put(ctx context.Context, key string, body replicate.Body, cond replicate.Condition) (string, error) {
	if strings.Contains(key, "/snapshots/") {
		select {
		case <-h.let:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	return h.Store.Put(ctx, key, body, cond)
}

// The log keeps to its bound in the background, too: while the store is away, and
// while the snapshot that is to stand for the gap takes its time; what is dropped
// meanwhile is another gap.
func TestResnapshotInTheBackground(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		let := make(chan struct{})
		w := &gapWorld{app: openApp(t, dbPath(t)), events: &recorder{}}
		inner := held{memstore.New(), let}
		w.store = faultstore.New(inner)
		o := replicate.Options{LogTail: 10, Snapshot: replicate.SnapshotRule{Disabled: true}, Events: w.events.add}
		o.Backlog = resnapshot().Backlog
		w.r = start(t, w.app, w.store, o)
		w.insert(1, 5)
		flush(t, w.r)
		w.store.Set(down)
		row := 5
		write := func(rounds int) {
			for range rounds {
				w.insert(row+1, row+20)
				row += 20
				w.r.Notify()
				pass(2 * time.Second)
				is.True(w.logRows() <= 200)
			}
		}
		write(20)
		is.True(w.r.Status().Dropped > 0)
		w.store.Set()
		write(20)
		is.True(len(w.events.of(replicate.EventGap)) == 0)
		close(let)
		pass(time.Minute)
		is.True(len(w.events.of(replicate.EventGap)) == 2)
		is.Equal(w.r.Metrics().PendingChanges, int64(0))
		is.Equal(w.r.Status().Dropped, int64(0))
		write(3)
		flush(t, w.r)
		is.Equal(len(w.events.of(replicate.EventGap)), 2)
		sameAsRestored(t, w.app, w.store)
		shutdown(t, w.r)
		report, err := replicate.Verify(t.Context(), dbName, w.store, replicate.VerifyOptions{})
		is.NoErr(err)
		is.True(report.OK())
	})
}
