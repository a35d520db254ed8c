package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// ErrDamaged is a database that does not pass its check.
var ErrDamaged = errors.New("the database is damaged")

// ErrFileDamaged is a file of the program's own that is damaged, or no database.
var ErrFileDamaged = errors.New("the local file is damaged, or no database: keep it, move it away with its -wal and -shm, and put a backup in its place, " +
	"which with AutoRestore a restart does and without it drift restore; what was not stored yet can often be read out of it with .recover of the sqlite3 shell")

// OfFile marks what SQLite finds wrong with the program's own file as ErrFileDamaged.
func OfFile(err error) error {
	if err == nil || errors.Is(err, ErrFileDamaged) || !IsCorrupt(err) && !errors.Is(err, ErrDamaged) {
		return err
	}
	return fmt.Errorf("%w: %w", err, ErrFileDamaged)
}

// QuickCheck runs PRAGMA quick_check. The error names what was found and
// satisfies errors.Is(err, ErrDamaged) if the file is damaged.
func QuickCheck(ctx context.Context, c *sql.Conn) error { return check(ctx, c, "quick_check") }

// IntegrityCheck runs PRAGMA integrity_check, which compares the indexes with
// their tables too.
func IntegrityCheck(ctx context.Context, c *sql.Conn) error { return check(ctx, c, "integrity_check") }

func check(ctx context.Context, c *sql.Conn, pragma string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", pragma, err)
			if IsCorrupt(err) && !errors.Is(err, ErrDamaged) {
				err = errors.Join(ErrDamaged, err)
			}
		}
	}()
	const most = 10 // findings that an error lists
	rows, err := c.QueryContext(ctx, fmt.Sprintf("PRAGMA %s(%d)", pragma, most))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var found []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return err
		}
		if line != "ok" {
			found = append(found, line)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(found) > 0 {
		return fmt.Errorf("%w: %s", ErrDamaged, strings.Join(found, "; "))
	}
	return nil
}
