package replicate_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/filestore"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// The figures of docs/performance.md, printed by make bench-replication. They are
// measured, not asserted: machines are noisy.
func figures(t *testing.T) {
	t.Helper()
	if os.Getenv("DRIFTDB_FIGURES") == "" {
		t.Skip("make bench-replication measures")
	}
}

// far is a store 30 ms away.
type far struct {
	replicate.Store

	puts, batches atomic.Int64
	bytes         atomic.Int64
}

func (s *far) Put(ctx context.Context, key string, b replicate.Body, c replicate.Condition) (string, error) {
	<-time.After(30 * time.Millisecond)
	s.puts.Add(1)
	if strings.Contains(key, "/logs/") {
		s.batches.Add(1)
		s.bytes.Add(b.Size)
	}
	return s.Store.Put(ctx, key, b, c)
}

func percentile(all []time.Duration, p float64) time.Duration {
	slices.Sort(all)
	return all[min(int(p*float64(len(all))), len(all)-1)].Round(time.Millisecond / 10)
}

// lags commits n times with a pause and returns how long each took to be uploaded.
func lags(t *testing.T, n int, pause, debounce time.Duration) (all []time.Duration, batches int64) {
	t.Helper()
	is := is.New(t)
	store := &far{Store: memstore.New()}
	var mu sync.Mutex
	committed := map[int64]time.Time{} // by the sequence of the mark
	o := replicate.Options{Sync: replicate.Sync{Debounce: debounce}, Snapshot: replicate.SnapshotRule{Disabled: true}}
	o.Events = func(e replicate.Event) {
		if e.Kind != replicate.EventUploaded {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for seq, at := range committed {
			if seq <= e.To {
				all = append(all, time.Since(at))
				delete(committed, seq)
			}
		}
	}
	a := openApp(t, dbPath(t))
	r := start(t, a, store, o)
	flush(t, r)
	before := store.batches.Load()
	for i := range n {
		a.insert(i+1, i+1)
		var seq int64
		is.NoErr(a.db.QueryRowContext(t.Context(), changelog.NewestSQL).Scan(&seq))
		mu.Lock()
		committed[seq] = time.Now()
		mu.Unlock()
		r.Notify()
		<-time.After(pause)
	}
	flush(t, r)
	batches = store.batches.Load() - before
	shutdown(t, r)
	mu.Lock()
	defer mu.Unlock()
	return all, batches
}

func TestFigureLag(t *testing.T) {
	figures(t)
	sporadic, _ := lags(t, 15, 1500*time.Millisecond, 0)
	fmt.Printf("lag, sporadic commits, 30 ms PUT: p50 %v, max %v\n", percentile(sporadic, 0.5), percentile(sporadic, 1))
	steady, puts := lags(t, 500, 20*time.Millisecond, 0)
	fmt.Printf("lag, 50 commits/s: p50 %v, p99 %v, %d PUT in %d s\n", percentile(steady, 0.5), percentile(steady, 0.99), puts, 10)
}

func TestFigureWaitDurable(t *testing.T) {
	figures(t)
	is := is.New(t)
	store := &far{Store: memstore.New()}
	a := openApp(t, dbPath(t))
	r := start(t, a, store, replicate.Options{Snapshot: replicate.SnapshotRule{Disabled: true}})
	flush(t, r)
	position := func() (p replicate.Position) {
		var generation string
		is.NoErr(a.db.QueryRowContext(t.Context(), `SELECT (SELECT value FROM _driftdb_meta WHERE key = 'generation'), (`+changelog.NewestSQL+`)`).Scan(&generation, &p.Sequence))
		p.Generation = generation
		return p
	}
	var one []time.Duration
	for i := range 20 {
		a.insert(i+1, i+1)
		began := time.Now()
		is.NoErr(r.WaitDurable(t.Context(), position()))
		one = append(one, time.Since(began))
	}
	fmt.Printf("WaitDurable, one writer, 30 ms PUT: p50 %v, max %v\n", percentile(one, 0.5), percentile(one, 1))
	before, began := store.batches.Load(), time.Now()
	var mu sync.Mutex // the test's program has one writing connection
	var writers sync.WaitGroup
	for w := range 100 {
		writers.Go(func() {
			for i := range 10 {
				mu.Lock()
				id := 1000 + w*10 + i
				a.insert(id, id)
				p := position()
				mu.Unlock()
				is.NoErr(r.WaitDurable(t.Context(), p))
			}
		})
	}
	writers.Wait()
	n := store.batches.Load() - before
	fmt.Printf("WaitDurable, 100 writers: 1000 commits in %d batch PUTs (%.0f each), %v\n", n, 1000/float64(n), time.Since(began).Round(time.Millisecond))
	shutdown(t, r)
}

func TestFigureBytesPerChange(t *testing.T) {
	figures(t)
	for _, kind := range []string{"append-only, 50 in a batch", "updates of rows with random UUIDs, 50 in a batch", "one transaction in a batch"} {
		store := &far{Store: memstore.New()}
		a := openApp(t, dbPath(t))
		r := start(t, a, store, fast())
		a.in(func(x changelog.Execer) error {
			return x.Exec(t.Context(), `INSERT INTO pairs WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT hex(randomblob(16)), 'x', i FROM n`)
		})
		flush(t, r)
		before, n := store.bytes.Load(), 0
		for batch := range 20 {
			switch kind[0] {
			case 'a':
				a.bulk(batch*50+1, batch*50+50)
				n += 50
			case 'u':
				for range 50 {
					a.exec(`UPDATE pairs SET v = v + 1 WHERE rowid = 1 + abs(random()) % 5000`)
				}
				n += 50
			default:
				a.insert(batch+1, batch+1)
				n++
			}
			flush(t, r)
		}
		fmt.Printf("bytes per change, %s: %d B\n", kind, (store.bytes.Load()-before)/int64(n))
		shutdown(t, r)
	}
}

func TestFigureRestore(t *testing.T) {
	figures(t)
	is := is.New(t)
	store, err := filestore.New(t.TempDir(), filestore.Options{NoSync: true})
	is.NoErr(err)
	a := openApp(t, dbPath(t))
	for i := range 10 {
		a.in(func(x changelog.Execer) error {
			return x.Exec(t.Context(), fmt.Sprintf(`INSERT INTO items (id, name, n, x, data) WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d)
SELECT i, 'item number ' || i, i * 7, i / 3.0, CAST(printf('%%0300d', i * 7919) AS BLOB) FROM n`, i*50_000, i*50_000+49_999))
		})
	}
	r := start(t, a, store, fast())
	began := time.Now()
	is.NoErr(r.Snapshot(t.Context()))
	took := time.Since(began)
	b, err := replicate.ReadBackup(t.Context(), dbName, store, replicate.ReadOptions{})
	is.NoErr(err)
	size := float64(b.Snapshots[0].Length) / 1e6
	fmt.Printf("first upload of a database of %.0f MB with its log: %v; the snapshot is stored as %.0f MB\n", size, took.Round(time.Millisecond), float64(b.Snapshots[0].StoredSize)/1e6)
	result, err := replicate.Restore(t.Context(), dbName, store, filepath.Join(t.TempDir(), "r.sqlite"), replicate.RestoreOptions{})
	is.NoErr(err)
	fmt.Printf("restore from the snapshot, quick_check included: %.0f MB/s\n", size/result.Duration.Seconds())
	began = time.Now()
	report, err := replicate.Verify(t.Context(), dbName, store, replicate.VerifyOptions{Quick: true, NoTrial: true})
	is.NoErr(err)
	fmt.Printf("verify the snapshot, hashes only: %.0f MB/s of the database, %.0f MB/s stored\n", size/time.Since(began).Seconds(), float64(report.Bytes)/1e6/time.Since(began).Seconds())
	result, err = replicate.Restore(t.Context(), dbName, store, filepath.Join(t.TempDir(), "r.sqlite"), replicate.RestoreOptions{Sequence: b.Head.Sequence - 1})
	is.NoErr(err)
	fmt.Printf("restore from logs: %d entries, %.0f a second\n", result.Entries, float64(result.Entries)/result.Duration.Seconds())
	shutdown(t, r)
	is.NoErr(store.Close())
}

// A day of a batch a second, no snapshot among them.
func TestFigureDay(t *testing.T) {
	figures(t)
	is := is.New(t)
	store := faultstore.New(memstore.New())
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	for i := range 86_400 {
		a.insert(i+1, i+1)
		flush(t, r)
		if i%64 == 0 {
			r.WaitForPack()
		}
	}
	for range 20 {
		flush(t, r)
		r.WaitForPack()
	}
	puts := store.Count(faultstore.Put)
	gets, lists := store.Count(faultstore.Get), store.Count(faultstore.List)
	result, err := replicate.Restore(t.Context(), dbName, store, filepath.Join(t.TempDir(), "r.sqlite"), replicate.RestoreOptions{})
	is.NoErr(err)
	most := store.Count(faultstore.Get) - gets
	fmt.Printf("a day of 86,400 batches without a snapshot: %d PUT in all, restored with %d GET and %d LIST in %v, %.0f entries a second\n",
		puts, most, store.Count(faultstore.List)-lists, result.Duration.Round(time.Millisecond), float64(result.Entries)/result.Duration.Seconds())
	shutdown(t, r)
}
