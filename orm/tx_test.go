package orm_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/gen_test/basic"
	"github.com/driftdb/driftdb/orm"
)

var errStop = errors.New("stop")

func count(t *testing.T, db orm.Reader) int64 {
	t.Helper()
	n, err := users.Count(context.Background(), db)
	is.New(t).NoErr(err)
	return n
}

func TestTxCommitsOrRollsBack(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	var outer *orm.Tx
	is.NoErr(db.Tx(ctx, func(_ context.Context, tx *orm.Tx) error {
		outer = tx
		addUser(t, tx, "a")
		is.Equal(count(t, tx), int64(1)) // a Tx sees its own rows
		is.Equal(tx.Position(), orm.Position{})
		return nil
	}))
	pos, err := db.Position(ctx)
	is.NoErr(err)
	is.Equal(outer.Position(), pos)
	is.True(pos.Sequence > 0)

	err = db.Tx(ctx, func(_ context.Context, tx *orm.Tx) error {
		addUser(t, tx, "b")
		return errStop
	})
	is.Equal(err, errStop) // the very error
	is.Equal(count(t, db), int64(1))
	after, err := db.Position(ctx)
	is.NoErr(err)
	is.Equal(after, pos) // no entry, no gap

	func() {
		defer func() { is.Equal(recover(), "boom") }()
		_ = db.Tx(ctx, func(_ context.Context, tx *orm.Tx) error {
			addUser(t, tx, "c")
			panic("boom")
		})
	}()
	is.Equal(count(t, db), int64(1))
	_, err = outer.Position(), users.Create(ctx, outer, &basic.User{Email: "x"})
	is.True(errors.Is(err, orm.ErrTxDone))

	is.NoErr(db.Tx(ctx, func(context.Context, *orm.Tx) error { return nil })) // writes nothing, logs nothing
	after, err = db.Position(ctx)
	is.NoErr(err)
	is.Equal(after, pos)
	m := db.Metrics()
	is.Equal(m.Rollbacks, int64(2))
}

func TestSavepoints(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	is.NoErr(db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		addUser(t, tx, "a")
		err := tx.Tx(ctx, func(ctx context.Context, inner *orm.Tx) error {
			addUser(t, inner, "b")
			err := inner.Tx(ctx, func(_ context.Context, deep *orm.Tx) error {
				addUser(t, deep, "c")
				return nil
			})
			is.NoErr(err)
			is.Equal(count(t, tx), int64(3))
			return errStop
		})
		is.True(errors.Is(err, errStop))
		is.Equal(count(t, tx), int64(1))

		// several rows of one call stand or fall together, inside a Tx too
		many := []basic.User{{Email: "m1", Nick: "m1"}, {Email: "m2", Nick: "m2", Active: true}, {Email: "m1"}}
		is.True(users.ByEmail.Violated(users.CreateMany(ctx, tx, many)))
		is.Equal(count(t, tx), int64(1))
		return nil
	}))
	is.Equal(count(t, db), int64(1))
}

func TestTheDatabaseInsideItsOwnTx(t *testing.T) {
	is := is.New(t)
	db := open(t)
	is.NoErr(db.Tx(t.Context(), func(ctx context.Context, _ *orm.Tx) error {
		is.True(errors.Is(users.Create(ctx, db, &basic.User{Email: "x"}), orm.ErrInTx))
		_, err := users.Count(ctx, db)
		is.True(errors.Is(err, orm.ErrInTx))
		is.True(errors.Is(db.Tx(ctx, nil), orm.ErrInTx))
		is.True(errors.Is(db.ReadTx(ctx, nil), orm.ErrInTx))
		is.True(errors.Is(db.Vacuum(ctx), orm.ErrInTx))
		is.True(errors.Is(db.Shutdown(ctx), orm.ErrInTx))
		return nil
	}))
}

func TestReadTxSeesOneState(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	addUser(t, db, "a")
	is.NoErr(db.ReadTx(ctx, func(_ context.Context, tx *orm.ReadTx) error {
		is.Equal(count(t, tx), int64(1))
		addUser(t, db, "b") // a writer does not wait for a reader
		is.Equal(count(t, db), int64(2))
		is.Equal(count(t, tx), int64(1))
		return nil
	}))
}

func TestEach(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := openAt(t, filepath.Join(t.TempDir(), "t.sqlite"), driftdb.Options{Readers: 1})
	for _, n := range []string{"a", "b", "c"} {
		addUser(t, db, n)
	}
	got := ""
	for u, err := range users.Where().OrderBy(users.Name.Asc()).Each(ctx, db) {
		is.NoErr(err)
		got += u.Name
		is.NoErr(users.Update(ctx, db, u.ID, users.Name.Set(u.Name+"!"))) // the loop reads, the body writes
		if u.Name == "b" {
			break
		}
	}
	is.Equal(got, "ab")
	is.Equal(count(t, db), int64(3)) // the only reading connection is back

	is.NoErr(db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		for u, err := range users.Where().OrderBy(users.Name.Asc()).Each(ctx, tx) {
			is.NoErr(err)
			is.NoErr(users.Update(ctx, tx, u.ID, users.Score.Set(1)))
			for _, err := range users.Where().OrderBy(users.Name.Asc()).Each(ctx, tx) { // the same statement again
				is.NoErr(err)
			}
		}
		return nil
	}))

	for _, err := range users.Where(orm.SQL[basic.User]("nonsense(")).Each(ctx, db) {
		is.True(err != nil)
	}
	func() {
		defer func() { is.Equal(recover(), "boom") }()
		for range users.Where().Each(ctx, db) { //nolint:errcheck // panics
			panic("boom")
		}
	}()
	is.Equal(count(t, db), int64(3))
}

// endless is a query that ends only when it is interrupted.
const endless = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n`

// running is when such a query runs for certain: the driver's interruption is
// lost on a statement that it is about to start.
const running = 100 * time.Millisecond

func TestCancellation(t *testing.T) {
	is := is.New(t)
	db := open(t)
	addUser(t, db, "a")

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := users.Count(gone, db)
	is.True(errors.Is(err, context.Canceled))
	is.True(errors.Is(users.Create(gone, db, &basic.User{Email: "x"}), context.Canceled))
	is.True(errors.Is(db.Tx(gone, nil), context.Canceled))

	// while a statement runs
	ctx, cancel := context.WithTimeout(t.Context(), running)
	defer cancel()
	_, err = orm.RawAll[int64](ctx, db, endless)
	is.True(errors.Is(err, context.DeadlineExceeded))

	// while another transaction holds the writer
	is.NoErr(db.Tx(t.Context(), func(context.Context, *orm.Tx) error {
		ctx, cancel := context.WithCancel(context.Background())
		go cancel()
		err := users.Create(ctx, db, &basic.User{Email: "x"})
		is.True(errors.Is(err, context.Canceled))
		return nil
	}))

	// inside a transaction, at every step: nothing stays open
	for step := range 4 {
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
			for i := range 4 {
				if i == step {
					cancel()
				}
				if err := users.Create(ctx, tx, &basic.User{Email: fmt.Sprint(i), Nick: fmt.Sprint(i)}); err != nil {
					return err
				}
			}
			return nil
		})
		cancel()
		is.True(errors.Is(err, context.Canceled))
		is.Equal(count(t, db), int64(1))
	}
	ctx, cancel = context.WithCancel(t.Context())
	err = db.Tx(ctx, func(_ context.Context, tx *orm.Tx) error {
		addUser(t, tx, "late")
		cancel() // after the last write, before the commit
		return nil
	})
	is.True(errors.Is(err, context.Canceled))
	is.Equal(count(t, db), int64(1))
	addUser(t, db, "b") // and the writer works
}

func TestClose(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "t.sqlite")
	db, err := driftdb.Open(ctx, path, basic.Schema, driftdb.Options{})
	is.NoErr(err)
	inside, leave := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		done <- db.Tx(ctx, func(context.Context, *orm.Tx) error {
			close(inside)
			<-leave
			return nil
		})
	}()
	<-inside
	gone, cancel := context.WithCancel(ctx)
	cancel()
	is.True(errors.Is(db.Shutdown(gone), context.Canceled)) // a transaction is running
	_, err = users.Count(ctx, db)
	is.True(errors.Is(err, orm.ErrClosed))
	close(leave)
	is.NoErr(<-done)
	is.NoErr(db.Shutdown(ctx))
	is.NoErr(db.Close())
	is.NoErr(db.Close())
	is.True(errors.Is(users.Create(ctx, db, &basic.User{Email: "x"}), orm.ErrClosed))
	is.True(db.SQL().PingContext(ctx) != nil)
}

// TestConcurrentUse: goroutines of one process never see a busy database.
func TestConcurrentUse(t *testing.T) {
	is := is.New(t)
	db := open(t)
	const workers, rounds = 16, 25
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			ctx := context.Background()
			for i := range rounds {
				name := fmt.Sprintf("%d-%d", w, i)
				var err error
				switch i % 5 {
				case 0:
					err = db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
						return users.Create(ctx, tx, &basic.User{Name: name, Email: name, Nick: name})
					})
				case 1:
					_, err = users.All(ctx, db, users.Name.HasPrefix("1"))
				case 2:
					for range users.Where().Limit(5).Each(ctx, db) { //nolint:errcheck // only begins
						break
					}
				case 3:
					short, cancel := context.WithCancel(ctx)
					go cancel()
					if err = users.Create(short, db, &basic.User{Name: "maybe", Email: name, Nick: name}); errors.Is(err, context.Canceled) {
						err = nil
					}
				default:
					_, err = users.Where(users.Name.Eq(name)).Update(ctx, db, users.Score.Add(1))
				}
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	wg.Wait()
	n, err := users.Count(t.Context(), db, users.Name.Ne("maybe"))
	is.NoErr(err)
	is.Equal(n, int64(workers*rounds/5))
	is.NoErr(db.IntegrityCheck(t.Context()))
}
