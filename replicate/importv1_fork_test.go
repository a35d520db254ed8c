package replicate_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// v1World is a bucket of the original, its machines and their one clock.
type v1World struct {
	t     *testing.T
	clock int64 // Unix milliseconds
	store *memstore.Store
}

func newV1World(t *testing.T) *v1World {
	w := &v1World{t: t, clock: 1_795_000_000_000}
	w.store = memstore.NewWithOptions(memstore.Options{Now: func() time.Time { return time.UnixMilli(w.clock) }})
	return w
}

func (w *v1World) app() *v1App { return newV1(w.t, w.store, "app") }

// write makes n entries, a second apart, the same ones in every app.
func (w *v1World) write(what string, n int, apps ...*v1App) {
	for i := range n {
		w.clock += 1000
		for _, a := range apps {
			a.now = w.clock
			a.insert(fmt.Sprint(what, i), 1)
		}
	}
}

// sync uploads what is not uploaded, in batches of three.
func (w *v1World) sync(a *v1App) {
	w.clock += 2000
	a.sync(3, len(a.entries))
}

func (w *v1World) snap(a *v1App) {
	w.clock += 1000
	a.snap()
}

// later is a pause, such as between a crash and a restore.
func (w *v1World) later(d time.Duration) { w.clock += d.Milliseconds() }

func batchKey(from, to int) string {
	return fmt.Sprintf("databases/app/nodes/9a1c40445b46/logs/%012d-%012d.json", from, to)
}

// redated is a store whose objects have other times than those of their upload.
type redated struct {
	replicate.Store
	modified func(n int, was time.Time) time.Time // of the n-th object in the order of keys
}

func (s redated) List(ctx context.Context, prefix, after string) iter.Seq2[replicate.Info, error] {
	return func(yield func(replicate.Info, error) bool) {
		n := 0
		for info, err := range s.Store.List(ctx, prefix, after) {
			info.Modified = s.modified(n, info.Modified)
			n++
			if !yield(info, err) {
				return
			}
		}
	}
}

// v1Times are what became of the objects' times.
var v1Times = map[string]func(end time.Time) func(int, time.Time) time.Time{
	"of the upload": func(time.Time) func(int, time.Time) time.Time {
		return func(_ int, was time.Time) time.Time { return was }
	},
	"of the upload, in seconds": func(time.Time) func(int, time.Time) time.Time {
		return func(_ int, was time.Time) time.Time { return was.Truncate(time.Second) }
	},
	"none": func(time.Time) func(int, time.Time) time.Time {
		return func(int, time.Time) time.Time { return time.Time{} }
	},
	"copied in order": func(end time.Time) func(int, time.Time) time.Time {
		return func(n int, _ time.Time) time.Time { return end.Add(time.Duration(n) * time.Second) }
	},
	"copied in any order": func(end time.Time) func(int, time.Time) time.Time {
		return func(n int, _ time.Time) time.Time { return end.Add(time.Duration(n*7%5) * time.Second) }
	},
}

// comesBackAs imports and compares with the original's file.
func (w *v1World) comesBackAs(t *testing.T, a *v1App, times string, o replicate.ImportV1Options) replicate.ImportV1Report {
	t.Helper()
	store := redated{w.store, v1Times[times](time.UnixMilli(w.clock).Add(24 * time.Hour))}
	path := filepath.Join(t.TempDir(), "new.sqlite")
	o.Schema, o.Retry = strings.Split(v1Tables, ";\n"), fast().Retry
	report, err := replicate.ImportV1(t.Context(), "app", store, path, o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v1Rows(t, a.path), v1Rows(t, path)); diff != "" {
		t.Fatalf("not what it was (- original, + imported):\n%s\n%+v", diff, report)
	}
	return report
}

// Fault 2: a restored machine has written over batches, key for key. What stands
// behind them is of the history that it has replaced, whatever the store's times
// are worth, and is left out by name.
func TestImportV1Overwritten(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make   func(w *v1World) *v1App // the history that counts
		forked []string
	}{
		"batches": {func(w *v1World) *v1App {
			a, b := w.two()
			w.write("a", 6, a)
			w.sync(a)
			w.later(time.Hour)
			w.write("b", 3, b)
			w.sync(b)
			return b
		}, []string{batchKey(8, 10)}},
		"batches, at once": {func(w *v1World) *v1App {
			a, b := w.two()
			w.write("a", 6, a)
			w.sync(a)
			w.write("b", 3, b)
			w.sync(b)
			return b
		}, []string{batchKey(8, 10)}},
		"batches, and a snapshot behind them": {func(w *v1World) *v1App {
			a, b := w.two()
			w.write("a", 6, a)
			w.sync(a)
			w.later(time.Hour)
			w.write("b", 3, b)
			w.sync(b)
			w.snap(b)
			return b
		}, []string{batchKey(8, 10)}},
		"a snapshot behind a batch, and a batch more": {func(w *v1World) *v1App {
			a, b := w.two()
			w.write("a", 9, a)
			w.sync(a)
			w.write("b", 3, b)
			w.sync(b)
			w.snap(b)
			w.write("b+", 3, b)
			w.sync(b)
			return b
		}, []string{batchKey(11, 13)}},
		"a snapshot, and no batch": {func(w *v1World) *v1App {
			a, b := w.two()
			w.write("a", 6, a)
			w.sync(a)
			w.later(time.Minute)
			w.write("b", 2, b)
			w.snap(b)
			return b
		}, []string{batchKey(5, 7), batchKey(8, 10)}},
		"a snapshot where an old batch ends": {func(w *v1World) *v1App {
			a, b := w.two()
			w.write("a", 6, a)
			w.sync(a)
			w.later(time.Minute)
			w.write("b", 3, b)
			w.snap(b)
			return b
		}, []string{batchKey(8, 10)}},
		"a snapshot, and batches of two histories behind it": {func(w *v1World) *v1App {
			m := w.restored(3)
			a, b, c := m[0], m[1], m[2]
			w.write("a", 6, a)
			w.sync(a)
			w.later(time.Minute)
			w.write("b", 5, b)
			w.sync(b) // 5-7 again, 8-9 beside 8-10
			w.later(time.Minute)
			w.write("c", 3, c)
			w.sync(c)
			w.snap(c)
			return c
		}, []string{batchKey(8, 9), batchKey(8, 10)}},
		"three generations": {func(w *v1World) *v1App {
			m := w.restored(3)
			a, b, c := m[0], m[1], m[2]
			w.write("a", 9, a)
			w.sync(a)
			w.later(time.Minute)
			w.write("b", 6, b)
			w.sync(b)
			w.later(time.Minute)
			w.write("c", 3, c)
			w.sync(c)
			return c
		}, []string{batchKey(8, 10), batchKey(11, 13)}},
		"batches in the middle": {func(w *v1World) *v1App {
			a, b := w.two()
			w.write("both", 3, a, b)
			w.sync(a)
			w.write("a", 6, a)
			w.sync(a)
			w.later(time.Minute)
			b.uploaded = 7
			w.write("b", 3, b)
			w.sync(b)
			return b
		}, []string{batchKey(11, 13)}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newV1World(t)
			counts := c.make(w)
			for times := range v1Times {
				t.Run(times, func(t *testing.T) {
					is := is.New(t)
					report := w.comesBackAs(t, counts, times, replicate.ImportV1Options{})
					is.Equal(cmp.Diff(c.forked, report.Forked), "")
					is.Equal(report.Last, int64(len(counts.entries)))
				})
			}
		})
	}
}

// restored makes a machine with four entries and a snapshot, and others that are
// restored from it.
func (w *v1World) restored(machines int) (all []*v1App) {
	for range machines {
		all = append(all, w.app())
	}
	w.write("first", 4, all...)
	all[0].sync(4, 4)
	w.snap(all[0])
	for _, b := range all[1:] {
		b.become(4, all[0])
	}
	return all
}

func (w *v1World) two() (a, b *v1App) {
	all := w.restored(2)
	return all[0], all[1]
}

// One history stays whole where batches were stored out of order, or a clock ran
// backwards, and where both happened without having to do with each other.
func TestImportV1NotOverwritten(t *testing.T) {
	t.Parallel()
	again := func(w *v1World, key string) { put(w.t, w.store, key, get(w.t, w.store, key)) }
	original := []string{"of the upload", "of the upload, in seconds"}
	for name, c := range map[string]struct {
		make  func(w *v1World, a *v1App)
		times []string // all, if none
	}{
		"in order": {make: func(w *v1World, a *v1App) {
			w.write("a", 6, a)
			w.sync(a)
		}},
		"stored again": {make: func(w *v1World, a *v1App) {
			w.write("a", 9, a)
			w.sync(a)
			w.later(time.Second)
			again(w, batchKey(8, 10))
			w.later(time.Second)
			again(w, batchKey(5, 7))
		}},
		"one millisecond": {make: func(w *v1World, a *v1App) {
			for i := range 9 {
				a.insert(fmt.Sprint("a", i), 1)
			}
			w.sync(a)
			w.later(time.Second)
			again(w, batchKey(5, 7))
		}},
		"days late": {make: func(w *v1World, a *v1App) {
			w.write("a", 9, a)
			w.later(72 * time.Hour)
			w.sync(a)
			w.later(time.Second)
			again(w, batchKey(5, 7))
		}},
		"a snapshot that was stored for long": {make: func(w *v1World, a *v1App) {
			w.write("a", 6, a)
			w.sync(a)
			w.later(time.Minute)
			again(w, a.snapshot)
		}},
		"a clock an hour behind for a batch": {make: func(w *v1World, a *v1App) {
			w.write("a", 3, a)
			w.sync(a)
			now := w.clock
			w.clock -= 3_600_000
			w.write("behind", 3, a)
			w.clock = now
			w.sync(a)
			w.write("right", 3, a)
			w.sync(a)
		}},
		"a clock an hour behind from the snapshot on": {make: func(w *v1World, a *v1App) {
			now := w.clock
			w.clock -= 3_600_000
			w.write("behind", 3, a)
			w.clock = now
			w.sync(a)
			w.write("right", 3, a)
			w.sync(a)
		}},
		"an entry that waited for a lock, and a batch stored again": {make: func(w *v1World, a *v1App) {
			w.write("a", 3, a)
			w.sync(a)
			w.clock -= 2000 // the entry was begun before the last of the other process
			a.now = w.clock - 1000
			a.insert("waited", 1)
			w.sync(a)
			w.write("b", 3, a)
			w.sync(a)
			again(w, batchKey(5, 7))
		}},
		"a clock behind to the end": {make: func(w *v1World, a *v1App) {
			w.write("a", 3, a)
			w.sync(a)
			now := w.clock
			w.clock -= 600_000
			w.write("behind", 3, a)
			w.clock = now + 5000
			w.sync(a)
		}, times: original},
		"a clock ahead at first": {make: func(w *v1World, a *v1App) {
			now := w.clock
			w.clock += 7_200_000
			w.write("ahead", 3, a)
			w.clock = now + 5000
			w.sync(a)
			w.write("right", 6, a)
			w.sync(a)
		}, times: original},
	} {
		t.Run(name, func(t *testing.T) {
			w := newV1World(t)
			a := w.restored(1)[0]
			c.make(w, a)
			for times := range v1Times {
				if c.times != nil && !slices.Contains(c.times, times) {
					continue
				}
				t.Run(times, func(t *testing.T) {
					is := is.New(t)
					report := w.comesBackAs(t, a, times, replicate.ImportV1Options{})
					is.Equal(len(report.Forked), 0)
					is.Equal(report.Last, int64(len(a.entries)))
				})
			}
		})
	}
}

// Where the history that was written last goes on from entries that another one
// has overwritten, and the snapshot behind these is gone, there is nothing whole
// beyond them: an error says so, and how far the import can go.
func TestImportV1OverwrittenBefore(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	w := newV1World(t)
	a, b := w.two()
	w.write("a", 6, a)
	w.sync(a)
	w.later(time.Hour)
	w.write("b", 3, b)
	w.sync(b)
	w.later(time.Hour)
	w.write("c", 3, a) // goes on from a snapshot of its own at 10
	w.sync(a)
	o := replicate.ImportV1Options{Retry: fast().Retry}
	path := filepath.Join(t.TempDir(), "new.sqlite")
	_, err := replicate.ImportV1(t.Context(), "app", w.store, path, o)
	is.True(errors.Is(err, replicate.ErrMissing))
	is.True(strings.Contains(err.Error(), batchKey(8, 10)) && strings.Contains(err.Error(), "Through: 7"))
	is.True(!fileExists(t, path))
	o.Through = 7
	report := w.comesBackAs(t, b, "of the upload", o)
	is.Equal(report.Last, int64(7))

	// With the snapshot it comes back.
	w.later(time.Minute)
	w.snap(a)
	w.comesBackAs(t, a, "of the upload", replicate.ImportV1Options{})
}

// A snapshot of a history that was replaced is not taken together with the batches
// that were written over its own: an older one is.
func TestImportV1ReplacedSnapshot(t *testing.T) {
	t.Parallel()
	for _, batches := range []int{6, 9} { // up to the snapshot, and beyond it
		is := is.New(t)
		w := newV1World(t)
		a, b := w.two()
		first := a.snapshot
		w.write("a", 6, a)
		w.sync(a)
		w.snap(a)
		replaced := a.snapshot
		w.later(time.Hour)
		w.write("b", batches, b) // the manifest had lost the pointer to it
		w.sync(b)
		is.NoErr(w.store.Delete(t.Context(), "databases/app/manifest.json"))
		report := w.comesBackAs(t, b, "of the upload", replicate.ImportV1Options{})
		is.Equal(report.SnapshotKey, first)
		is.Equal(report.SkippedSnapshots, []string{replaced})
		is.Equal(len(report.Forked), 0)
	}
}
