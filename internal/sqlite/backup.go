//go:build cgo

package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/mattn/go-sqlite3"
)

// stepPages is how much of a backup is copied between two looks at the context.
const stepPages = 1024

// Backup copies the database that src has open to a new file at dst, 0600. src
// holds a read transaction, so the copy is what that transaction sees, however
// much is written meanwhile; writers are not held up. An error leaves no file
// at dst. Backup does not sync the copy.
func Backup(ctx context.Context, dst string, src *sql.Conn) error {
	if err := backup(ctx, dst, src); err != nil {
		return fmt.Errorf("copy the database to %s: %w", dst, err)
	}
	return nil
}

func backup(ctx context.Context, dst string, src *sql.Conn) (err error) {
	f, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the caller names its own file
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(dst))
		}
	}()
	if err := f.Close(); err != nil {
		return err
	}
	dc, err := Connector(dst, Replay).Connect(ctx)
	if err != nil {
		return err
	}
	to, ok := dc.(*sqlite3.SQLiteConn)
	if !ok {
		return errors.Join(fmt.Errorf("the driver's connection is a %T", dc), dc.Close())
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	// A small cache: every page is written once, in order.
	if _, err := to.ExecContext(ctx, "PRAGMA cache_size=-1000", nil); err != nil {
		return err
	}
	return src.Raw(func(dc any) error {
		from, ok := dc.(*sqlite3.SQLiteConn)
		if !ok {
			return fmt.Errorf("the source is not a connection of this package but a %T", dc)
		}
		if from.AutoCommit() {
			return errors.New("the source holds no read transaction")
		}
		return steps(ctx, to, from)
	})
}

func steps(ctx context.Context, to, from *sqlite3.SQLiteConn) (err error) {
	b, err := to.Backup("main", from, "main")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Finish()) }()
	left, stuck := -1, 0
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		done, err := b.Step(stepPages)
		if done || err != nil {
			return err
		}
		// The driver reports BUSY and LOCKED as a step without progress.
		// Both ends are private, so it does not end by itself.
		if b.Remaining() != left {
			left, stuck = b.Remaining(), 0
		} else if stuck++; stuck > 2 {
			return errors.New("no progress: the copy or its source is locked")
		}
	}
}
