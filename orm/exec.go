package orm

import (
	"context"
	"fmt"

	"github.com/driftdb/driftdb/schema"
)

// Exec runs one writing statement of your own and returns how many rows it
// changed. ? stands for args in turn; never build query from input. What it
// changes in the tables of models is in the change log like everything else;
// hooks do not run. Statements that begin or end transactions are refused: use
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
	switch first := words(skipBlank(query)); {
	case len(first) == 0:
	case first[0] == "BEGIN" || first[0] == "COMMIT" || first[0] == "END" || first[0] == "ROLLBACK" || first[0] == "SAVEPOINT" || first[0] == "RELEASE":
		return 0, fmt.Errorf("%s belongs to the database: use DB.Tx, and Tx.Tx for a savepoint", first[0])
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
