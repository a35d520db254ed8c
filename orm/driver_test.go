package orm_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/gen_test/basic"
	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/orm"
)

// plainDriver is SQLite through the interfaces of database/sql/driver alone,
// as another driver would be. It cannot say whether a transaction is open.
type plainDriver struct {
	driver.Connector
	refuse func(query string) error
}

type plainConn struct {
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Conn
	refuse func(query string) error
}

func (d plainDriver) Connect(ctx context.Context) (driver.Conn, error) {
	dc, err := d.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	c := plainConn{Conn: dc, refuse: d.refuse}
	c.ConnPrepareContext, _ = dc.(driver.ConnPrepareContext)
	c.ExecerContext, _ = dc.(driver.ExecerContext)
	c.QueryerContext, _ = dc.(driver.QueryerContext)
	return c, nil
}

func (c plainConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if err := c.refuse(query); err != nil {
		return nil, err
	}
	return c.ConnPrepareContext.PrepareContext(ctx, query)
}

func openPlain(t *testing.T, refuse func(query string) error) *orm.DB {
	t.Helper()
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "t.sqlite")
	db, err := orm.Open(t.Context(), basic.Schema, orm.Options{
		Writer: plainDriver{sqlite.Connector(path, sqlite.Writer), refuse},
		Reader: plainDriver{sqlite.Connector(path, sqlite.Reader), func(string) error { return nil }},
		SQL:    sqlite.Connector(path, sqlite.Writer), IsBusy: sqlite.IsBusy, Readers: 1,
	})
	is.NoErr(err)
	t.Cleanup(func() { is.NoErr(db.Close()) })
	return db
}

var errRefused = errors.New("refused")

// TestTheWriterIsThrownAway: a connection that cannot roll back is replaced by
// the next write, and nothing minds that it is missing until then.
func TestTheWriterIsThrownAway(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	broken := false
	db := openPlain(t, func(query string) error {
		if broken && (query == "ROLLBACK" || query == "BEGIN") {
			return errRefused
		}
		return nil
	})
	fail := func() {
		broken = true
		err := db.Tx(ctx, func(_ context.Context, tx *orm.Tx) error {
			addUser(t, tx, "a")
			return errStop
		})
		is.True(errors.Is(err, errStop) && errors.Is(err, errRefused))
		broken = false
	}
	fail()
	is.Equal(count(t, db), int64(0))
	is.NoErr(db.Vacuum(ctx))
	fail()
	addUser(t, db, "b")
	is.Equal(count(t, db), int64(1))
	fail() // and Close has no writer to close
}

// TestEveryStepOfATransactionFails: whatever statement of a transaction fails, nothing of it stays and
// the writer works.
func TestEveryStepOfATransactionFails(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	left := -1
	db := openPlain(t, func(string) error {
		if left--; left == -1 {
			return errRefused
		}
		return nil
	})
	work := func() error {
		return db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
			err := tx.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
				return users.CreateMany(ctx, tx, []basic.User{{Name: "a", Email: "a", Nick: "a"}, {Name: "b", Email: "b", Nick: "b", Active: true}})
			})
			if err != nil {
				return err
			}
			_, err = users.Where(users.Name.Eq("a")).Update(ctx, tx, users.Score.Add(1))
			return err
		})
	}
	steps := 0
	for ; ; steps++ {
		left = steps
		err := work()
		if left = -1; err == nil {
			break
		}
		is.True(errors.Is(err, errRefused))
		is.Equal(count(t, db), int64(0))
	}
	is.True(steps >= 1)
	is.Equal(count(t, db), int64(2))
	is.NoErr(db.IntegrityCheck(ctx))
}
