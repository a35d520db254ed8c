package replicate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// comesBack imports and compares with the original's file.
func (a *v1App) comesBack(o replicate.ImportV1Options) replicate.ImportV1Report {
	a.t.Helper()
	path := filepath.Join(a.t.TempDir(), "new.sqlite")
	report, err := replicate.ImportV1(a.t.Context(), a.name, a.store, path, o)
	if err != nil {
		a.t.Fatal(err)
	}
	if diff := cmp.Diff(v1Rows(a.t, a.path), v1Rows(a.t, path)); diff != "" {
		a.t.Fatalf("not what it was (- original, + imported):\n%s", diff)
	}
	return report
}

// become makes the file that of another state of the app, as a restore does.
func (a *v1App) become(entries int, from *v1App) {
	a.entries = slices.Clone(from.entries[:entries])
	a.uploaded, a.snapshot, a.sequence = entries, from.snapshot, from.sequence
}

// Names, ids and prefixes are whatever was configured.
func TestImportV1Names(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, node, configured, prefix string }{
		{"..", "n", "", ""}, {"a/b", "x/y", "p//", "p//"}, {"a//b/", "logs", "/p", "/p/"}, {"/a", "..", "p/", "p/"}, {"ü 日本\t!", "a b%20", "a/../b", "a/../b/"},
		{"a%2Fb", "n/logs/m", "", ""}, {"x/nodes/y", "nodes/y/snapshots/z", "", ""}, {"a\\b\"c", "\u00e9", " ", " /"},
	} {
		t.Run(c.name, func(t *testing.T) {
			is := is.New(t)
			a := newV1(t, memstore.New(), c.name)
			a.node, a.prefix = c.node, c.prefix
			a.insert("a", 1)
			a.sync(10, 1)
			a.snap()
			a.insert("b", 2)
			a.sync(10, 2)
			report := a.comesBack(replicate.ImportV1Options{Prefix: c.configured})
			is.Equal(report.Node, c.node)
			is.Equal(report.Entries, int64(1))
		})
	}
}

// A node's id may look like a part of another one's keys.
func TestImportV1NodeInNode(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a, b := newV1(t, store, "app"), newV1(t, store, "app")
	a.node, b.node = "n", "n/logs/m"
	a.insert("a", 1)
	b.insert("b", 1)
	b.insert("b2", 1)
	b.sync(10, 2)
	a.sync(10, 1)
	o := replicate.ImportV1Options{Schema: strings.Split(v1Tables, ";\n")}
	is.Equal(a.comesBack(o).OtherNodes, []string{"n/logs/m"})
	o.Node = b.node
	b.comesBack(o)
	o.Node = "nobody"
	_, err := replicate.ImportV1(t.Context(), "app", store, filepath.Join(t.TempDir(), "x"), o)
	is.True(errors.Is(err, replicate.ErrNoBackup) && strings.Contains(err.Error(), "n/logs/m"))
}

// The manifest is a hint: faults 4, 5 and 28 of the original lose its pointer to
// the snapshot, or all of it.
func TestImportV1Manifest(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := newV1(t, store, "app")
	for i := range 12 {
		a.insert(fmt.Sprint(i), 1)
		if i == 3 || i == 8 {
			a.sync(10, len(a.entries))
			a.snap()
		}
	}
	a.sync(10, len(a.entries))
	newest := a.snapshot
	a.snapshot = ""
	a.manifest()
	is.Equal(a.comesBack(replicate.ImportV1Options{}).SnapshotKey, newest)
	put(t, store, "databases/app/manifest.json", []byte(`{"dbName":"app","nod`))
	is.Equal(a.comesBack(replicate.ImportV1Options{}).Manifest, "damaged")
	is.NoErr(store.Delete(t.Context(), "databases/app/manifest.json"))
	is.Equal(a.comesBack(replicate.ImportV1Options{}).Manifest, "missing")

	// The logs go back further than a snapshot that is damaged.
	whole := get(t, store, newest)
	for _, bad := range [][]byte{whole[:len(whole)/2], []byte("nonsense"), nil} {
		put(t, store, newest, bad)
		report := a.comesBack(replicate.ImportV1Options{Retry: fast().Retry})
		is.Equal(report.SkippedSnapshots, []string{newest})
		is.Equal(report.Snapshot, int64(4))
	}
	put(t, store, newest, whole)
	report := a.comesBack(replicate.ImportV1Options{Through: 99})
	is.Equal(report.Snapshot, int64(9))
	path := filepath.Join(t.TempDir(), "x")
	report, err := replicate.ImportV1(t.Context(), "app", store, path, replicate.ImportV1Options{Through: -1})
	is.NoErr(err)
	is.Equal(report.Entries, int64(0))
}

// A machine with an id of its own went on from another one's snapshot.
func TestImportV1GoesOnFromAnother(t *testing.T) {
	t.Parallel()
	a := newV1(t, memstore.New(), "app")
	for i := range 5 {
		a.insert(fmt.Sprint(i), 1)
	}
	a.sync(10, 5)
	a.snap()
	a.node = "second"
	a.insert("six", 1)
	a.insert("seven", 1)
	a.sync(1, 7)
	report := a.comesBack(replicate.ImportV1Options{Node: "second"})
	is.New(t).Equal(report.Snapshot, int64(5))
}

// Fault 2: after a restore the sequences were used again. The history that went
// on comes back, and the report names what belongs to another one.
func TestImportV1Forks(t *testing.T) {
	t.Parallel()
	for _, snapped := range []bool{false, true} {
		for _, restored := range []bool{false, true} {
			t.Run(fmt.Sprint("snapped=", snapped, " restored=", restored), func(t *testing.T) {
				is := is.New(t)
				store := memstore.New()
				a, b := newV1(t, store, "app"), newV1(t, store, "app")
				for i := range 10 {
					a.now++
					a.insert(fmt.Sprint("a", i), 1)
					if restored && i < 4 {
						b.now++
						b.insert(fmt.Sprint("a", i), 1)
					}
					if restored && i == 3 {
						a.sync(3, 4)
						a.snap()
						b.become(4, a)
					}
				}
				a.sync(4, 10)
				for i := range 5 {
					b.now = int64(100 + i)
					b.insert(fmt.Sprint("b", i), 2)
					if i == 2 && snapped {
						b.sync(10, len(b.entries)-1)
						b.snap()
					}
				}
				b.sync(2, len(b.entries))
				report := b.comesBack(replicate.ImportV1Options{Schema: strings.Split(v1Tables, ";\n")})
				is.True(len(report.Forked) > 0)
				is.Equal(report.Last, int64(len(b.entries)))
			})
		}
	}
}

// Two processes on one file upload batches that overlap and agree.
func TestImportV1Overlaps(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	a := newV1(t, memstore.New(), "app")
	for i := range 9 {
		a.now = int64(100 - i) // a clock that goes backwards makes no difference
		a.insert(fmt.Sprint(i), 1)
	}
	for _, batch := range [][2]int{{0, 3}, {0, 5}, {2, 4}, {5, 9}} {
		a.uploaded = batch[0]
		a.sync(100, batch[1])
	}
	report := a.comesBack(replicate.ImportV1Options{Schema: strings.Split(v1Tables, ";\n")})
	is.Equal(len(report.Forked), 0)
	is.Equal(report.Entries, int64(9))
	is.True(report.Backwards > 0)
}

// What the logs do not carry is found out where it can be, and counted.
func TestImportV1Values(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	a := newV1(t, memstore.New(), "app")
	a.exec(`CREATE TABLE parents (id TEXT PRIMARY KEY, createdAt INTEGER NOT NULL, updatedAt INTEGER NOT NULL)`)
	a.exec(`CREATE TABLE children (id TEXT PRIMARY KEY, createdAt INTEGER NOT NULL, updatedAt INTEGER NOT NULL, parent TEXT REFERENCES parents ON DELETE CASCADE)`)
	a.exec(`CREATE TABLE loose (x)`)
	a.exec(`CREATE TRIGGER touched AFTER DELETE ON parents BEGIN UPDATE posts SET title = 'touched' WHERE id = OLD.id; END`)
	a.insert("before", 1)
	a.sync(10, 1)
	a.snap()
	a.do("insert", `{"id":"inf","createdAt":null,"updatedAt":2,"title":"x","rank":null}`, `INSERT INTO posts (id, createdAt, updatedAt, title, rank) VALUES ('inf', 9e999, 2.0, 'x', NULL)`)
	a.do("insert", `{"id":"blob","createdAt":1,"updatedAt":2,"title":"y","body":{"type":"Buffer","data":[97]}}`, `INSERT INTO posts (id, createdAt, updatedAt, title, body) VALUES ('blob', 1.0, 2.0, 'y', x'61')`)
	a.do("insert", `{"id":"text","createdAt":1,"updatedAt":2,"title":"z","body":"a"}`, `INSERT INTO posts (id, createdAt, updatedAt, title, body) VALUES ('text', 1.0, 2.0, 'z', 'a')`)
	a.do("update", `{"where":{"body":{"$like":"A"}},"data":{"rank":1,"updatedAt":3}}`, `UPDATE posts SET rank = 1.0, updatedAt = 3.0 WHERE id = 'text'`)
	a.do("update", `{"where":{"createdAt":"1970-01-01T00:00:00.000Z","id":["blob"]},"data":{"rank":2,"updatedAt":3}}`, `UPDATE posts SET rank = 2.0, updatedAt = 3.0 WHERE id = 'blob'`)
	a.do("update", `{"where":{"rowid":1},"data":{"rank":5,"updatedAt":3}}`, `UPDATE posts SET rank = 5.0, updatedAt = 3.0 WHERE rowid = 1`)
	for _, id := range []string{"p", "blob"} {
		a.exec(`INSERT INTO parents VALUES (?, 1.0, 1.0)`, id)
		a.log("parents", "insert", fmt.Sprintf(`{"id":%q,"createdAt":1,"updatedAt":1}`, id))
		a.exec(`INSERT INTO children VALUES (?, 1.0, 1.0, ?)`, id, id)
		a.log("children", "insert", fmt.Sprintf(`{"id":%q,"createdAt":1,"updatedAt":1,"parent":%q}`, id, id))
	}
	a.exec(`DELETE FROM parents WHERE id = 'blob'`) // and its child, and the trigger's change
	a.log("parents", "delete", `{"where":{"id":"blob"}}`)
	a.log("parents", "delete", `{"where":{"id":"of raw SQL"}}`)
	a.sync(3, len(a.entries))

	report := a.comesBack(replicate.ImportV1Options{})
	is.Equal(report.DateConditions, int64(1))
	is.Equal(report.Unmatched, int64(1))
	is.Equal(report.NoKey, []string{"loose"})
	is.Equal(report.Orphans, int64(0))
	text, err := json.Marshal(report)
	is.NoErr(err)
	for _, name := range []string{"dates", "nulls", "defaults", "loneSurrogates", "dateConditions", "unmatched", "backwards", "nullKeys", "orphans", "snapshotKey"} {
		is.True(strings.Contains(string(text), `"`+name+`":`))
	}

	// A table that is younger than the snapshot needs its statement.
	a.exec(`CREATE TABLE young (id TEXT PRIMARY KEY, createdAt INTEGER NOT NULL, updatedAt INTEGER NOT NULL)`)
	a.exec(`INSERT INTO young VALUES ('y', 1.0, 1.0)`)
	a.log("young", "insert", `{"id":"y","createdAt":1,"updatedAt":1}`)
	a.sync(3, len(a.entries))
	path := filepath.Join(t.TempDir(), "x")
	_, err = replicate.ImportV1(t.Context(), "app", a.store, path, replicate.ImportV1Options{})
	is.True(errors.Is(err, replicate.ErrCorrupt) && strings.Contains(err.Error(), "CREATE statement"))
	report = a.comesBack(replicate.ImportV1Options{Schema: []string{
		"CREATE TABLE IF NOT EXISTS `_driftdb_log` (x)", "CREATE INDEX idx_driftdb_log_synced ON _driftdb_log (x)", "CREATE TABLE sqlite_sequence(name,seq)",
		`CREATE TABLE IF NOT EXISTS young (id TEXT PRIMARY KEY, createdAt INTEGER NOT NULL, updatedAt INTEGER NOT NULL)`,
	}})
	is.True(slices.Contains(report.Tables, "young"))
}

// A snapshot from which somebody has taken the original's log does not say where
// the logs go on.
func TestImportV1NoLogTable(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	a := newV1(t, memstore.New(), "app")
	a.insert("a", 1)
	a.sync(10, 1)
	a.exec(`DROP TABLE _driftdb_log`)
	a.snap()
	_, err := replicate.ImportV1(t.Context(), "app", a.store, filepath.Join(t.TempDir(), "x"), replicate.ImportV1Options{})
	is.True(errors.Is(err, replicate.ErrCorrupt) && strings.Contains(err.Error(), "Through: -1"))
	a.comesBack(replicate.ImportV1Options{Through: -1})
}

// An archive in several parts, and bodies that do not fit the configuration: what
// was done to each shows in its bytes.
func TestImportV1Mixed(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	key, err := replicate.ParseKey(strings.Repeat("AB", 32))
	is.NoErr(err)
	a := newV1(t, memstore.New(), "app")
	big := bytes.Repeat([]byte("0123456789abcdef"), 400_000) // 6.4 MB, beyond a part of a multipart upload
	for i := range 6 {
		a.insert(fmt.Sprint(i), float64(i))
		a.gzip, a.key = i%2 == 0, nil
		if i%3 == 0 {
			a.key = bytes.Repeat([]byte{0xAB}, 32)
		}
		a.sync(10, i+1)
		if i == 2 {
			a.exec(`UPDATE posts SET body = ? WHERE id = '0'`, big) // raw SQL: in the snapshot alone
			a.snap()
		}
	}
	report := a.comesBack(replicate.ImportV1Options{Key: key})
	is.Equal(report.Entries, int64(3))
	_, err = os.Stat(a.path)
	is.NoErr(err)
}
