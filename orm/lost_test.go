package orm_test

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/gen_test/basic"
	"github.com/driftdb/driftdb/orm"
)

// rollbackTrigger makes SQLite end the whole transaction when a user is named
// so.
const rollbackTrigger = `CREATE TRIGGER mine BEFORE INSERT ON users WHEN NEW.name = 'poison' BEGIN SELECT RAISE(ROLLBACK, 'poisoned'); END`

// TestTransactionsThatSQLiteEnds: some errors end the whole transaction. What
// its function does afterwards must not be stored by itself.
func TestTransactionsThatSQLiteEnds(t *testing.T) {
	ctx := t.Context()
	poison := func(ctx context.Context, tx *orm.Tx) error {
		return users.Create(ctx, tx, &basic.User{Name: "poison", Email: "p", Nick: "p", Active: true})
	}
	interrupted := func(_ context.Context, tx *orm.Tx) error {
		ctx, cancel := context.WithTimeout(ctx, running)
		defer cancel()
		_, err := users.Where(users.Name.Eq("a")).Update(ctx, tx, users.Score.SetSQL("("+endless+")"))
		return err
	}
	end := func(ctx context.Context, tx *orm.Tx) error {
		_, err := orm.RawAll[int](ctx, tx, "COMMIT")
		return err
	}
	plain := func(t *testing.T) *orm.DB { return openPlain(t, func(string) error { return nil }) }
	for name, test := range map[string]struct {
		open func(*testing.T) *orm.DB
		fail func(context.Context, *orm.Tx) error
	}{
		"trigger": {open, poison}, "interrupted": {open, interrupted}, "raw": {open, end},
		"trigger, plain driver": {plain, poison}, "interrupted, plain driver": {plain, interrupted},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			db, fail := test.open(t), test.fail
			_, err := db.SQL().Exec(rollbackTrigger)
			is.NoErr(err)
			err = db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
				is.NoErr(tx.Tx(ctx, func(_ context.Context, tx *orm.Tx) error {
					addUser(t, tx, "a")
					return nil
				}))
				err := tx.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
					err := fail(ctx, tx)
					is.True(err != nil)
					return err
				})
				is.True(err != nil)
				err = users.Create(ctx, tx, &basic.User{Name: "b", Email: "b", Nick: "b", Active: true})
				is.True(errors.Is(err, orm.ErrTxLost))
				_, err = users.Count(ctx, tx)
				is.True(errors.Is(err, orm.ErrTxLost))
				is.True(errors.Is(tx.Tx(ctx, nil), orm.ErrTxLost))
				return nil // although everything failed
			})
			is.True(errors.Is(err, orm.ErrTxLost))
			want := int64(0)
			if name == "raw" {
				want = 1 // the caller's own COMMIT
			}
			is.Equal(count(t, db), want)
			addUser(t, db, "c") // and the writer works
		})
	}
}

// TestCommitThatFails: a deferred foreign key is checked by COMMIT.
func TestCommitThatFails(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	err := db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		if _, err := orm.RawAll[int](ctx, tx, "PRAGMA defer_foreign_keys = ON"); err != nil {
			return err
		}
		return users.Create(ctx, tx, &basic.User{Email: "lost", TeamID: new("nobody"), Active: true})
	})
	var foreign *orm.ForeignKeyError
	is.True(errors.As(err, &foreign))
	is.Equal(count(t, db), int64(0))
	addUser(t, db, "a")
	is.Equal(db.Metrics().Rollbacks, int64(1))
}

// TestNothingIsToldOfARollback: OnCommit is for commits.
func TestNothingIsToldOfARollback(t *testing.T) {
	is := is.New(t)
	told := 0
	replica := &counting{notified: func() { told++ }}
	db := openAt(t, filepath.Join(t.TempDir(), "t.sqlite"), driftdb.Options{Replica: replica})
	told = 0 // Open commits the tables
	is.Equal(db.Tx(t.Context(), func(_ context.Context, tx *orm.Tx) error {
		addUser(t, tx, "a")
		return errStop
	}), errStop)
	is.Equal(told, 0)
	addUser(t, db, "a")
	is.Equal(told, 1)
}

type counting struct{ notified func() }

func (*counting) Prepare(context.Context, string) error { return nil }
func (*counting) Start(context.Context, string) error   { return nil }
func (c *counting) Notify()                             { c.notified() }
func (*counting) Shutdown(context.Context) error        { return nil }
func (*counting) Close() error                          { return nil }

// TestLoopsLeftOpen: a loop pulled by hand may outlive its transaction. It
// must not hold the connection's snapshot.
func TestLoopsLeftOpen(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := openAt(t, filepath.Join(t.TempDir(), "t.sqlite"), driftdb.Options{Readers: 1})
	addUser(t, db, "a")
	addUser(t, db, "b")
	check := func(next func() (*basic.User, error, bool), stop func()) {
		_, err, ok := next()
		is.True(ok && errors.Is(err, orm.ErrTxDone))
		stop()
		for range 2 {
			_, err = db.SQL().Exec(`UPDATE users SET score = score + 1`)
			is.NoErr(err)
			_, err = users.Where().AllRows().Update(ctx, db, users.Score.Add(1))
			is.NoErr(err)
			n, err := users.Count(ctx, db, users.Score.Gte(1))
			is.NoErr(err)
			is.Equal(n, int64(2))
		}
	}
	var next func() (*basic.User, error, bool)
	var stop func()
	is.NoErr(db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		next, stop = iter.Pull2(users.Where().Each(ctx, tx))
		_, err, _ := next()
		return err
	}))
	check(next, stop)
	is.NoErr(db.ReadTx(ctx, func(ctx context.Context, tx *orm.ReadTx) error {
		next, stop = iter.Pull2(users.Where().Each(ctx, tx))
		_, err, _ := next()
		return err
	}))
	check(next, stop)
}

// TestRawSQLThatOpensATransaction must not poison the reading connection.
func TestRawSQLThatOpensATransaction(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := openAt(t, filepath.Join(t.TempDir(), "t.sqlite"), driftdb.Options{Readers: 1})
	_, err := orm.RawAll[int](ctx, db, "BEGIN")
	is.True(err != nil)
	is.Equal(count(t, db), int64(0))
	addUser(t, db, "a")
	is.Equal(count(t, db), int64(1))
}

// TestAnotherProcessHoldsTheLock: a context ends the wait at once, not when
// SQLite's own patience does.
func TestAnotherProcessHoldsTheLock(t *testing.T) {
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "t.sqlite")
	db := openAt(t, path, driftdb.Options{})
	other, err := sql.Open("sqlite3", path)
	is.NoErr(err)
	other.SetMaxOpenConns(1)
	t.Cleanup(func() { is.NoErr(other.Close()) })
	_, err = other.Exec("BEGIN IMMEDIATE")
	is.NoErr(err)

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	err = users.Create(ctx, db, &basic.User{Email: "x"})
	is.True(errors.Is(err, context.DeadlineExceeded))
	is.True(strings.Contains(err.Error(), "locked"))
	is.True(time.Since(began) < 3*time.Second)
	err = db.Vacuum(ctx)
	is.True(errors.Is(err, context.DeadlineExceeded))
	is.Equal(count(t, db), int64(0)) // reading goes on

	done := make(chan error)
	go func() { done <- users.Create(context.Background(), db, &basic.User{Email: "x"}) }()
	_, err = other.Exec("COMMIT")
	is.NoErr(err)
	is.NoErr(<-done)
	is.NoErr(db.Vacuum(t.Context()))
}
