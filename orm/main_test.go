package orm_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/gen_test/basic"
	"github.com/driftdb/driftdb/orm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	users = basic.Users
	teams = basic.Teams
	posts = basic.Posts
)

func open(t *testing.T) *orm.DB {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "t.sqlite"), driftdb.Options{})
}

func openAt(t *testing.T, path string, o driftdb.Options) *orm.DB {
	t.Helper()
	is := is.New(t)
	db, err := driftdb.Open(context.Background(), path, basic.Schema, o)
	is.NoErr(err)
	t.Cleanup(func() { is.NoErr(db.Close()) })
	return db
}

// logRows returns how many entries of an operation the change log has.
func logRows(t *testing.T, db *orm.DB, op string) int64 {
	t.Helper()
	n, err := orm.RawOne[int64](context.Background(), db, `SELECT count(*) FROM _driftdb_log WHERE operation = ?`, op)
	is.New(t).NoErr(err)
	return n
}

func addUser(t *testing.T, db orm.Writer, name string) basic.User {
	t.Helper()
	u := basic.User{Name: name, Email: name + "@example.com", Nick: name, Active: true}
	is.New(t).NoErr(users.Create(context.Background(), db, &u))
	return u
}

// fixed is a clock that stands still.
func fixed(at time.Time) func() time.Time { return func() time.Time { return at } }
