package replicate_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// oldData makes a file that held rows before its log began.
func oldData(t *testing.T, path string) *app {
	t.Helper()
	db := sql.OpenDB(sqlite.Connector(path, sqlite.Writer))
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, table := range tables() {
		if _, err := db.ExecContext(t.Context(), table.CreateSQL()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.ExecContext(t.Context(), `INSERT INTO items (id, name) VALUES (1, 'before the log'), (2, 'this one too')`); err != nil {
		t.Fatal(err)
	}
	a := openApp(t, path)
	a.in(func(x changelog.Execer) error {
		entry := changelog.SchemaEntry{Name: "open", Tables: []changelog.Layout{}}
		for _, table := range tables() {
			for _, tr := range table.TriggerSQL() {
				entry.SQL = append(entry.SQL, tr.SQL)
				if err := x.Exec(t.Context(), tr.SQL); err != nil {
					return err
				}
			}
		}
		text, err := entry.JSON()
		if err != nil {
			return err
		}
		return x.Exec(t.Context(), changelog.SchemaSQL, text)
	})
	return a
}

// A file that held data before is stored whole first; until then a restore says
// that there is nothing to restore, and never makes an empty database.
func TestFirstStartOnData(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	path := dbPath(t)
	a := oldData(t, path)
	a.insert(10, 12)
	down := errors.New("507")
	store := faultstore.New(memstore.New(), faultstore.Rule{Op: faultstore.Put, Key: "/snapshots/", Times: -1, Kind: faultstore.Error, Err: down})
	r := start(t, a, store, fast())
	a.insert(13, 14)
	is.True(errors.Is(r.Flush(t.Context()), down)) // not safe before it can be restored
	is.Equal(r.Status().Acknowledged, int64(0))
	is.Equal(r.Metrics().PendingChanges, r.Status().Captured)
	is.True(manifest(t, store).Floor > 0)
	to := dbPath(t)
	_, err := replicate.Restore(t.Context(), dbName, store, to, replicate.RestoreOptions{Retry: fast().Retry})
	is.True(errors.Is(err, replicate.ErrNoRestorePoint))
	is.True(!fileExists(t, to))
	o := fast()
	o.AutoRestore, o.TakeOver = true, true
	other := newReplica(t, store, o)
	is.True(errors.Is(other.Prepare(t.Context(), to), replicate.ErrNoRestorePoint))
	is.True(!fileExists(t, to))
	is.True(errors.Is(r.Shutdown(t.Context()), down)) // not released either
	is.True(!manifest(t, store).Released)

	// The need survives a restart without any new change.
	r = start(t, a, store, fast())
	store.Set()
	var floor string
	is.NoErr(a.db.QueryRowContext(t.Context(), `SELECT value FROM _driftdb_meta WHERE key = 'floor'`).Scan(&floor))
	flush(t, r)
	is.Equal(r.Status().Acknowledged, r.Status().Captured)
	is.Equal(len(manifest(t, store).Snapshots), 1)
	kill(t, r) // as if before the file knew that its first snapshot is stored
	a.exec(`UPDATE _driftdb_meta SET value = ? WHERE key = 'floor'`, floor)
	r = start(t, a, store, fast())
	flush(t, r)
	is.Equal(len(manifest(t, store).Snapshots), 1)
	sameAsRestored(t, a, store)
	a.insert(20, 22)
	shutdown(t, r)
	sameAsRestored(t, a, store)

	// From then on a start without changes asks for nothing, and looks once for
	// somebody who waits.
	before := store.Count(faultstore.Any)
	r = start(t, a, store, fast())
	shutdown(t, r)
	is.Equal(store.Count(faultstore.Any), before)
	r = start(t, a, store, fast())
	flush(t, r)
	shutdown(t, r)
	is.Equal(store.Count(faultstore.Any), before+1)
}

// A new bucket gets the whole database, whatever the old one acknowledged.
func TestNewBucket(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	a := openApp(t, dbPath(t))
	a.insert(1, 5)
	o := fast()
	o.LogTail = -1
	r := start(t, a, memstore.New(), o)
	shutdown(t, r)

	store := memstore.New()
	events := &recorder{}
	o.Events = events.add
	r = start(t, a, store, o)
	a.insert(6, 7)
	flush(t, r)
	is.Equal(len(events.of(replicate.EventRebased)), 1)
	sameAsRestored(t, a, store)
	a.insert(8, 9)
	shutdown(t, r)
	sameAsRestored(t, a, store)

	// A bucket whose manifest somebody deleted is no new one.
	is.NoErr(store.Delete(t.Context(), replicate.ManifestKey(dbName)))
	before := contents(t, store)
	r = start(t, a, store, o)
	a.insert(10, 11)
	is.True(errors.Is(r.Flush(t.Context()), replicate.ErrManifestLost))
	is.Equal(contents(t, store), before) // nothing was overwritten, or added
	is.Equal(len(events.of(replicate.EventRebased)), 1)
}

// The same file under another name is another chain.
func TestAnotherName(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	a.insert(1, 5)
	r := start(t, a, store, fast())
	shutdown(t, r)
	r, err := replicate.New("other", store, fast())
	is.NoErr(err)
	is.NoErr(r.Start(t.Context(), a.path))
	a.insert(6, 6)
	is.NoErr(r.Shutdown(t.Context()))
	path := dbPath(t)
	_, err = replicate.Restore(t.Context(), "other", store, path, replicate.RestoreOptions{})
	is.NoErr(err)
	is.Equal(dump(t, path), dump(t, a.path))
}

// The local log is pruned behind what is acknowledged, and a file whose log was
// pruned goes on.
func TestPrunedLog(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	o := fast()
	o.LogTail = 10
	r := start(t, a, store, o)
	rows := func() (n int) {
		is.NoErr(a.db.QueryRowContext(t.Context(), `SELECT count(*) FROM _driftdb_log`).Scan(&n))
		return n
	}
	a.insert(1, 50)
	is.True(rows() > 100)
	flush(t, r)
	is.Equal(rows(), 10)
	kill(t, r)
	a.insert(51, 70)
	r = start(t, a, store, o)
	flush(t, r)
	is.Equal(rows(), 10)
	sameAsRestored(t, a, store)
}

// A log that was changed behind our back stops shipping; what is stored stays
// good.
func TestDamagedLog(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := faultstore.New(memstore.New())
	a := openApp(t, dbPath(t))
	a.insert(1, 5)
	r := start(t, a, store, fast())
	flush(t, r)
	kill(t, r)
	want := dump(t, a.path)
	r = newReplica(t, store, fast())
	r.SetHook(crashAt("sealed", 1))
	is.NoErr(r.Start(t.Context(), a.path))
	a.insert(6, 9)
	is.True(errors.Is(r.Flush(t.Context()), errCrash))
	kill(t, r)
	a.exec(`UPDATE _driftdb_log SET data = replace(data, 'item 7', 'item 8') WHERE data LIKE '%item 7%'`)
	r = start(t, a, store, fast())
	err := r.Flush(t.Context())
	is.True(errors.Is(err, replicate.ErrLogDamaged))
	is.Equal(r.Status().State, replicate.StateHalted)
	path, _ := restore(t, store)
	is.Equal(dump(t, path), want)
}

func TestNotPrepared(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	path := dbPath(t)
	r := newReplica(t, store, fast())
	is.True(r.Start(t.Context(), path) != nil) // no file
	db := sql.OpenDB(sqlite.Connector(path, sqlite.Writer))
	_, err := db.ExecContext(t.Context(), `CREATE TABLE t (a)`)
	is.NoErr(errors.Join(err, db.Close()))
	is.True(errors.Is(r.Start(t.Context(), path), replicate.ErrNotPrepared))
	is.True(errors.Is(r.Flush(t.Context()), replicate.ErrClosed))
	is.NoErr(r.Shutdown(t.Context()))
	r.Notify()

	a := openApp(t, dbPath(t))
	is.NoErr(r.Prepare(t.Context(), a.path))
	is.True(r.Prepare(t.Context(), a.path) != nil)
	is.True(r.Start(t.Context(), path) != nil) // not the one that was prepared
	is.NoErr(r.Start(t.Context(), a.path))
	is.True(r.Start(t.Context(), a.path) != nil)
}

func TestDamagedNodeFile(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	a := openApp(t, dbPath(t))
	r := start(t, a, memstore.New(), fast())
	id := r.NodeID()
	is.Equal(len(id), 12)
	kill(t, r)
	r = start(t, a, memstore.New(), fast())
	is.Equal(r.NodeID(), id)
	kill(t, r)
	node := filepath.Join(a.path+"-drift", "node.json")
	for _, bad := range []string{"", "{", `{"version":2,"nodeId":"../x","databases":{}}`, `{"version":3,"nodeId":"x","databases":{}}`, `{"version":2,"nodeId":"x","more":1}`} {
		is.NoErr(os.WriteFile(node, []byte(bad), 0o600))
		r := newReplica(t, memstore.New(), fast())
		err := r.Start(context.Background(), a.path)
		is.True(err != nil)
		is.True(strings.Contains(err.Error(), "node.json"))
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	_, err := replicate.New("Bad Name", store, replicate.Options{NodeID: "../x", Retry: replicate.Retry{MaxAttempts: -1}, Sync: replicate.Sync{Interval: -1}})
	is.True(err != nil)
	for _, part := range []string{"Bad Name", "NodeID", "Retry.MaxAttempts", "Sync.Interval"} {
		is.True(strings.Contains(err.Error(), part)) // all of them at once
	}
	_, err = replicate.New("ok", nil, replicate.Options{})
	is.True(err != nil)
}

// What another bucket has acknowledged says nothing of this one.
func TestNewBucketCountsFromItsOwnBeginning(t *testing.T) {
	t.Parallel()
	first, second := memstore.New(), memstore.New()
	a := openApp(t, dbPath(t))
	a.insert(1, 20)
	r := start(t, a, first, fast())
	flush(t, r)
	shutdown(t, r)
	a.insert(21, 21)
	r = newReplica(t, second, fast())
	r.SetCut(5, 7)
	uploads := 0
	r.SetHook(func(p string) error {
		if p == "uploaded" {
			if uploads++; uploads == 2 {
				return errors.New("stop")
			}
		}
		return nil
	})
	if err := r.Start(t.Context(), a.path); err != nil {
		t.Fatal(err)
	}
	_ = r.Flush(t.Context())
	s := r.Status()
	m := manifest(t, second)
	if m != nil && s.Acknowledged > m.Head {
		t.Errorf("acknowledged %d, the manifest covers %d", s.Acknowledged, m.Head)
	}
}

// Two files that held data before, with as long a log, are two histories: one must
// not go on where the other one has ended.
func TestTwoBeginningsOnData(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	first, second := oldData(t, dbPath(t)), oldData(t, dbPath(t))
	first.insert(10, 10)
	second.insert(20, 20)
	r := start(t, first, store, fast())
	flush(t, r)
	is.NoErr(r.Shutdown(t.Context())) // handed over to whoever has this history
	held := dump(t, first.path)

	r = start(t, second, store, fast())
	second.insert(21, 21)
	err := r.Flush(t.Context())
	is.True(errors.Is(err, replicate.ErrForked))
	kill(t, r)

	to := dbPath(t)
	_, err = replicate.Restore(t.Context(), dbName, store, to, replicate.RestoreOptions{Retry: fast().Retry})
	is.NoErr(err)
	is.Equal(dump(t, to), held)
}

// A machine that is lost before its first snapshot is stored does not keep the name
// for ever: nobody was told that anything is safe, and whoever has a file can take
// over with it.
func TestTakeOverOfNothing(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	lost, mine := oldData(t, dbPath(t)), oldData(t, dbPath(t))
	lost.insert(10, 12)
	store := faultstore.New(memstore.New(), faultstore.Always(faultstore.Put, "/snapshots/", faultstore.Error))
	r := start(t, lost, store, fast())
	is.True(r.Flush(t.Context()) != nil)
	is.True(manifest(t, store).Head > 0)
	kill(t, r)

	store.Set()
	r = start(t, mine, store, fast())
	mine.insert(20, 22)
	_, owned := errors.AsType[*replicate.OwnedError](r.Flush(t.Context()))
	is.True(owned) // it may still come back
	kill(t, r)
	o := fast()
	o.TakeOver = true
	events := &recorder{}
	o.Events = events.add
	r = start(t, mine, store, o)
	flush(t, r)
	is.Equal(len(events.of(replicate.EventRebased)), 1)
	sameAsRestored(t, mine, store)
	shutdown(t, r)
	r = start(t, mine, store, o)
	mine.insert(23, 24)
	shutdown(t, r)
	sameAsRestored(t, mine, store)

	r = start(t, lost, store, fast())
	lost.insert(13, 13)
	is.True(errors.Is(r.Flush(t.Context()), replicate.ErrForked))
	kill(t, r)
}
