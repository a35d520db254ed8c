package replicate_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// v1App writes a database and a bucket as the original does, from its
// description: rows and log entries side by side, batches, snapshots, manifest.
type v1App struct {
	t     *testing.T
	store replicate.Store
	name  string
	node  string
	path  string
	db    *sql.DB
	gzip  bool
	key   []byte

	prefix string // before every key
	now    int64  // Unix milliseconds

	entries  []json.RawMessage
	uploaded int
	snapshot string // key
	sequence int    // the manifest's
}

const v1Tables = `CREATE TABLE IF NOT EXISTS "posts" (id TEXT PRIMARY KEY, createdAt INTEGER NOT NULL, updatedAt INTEGER NOT NULL, "title" TEXT NOT NULL, "views" INTEGER DEFAULT 7, "rank" REAL, "body" BLOB, "published" BOOLEAN);
CREATE INDEX IF NOT EXISTS "idx_posts_title" ON "posts" ("title");
CREATE TABLE IF NOT EXISTS "odd ""name""" (id TEXT PRIMARY KEY, createdAt INTEGER NOT NULL, updatedAt INTEGER NOT NULL, "a b" WHATEVER)`

func newV1(t *testing.T, store replicate.Store, name string) *v1App {
	t.Helper()
	a := &v1App{t: t, store: store, name: name, node: "9a1c40445b46", path: filepath.Join(t.TempDir(), "v1.sqlite")}
	a.db = sql.OpenDB(sqlite.Connector(a.path, sqlite.Writer))
	a.db.SetMaxOpenConns(1)
	t.Cleanup(func() {
		if err := a.db.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, stmt := range append(strings.Split(v1Tables, ";\n"),
		`CREATE TABLE _driftdb_meta(key TEXT PRIMARY KEY, value TEXT NOT NULL)`,
		"CREATE TABLE _driftdb_log(sequence INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER NOT NULL, nodeId TEXT NOT NULL, `table` TEXT NOT NULL, operation TEXT NOT NULL, data TEXT, synced INTEGER NOT NULL DEFAULT 0)",
		`CREATE TABLE _driftdb_queue(id TEXT PRIMARY KEY, type TEXT NOT NULL, payload TEXT NOT NULL)`) {
		a.exec(stmt)
	}
	return a
}

func (a *v1App) exec(query string, args ...any) {
	a.t.Helper()
	if _, err := a.db.ExecContext(context.Background(), query, args...); err != nil {
		a.t.Fatalf("%s: %v", query, err)
	}
}

// log notes what a statement was for.
func (a *v1App) log(table, operation, data string) {
	a.t.Helper()
	a.exec("INSERT INTO _driftdb_log (timestamp, nodeId, `table`, operation, data) VALUES (?, ?, ?, ?, ?)", a.now, a.node, table, operation, data)
	a.entries = append(a.entries, json.RawMessage(fmt.Sprintf(`{"sequence":%d,"timestamp":%d,"table":%q,"operation":%q,"data":%s}`, len(a.entries)+1, a.now, table, operation, data)))
}

// do runs a statement and logs it.
func (a *v1App) do(operation, data, query string, args ...any) {
	a.t.Helper()
	a.exec(query, args...)
	a.log("posts", operation, data)
}

func (a *v1App) insert(id string, views float64) {
	a.t.Helper()
	a.do("insert", fmt.Sprintf(`{"id":%q,"createdAt":1,"updatedAt":2,"title":"t","views":%v}`, id, views),
		`INSERT INTO posts (id, createdAt, updatedAt, title, views) VALUES (?, 1.0, 2.0, 't', ?)`, id, views)
}

func (a *v1App) put(key string, b []byte) {
	a.t.Helper()
	if a.gzip {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, err := w.Write(b)
		if err = errors.Join(err, w.Close()); err != nil {
			a.t.Fatal(err)
		}
		b = out.Bytes()
	}
	if a.key != nil {
		block, err := aes.NewCipher(a.key)
		if err != nil {
			a.t.Fatal(err)
		}
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			a.t.Fatal(err)
		}
		iv := make([]byte, 12)
		_, _ = rand.Read(iv)
		sealed := gcm.Seal(nil, iv, b, nil)
		n := len(sealed) - 16
		b = slices.Concat(iv, sealed[n:], sealed[:n])
	}
	put(a.t, a.store, a.prefix+key, b)
}

// sync uploads batches of size entries, up to the entry to.
func (a *v1App) sync(size, to int) {
	a.t.Helper()
	for a.uploaded < to {
		from, end := a.uploaded+1, min(a.uploaded+size, to)
		b, err := json.Marshal(map[string]any{"version": 1, "nodeId": a.node, "fromSequence": from, "toSequence": end, "entries": a.entries[from-1 : end]})
		if err != nil {
			a.t.Fatal(err)
		}
		a.put(fmt.Sprintf("databases/%s/nodes/%s/logs/%012d-%012d.json", a.name, a.node, from, end), b)
		a.uploaded = end
	}
	a.sequence = max(a.sequence, a.uploaded)
	a.manifest()
}

func (a *v1App) snap() {
	a.t.Helper()
	copied := filepath.Join(a.t.TempDir(), "copy.sqlite")
	a.exec(`VACUUM INTO ?`, copied)
	b, err := os.ReadFile(copied)
	if err != nil {
		a.t.Fatal(err)
	}
	a.snapshot = fmt.Sprintf("databases/%s/nodes/%s/snapshots/%d.sqlite", a.name, a.node, int64(1795400705407)+int64(len(a.entries)))
	a.put(a.snapshot, b)
	a.manifest()
}

func (a *v1App) manifest() {
	a.t.Helper()
	m := map[string]any{"dbName": a.name, "nodeId": a.node, "latestSnapshotKey": nil, "latestSnapshotTimestamp": nil, "latestLogSequence": a.sequence, "updatedAt": int64(1795400705440)}
	if a.snapshot != "" {
		m["latestSnapshotKey"], m["latestSnapshotTimestamp"] = a.snapshot, int64(1795400705407)
	}
	b, err := json.Marshal(m)
	if err != nil {
		a.t.Fatal(err)
	}
	put(a.t, a.store, a.prefix+"databases/"+a.name+"/manifest.json", b)
}

// v1Rows are the rows and the schema without anybody's own tables.
func v1Rows(t *testing.T, path string) string {
	t.Helper()
	return strings.Join(lines(t, path,
		`SELECT name || ': ' || coalesce(sql, '') FROM sqlite_schema WHERE type <> 'trigger' AND name NOT LIKE '\_driftdb%' ESCAPE '\' AND name NOT LIKE 'sqlite%' AND tbl_name NOT LIKE '\_driftdb%' ESCAPE '\' ORDER BY 1`,
		`SELECT quote(id) || ' ' || quote(createdAt) || quote(updatedAt) || quote(title) || typeof(views) || quote(views) || quote(rank) || typeof(body) || quote(body) || quote(published) || hex(title) FROM posts ORDER BY id`,
		`SELECT quote(id) || typeof("a b") || quote("a b") FROM "odd ""name""" ORDER BY id`), "\n")
}

// everything writes what the original's logs carry exactly.
func (a *v1App) everything() {
	a.t.Helper()
	for i := range 10 {
		a.insert(fmt.Sprint("p", i), float64(i))
	}
	a.do("insert", `{"id":"all","createdAt":1.5,"updatedAt":2,"title":42,"views":9007199254740993,"rank":0.1,"body":{"type":"Buffer","data":[0,1,255]},"published":true}`,
		`INSERT INTO posts VALUES ('all', 1.5, 2.0, 42.0, 9007199254740993.0, 0.1, x'0001ff', 1.0)`)
	a.do("insert", `{"id":"json","createdAt":1,"updatedAt":2,"title":{"a":[1,"x"],"b":null},"rank":null,"body":7,"published":false}`,
		`INSERT INTO posts (id, createdAt, updatedAt, title, rank, body, published) VALUES ('json', 1.0, 2.0, '{"a":[1,"x"],"b":null}', NULL, 7.0, 0.0)`)
	a.do("insert", `{"id":"text","createdAt":1,"updatedAt":2,"title":"\u0000\ud83d\ude00\"\\/é\ud800","views":-0.5}`,
		`INSERT INTO posts (id, createdAt, updatedAt, title, views) VALUES ('text', 1.0, 2.0, ?, -0.5)`, "\x00\U0001F600\"\\/é\xed\xa0\x80")
	a.do("insert", `{"id":null,"createdAt":1,"updatedAt":2,"title":"no id","views":null}`,
		`INSERT INTO posts (id, createdAt, updatedAt, title, views) VALUES (NULL, 1.0, 2.0, 'no id', NULL)`)
	where := []struct{ where, sql string }{
		{`{"id":"p1"}`, `"id" = 'p1'`},
		{`{"views":{"$gt":1,"$lte":3}}`, `views > 1.0 AND views <= 3.0`},
		{`{"views":{"$in":[4,5]},"title":{"$like":"T%"}}`, `views IN (4.0, 5.0) AND title LIKE 'T%'`},
		{`{"views":null}`, `views IS NULL`},
		{`{"title":{"$ne":"t"},"views":{"$gte":-1,"$lt":0}}`, `views >= -1.0 AND views < 0.0 AND title != 't'`},
		{`{"views":{"$in":[]}}`, `0 = 1`},
		{`{"views":{"$foo":1}}`, `1`},
		{`{}`, `1`},
		{`{"id":["p2"]}`, `id = 'p2'`},
		{`{"views":{"$ne":null}}`, `views != NULL`},
		{`{"body":{"type":"Buffer","data":[1]},"id":"p3"}`, `id = 'p3'`},
		{`{"nowhere":{}, "id":"p4"}`, `id = 'p4'`},
	}
	for i, w := range where {
		a.do("update", fmt.Sprintf(`{"where":%s,"data":{"rank":%d,"updatedAt":3}}`, w.where, i), `UPDATE posts SET rank = ?, updatedAt = 3.0 WHERE `+w.sql, float64(i))
	}
	a.do("delete", `{"where":{"id":"p5"}}`, `DELETE FROM posts WHERE id = 'p5'`)
	a.do("delete", `{"where":{"views":{"$gt":7,"$lt":100}}}`, `DELETE FROM posts WHERE views > 7.0 AND views < 100.0`)
	a.exec(`INSERT INTO "odd ""name""" VALUES ('x', 1.0, 1.0, '{"0":1,"1":2}')`)
	a.log(`odd "name"`, "insert", `{"id":"x","createdAt":1,"updatedAt":1,"a b":{"0":1,"1":2}}`)
}

// A bucket of the original comes back exactly, however it was stored, and the
// file goes on with this version.
func TestImportV1(t *testing.T) {
	t.Parallel()
	secret := bytes.Repeat([]byte{0xAB}, 32)
	key, err := replicate.ParseKey(strings.ToUpper(hex.EncodeToString(secret)))
	is.New(t).NoErr(err)
	for name, set := range map[string]func(a *v1App){
		"plain": func(*v1App) {}, "gzip": func(a *v1App) { a.gzip = true }, "encrypted": func(a *v1App) { a.key = secret },
		"both": func(a *v1App) { a.gzip, a.key = true, secret },
	} {
		for _, kind := range []string{"logs only", "snapshot at the end", "snapshot between", "snapshot with entries that are not synced"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				is := is.New(t)
				store := memstore.New()
				a := newV1(t, store, "My Böok/.. x")
				set(a)
				o := replicate.ImportV1Options{Key: key, Retry: fast().Retry}
				switch kind {
				case "logs only":
					a.everything()
					o.Schema = strings.Split(v1Tables, ";\n")
				case "snapshot at the end":
					a.everything()
					a.snap()
				case "snapshot between":
					a.everything()
					a.sync(5, len(a.entries))
					a.snap()
					a.insert("later", 1)
				case "snapshot with entries that are not synced":
					a.everything()
					a.sync(7, 9)
					a.snap()
					a.insert("later", 1)
				}
				a.sync(7, len(a.entries)) // batches straddle the snapshot
				path := filepath.Join(t.TempDir(), "new.sqlite")
				report, err := replicate.ImportV1(t.Context(), " My Böok/.. x ", store, path, o)
				is.NoErr(err)
				is.Equal(cmp.Diff(v1Rows(t, a.path), v1Rows(t, path)), "")
				is.Equal(report.Node, a.node)
				is.Equal(report.Last, int64(len(a.entries)))
				is.Equal(report.Tables, []string{`odd "name"`, "posts"})
				if kind == "logs only" {
					is.Equal(report.LoneSurrogates, int64(1))
					is.True(report.Defaults > 0 && report.Nulls > 0)
				}

				// It is replicated from here on, under a name of this version.
				r := newReplica(t, store, fast())
				is.NoErr(r.Start(t.Context(), path))
				db := sql.OpenDB(sqlite.Connector(path, sqlite.Writer))
				_, err = db.ExecContext(t.Context(), `UPDATE posts SET views = 1e300 WHERE id = 'p1'; DELETE FROM posts WHERE id = 'p2'; INSERT INTO "odd ""name""" VALUES ('y', 1, 1, x'00')`)
				is.NoErr(errors.Join(err, db.Close()))
				shutdown(t, r)
				back := filepath.Join(t.TempDir(), "back.sqlite")
				_, err = replicate.Restore(t.Context(), dbName, store, back, replicate.RestoreOptions{})
				is.NoErr(err)
				is.Equal(cmp.Diff(v1Rows(t, path), v1Rows(t, back)), "")

				_, err = replicate.ImportV1(t.Context(), a.name, store, path, o)
				is.True(errors.Is(err, replicate.ErrExists))
			})
		}
	}
}

// What cannot be restored is a named error and leaves no file.
func TestImportV1Errors(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	path := filepath.Join(t.TempDir(), "new.sqlite")
	o := replicate.ImportV1Options{Retry: fast().Retry}
	try := func() error {
		t.Helper()
		_, err := replicate.ImportV1(t.Context(), "app", store, path, o)
		if fileExists(t, path) {
			t.Fatal("a failed import left a file")
		}
		return err
	}
	is.True(errors.Is(try(), replicate.ErrNoBackup))
	a := newV1(t, store, "app")
	for i := range 30 {
		a.insert(fmt.Sprint(i), math.Pi)
	}
	a.sync(10, 30)
	is.True(strings.Contains(try().Error(), "CREATE statements"))
	a.snap()
	for i := range 30 {
		a.insert(fmt.Sprint("b", i), 1)
	}
	a.sync(10, 60)
	is.True(strings.Contains(a.snapshot, a.node))

	for key, want := range map[string]error{a.snapshot: replicate.ErrMissing, "databases/app/nodes/" + a.node + "/logs/000000000041-000000000050.json": replicate.ErrMissing} {
		whole := get(t, store, key)
		is.NoErr(store.Delete(t.Context(), key))
		is.True(errors.Is(try(), want))
		put(t, store, key, whole[:len(whole)/2])
		is.True(errors.Is(try(), replicate.ErrCorrupt) || errors.Is(try(), replicate.ErrNoKey))
		put(t, store, key, []byte("nonsense"))
		is.True(errors.Is(try(), replicate.ErrNoKey)) // neither plain nor gzip: encrypted, it seems
		put(t, store, key, whole)
	}
	for bad, key := range map[string]string{
		`{"where":{"id\" = \"id\" OR \"id":1}}`: "there is no column",
	} {
		a.log("posts", "delete", bad)
		a.sync(10, len(a.entries))
		is.True(strings.Contains(try().Error(), key))
	}
	put(t, store, "databases/app/manifest.json", []byte(`{"version":2,"dbName":"app","nodeId":"x"}`)) // Restore's
	is.True(errors.Is(try(), replicate.ErrCorrupt))
	put(t, store, "databases/other/manifest.json", []byte(`{"dbName":"app","nod`))
	_, err := replicate.ImportV1(t.Context(), "other", store, path, o)
	is.True(errors.Is(err, replicate.ErrCorrupt)) // and there is nothing else
	_, err = replicate.ImportV1(t.Context(), " ", store, path, o)
	is.True(err != nil)
}

// Two machines used one name: the rows of each can be had.
func TestImportV1Nodes(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := newV1(t, store, "app")
	a.insert("a", 1)
	a.sync(10, 1)
	a.snap()
	b := newV1(t, store, "app")
	b.node, b.sequence = "bbbbbbbbbbbb", a.sequence
	b.insert("b", 1)
	b.insert("b2", 1)
	b.sync(10, 2)
	b.snap()
	for node, want := range map[string]*v1App{"": b, a.node: a, b.node: b} {
		path := filepath.Join(t.TempDir(), "new.sqlite")
		report, err := replicate.ImportV1(t.Context(), "app", store, path, replicate.ImportV1Options{Node: node})
		is.NoErr(err)
		is.Equal(cmp.Diff(v1Rows(t, want.path), v1Rows(t, path)), "")
		is.Equal(len(report.OtherNodes), 1)
		is.True(report.OtherNodes[0] != report.Node)
	}
}
