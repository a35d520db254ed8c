package driftdb_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/gen_test/basic"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/filestore"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// openReplica opens the database of dir, shipping to store.
func openReplica(t *testing.T, dir string, store replicate.Store) (*orm.DB, *replicate.Replica) {
	t.Helper()
	is := is.New(t)
	replica, err := replicate.New("app", store, replicate.Options{AutoRestore: true})
	is.NoErr(err)
	db, err := driftdb.Open(t.Context(), filepath.Join(dir, "app.sqlite"), basic.Schema, driftdb.Options{Replica: replica})
	is.NoErr(err)
	return db, replica
}

func addUser(t *testing.T, db orm.Writer, name string) basic.User {
	t.Helper()
	u := basic.User{Name: name, Email: name, Nick: name, Active: true}
	is.New(t).NoErr(basic.Users.Create(t.Context(), db, &u))
	return u
}

func userNames(t *testing.T, db orm.Reader) string {
	t.Helper()
	all, err := basic.Users.Where().OrderBy(basic.Users.Name.Asc()).All(t.Context(), db)
	is.New(t).NoErr(err)
	var names []string
	for _, u := range all {
		names = append(names, u.Name)
	}
	return strings.Join(names, " ")
}

func TestOpenSaysWhatIsWrongWithAPath(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		"":                                   "the path is empty",
		dir:                                  "it is a directory",
		filepath.Join(dir, "no", "a.sqlite"): "does not exist: create it first",
		filepath.Join(dir, "a\x00b"):         "NUL",
	} {
		_, err := driftdb.Open(t.Context(), path, basic.Schema, driftdb.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: want %q, got %v", path, want, err)
		}
	}
	left, err := os.ReadDir(dir)
	is.New(t).NoErr(err)
	is.New(t).Equal(len(left), 0) // nothing was written
}

// A file of another kind is left as it is.
func TestOpenLeavesOtherFilesAlone(t *testing.T) {
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "notes.txt")
	const text = "Buy milk, and something longer than a hundred bytes, so that SQLite reads a header from it and not the end of the file."
	is.NoErr(os.WriteFile(path, []byte(text), 0o600))
	_, err := driftdb.Open(t.Context(), path, basic.Schema, driftdb.Options{})
	is.True(errors.Is(err, driftdb.ErrDamaged))
	is.True(strings.HasPrefix(err.Error(), "driftdb: open "+path+": file is not a database: the local file is damaged, or no database: keep it"))
	got, err := os.ReadFile(path)
	is.NoErr(err)
	is.Equal(string(got), text)
}

func TestFilesArePrivate(t *testing.T) {
	is := is.New(t)
	dir := t.TempDir()
	db, replica := openReplica(t, dir, memstore.New())
	addUser(t, db, "a")
	is.NoErr(replica.Flush(t.Context()))
	for _, name := range []string{"app.sqlite", "app.sqlite-wal", "app.sqlite-shm", "app.sqlite-drift", "app.sqlite-drift/node.json", "app.sqlite-drift/lock"} {
		info, err := os.Stat(filepath.Join(dir, name))
		is.NoErr(err)
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	is.NoErr(db.Close())
}

func TestMemory(t *testing.T) {
	is := is.New(t)
	t.Setenv("TMPDIR", t.TempDir())
	a, err := driftdb.Open(t.Context(), driftdb.Memory, basic.Schema, driftdb.Options{})
	is.NoErr(err)
	b, err := driftdb.Open(t.Context(), driftdb.Memory, basic.Schema, driftdb.Options{})
	is.NoErr(err)
	addUser(t, a, "a")
	is.Equal(userNames(t, a), "a")
	is.Equal(userNames(t, b), "") // private
	is.NoErr(a.Close())
	is.NoErr(b.Close())
	left, err := os.ReadDir(os.TempDir())
	is.NoErr(err)
	is.Equal(len(left), 0)

	replica, err := replicate.New("app", memstore.New(), replicate.Options{})
	is.NoErr(err)
	_, err = driftdb.Open(t.Context(), driftdb.Memory, basic.Schema, driftdb.Options{Replica: replica})
	is.True(err != nil && strings.Contains(err.Error(), "private database"))
}

// TestForeignProcess: rows that another program writes with plain database/sql
// come back after a restore, and the victim of its REPLACE does not, although
// that program logs no deletion of it.
func TestForeignProcess(t *testing.T) {
	is := is.New(t)
	store := memstore.New()
	one := t.TempDir()
	db, replica := openReplica(t, one, store)
	addUser(t, db, "keep")
	victim := addUser(t, db, "victim")
	post := basic.Post{Number: 1, AuthorID: victim.ID, Title: "t", Role: "r"}
	is.NoErr(basic.Posts.Create(t.Context(), db, &post))
	is.NoErr(replica.Flush(t.Context()))

	const columns = `INTO users (id, created_at, updated_at, name, email, score, avatar, nick) VALUES `
	cmd := exec.Command(os.Args[0],
		`INSERT OR REPLACE `+columns+`('new-id', 1, 1, 'replacer', 'victim', 0.1, x'00ff', 'r')`,
		`INSERT OR IGNORE `+columns+`('ignored', 1, 1, 'ignored', 'keep', 1, x'', 'i'), ('other', 1, 1, 'other', 'other', 1e300, x'', 'o')`,
		fmt.Sprintf(`UPDATE users SET age = %d, name = name || char(0) || 'é' WHERE id = 'other'`, min(int64(math.MaxInt), 1<<53+1)), // more than a float64 holds
		`DELETE FROM posts`,
	)
	cmd.Env = append(os.Environ(), foreignEnv+"="+filepath.Join(one, "app.sqlite"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := userNames(t, db)
	is.Equal(want, "keep other\x00é replacer")
	is.NoErr(replica.Flush(t.Context()))
	before := dump(t, db)
	is.NoErr(db.Close())

	again, _ := openReplica(t, t.TempDir(), store)
	if diff := cmp.Diff(before, dump(t, again)); diff != "" {
		t.Error(diff)
	}
	is.NoErr(again.IntegrityCheck(t.Context()))
	is.NoErr(again.Close())
}

// dump returns every row of every table, each value with its type and bytes.
func dump(t *testing.T, db *orm.DB) []string {
	t.Helper()
	var all []string
	for _, table := range basic.Schema.Tables {
		parts := make([]string, len(table.Columns))
		for i, c := range table.Columns {
			parts[i] = `typeof("` + c.Name + `") || ' ' || coalesce(hex("` + c.Name + `"), '') || ' ' || coalesce(printf('%!.17g', "` + c.Name + `"), '')`
		}
		rows, err := orm.RawAll[string](t.Context(), db, `SELECT '`+table.Name+`' || ' ' || `+strings.Join(parts, ` || ', ' || `)+` FROM "`+table.Name+`" ORDER BY 1`)
		is.New(t).NoErr(err)
		all = append(all, rows...)
	}
	return all
}

// TestOldShell: Debian's sqlite3 is older than 3.42. It cannot write the times
// of the change log, so it is refused, and the row stays as it was.
func TestOldShell(t *testing.T) {
	is := is.New(t)
	shell, err := exec.LookPath("sqlite3")
	if err != nil {
		t.Skip("no sqlite3 shell on this machine: install Debian's package sqlite3 to run this test")
	}
	old, err := exec.Command(shell, ":memory:", `SELECT unixepoch('subsec') IS NULL`).Output()
	if err != nil || strings.TrimSpace(string(old)) != "1" {
		t.Skipf("the sqlite3 shell of this machine is new enough to write (%s %v)", old, err)
	}
	path := filepath.Join(t.TempDir(), "a.sqlite")
	db, err := driftdb.Open(t.Context(), path, basic.Schema, driftdb.Options{})
	is.NoErr(err)
	addUser(t, db, "a")
	before := dump(t, db)
	for _, statement := range []string{
		`UPDATE users SET name = 'changed'`, `DELETE FROM users`, `UPDATE OR IGNORE users SET name = 'changed'`,
		`INSERT OR IGNORE INTO teams VALUES ('t', 'red')`, `INSERT OR REPLACE INTO teams VALUES ('t', 'red')`,
	} {
		out, err := exec.Command(shell, path, statement).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "needs SQLite 3.42 or newer") {
			t.Errorf("%s: %v %s", statement, err, out)
		}
	}
	if diff := cmp.Diff(before, dump(t, db)); diff != "" {
		t.Error(diff)
	}
	is.NoErr(db.Close())
}

// forbidden is a store whose credentials may not read.
type forbidden struct{ replicate.Store }

var errForbidden = errors.New("AccessDenied")

func (forbidden) Get(context.Context, string) (_ io.ReadCloser, _ replicate.Info, err error) {
	return nil, replicate.Info{}, replicate.Permanent(errForbidden, "the credentials may not read the bucket")
}

// TestUnreadableBucketIsNoEmptyDatabase: the original started with an empty
// database, and its next snapshot replaced the good one.
func TestUnreadableBucketIsNoEmptyDatabase(t *testing.T) {
	is := is.New(t)
	dir := t.TempDir()
	replica, err := replicate.New("app", forbidden{memstore.New()}, replicate.Options{AutoRestore: true})
	is.NoErr(err)
	path := filepath.Join(dir, "app.sqlite")
	_, err = driftdb.Open(t.Context(), path, basic.Schema, driftdb.Options{Replica: replica})
	is.True(errors.Is(err, errForbidden))
	_, err = os.Stat(path)
	is.True(errors.Is(err, os.ErrNotExist))
}

// TestFlushInsideATransaction would wait for itself.
func TestFlushInsideATransaction(t *testing.T) {
	is := is.New(t)
	db, replica := openReplica(t, t.TempDir(), memstore.New())
	is.NoErr(db.Tx(t.Context(), func(ctx context.Context, tx *orm.Tx) error {
		addUser(t, tx, "a")
		is.True(errors.Is(replica.Flush(ctx), replicate.ErrInTx))
		is.True(errors.Is(replica.Snapshot(ctx), replicate.ErrInTx))
		return nil
	}))
	is.NoErr(replica.Flush(t.Context()))
	is.NoErr(db.Close())
}

// TestBatchesAreReadable reads a stored batch with the tools of any Unix.
func TestBatchesAreReadable(t *testing.T) {
	is := is.New(t)
	for _, tool := range []string{"zcat", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s on this machine: install Debian's packages gzip and jq to run this test", tool)
		}
	}
	bucket := t.TempDir()
	store, err := filestore.New(bucket, filestore.Options{})
	is.NoErr(err)
	db, replica := openReplica(t, t.TempDir(), store)
	addUser(t, db, "alice")
	is.NoErr(replica.Flush(t.Context()))
	is.NoErr(db.Close())
	logs, err := filepath.Glob(filepath.Join(bucket, "databases", "app", "nodes", "*", "*", "logs", "*.json.gz"))
	is.NoErr(err)
	is.True(len(logs) > 0)
	const query = `.entries[] | select(.[0] == "i") | .[3][3]` // the inserted rows' names
	out, err := exec.Command("sh", "-c", `zcat "$@" | jq -r '`+query+`'`, "sh", logs[0]).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	is.Equal(strings.TrimSpace(string(out)), "alice")
}

// TestOpenRefusesFilesThatAreNotOurs, and leaves them as they are.
func TestOpenRefusesFilesThatAreNotOurs(t *testing.T) {
	is := is.New(t)
	dir := t.TempDir()
	text := filepath.Join(dir, "letter.txt")
	is.NoErr(os.WriteFile(text, []byte(strings.Repeat("Dear Sir or Madam, ", 100)), 0o600))
	_, err := driftdb.Open(t.Context(), text, basic.Schema, driftdb.Options{})
	is.True(err != nil && strings.Contains(err.Error(), "not a database") && strings.Contains(err.Error(), text))
	left, err := os.ReadFile(text)
	is.NoErr(err)
	is.Equal(len(left), 1900)

	newer := filepath.Join(dir, "newer.sqlite")
	db, err := driftdb.Open(t.Context(), newer, basic.Schema, driftdb.Options{})
	is.NoErr(err)
	_, err = db.SQL().Exec(`UPDATE _driftdb_meta SET value = '99' WHERE key = 'format'`)
	is.NoErr(err)
	is.NoErr(db.Close())
	_, err = driftdb.Open(t.Context(), newer, basic.Schema, driftdb.Options{})
	is.True(err != nil && strings.Contains(err.Error(), "use a newer version of the program"))

	if os.Geteuid() == 0 {
		t.Skip("root may write into read-only directories")
	}
	locked := filepath.Join(dir, "locked")
	is.NoErr(os.Mkdir(locked, 0o500))
	_, err = driftdb.Open(t.Context(), filepath.Join(locked, "a.sqlite"), basic.Schema, driftdb.Options{})
	is.True(errors.Is(err, os.ErrPermission))
}
