package replicate_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// Each of these is a fault of the original DriftDB, by the number that it has in
// our list of them, and must not be one of ours. Faults of its queries and models
// (14 to 22) are tested in gen_test.

func TestV1Fault01RestoreIgnoresTheLogs(t *testing.T) {
	t.Parallel()
	for _, snapshot := range []bool{true, false} {
		is := is.New(t)
		store := memstore.New()
		a := openApp(t, dbPath(t))
		r := start(t, a, store, fast())
		a.insert(1, 10)
		if snapshot {
			is.NoErr(r.Snapshot(t.Context()))
		}
		a.insert(11, 20)
		flush(t, r)
		sameAsRestored(t, a, store)
	}
}

func TestV1Fault02OldLogsAreOverwritten(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 10)
	is.NoErr(r.Snapshot(t.Context()))
	a.insert(11, 20)
	flush(t, r)
	shutdown(t, r)
	before := map[string][]byte{}
	for _, k := range keys(t, store) {
		before[k] = get(t, store, k)
	}
	path, _ := restore(t, store)
	b := openApp(t, path)
	rb := start(t, b, store, fast())
	b.insert(100, 120)
	flush(t, rb)
	for k, was := range before {
		if k != replicate.ManifestKey(dbName) {
			is.Equal(get(t, store, k), was)
		}
	}
	sameAsRestored(t, b, store)
}

func TestV1Fault03AutoSnapshotHardlyEverFires(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	o := fast()
	o.Sync.Manual, o.Sync.Debounce = false, time.Millisecond
	o.Snapshot = replicate.SnapshotRule{Every: 1000, MinLogRatio: 0.001}
	a := openApp(t, dbPath(t))
	r := start(t, a, store, o)
	a.insert(1, 1)
	flush(t, r)
	for i := range 50 {
		a.bulk(100*i+2, 100*i+101)
	}
	flush(t, r)
	for deadline := time.Now().Add(20 * time.Second); r.Metrics().Snapshots == 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("no snapshot after 5001 entries")
		}
	}
	shutdown(t, r)
	is.True(len(manifest(t, store).Snapshots) > 0)
	sameAsRestored(t, a, store)
}

func TestV1Fault04AFailedReadErasesTheSnapshotPointer(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := faultstore.New(memstore.New())
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 10)
	is.NoErr(r.Snapshot(t.Context()))
	shutdown(t, r)
	want := manifest(t, store).Snapshots
	for _, kind := range []faultstore.Kind{faultstore.Permanent, faultstore.Error} {
		store.Set(faultstore.Rule{Op: faultstore.Get, Times: -1, Kind: kind})
		r := newReplica(t, store, fast())
		is.NoErr(r.Start(t.Context(), a.path))
		a.exec(`UPDATE items SET n = n + 1`)
		is.True(r.Flush(t.Context()) != nil)
		kill(t, r)
		o := fast()
		o.AutoRestore, o.NodeID = true, "other"
		fresh := newReplica(t, store, o)
		path := dbPath(t)
		is.True(fresh.Prepare(t.Context(), path) != nil)
		is.True(!fileExists(t, path)) // no empty database
		store.Set()
		is.Equal(manifest(t, store).Snapshots, want)
	}
}

func TestV1Fault05ManifestRace(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := &slowStore{Store: memstore.New()}
	o := fast()
	o.Sync.Manual, o.Sync.Debounce = false, time.Millisecond
	a := openApp(t, dbPath(t))
	r := start(t, a, store, o)
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	for range 3 {
		work.Go(func() {
			for ctx.Err() == nil {
				_ = r.Flush(ctx)
				_ = r.Snapshot(ctx)
			}
		})
	}
	head, snapshots := int64(0), 0
	for i := 0; i < 60 || snapshots == 0 && i < 2000; i++ {
		a.insert(i+1, i+1)
		m, err := replicate.ReadManifestView(t.Context(), store, dbName)
		is.NoErr(err)
		if m == nil {
			continue
		}
		is.True(m.Head >= head && len(m.Snapshots) >= snapshots)
		head, snapshots = m.Head, len(m.Snapshots)
	}
	stop()
	work.Wait()
	shutdown(t, r)
	is.True(len(manifest(t, store).Snapshots) > 0)
	sameAsRestored(t, a, store)
}

// slowStore takes up to 3 ms for a request.
type slowStore struct{ replicate.Store }

func (s *slowStore) Put(ctx context.Context, key string, b replicate.Body, c replicate.Condition) (string, error) {
	<-time.After(time.Duration(rand.IntN(3000)) * time.Microsecond)
	return s.Store.Put(ctx, key, b, c)
}

func TestV1Fault06KillDuringUploadStopsSync(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"sealed", "uploaded", "acknowledging"} {
		is := is.New(t)
		store := memstore.New()
		a := openApp(t, dbPath(t))
		r := newReplica(t, store, fast())
		r.SetHook(crashAt(point, 1))
		is.NoErr(r.Start(t.Context(), a.path))
		a.insert(1, 5)
		_ = r.Flush(t.Context())
		kill(t, r)
		a.insert(6, 9)
		r = start(t, a, store, fast())
		flush(t, r) // at once, not after five minutes
		is.Equal(r.Metrics().PendingChanges, int64(0))
		sameAsRestored(t, a, store)
	}
}

func TestV1Fault07RowAndEntryAreTwoTransactions(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	a := openApp(t, dbPath(t))
	a.exec(`CREATE TRIGGER refuse BEFORE INSERT ON _driftdb_log WHEN NEW."table" = 'items' BEGIN SELECT RAISE(ABORT, 'no entry'); END`)
	err := a.try(func(x changelog.Execer) error {
		return x.Exec(t.Context(), `INSERT INTO items (id, name) VALUES (1, 'x')`)
	})
	is.True(err != nil)
	is.True(!strings.Contains(dump(t, a.path), "item 1"))
}

func TestV1Fault08OneManifestForAllNodes(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a, b := openApp(t, dbPath(t)), openApp(t, dbPath(t))
	ra := start(t, a, store, fast())
	a.insert(1, 3)
	flush(t, ra)
	b.insert(7, 7)
	rb := newReplica(t, store, fast())
	err := rb.Start(t.Context(), b.path)
	if err == nil {
		err = rb.Flush(t.Context())
	}
	is.True(errors.Is(err, replicate.ErrOwned) || errors.Is(err, replicate.ErrForked))
	sameAsRestored(t, a, store)
}

func TestV1Fault09StaleWriteAheadLog(t *testing.T) { TestLeftoverWALIsMovedAside(t) }

func TestV1Fault10SnapshotUnderAReader(t *testing.T) { TestSnapshotUnderReader(t) }

func TestV1Fault11RestoreIsNotChecked(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	sound(t, store, fast())
	for _, k := range keys(t, store) {
		if strings.Contains(k, "/snapshots/") || strings.Contains(k, "/logs/") || strings.Contains(k, "/packs/") {
			put(t, store, k, []byte("\x1f\x8bgzip, it says"))
		}
	}
	path := filepath.Join(t.TempDir(), "x.sqlite")
	_, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{Retry: fast().Retry})
	is.True(errors.Is(err, replicate.ErrCorrupt))
	is.True(!fileExists(t, path))
}

func TestV1Fault12RawSQLIsNotLogged(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	if _, err := a.db.ExecContext(t.Context(), `INSERT INTO items (id, name) SELECT 5, 'raw' RETURNING id`); err != nil {
		t.Fatal(err)
	}
	flush(t, r)
	sameAsRestored(t, a, store)
}

func TestV1Fault13NameIsTrimmedHereAndNotThere(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	for _, name := range []string{" x ", "x ", "", "a/b", "..", "Ä"} {
		_, err := replicate.New(name, memstore.New(), replicate.Options{})
		is.True(err != nil)
		_, err = replicate.Restore(t.Context(), name, memstore.New(), dbPath(t), replicate.RestoreOptions{})
		is.True(err != nil && !errors.Is(err, replicate.ErrNoBackup))
	}
}

func TestV1Fault23FlushSendsOneBatch(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := newReplica(t, store, fast())
	r.SetCut(100, 100)
	is.NoErr(r.Start(t.Context(), a.path))
	a.insert(1, 250)
	flush(t, r)
	is.Equal(r.Metrics().PendingChanges, int64(0))
	is.True(r.Metrics().Batches >= 5)
}

func TestV1Fault24AShortProgramUploadsNothing(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := newReplica(t, store, replicate.Options{})
	is.NoErr(r.Start(t.Context(), a.path))
	a.insert(1, 1)
	is.NoErr(r.Close())
	sameAsRestored(t, a, store)
}

func TestV1Fault25TheLogGrowsForEver(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	o := fast()
	o.LogTail = 100
	a := openApp(t, dbPath(t))
	r := start(t, a, store, o)
	for i := range 60 {
		a.bulk(100*i+1, 100*i+100)
		flush(t, r)
	}
	shutdown(t, r)
	var rows, jobs int
	is.NoErr(a.db.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM _driftdb_log), (SELECT count(*) FROM _driftdb_queue)`).Scan(&rows, &jobs))
	is.True(rows <= 1300 && jobs <= 20)
}

func TestV1Fault26ASnapshotIsHeldInMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 40 MB")
	}
	is := is.New(t)
	store := &countedPuts{Store: memstore.New()}
	a := openApp(t, dbPath(t))
	blobs := int64(amount(40))
	a.exec(`INSERT INTO items (id, name, data) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i, CAST(i AS TEXT), randomblob(1000000) FROM n`, blobs)
	r := start(t, a, store, fast())
	var before, at runtime.MemStats
	store.begins = func() { // the store has the log by now
		runtime.GC()
		runtime.ReadMemStats(&before)
	}
	store.during = func() {
		if store.size%(8<<20) > 1<<20 {
			return
		}
		runtime.GC() // what is held, not what was thrown away
		runtime.ReadMemStats(&at)
		if grown := int64(at.HeapAlloc) - int64(before.HeapAlloc); grown > store.most {
			store.most = grown
		}
	}
	is.NoErr(r.Snapshot(t.Context()))
	t.Logf("at most %d MiB more", store.most>>20)
	is.True(store.size > blobs*1_000_000)
	is.True(store.most < int64(amount(24))<<20)
}

// countedPuts reads what is put, looks at the memory meanwhile, and keeps nothing
// that is large.
type countedPuts struct {
	replicate.Store

	begins, during func()
	size, most     int64
}

func (s *countedPuts) Put(ctx context.Context, key string, b replicate.Body, c replicate.Condition) (string, error) {
	if strings.Contains(key, "/logs/") {
		return "etag", nil // nobody reads it
	}
	if !strings.Contains(key, "/snapshots/") {
		return s.Store.Put(ctx, key, b, c)
	}
	s.begins()
	body, err := b.Open()
	if err != nil {
		return "", err
	}
	buf := make([]byte, 1<<20)
	for {
		n, err := body.Read(buf)
		s.size += int64(n)
		s.during()
		if err != nil {
			break
		}
	}
	return "etag", body.Close()
}

func TestV1Fault27ARestoredFileHasItsOwnJob(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	sound(t, store, fast())
	path, _ := restore(t, store)
	a := openApp(t, path)
	var unfinished int
	is.NoErr(a.db.QueryRowContext(t.Context(), `SELECT count(*) FROM _driftdb_queue WHERE status <> 'done'`).Scan(&unfinished))
	is.Equal(unfinished, 0)
	r := start(t, a, store, fast())
	is.NoErr(r.Snapshot(t.Context()))
}

func TestV1Fault28ATruncatedManifestBlocksForEver(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 3)
	flush(t, r)
	shutdown(t, r)
	whole := get(t, store, replicate.ManifestKey(dbName))
	put(t, store, replicate.ManifestKey(dbName), whole[:len(whole)/2])
	r = start(t, a, store, fast())
	a.insert(4, 6)
	is.True(errors.Is(r.Flush(t.Context()), replicate.ErrCorrupt)) // named, and nothing is written over
	put(t, store, replicate.ManifestKey(dbName), whole)
	flush(t, r)
	sameAsRestored(t, a, store)
}

func TestV1Fault29ABadKeyIsAccepted(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	for _, bad := range []string{"", "abc", strings.Repeat("ab", 31), strings.Repeat("zz", 32), strings.Repeat("ab", 33)} {
		_, err := replicate.ParseKey(bad)
		is.True(err != nil)
	}
	_, err := replicate.New(dbName, memstore.New(), replicate.Options{Encryption: replicate.Encryption{Keys: []replicate.Key{{}}}})
	is.True(err != nil)
}

func TestV1Fault30LogsCarryNoTables(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 3)
	shutdown(t, r)
	is.Equal(len(manifest(t, store).Snapshots), 0)
	is.Equal(sameAsRestored(t, a, store).Snapshot, int64(0))
}
