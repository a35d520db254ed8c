//go:build cgo

package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/driftdb/driftdb/internal/durable"
)

const (
	busyTimeout     = 5 * time.Second
	sealBusyTimeout = 100 * time.Millisecond
	// maxName leaves room for SQLite's -journal behind a name of at most 255
	// bytes, what file systems allow.
	maxName = 255 - len("-journal")
)

// Connector opens connections to the file at path, which may hold any byte but
// NUL; a relative path means what it means now, wherever the process goes
// later. The connections are the driver's own and implement ExecerContext,
// QueryerContext and ConnPrepareContext.
func Connector(path string, m Mode) driver.Connector {
	abs, err := absolute(path)
	return &connector{path: abs, mode: m, err: err}
}

type connector struct {
	path string
	mode Mode
	err  error // why path cannot be a database, reported by Connect
}

// Driver implements driver.Connector.
func (c *connector) Driver() driver.Driver { return &sqlite3.SQLiteDriver{} }

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", c.path, err)
	}
	return conn, nil
}

func (c *connector) connect(ctx context.Context) (driver.Conn, error) {
	if c.err != nil {
		return nil, c.err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.mode == Writer || c.mode == Replay {
		if err := create(c.path); err != nil {
			return nil, err
		}
	}
	dc, err := (&sqlite3.SQLiteDriver{}).Open(uri(c.path) + fmt.Sprintf("?mode=rw&_busy_timeout=%d", c.busy().Milliseconds()))
	if err != nil {
		return nil, c.explain(err)
	}
	conn, ok := dc.(*sqlite3.SQLiteConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the driver's connection is a %T", dc), dc.Close())
	}
	if err := c.setUp(ctx, conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func (c *connector) busy() time.Duration {
	if c.mode == Seal {
		return sealBusyTimeout
	}
	return busyTimeout
}

// explain adds to SQLite's "unable to open database file" what can be seen
// without opening it.
func (c *connector) explain(err error) error {
	info, statErr := os.Stat(c.path)
	switch {
	case statErr != nil:
		return errors.Join(err, statErr)
	case info.IsDir():
		return fmt.Errorf("it is a directory: %w", err)
	}
	return err
}

// create makes an empty file 0600 if there is none, and syncs nothing: an
// empty file is as good as none. It is made under another name and linked, so
// that its descriptor is closed before anybody can open the name: closing a
// descriptor of a database drops the locks that SQLite holds in this process.
func create(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".drift-new-*") // O_EXCL, 0600
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if err := f.Close(); err != nil {
		return errors.Join(fmt.Errorf("create: %w", err), os.Remove(f.Name()))
	}
	err = durable.LinkNew(f.Name(), path)
	if err == nil {
		return nil
	}
	err = errors.Join(err, os.Remove(f.Name()))
	if errors.Is(err, fs.ErrExist) {
		return nil // somebody else was faster
	}
	return fmt.Errorf("create: %w", err)
}

// setUp brings a fresh connection into its mode.
func (c *connector) setUp(ctx context.Context, conn *sqlite3.SQLiteConn) error {
	for _, p := range c.pragmas() {
		if _, err := conn.ExecContext(ctx, "PRAGMA "+p, nil); err != nil {
			return fmt.Errorf("PRAGMA %s: %w", p, err)
		}
	}
	switch c.mode {
	case Writer:
		return wal(ctx, conn, true)
	case Reader, Seal:
		return wal(ctx, conn, false)
	case Replay:
		mode, err := pragma(ctx, conn, "journal_mode=OFF")
		if err == nil && mode != "off" {
			err = fmt.Errorf("journal_mode stays %q: somebody else has the file open", mode)
		}
		return err
	default:
		return nil
	}
}

func (c *connector) pragmas() []string {
	common := []string{"trusted_schema=OFF"}
	switch c.mode {
	case Writer:
		return append(common, "synchronous=NORMAL", "foreign_keys=ON", "cache_size=-64000", "temp_store=MEMORY", "recursive_triggers=ON")
	case Reader:
		return append(common, "synchronous=NORMAL", "foreign_keys=ON", "cache_size=-64000", "temp_store=MEMORY", "recursive_triggers=ON", "query_only=ON")
	case Seal:
		return append(common, "synchronous=FULL", "fullfsync=ON", "checkpoint_fullfsync=ON", "foreign_keys=ON", "cache_size=-2000", "temp_store=MEMORY", "recursive_triggers=ON")
	case Replay:
		return append(common, "cell_size_check=ON", "locking_mode=EXCLUSIVE", "synchronous=OFF", "foreign_keys=OFF", "cache_size=-16000")
	default:
		return append(common, "cell_size_check=ON")
	}
}

// wal makes sure of WAL mode. Changing the mode needs the file alone and does
// not wait for it, so a second opener of a new file tries until the first is
// through.
func wal(ctx context.Context, conn *sqlite3.SQLiteConn, change bool) error {
	mode, err := pragma(ctx, conn, "journal_mode")
	if err != nil || mode == "wal" {
		return err
	}
	if !change {
		return fmt.Errorf("journal_mode is %q: %w", mode, ErrJournalMode)
	}
	ctx, cancel := context.WithTimeout(ctx, busyTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		mode, err = pragma(ctx, conn, "journal_mode=WAL")
		if !IsBusy(err) {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("switch to WAL mode: %w", err)
		case <-tick.C:
		}
	}
	if err != nil {
		return fmt.Errorf("switch to WAL mode: %w", err)
	}
	if mode != "wal" {
		return fmt.Errorf("journal_mode is %q: %w", mode, ErrJournalMode)
	}
	return nil
}

// pragma runs a pragma and returns its first value as text, "" for none.
func pragma(ctx context.Context, conn driver.QueryerContext, p string) (v string, err error) {
	rows, err := conn.QueryContext(ctx, "PRAGMA "+p, nil)
	if err != nil {
		return "", fmt.Errorf("PRAGMA %s: %w", p, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	dest := make([]driver.Value, len(rows.Columns()))
	if err := rows.Next(dest); err != nil {
		if errors.Is(err, io.EOF) {
			return "", nil
		}
		return "", fmt.Errorf("PRAGMA %s: %w", p, err)
	}
	if len(dest) == 0 {
		return "", nil
	}
	return fmt.Sprint(dest[0]), nil
}

// absolute checks a path and makes it absolute.
func absolute(path string) (string, error) {
	switch {
	case path == "":
		return path, errors.New("the path is empty")
	case strings.ContainsRune(path, 0):
		return path, errors.New("the path holds a NUL byte")
	case len(filepath.Base(path)) > maxName:
		return path, fmt.Errorf("the file name is %d bytes long: SQLite needs names of its own beside it, %d bytes are the most", len(filepath.Base(path)), maxName)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return path, err
	}
	return abs, nil
}

// uri returns the file: URI of an absolute path. Every byte but the plain ones
// is percent-encoded, so nothing in a name is taken for a parameter.
func uri(path string) string {
	const hexDigits = "0123456789ABCDEF"
	path = filepath.ToSlash(path)
	var b strings.Builder
	b.WriteString("file://")
	if !strings.HasPrefix(path, "/") {
		b.WriteByte('/') // C:/…
	}
	for i := range len(path) {
		switch c := path[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("/-._~:", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

// Version returns the version of the SQLite library, for example "3.54.1".
func Version() string {
	v, _, _ := sqlite3.Version()
	return v
}
