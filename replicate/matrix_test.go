package replicate_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// fault is one column of the matrix: how a call goes wrong.
type fault struct {
	name string
	ops  []faultstore.Op
	rule faultstore.Rule
	// ends are the errors that a caller may see, as docs/reliability.md has
	// them; none: the engine gets over it alone. A Delete's are never seen.
	ends []string
}

var errStatus = map[int]error{
	403: errors.New("403 AccessDenied"), 404: errors.New("404 NoSuchBucket"), 500: errors.New("500 InternalError"), 503: errors.New("503 SlowDown"),
}

// faults are what servers and networks do. A storm lasts longer than one call of
// Flush or Restore has patience.
func faults() []fault {
	all := []faultstore.Op{faultstore.Get, faultstore.Put, faultstore.List, faultstore.Delete}
	get, put, list := all[:1], all[1:2], all[2:3]
	return []fault{
		{"500", all, faultstore.Rule{Kind: faultstore.Error, Err: errStatus[500]}, nil},
		{"503 storm", all, faultstore.Rule{Kind: faultstore.Error, Err: errStatus[503], Times: 7}, []string{"the store's own"}},
		{"timeout after success", all, faultstore.Rule{Kind: faultstore.LostReply}, nil},
		{"reset mid-body", get, faultstore.Rule{Kind: faultstore.Reset}, nil},
		{"short body", get, faultstore.Rule{Kind: faultstore.ShortBody}, nil},
		{"403", all, faultstore.Rule{Kind: faultstore.Permanent, Err: errStatus[403]}, []string{"PermanentError"}},
		{"404 bucket", all, faultstore.Rule{Kind: faultstore.Permanent, Err: errStatus[404]}, []string{"PermanentError"}},
		{"412", put, faultstore.Rule{Kind: faultstore.Precondition}, nil},
		{"stale list", list, faultstore.Rule{Kind: faultstore.StaleList}, []string{"ErrMissing", "ErrCorrupt"}},
		{"slow", all, faultstore.Rule{Kind: faultstore.Slow, Delay: 20 * time.Second}, nil},
		{"hang", all, faultstore.Rule{Kind: faultstore.Slow, Delay: 5 * time.Minute}, []string{"DeadlineExceeded"}}, // callers wait for one
	}
}

// Every operation of the store goes wrong in every way, at every call of a whole
// life of a backup, until a life has no such call left: each step ends in success
// or an error with a name, none is a false alarm, nothing acknowledged is lost,
// and everything converges. The life has batches, packs, parts, a point,
// snapshots, pruning, a verification, a reading of the log, restores, a crash
// and a take-over. Every run tries one call of each cell (of every fifth cell
// under the race detector), DRIFTDB_MATRIX=1 each call until a life is clean.
func TestFaultMatrix(t *testing.T) {
	t.Parallel()
	for i, f := range faults() {
		for _, op := range f.ops {
			stride := map[faultstore.Op]int{faultstore.Get: 31, faultstore.Put: 37, faultstore.List: 11, faultstore.Delete: 1}[op]
			sample := os.Getenv("DRIFTDB_MATRIX") == ""
			if !sample {
				stride = 1
			}
			if sample && raceDetector && (i+int(op))%5 != 0 {
				continue
			}
			t.Run(op.String()+" "+f.name, func(t *testing.T) {
				t.Parallel()
				seen := map[string]int{}
				lives := 0
				for nth := 1 + (7*i+int(op))%stride; ; nth += stride {
					if nth > 400 {
						t.Fatal("no clean life")
					}
					lives++
					l := &life{fault: f, op: op, nth: nth, seen: seen}
					synctest.Test(t, l.run)
					if t.Failed() {
						return
					}
					if l.fired == 0 || sample {
						break
					}
				}
				for name := range seen {
					if op == faultstore.Delete || !slices.Contains(f.ends, name) {
						t.Errorf("a caller saw %s", name)
					}
				}
				t.Logf("%d lives; errors seen: %v", lives, slices.Sorted(maps.Keys(seen)))
			})
		}
	}
}

// life is one pass.
type life struct {
	fault
	op   faultstore.Op
	nth  int
	seen map[string]int

	t     *testing.T
	store *faultstore.Store
	o     replicate.Options
	keys  replicate.Encryption
	acked int64
	fired int
}

func (l *life) run(t *testing.T) {
	l.t = t
	rule := l.rule
	rule.Op, rule.Nth = l.op, l.nth
	l.store = faultstore.New(memstore.New(), rule)
	l.o = fast()
	l.o.AutoRestore = true
	l.o.DisableCompression = l.nth%3 == 0
	l.o.Retention = replicate.Retention{Window: time.Hour, Snapshots: 1}
	if l.nth%2 == 0 {
		l.keys.Keys = []replicate.Key{replicate.NewKey()}
		l.o.Encryption = l.keys
	}
	path := filepath.Join(memoryDir(t), "app.sqlite")
	l.grow(path)
	want := l.comeBack(path)
	want = l.takeOver(want)
	got := l.restore("last restore")
	if !maps.Equal(got, want) {
		l.fatalf("the last restore has %d rows, not the %d of the file", len(got), len(want))
	}
	l.fired = l.store.Fired()
}

func (l *life) fatalf(format string, args ...any) {
	l.t.Helper()
	l.t.Fatalf("%v %s, call %d: %s", l.op, l.name, l.nth, fmt.Sprintf(format, args...))
}

// attempt does a step again until it succeeds, with a minute of patience each
// time, and looks at every error on the way.
func (l *life) attempt(what string, f func(ctx context.Context) error) {
	l.t.Helper()
	for try := 1; ; try++ {
		ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
		err := f(ctx)
		cancel()
		if err == nil {
			return
		}
		if l.store.Fired() == 0 {
			l.fatalf("%s failed without a fault: %v", what, err)
		}
		name := l.nameOf(err)
		if name == "" {
			l.fatalf("%s: a false alarm or an error without a name: %v", what, err)
		}
		l.seen[name]++
		if os.Getenv("DRIFTDB_MATRIX") == "2" {
			l.t.Logf("call %d: %s: %v", l.nth, what, err)
		}
		if try == 10 {
			l.fatalf("%s does not recover: %v", what, err)
		}
		if l.fault.name == "hang" {
			pass(5 * time.Minute)
		}
	}
}

// nameOf returns what a caller can tell an error by, "" for one that it must not
// be told here.
func (l *life) nameOf(err error) string {
	for _, never := range []error{
		replicate.ErrForked, replicate.ErrFenced, replicate.ErrBehind, replicate.ErrNoBackup, replicate.ErrNoRestorePoint, replicate.ErrOwned, replicate.ErrNoKey,
		replicate.ErrForeignManifest, replicate.ErrV1Manifest, replicate.ErrVersion, replicate.ErrLogDamaged, replicate.ErrNotSealed, replicate.ErrNotExist,
	} {
		if errors.Is(err, never) {
			return ""
		}
	}
	_, permanent := errors.AsType[*replicate.PermanentError](err)
	if permanent != (l.rule.Kind == faultstore.Permanent) {
		return ""
	}
	for name, known := range map[string]error{
		"the store's own": l.rule.Err, "ErrInjected": faultstore.ErrInjected, "ErrMissing": replicate.ErrMissing, "ErrCorrupt": replicate.ErrCorrupt,
		"DeadlineExceeded": context.DeadlineExceeded, "ErrPrecondition": replicate.ErrPrecondition, "ErrNoPoint": replicate.ErrNoPoint,
	} {
		if known != nil && errors.Is(err, known) {
			if permanent {
				name = "PermanentError"
			}
			return name
		}
	}
	for _, text := range []string{"broke off", "shows it unchanged", "then did not have it", "changed meanwhile", "changed while"} {
		if strings.Contains(err.Error(), text) {
			return "“" + text + "”"
		}
	}
	return ""
}

// begin prepares and starts a node on path.
func (l *life) begin(path string, o replicate.Options) (*app, *replicate.Replica) {
	l.t.Helper()
	r := newReplica(l.t, l.store, o)
	r.SetCut(0, 5)
	l.attempt("prepare", func(ctx context.Context) error { return r.Prepare(ctx, path) })
	a := openApp(l.t, path)
	if err := r.Start(l.t.Context(), path); err != nil {
		l.fatalf("start: %v", err)
	}
	return a, r
}

func (l *life) flush(r *replicate.Replica) {
	l.t.Helper()
	l.attempt("flush", r.Flush)
	s := r.Status()
	if s.Acknowledged != s.Captured || s.Acknowledged < l.acked {
		l.fatalf("flushed: %+v", s)
	}
	l.acked = s.Acknowledged
}

// restore restores to a new path, with a point in the middle of it all.
func (l *life) restore(what string) rows {
	l.t.Helper()
	path := filepath.Join(memoryDir(l.t), "restored.sqlite")
	l.attempt(what, func(ctx context.Context) error {
		result, err := replicate.Restore(ctx, dbName, l.store, path, replicate.RestoreOptions{Retry: l.o.Retry, Encryption: l.keys})
		if err == nil && result.Position.Sequence < l.acked {
			l.fatalf("%s: restored to %d, %d was acknowledged", what, result.Position.Sequence, l.acked)
		}
		if err != nil && fileExists(l.t, path) {
			l.fatalf("%s: a failed restore left a file", what)
		}
		return err
	})
	return readRows(l.t, path)
}

// grow is the first owner's life: batches, packs, parts, a point, snapshots, and
// 30 hours later pruning.
func (l *life) grow(path string) {
	a, r := l.begin(path, l.o)
	for i := range 17 {
		a.insert(i+1, i+1)
		l.flush(r)
		r.WaitForPack()
	}
	a.bulk(100, 112) // in parts
	var generation string
	if err := a.db.QueryRowContext(l.t.Context(), `SELECT value FROM _driftdb_meta WHERE key = 'generation'`).Scan(&generation); err != nil {
		l.fatalf("%v", err)
	}
	newest := l.newest(a)
	l.attempt("wait", func(ctx context.Context) error {
		return r.WaitDurable(ctx, changelog.Position{Generation: generation, Sequence: newest})
	})
	l.attempt("mark", func(ctx context.Context) error {
		err := r.Mark(ctx, "point")
		if errors.Is(err, replicate.ErrMarked) { // an earlier attempt's answer was lost
			return nil
		}
		return err
	})
	l.attempt("snapshot", r.Snapshot)
	a.insert(200, 203)
	l.flush(r)
	l.look()
	l.attempt("unmark", func(ctx context.Context) error {
		err := r.Unmark(ctx, "point")
		if errors.Is(err, replicate.ErrNoPoint) {
			return nil
		}
		return err
	})
	pass(30 * time.Hour)
	a.exec(`UPDATE items SET n = 5 WHERE id < 10`)
	l.attempt("snapshot", r.Snapshot)
	r.PruneNow()
	a.insert(204, 204)
	l.flush(r)
	r.WaitForPrune()
	l.flush(r)
	a.insert(205, 206) // not flushed: a crash
	kill(l.t, r)
	a.close()
}

func (l *life) newest(a *app) (n int64) {
	if err := a.db.QueryRowContext(l.t.Context(), changelog.NewestSQL).Scan(&n); err != nil {
		l.fatalf("%v", err)
	}
	return n
}

// look reads the backup in every way.
func (l *life) look() {
	l.attempt("verify", func(ctx context.Context) error {
		report, err := replicate.Verify(ctx, dbName, l.store, replicate.VerifyOptions{Dir: memoryDir(l.t), Retry: l.o.Retry, Encryption: l.keys})
		if err == nil && !report.OK() {
			l.fatalf("verify: %+v", report.Problems)
		}
		return err
	})
	l.attempt("read the log", func(ctx context.Context) error {
		last := int64(0)
		for entry, err := range replicate.ReadLog(ctx, dbName, l.store, replicate.LogOptions{Retry: l.o.Retry, Encryption: l.keys}) {
			if err != nil {
				return err
			}
			last = entry.Sequence
		}
		if last < l.acked-1 { // marks are no entries
			l.fatalf("the log ends at %d, %d was acknowledged", last, l.acked)
		}
		return nil
	})
	path := filepath.Join(memoryDir(l.t), "point.sqlite")
	l.attempt("restore to a point", func(ctx context.Context) error {
		_, err := replicate.Restore(ctx, dbName, l.store, path, replicate.RestoreOptions{Point: "point", Retry: l.o.Retry, Encryption: l.keys})
		return err
	})
	if n := len(readRows(l.t, path)); n != 17+13 {
		l.fatalf("the point has %d rows", n)
	}
}

// comeBack is the same node without its file.
func (l *life) comeBack(path string) rows {
	removeDatabase(l.t, path)
	a, r := l.begin(path, l.o)
	if at := l.newest(a); at < l.acked {
		l.fatalf("came back at %d, %d was acknowledged", at, l.acked)
	}
	a.insert(300, 302)
	l.flush(r)
	want := readRows(l.t, path)
	if got := l.restore("restore"); !maps.Equal(got, want) {
		l.fatalf("restored %d rows, not the %d of the file", len(got), len(want))
	}
	a.insert(303, 303) // not flushed
	kill(l.t, r)
	a.close()
	return want
}

// takeOver is another node that does not wait for the first one's release.
func (l *life) takeOver(want rows) rows {
	o := l.o
	o.TakeOver = true
	path := filepath.Join(memoryDir(l.t), "app.sqlite")
	a, r := l.begin(path, o)
	if got := readRows(l.t, path); !maps.Equal(got, want) {
		l.fatalf("took over %d rows, not %d", len(got), len(want))
	}
	a.insert(400, 402)
	l.flush(r)
	a.insert(403, 403)
	// One that fails leaves the rest in the file; the next start ships it.
	for {
		ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
		err := r.Shutdown(ctx)
		cancel()
		if err == nil {
			break
		}
		if l.store.Fired() == 0 || l.nameOf(err) == "" {
			l.fatalf("shutdown: %v", err)
		}
		l.seen[l.nameOf(err)]++
		r = newReplica(l.t, l.store, l.o)
		l.attempt("prepare", func(ctx context.Context) error { return r.Prepare(ctx, path) })
		if err := r.Start(l.t.Context(), path); err != nil {
			l.fatalf("start: %v", err)
		}
	}
	want = readRows(l.t, path)
	a.close()
	return want
}
