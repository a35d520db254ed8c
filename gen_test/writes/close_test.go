package writes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/drifttest"
	. "github.com/driftdb/driftdb/gen_test/writes"
	"github.com/driftdb/driftdb/orm"
)

// TestCloseInside: Close waits for transactions, loops and listeners, and called by one
// it says so instead of waiting for ever. The database goes on, and can be closed.
func TestCloseInside(t *testing.T) {
	t.Parallel()
	for name, inside := range map[string]func(ctx context.Context, db *orm.DB, call func() error) error{
		"a transaction": func(ctx context.Context, db *orm.DB, call func() error) error {
			return db.Tx(ctx, func(context.Context, *orm.Tx) error { return call() })
		},
		"a savepoint": func(ctx context.Context, db *orm.DB, call func() error) error {
			return db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
				return tx.Tx(ctx, func(context.Context, *orm.Tx) error { return call() })
			})
		},
		"a read transaction": func(ctx context.Context, db *orm.DB, call func() error) error {
			return db.ReadTx(ctx, func(context.Context, *orm.ReadTx) error { return call() })
		},
		"a loop": func(ctx context.Context, db *orm.DB, call func() error) error {
			for _, err := range Pages.Where().Each(ctx, db) {
				return errors.Join(err, call())
			}
			return errors.New("no rows")
		},
		"a listener": func(ctx context.Context, db *orm.DB, call func() error) error {
			result := make(chan error, 1)
			stop := Pages.OnChange(db, func(context.Context, orm.Change[Page]) error {
				result <- call()
				return nil
			})
			defer stop()
			if err := Pages.Create(ctx, db, &Page{Slug: fmt.Sprint("heard ", time.Now().UnixNano())}); err != nil {
				return err
			}
			return <-result
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			is := is.New(t)
			db := drifttest.Open(t, Schema)
			is.NoErr(Pages.Create(t.Context(), db, &Page{Slug: "one"}))
			calls := []func() error{db.Close}
			if name == "a transaction" {
				calls = append(calls, db.ReadOnly().Close, func() error { return db.Shutdown(context.Background()) })
			}
			for _, call := range calls {
				err := inside(t.Context(), db, call)
				is.True(errors.Is(err, orm.ErrInTx))
				is.True(strings.Contains(err.Error(), "inside a transaction, a loop over rows or a listener"))
				n, err := Pages.Count(t.Context(), db)
				is.NoErr(err)
				is.True(n > 0)
			}
			is.NoErr(Pages.Create(t.Context(), db, &Page{Slug: "two"}))

			// Another database can be closed inside of this one's, when its own work is done.
			other := drifttest.Open(t, Schema)
			began, end := make(chan struct{}), make(chan error, 1)
			go func() {
				end <- other.Tx(context.Background(), func(ctx context.Context, tx *orm.Tx) error {
					close(began)
					<-time.After(100 * time.Millisecond)
					return Pages.Create(ctx, tx, &Page{Slug: "late"})
				})
			}()
			<-began
			is.NoErr(inside(t.Context(), db, other.Close))
			is.NoErr(<-end)
			is.NoErr(db.Close())
		})
	}
}
