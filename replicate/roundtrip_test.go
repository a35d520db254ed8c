package replicate_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

func TestRoundTripLogsOnly(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprintf("DisableCompression=%v", plain), func(t *testing.T) {
			is := is.New(t)
			store := memstore.New()
			a := openApp(t, dbPath(t))
			o := fast()
			o.DisableCompression = plain
			r := start(t, a, store, o)
			a.insert(1, 20)
			a.exec(`UPDATE items SET n = NULL, name = 'ä "quoted" ' || char(0) || x'ff' WHERE id = 3`)
			a.exec(`UPDATE items SET id = 1000 WHERE id = 4`)
			a.exec(`DELETE FROM items WHERE id BETWEEN 5 AND 9`)
			a.exec(`INSERT INTO pairs VALUES ('a', 'b', 9007199254740993), ('a', 'c', 1e308), ('a', 'd', x'00ff'), ('b', 'b', 'text'), ('c', '', NULL)`)
			flush(t, r)
			result := sameAsRestored(t, a, store)
			is.Equal(result.Snapshot, int64(0))
			is.Equal(result.Position.Sequence, r.Status().Acknowledged)
			is.Equal(result.Tail, int64(0))
			is.Equal(result.NodeID, r.NodeID())
			shutdown(t, r)
			is.True(manifest(t, store).Released)
			for _, k := range keys(t, store) {
				is.Equal(strings.HasSuffix(k, ".gz"), !plain && k != replicate.ManifestKey(dbName))
			}
		})
	}
}

func TestSnapshotAndLogs(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprintf("DisableCompression=%v", plain), func(t *testing.T) {
			is := is.New(t)
			store := memstore.New()
			a := openApp(t, dbPath(t))
			o := fast()
			o.DisableCompression = plain
			r := start(t, a, store, o)
			a.insert(1, 50)
			a.bulk(100, 3000)
			is.NoErr(r.Snapshot(t.Context()))
			at := r.Status().Snapshot
			is.Equal(at, r.Status().Captured)
			a.insert(51, 60)
			a.exec(`DELETE FROM items WHERE id < 10`)
			flush(t, r)
			result := sameAsRestored(t, a, store)
			is.Equal(result.Snapshot, at)
			is.True(result.Entries <= 30) // only what follows the snapshot is replayed

			// Nothing changed since: no second one.
			a.exec(`DELETE FROM items WHERE id < 20`)
			is.NoErr(r.Snapshot(t.Context()))
			is.NoErr(r.Snapshot(t.Context()))
			is.Equal(len(manifest(t, store).Snapshots), 2)
			is.Equal(sameAsRestored(t, a, store).Entries, int64(0))
		})
	}
}

// What was uploaded and not yet acknowledged counts too.
func TestTailBeyondHead(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	a.insert(1, 5)
	r := start(t, a, store, fast())
	flush(t, r)
	kill(t, r)

	r = newReplica(t, store, fast())
	stop := errors.New("stop")
	r.SetHook(func(point string) error {
		if point == "acknowledging" {
			return stop
		}
		return nil
	})
	is.NoErr(r.Start(t.Context(), a.path))
	a.insert(6, 12)
	is.True(errors.Is(r.Flush(t.Context()), stop))
	kill(t, r)
	head := manifest(t, store).Head
	result := sameAsRestored(t, a, store)
	is.True(result.Tail > 0)
	is.Equal(result.Position.Sequence, head+result.Tail)
}

// A restored file goes on with the same sequences under its own node, and the
// result restores again.
func TestRestoredFileGoesOn(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 10)
	shutdown(t, r)

	for i := range 3 { // each on a machine of its own
		path, _ := restore(t, store)
		b := openApp(t, path)
		r := start(t, b, store, fast())
		b.insert(100*(i+1), 100*(i+1)+5)
		flush(t, r)
		is.NoErr(r.Snapshot(t.Context()))
		b.exec(`UPDATE items SET n = ?`, int64(i))
		shutdown(t, r)
		sameAsRestored(t, b, store)
	}
	is.Equal(manifest(t, store).Epoch, uint32(4))
}

func TestFlushDrainsManyBatches(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	for i := range 50 {
		a.bulk(i*500+1, (i+1)*500) // 25,000 rows
	}
	flush(t, r)
	m := r.Metrics()
	is.Equal(m.PendingChanges, int64(0))
	is.True(m.Batches >= 3)          // 10,000 entries each, at most
	is.True(m.ManifestWrites <= 3)   // claim, and one acknowledgement for all
	is.True(m.TotalSynced >= 25_000) // rows and marks
	is.Equal(r.Status().Acknowledged, r.Status().Captured)
	sameAsRestored(t, a, store)
}

// A unique conflict that another program solves with OR REPLACE removes a row
// that no trigger tells of.
func TestReplaceVictim(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	a.insert(1, 5)
	plain, err := sql.Open("sqlite3", "file:"+a.path) // none of our pragmas
	is.NoErr(err)
	_, err = plain.ExecContext(t.Context(), `INSERT OR REPLACE INTO items (id, name) VALUES (99, 'item 2')`)
	is.NoErr(err)
	_, err = plain.ExecContext(t.Context(), `UPDATE OR REPLACE items SET name = 'item 3' WHERE id = 1`)
	is.NoErr(err)
	is.NoErr(plain.Close())
	r := start(t, a, store, fast())
	flush(t, r)
	sameAsRestored(t, a, store)
	is.True(!strings.Contains(dump(t, a.path), "\nitem 2 "))
}

// A changed schema travels in the log: no snapshot, no other source.
func TestSchemaChangesFromLogsAlone(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 3)
	a.in(func(x changelog.Execer) error {
		ddl := []string{`CREATE INDEX items_n_idx ON items (n)`, `CREATE TABLE "odd ""name" (k TEXT PRIMARY KEY) STRICT`}
		for _, s := range ddl {
			if err := x.Exec(t.Context(), s); err != nil {
				return err
			}
		}
		text, err := changelog.SchemaEntry{Name: "second", SQL: ddl, Tables: []changelog.Layout{}}.JSON()
		if err != nil {
			return err
		}
		return x.Exec(t.Context(), changelog.SchemaSQL, text)
	})
	a.insert(4, 6)
	flush(t, r)
	sameAsRestored(t, a, store)
}

// A snapshot under a reader that holds an old state, and under a writer, has
// everything.
func TestSnapshotUnderReader(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	a.insert(1, 1)
	reader := sql.OpenDB(sqlite.Connector(a.path, sqlite.Reader))
	defer reader.Close() //nolint:errcheck // a reader
	tx, err := reader.BeginTx(t.Context(), nil)
	is.NoErr(err)
	var n int
	is.NoErr(tx.QueryRowContext(t.Context(), `SELECT count(*) FROM items`).Scan(&n))
	a.insert(2, 51)
	r := start(t, a, store, fast())
	is.NoErr(r.Snapshot(t.Context()))
	is.NoErr(tx.Rollback())
	is.Equal(sameAsRestored(t, a, store).Snapshot, r.Status().Captured)
}

func TestBadRestoreTargets(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	path := dbPath(t)
	_, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{})
	is.True(errors.Is(err, replicate.ErrNoBackup))
	is.True(!fileExists(t, path))

	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 3)
	flush(t, r)

	is.NoErr(os.WriteFile(path, []byte("precious"), 0o600))
	_, err = replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{})
	is.True(errors.Is(err, replicate.ErrExists))
	b, err := os.ReadFile(path)
	is.NoErr(err)
	is.Equal(string(b), "precious")

	_, err = replicate.Restore(t.Context(), dbName, store, filepath.Join(t.TempDir(), "no", "such", "dir.sqlite"), replicate.RestoreOptions{})
	is.True(err != nil)
	_, err = replicate.Restore(t.Context(), "No Name", store, dbPath(t), replicate.RestoreOptions{})
	is.True(err != nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = replicate.Restore(ctx, dbName, store, dbPath(t), replicate.RestoreOptions{})
	is.True(errors.Is(err, context.Canceled))
}

// A write-ahead log without its database would be played into the new file.
func TestLeftoverWALIsMovedAside(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 30)
	flush(t, r)
	wal, err := os.ReadFile(a.path + "-wal")
	is.NoErr(err)
	is.True(len(wal) > 0)
	a.exec(`UPDATE items SET n = 0`)
	flush(t, r)

	path := dbPath(t)
	is.NoErr(os.WriteFile(path+"-wal", wal, 0o600))
	_, err = replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{})
	is.NoErr(err)
	is.Equal(dump(t, path), dump(t, a.path))
	is.True(fileExists(t, path+"-wal.stale-*"))
}

func TestFileModes(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 3)
	flush(t, r)
	path, _ := restore(t, store)
	for p, want := range map[string]os.FileMode{
		path: 0o600, path + "-drift": 0o700, path + "-drift/lock": 0o600,
		a.path + "-drift": 0o700, a.path + "-drift/node.json": 0o600, a.path + "-drift/lock": 0o600,
	} {
		info, err := os.Stat(p)
		is.NoErr(err)
		is.Equal(info.Mode().Perm(), want)
	}
	left, err := os.ReadDir(path + "-drift")
	is.NoErr(err)
	for _, f := range left {
		is.True(!f.IsDir()) // no partial copies are left
	}
}
