package orm

import (
	"context"
	"fmt"
	"slices"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/schema"
)

// Exec runs one writing statement of your own and returns how many rows it
// changed. ? stands for args in turn; never build query from input. What it
// changes in the tables of models is in the change log like everything else;
// hooks do not run. A trigger that it makes runs after those of the change log, so
// that the log has causes before effects. Statements that begin or end transactions are refused: use
// DB.Tx.
func Exec(ctx context.Context, w Writer, query string, args ...any) (int64, error) {
	n, err := exec(ctx, w, query, args)
	if err != nil {
		return 0, fmt.Errorf("raw statement: %w", err)
	}
	return n, nil
}

func exec(ctx context.Context, w Writer, query string, args []any) (int64, error) {
	if err := usable(w); err != nil {
		return 0, err
	}
	t, err := rawText(query, args)
	if err != nil {
		return 0, err
	}
	first := words(skipBlank(query))
	switch {
	case len(first) == 0:
	case first[0] == "BEGIN" || first[0] == "COMMIT" || first[0] == "END" || first[0] == "ROLLBACK" || first[0] == "SAVEPOINT" || first[0] == "RELEASE":
		return 0, fmt.Errorf("%s belongs to the database: use DB.Tx, and Tx.Tx for a savepoint", first[0])
	}
	if first = first[:min(len(first), 3)]; slices.Contains(first, "CREATE") && slices.Contains(first, "TRIGGER") {
		return 0, inTx(ctx, w, func(ctx context.Context, tx *Tx) error {
			return tx.writing(ctx, false, func(c *conn) error {
				if _, err := c.execRaw(ctx, t.String(), t.args); err != nil {
					return err
				}
				return oursNewest(ctx, c, tx.base().tables)
			})
		})
	}
	var n int64
	err = w.writing(ctx, false, func(c *conn) (err error) {
		n, err = c.execRaw(ctx, t.String(), t.args)
		return w.base().explain(&model{schema: new(schema.Table)}, err)
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// RawReturning runs one writing statement of your own with a RETURNING clause
// and returns the rows that it wrote: see RawAll.
func RawReturning[T any](ctx context.Context, w Writer, query string, args ...any) (all []T, err error) {
	if err := usable(w); err != nil {
		return nil, fmt.Errorf("raw statement: %w", err)
	}
	err = inTx(ctx, w, func(ctx context.Context, tx *Tx) error {
		all, err = RawAll[T](ctx, tx, query, args...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// oursNewest makes the change-log triggers anew on tables where the application has
// made one since, as Open does. The log does not tell of it: nothing has changed but
// their order.
func oursNewest(ctx context.Context, c *conn, tables []schema.Table) error {
	stored, err := readStored(ctx, c)
	if err != nil {
		return err
	}
	x := changelog.Driver(c.dc)
	for i := range tables {
		t := &tables[i]
		if !overtaken(t, stored) {
			continue
		}
		for _, tr := range t.Triggers {
			if stored[tr.Name].sql != tr.SQL {
				continue // Open says what is wrong with it
			}
			if err := x.Exec(ctx, "DROP TRIGGER "+schema.QuoteIdent(tr.Name)); err != nil {
				return err
			}
			if err := x.Exec(ctx, tr.SQL); err != nil {
				return err
			}
		}
	}
	return nil
}
