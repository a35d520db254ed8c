package replicate_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const dbName = "bank"

// tables are what the tests write to: every storage class, a unique column, a
// composite key.
func tables() []schema.Table {
	return []schema.Table{
		{
			Name: "items", Key: []string{"id"},
			Columns: []schema.Column{
				{Name: "id", Type: schema.Integer, NotNull: true},
				{Name: "name", Type: schema.Text, NotNull: true},
				{Name: "n", Type: schema.Integer},
				{Name: "x", Type: schema.Real},
				{Name: "data", Type: schema.Blob},
			},
			Indexes: []schema.Index{{Name: "items_name_key", Columns: []string{"name"}, Unique: true}},
		},
		{
			Name: "pairs", Key: []string{"a", "b"},
			Columns: []schema.Column{
				{Name: "a", Type: schema.Text, NotNull: true},
				{Name: "b", Type: schema.Text, NotNull: true},
				{Name: "v", Type: schema.Any},
			},
		},
	}
}

// app is a program that writes to a database file and ends each of its
// transactions with a mark.
type app struct {
	t    testing.TB
	path string
	db   *sql.DB
}

// openApp opens the file, and makes it with tables, triggers and a schema entry
// if it is new.
func openApp(t testing.TB, path string) *app {
	t.Helper()
	return openAppWith(t, path, func(*app) {})
}

// openAppWith lets setUp do something with the connection before anything is
// written.
func openAppWith(t testing.TB, path string, setUp func(*app)) *app {
	t.Helper()
	db := sql.OpenDB(sqlite.Connector(path, sqlite.Writer))
	db.SetMaxOpenConns(1)
	a := &app{t: t, path: path, db: db}
	t.Cleanup(a.close)
	setUp(a)
	a.in(func(x changelog.Execer) error {
		if err := changelog.Init(t.Context(), x); err != nil {
			return err
		}
		row, err := x.QueryRow(t.Context(), `SELECT count(*) FROM sqlite_schema WHERE name = 'items'`)
		if err != nil || row[0] != int64(0) {
			return err
		}
		return makeTables(t.Context(), x)
	})
	return a
}

func makeTables(ctx context.Context, x changelog.Execer) error {
	entry := changelog.SchemaEntry{Name: "open"}
	for _, table := range tables() {
		entry.SQL = append(entry.SQL, table.CreateSQL())
		for _, ix := range table.Indexes {
			entry.SQL = append(entry.SQL, ix.SQL(table.Name))
		}
		for _, tr := range table.TriggerSQL() {
			entry.SQL = append(entry.SQL, tr.SQL)
		}
		layout := changelog.Layout{Name: table.Name, Key: table.Key}
		for _, c := range table.Columns {
			layout.Columns = append(layout.Columns, c.Name)
		}
		entry.Tables = append(entry.Tables, layout)
	}
	return makeSchema(ctx, x, entry)
}

// makeSchema carries out entry and appends it to the log.
func makeSchema(ctx context.Context, x changelog.Execer, entry changelog.SchemaEntry) error {
	for _, stmt := range entry.SQL {
		if err := x.Exec(ctx, stmt); err != nil {
			return fmt.Errorf("%s: %w", stmt, err)
		}
	}
	text, err := entry.JSON()
	if err != nil {
		return err
	}
	return x.Exec(ctx, changelog.SchemaSQL, text)
}

func (a *app) close() {
	if a.db != nil {
		if err := a.db.Close(); err != nil {
			a.t.Error(err)
		}
		a.db = nil
	}
}

// in runs f in one transaction that ends with a mark.
func (a *app) in(f func(x changelog.Execer) error) {
	a.t.Helper()
	if err := a.try(f); err != nil {
		a.t.Fatal(err)
	}
}

func (a *app) try(f func(x changelog.Execer) error) error {
	ctx := context.Background()
	conn, err := a.db.Conn(ctx)
	if err != nil {
		return err
	}
	x := changelog.SQL(conn)
	err = x.Exec(ctx, "BEGIN IMMEDIATE")
	if err == nil {
		if err = f(x); err == nil {
			err = x.Exec(ctx, changelog.MarkSQL)
		}
		if err == nil {
			err = x.Exec(ctx, "COMMIT")
		} else {
			err = errors.Join(err, x.Exec(ctx, "ROLLBACK"))
		}
	}
	return errors.Join(err, conn.Close())
}

// exec runs one statement in a transaction.
func (a *app) exec(query string, args ...driver.Value) {
	a.t.Helper()
	a.in(func(x changelog.Execer) error { return x.Exec(a.t.Context(), query, args...) })
}

// insert adds rows with the ids from … to, each in a transaction of its own.
func (a *app) insert(from, to int) {
	a.t.Helper()
	for i := from; i <= to; i++ {
		a.exec(`INSERT INTO items (id, name, n, x, data) VALUES (?, ?, ?, ?, ?)`, int64(i), fmt.Sprintf("item %d", i), int64(i)*7, float64(i)/3, []byte{byte(i), 0, 255})
	}
}

// bulk adds rows with the ids from … to in one transaction.
func (a *app) bulk(from, to int) {
	a.t.Helper()
	a.in(func(x changelog.Execer) error {
		for i := from; i <= to; i++ {
			if err := x.Exec(a.t.Context(), `INSERT INTO items (id, name, n) VALUES (?, ?, ?)`, int64(i), fmt.Sprintf("item %d", i), int64(i)); err != nil {
				return err
			}
		}
		return nil
	})
}

// dump returns every row and every object of the schema but our own tables.
func dump(t testing.TB, path string) string {
	t.Helper()
	return strings.Join(lines(t, path,
		`SELECT type || ' ' || name || ': ' || coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE '\_driftdb\_%' ESCAPE '\' OR type = 'trigger' ORDER BY 1`,
		`SELECT 'item ' || id || ' ' || quote(name) || ' ' || quote(n) || ' ' || quote(x) || ' ' || quote(data) FROM items ORDER BY id`,
		`SELECT 'pair ' || quote(a) || ' ' || quote(b) || ' ' || quote(v) || typeof(v) FROM pairs ORDER BY a, b`,
		`PRAGMA integrity_check`), "\n")
}

// lines are the results of queries of one text each.
func lines(t testing.TB, path string, queries ...string) []string {
	t.Helper()
	db := sql.OpenDB(sqlite.Connector(path, sqlite.Plain))
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	out := []string{}
	for _, q := range queries {
		rows, err := db.QueryContext(t.Context(), q)
		if err != nil {
			t.Fatalf("%s: %s: %v", path, q, err)
		}
		for rows.Next() {
			var line string
			if err := rows.Scan(&line); err != nil {
				t.Fatal(err)
			}
			out = append(out, line)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// fast are options that ship only when asked and do not wait long between
// attempts.
func fast() replicate.Options {
	return replicate.Options{
		Sync:     replicate.Sync{Manual: true},
		Snapshot: replicate.SnapshotRule{Disabled: true},
		Retry:    replicate.Retry{Base: time.Microsecond, Max: time.Millisecond, MaxAttempts: 3},
	}
}

func newReplica(t testing.TB, store replicate.Store, o replicate.Options) *replicate.Replica {
	t.Helper()
	r, err := replicate.New(dbName, store, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Kill(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// start begins to replicate the file of a.
func start(t testing.TB, a *app, store replicate.Store, o replicate.Options) *replicate.Replica {
	t.Helper()
	r := newReplica(t, store, o)
	if err := r.Start(t.Context(), a.path); err != nil {
		t.Fatal(err)
	}
	return r
}

func flush(t testing.TB, r *replicate.Replica) {
	t.Helper()
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func kill(t testing.TB, r *replicate.Replica) {
	t.Helper()
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
}

func shutdown(t testing.TB, r *replicate.Replica) {
	t.Helper()
	if err := r.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// restore restores to a new path.
func restore(t testing.TB, store replicate.Store) (string, replicate.RestoreResult) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "restored.sqlite")
	result, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{Retry: fast().Retry})
	if err != nil {
		t.Fatal(err)
	}
	return path, result
}

// sameAsRestored compares the file of a with what the store gives back.
func sameAsRestored(t testing.TB, a *app, store replicate.Store) replicate.RestoreResult {
	t.Helper()
	path, result := restore(t, store)
	if diff := cmp.Diff(dump(t, a.path), dump(t, path)); diff != "" {
		t.Fatalf("restored file differs (-source +restored):\n%s", diff)
	}
	return result
}

func dbPath(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "app.sqlite")
}

// memoryDir returns a directory in memory, where there is one: for tests that make
// files by the hundred and ask nothing of the disk.
func memoryDir(t testing.TB) string {
	t.Helper()
	const memory = "/dev/shm"
	if _, err := os.Stat(memory); err != nil {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memory, "driftdb-test-") //nolint:usetesting // T.TempDir makes its own on the disk
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// recorder collects events.
type recorder struct {
	mu     sync.Mutex
	events []replicate.Event
}

func (r *recorder) add(e replicate.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) of(kind replicate.EventKind) []replicate.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []replicate.Event
	for _, e := range r.events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

func (r *recorder) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = nil
}

// readRows returns the rows of a file, each by its name.
func readRows(t testing.TB, path string) map[string]string {
	t.Helper()
	db := sql.OpenDB(sqlite.Connector(path, sqlite.Reader))
	found, err := db.QueryContext(t.Context(), `
		SELECT printf('item %05d', id), quote(name) || ' ' || quote(n) || ' ' || quote(x) || ' ' || quote(data) FROM items
		UNION ALL SELECT 'pair ' || a, quote(a) || ' ' || quote(b) || ' ' || quote(v) FROM pairs`)
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for found.Next() {
		var name, row string
		if err := found.Scan(&name, &row); err != nil {
			t.Fatal(err)
		}
		rows[name] = row
	}
	if err := errors.Join(found.Err(), found.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	return rows
}

// keys lists every key of the store.
func keys(t testing.TB, store replicate.Store) []string {
	t.Helper()
	var out []string
	for info, err := range store.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, info.Key)
	}
	sort.Strings(out)
	return out
}

func manifest(t testing.TB, store replicate.Store) *replicate.ManifestView {
	t.Helper()
	m, err := replicate.ReadManifestView(t.Context(), store, dbName)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// fileExists says whether something stands at path.
func fileExists(t testing.TB, path string) bool {
	t.Helper()
	m, err := filepath.Glob(path)
	if err != nil {
		t.Fatal(err)
	}
	return len(m) > 0
}

func readAll(t testing.TB, body io.ReadCloser) []byte {
	t.Helper()
	b, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t testing.TB, store replicate.Store, key string, b []byte) {
	t.Helper()
	if _, err := store.Put(t.Context(), key, replicate.BytesBody(b), replicate.Condition{}); err != nil {
		t.Fatal(err)
	}
}
