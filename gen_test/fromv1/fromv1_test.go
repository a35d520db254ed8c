package fromv1_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
	_ "github.com/mattn/go-sqlite3"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb"
	. "github.com/driftdb/driftdb/gen_test/fromv1"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	node    = "9a1c40445b46"
	dir     = "databases/app/nodes/" + node
	v1Posts = `CREATE TABLE IF NOT EXISTS "posts" (id TEXT PRIMARY KEY, createdAt INTEGER NOT NULL, updatedAt INTEGER NOT NULL, "title" TEXT NOT NULL, "views" INTEGER DEFAULT 7, "rank" REAL, "body" BLOB NOT NULL, "published" BOOLEAN)`
)

// snapshot is a file of the original, with two entries in its log.
func snapshot(t *testing.T, more ...string) []byte {
	t.Helper()
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "v1.sqlite")
	db, err := sql.Open("sqlite3", path)
	is.NoErr(err)
	for _, stmt := range append([]string{
		v1Posts,
		`CREATE INDEX IF NOT EXISTS "idx_posts_title" ON "posts" ("title")`,
		`CREATE TABLE _driftdb_meta(key TEXT PRIMARY KEY, value TEXT NOT NULL)`,
		"CREATE TABLE _driftdb_log(sequence INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER NOT NULL, nodeId TEXT NOT NULL, `table` TEXT NOT NULL, operation TEXT NOT NULL, data TEXT, synced INTEGER NOT NULL DEFAULT 0)",
		`CREATE TABLE _driftdb_queue(id TEXT PRIMARY KEY, type TEXT NOT NULL, payload TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'pending')`,
		`INSERT INTO _driftdb_queue VALUES ('q', 'upload_snapshot', '{}', 'processing')`,
		`INSERT INTO posts VALUES ('a', 1795400705407.0, 1795400705407.0, 'first', 1.0, 0.5, x'00ff', 1.0)`,
		`INSERT INTO posts VALUES ('b', 1795400705408.0, 1795400705408.0, '42.0', NULL, null, x'', NULL)`,
		"INSERT INTO _driftdb_log (timestamp, nodeId, `table`, operation) VALUES (1795400705407, '" + node + "', 'posts', 'insert'), (1795400705408, '" + node + "', 'posts', 'insert')",
	}, more...) {
		_, err := db.ExecContext(t.Context(), stmt)
		is.NoErr(err)
	}
	is.NoErr(db.Close())
	b, err := os.ReadFile(path)
	is.NoErr(err)
	return b
}

func put(t *testing.T, store replicate.Store, key string, b []byte) {
	t.Helper()
	_, err := store.Put(t.Context(), key, replicate.Body{Size: int64(len(b)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b)), nil
	}}, replicate.Condition{})
	if err != nil {
		t.Fatal(err)
	}
}

const manifest = `{"dbName":"app","nodeId":"` + node + `","latestSnapshotKey":%s,"latestSnapshotTimestamp":null,"latestLogSequence":3,"updatedAt":1795400705440}`

const batch = `{"version":1,"nodeId":"` + node + `","fromSequence":1,"toSequence":3,"entries":[` +
	`{"sequence":1,"timestamp":1795400705407,"table":"posts","operation":"insert","data":{"id":"a","createdAt":1795400705407,"updatedAt":1795400705407,"title":"first","views":1,"rank":0.5,"body":{"type":"Buffer","data":[0,255]},"published":true}},` +
	`{"sequence":2,"timestamp":1795400705408,"table":"posts","operation":"insert","data":{"id":"b","createdAt":1795400705408,"updatedAt":1795400705408,"title":42,"views":null,"rank":null,"body":{"type":"Buffer","data":[]},"published":null}},` +
	`{"sequence":3,"timestamp":1795400705409,"table":"posts","operation":"update","data":{"where":{"id":"b"},"data":{"published":false,"updatedAt":1795400705409}}}]}`

// The models open what ImportV1 made, with a snapshot and without one, and it
// ships and comes back.
func TestModelsOpenAnImport(t *testing.T) {
	for name, pointer := range map[string]string{"snapshot": `"` + dir + `/snapshots/1795400705410.sqlite"`, "logs only": "null"} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			ctx := t.Context()
			store := memstore.New()
			if pointer != "null" {
				put(t, store, dir+"/snapshots/1795400705410.sqlite", snapshot(t))
			}
			put(t, store, dir+"/logs/000000000001-000000000003.json", []byte(batch))
			put(t, store, "databases/app/manifest.json", fmt.Appendf(nil, manifest, pointer))
			path := filepath.Join(t.TempDir(), "app.sqlite")
			report, err := replicate.ImportV1(ctx, "app", store, path, replicate.ImportV1Options{Models: Schema})
			is.NoErr(err)
			is.Equal(report.Last, int64(3))
			is.Equal(report.Tables, []string{"posts"})

			db, err := driftdb.Open(ctx, path, Schema, driftdb.Options{Replica: replica(t, store)})
			is.NoErr(err)
			first, err := Posts.Find(ctx, db, "a")
			is.NoErr(err)
			is.Equal(*first, Post{
				ID: "a", CreatedAt: time.UnixMilli(1795400705407).UTC(), UpdatedAt: time.UnixMilli(1795400705407).UTC(), Title: "first",
				Views: new(int64(1)), Rank: new(0.5), Body: []byte{0, 255}, Published: new(true),
			})
			second, err := Posts.Find(ctx, db, "b")
			is.NoErr(err)
			is.Equal(second.Title, "42.0")
			is.Equal(*second.Published, false)
			is.Equal(second.UpdatedAt, time.UnixMilli(1795400705409).UTC())
			is.NoErr(Posts.Create(ctx, db, &Post{Title: "third", Body: []byte("x")}))
			is.NoErr(db.Close())

			back := filepath.Join(t.TempDir(), "back.sqlite")
			_, err = replicate.Restore(ctx, "app-v2", store, back, replicate.RestoreOptions{})
			is.NoErr(err)
			is.Equal(rows(t, back), rows(t, path))
			is.True(strings.Contains(rows(t, back), "third"))
		})
	}
}

// replica ships to a name of this version.
func replica(t *testing.T, store replicate.Store) *replicate.Replica {
	t.Helper()
	r, err := replicate.New("app-v2", store, replicate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func rows(t *testing.T, path string) (all string) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	err = db.QueryRowContext(context.WithoutCancel(t.Context()),
		`SELECT group_concat(quote(id) || quote(createdAt) || quote(updatedAt) || quote(title) || quote(views) || quote(rank) || quote(body) || quote(published), char(10) ORDER BY id) FROM posts`).Scan(&all)
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return all
}

// Rows that a model cannot hold are an error that names table and column; nothing
// is left out.
func TestRowsThatModelsCannotHold(t *testing.T) {
	for stmt, want := range map[string]string{
		`INSERT INTO posts (id, createdAt, updatedAt, title, body) VALUES ('c', 1, 1, 'x', 7.0)`:               "posts.body",
		`INSERT INTO posts (id, createdAt, updatedAt, title, body) VALUES (NULL, 1, 1, 'x', x'')`:              "posts.id",
		`INSERT INTO posts (id, createdAt, updatedAt, title, body, published) VALUES ('c', 1, 1, 'x', x'', 2)`: "posts_published_check",
		`INSERT INTO posts (id, createdAt, updatedAt, title, body) VALUES ('c', '"1970-01-01"', 1, 'x', x'')`:  "posts.createdAt",
		`ALTER TABLE posts ADD COLUMN extra TEXT`:                                                              `column "extra"`,
	} {
		t.Run(want, func(t *testing.T) {
			is := is.New(t)
			store := memstore.New()
			put(t, store, dir+"/snapshots/1795400705410.sqlite", snapshot(t, stmt))
			put(t, store, "databases/app/manifest.json", fmt.Appendf(nil, manifest, `"`+dir+`/snapshots/1795400705410.sqlite"`))
			path := filepath.Join(t.TempDir(), "app.sqlite")
			_, err := replicate.ImportV1(t.Context(), "app", store, path, replicate.ImportV1Options{Models: Schema})
			is.True(err != nil && strings.Contains(err.Error(), want) && strings.Contains(err.Error(), `"posts"`))
			_, err = os.Stat(path)
			is.True(errors.Is(err, os.ErrNotExist))
			_, err = replicate.ImportV1(t.Context(), "app", store, path, replicate.ImportV1Options{}) // as it is
			is.NoErr(err)
		})
	}
}
