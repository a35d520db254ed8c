//go:build cgo

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"database/sql/driver"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"
)

func TestPragmas(t *testing.T) {
	path := tempFile(t)
	conn(t, path, Writer) // makes the file and keeps it in WAL mode
	common := map[string]string{"trusted_schema": "0"}
	for name, test := range map[string]struct {
		mode Mode
		want map[string]string
	}{
		"writer": {Writer, map[string]string{"journal_mode": "wal", "synchronous": "1", "foreign_keys": "1", "cache_size": "-64000",
			"temp_store": "2", "recursive_triggers": "1", "busy_timeout": "5000", "query_only": "0"}},
		"reader": {Reader, map[string]string{"journal_mode": "wal", "foreign_keys": "1", "cache_size": "-64000",
			"temp_store": "2", "busy_timeout": "5000", "query_only": "1"}},
		"seal": {Seal, map[string]string{"journal_mode": "wal", "synchronous": "2", "fullfsync": "1", "checkpoint_fullfsync": "1",
			"busy_timeout": "100", "recursive_triggers": "1"}},
		"plain": {Plain, map[string]string{"journal_mode": "wal", "cell_size_check": "1", "query_only": "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := conn(t, path, test.mode)
			got := map[string]string{}
			want := map[string]string{}
			for _, m := range []map[string]string{common, test.want} {
				for p, v := range m {
					want[p], got[p] = v, value(t, c, "PRAGMA "+p)
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
	t.Run("replay", func(t *testing.T) {
		c := conn(t, tempFile(t), Replay)
		exec(t, c, "CREATE TABLE t (x)")
		for p, want := range map[string]string{"journal_mode": "off", "synchronous": "0", "foreign_keys": "0", "cell_size_check": "1",
			"locking_mode": "exclusive", "trusted_schema": "0", "recursive_triggers": "0"} {
			if got := value(t, c, "PRAGMA "+p); got != want {
				t.Errorf("%s is %s, want %s", p, got, want)
			}
		}
	})
}

func TestConnectionsAreTheDrivers(t *testing.T) {
	is := is.New(t)
	dc, err := Connector(tempFile(t), Writer).Connect(context.Background())
	is.NoErr(err)
	defer func() { is.NoErr(dc.Close()) }()
	_, ok := dc.(driver.ExecerContext)
	is.True(ok)
	_, ok = dc.(driver.QueryerContext)
	is.True(ok)
	_, ok = dc.(driver.ConnPrepareContext)
	is.True(ok)
	is.True(strings.HasPrefix(fmt.Sprintf("%T", dc), "*sqlite3."))
}

func TestReaderCannotWrite(t *testing.T) {
	is := is.New(t)
	path := tempFile(t)
	exec(t, conn(t, path, Writer), "CREATE TABLE t (x)")
	_, err := conn(t, path, Reader).ExecContext(context.Background(), "INSERT INTO t VALUES (1)")
	is.True(IsReadOnly(err))
}

// Any name that the file system takes is that file and no other, and never a
// parameter.
func TestHostileNames(t *testing.T) {
	for _, name := range []string{
		"with space", "what?mode=memory", "a#b", "100%", "%41", "a&b=c", "a;b", "-rf", "--", "üñí çødé 数据", "new\nline", "tab\t",
		`back\slash`, `C:\temp\x`, `quo"te'`, "file:x", "file:x?vfs=none", ":memory:", "a:b", "~", "..hidden", "invalid\xff\xfe", "?", "#", "%",
		"%00", strings.Repeat("n", 247), "$(id)", "*", "[a]", "{b}", "trailing ", "trailing.",
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			dir := t.TempDir()
			path := filepath.Join(dir, name)
			db := open(t, path, Writer)
			c, err := db.Conn(context.Background())
			is.NoErr(err)
			exec(t, c, "CREATE TABLE t (x)", "INSERT INTO t VALUES (7)")
			entries, err := os.ReadDir(dir)
			is.NoErr(err)
			var names []string
			for _, e := range entries {
				names = append(names, e.Name())
			}
			if d := cmp.Diff([]string{name, name + "-shm", name + "-wal"}, names); d != "" {
				t.Fatal(d)
			}
			is.Equal(value(t, c, "SELECT file FROM pragma_database_list WHERE name = 'main'"), path)
			is.Equal(value(t, conn(t, path, Reader), "SELECT x FROM t"), "7")
			is.NoErr(c.Close())
		})
	}
}

func TestRefusedPaths(t *testing.T) {
	dir := t.TempDir()
	for name, test := range map[string]struct {
		path string
		want string
	}{
		"empty":             {"", "the path is empty"},
		"NUL":               {dir + "/a\x00b", "NUL"},
		"too long":          {filepath.Join(dir, strings.Repeat("n", 248)), "248 bytes long"},
		"255 bytes":         {filepath.Join(dir, strings.Repeat("n", 255)), "255 bytes long"},
		"missing directory": {filepath.Join(dir, "no", "x.sqlite"), "no such file"},
		"directory":         {dir, "directory"},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			_, err := Connector(test.path, Writer).Connect(context.Background())
			is.True(err != nil)
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q does not say %q", err, test.want)
			}
			entries, err := os.ReadDir(dir)
			is.NoErr(err)
			is.Equal(len(entries), 0)
		})
	}
	t.Run("reader creates nothing", func(t *testing.T) {
		is := is.New(t)
		for _, m := range []Mode{Reader, Seal, Plain} {
			_, err := Connector(filepath.Join(dir, "x.sqlite"), m).Connect(context.Background())
			is.True(errors.Is(err, os.ErrNotExist))
		}
		entries, err := os.ReadDir(dir)
		is.NoErr(err)
		is.Equal(len(entries), 0)
	})
	t.Run("dangling link", func(t *testing.T) {
		is := is.New(t)
		link := filepath.Join(dir, "link")
		is.NoErr(os.Symlink(filepath.Join(dir, "target"), link))
		defer func() { is.NoErr(os.Remove(link)) }()
		_, err := Connector(link, Writer).Connect(context.Background())
		is.True(err != nil)
		_, err = os.Stat(filepath.Join(dir, "target"))
		is.True(os.IsNotExist(err))
	})
	t.Run("no database", func(t *testing.T) {
		is := is.New(t)
		path := tempFile(t)
		is.NoErr(os.WriteFile(path, []byte(strings.Repeat("no database ", 100)), 0o600))
		_, err := Connector(path, Writer).Connect(context.Background())
		is.True(IsCorrupt(err))
	})
	t.Run("cancelled", func(t *testing.T) {
		is := is.New(t)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		path := tempFile(t)
		_, err := Connector(path, Writer).Connect(ctx)
		is.True(errors.Is(err, context.Canceled))
		_, err = os.Stat(path)
		is.True(os.IsNotExist(err))
	})
}

// A relative path is resolved when the connector is made, not when a pool
// happens to open a connection.
func TestRelativePath(t *testing.T) {
	is := is.New(t)
	dir, other := t.TempDir(), t.TempDir()
	t.Chdir(dir)
	c := Connector("data.sqlite", Writer)
	t.Chdir(other)
	dc, err := c.Connect(context.Background())
	is.NoErr(err)
	is.NoErr(dc.Close())
	_, err = os.Stat(filepath.Join(dir, "data.sqlite"))
	is.NoErr(err)
}

// A connection in a journal mode other than WAL is refused by name. A file
// that another connection keeps in rollback mode stands for a file system that
// cannot do WAL.
func TestJournalModeRefused(t *testing.T) {
	is := is.New(t)
	path := tempFile(t)
	is.NoErr(os.WriteFile(path, nil, 0o600))
	exec(t, conn(t, path, Plain), "PRAGMA journal_mode=DELETE", "CREATE TABLE t (x)")
	for _, m := range []Mode{Reader, Seal} {
		_, err := Connector(path, m).Connect(context.Background())
		is.True(errors.Is(err, ErrJournalMode))
	}
	// VFSes without shared memory answer journal_mode=WAL with the old mode;
	// so does SQLite for a file that is locked exclusively in another mode.
	exec(t, conn(t, path, Writer), "INSERT INTO t VALUES (1)") // can be put in WAL mode
	is.Equal(value(t, conn(t, path, Reader), "PRAGMA journal_mode"), "wal")
}

// Many connections that make one new file at once all get it, in WAL mode, and
// no temporary name is left.
func TestCreatedOnce(t *testing.T) {
	is := is.New(t)
	path := tempFile(t)
	var wg sync.WaitGroup
	errs := make([]error, 12)
	conns := make([]driver.Conn, len(errs))
	for i := range errs {
		wg.Go(func() { conns[i], errs[i] = Connector(path, Writer).Connect(context.Background()) })
	}
	wg.Wait()
	is.NoErr(errors.Join(errs...))
	for _, c := range conns {
		is.NoErr(c.Close())
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	is.NoErr(err)
	is.Equal(len(entries), 1)
}

func TestDiskSize(t *testing.T) {
	is := is.New(t)
	path := tempFile(t)
	_, err := DiskSize(path)
	is.True(errors.Is(err, os.ErrNotExist))
	c := conn(t, path, Writer)
	exec(t, c, "CREATE TABLE t (x)", "INSERT INTO t VALUES (zeroblob(100000))")
	size, err := DiskSize(path)
	is.NoErr(err)
	main, err := os.Stat(path)
	is.NoErr(err)
	is.True(main.Size() < 100000) // still in the WAL
	is.True(size > 100000)
}
