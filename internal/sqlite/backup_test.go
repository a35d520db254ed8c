//go:build cgo

package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/matryer/is"
)

func TestBackupIsOneMoment(t *testing.T) {
	is := is.New(t)
	ctx := context.Background()
	path := tempFile(t)
	w, r := conn(t, path, Writer), conn(t, path, Reader)
	exec(t, w, "CREATE TABLE t (n INTEGER PRIMARY KEY, x)", "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM s WHERE n < 20000) INSERT INTO t SELECT n, randomblob(500) FROM s")
	exec(t, r, "BEGIN", "SELECT count(*) FROM t") // a read transaction begins with its first read
	is.Equal(value(t, r, "SELECT max(n) FROM t"), "20000")
	stop := make(chan struct{})
	written := make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				written <- nil
				return
			default:
			}
			if _, err := w.ExecContext(ctx, "INSERT INTO t (x) VALUES (randomblob(500))"); err != nil {
				written <- err
				return
			}
		}
	}()
	dst := filepath.Join(t.TempDir(), "copy?.sqlite")
	err := Backup(ctx, dst, r)
	close(stop)
	is.NoErr(<-written)
	is.NoErr(err)
	exec(t, r, "ROLLBACK")
	info, err := os.Stat(dst)
	is.NoErr(err)
	is.Equal(info.Mode().Perm(), os.FileMode(0o600))
	c := conn(t, dst, Replay)
	is.Equal(value(t, c, "SELECT max(n) FROM t"), "20000")
	is.NoErr(IntegrityCheck(ctx, c))
	entries, err := os.ReadDir(filepath.Dir(dst))
	is.NoErr(err)
	is.Equal(len(entries), 1) // no -wal, no -shm, no -journal
}

func TestBackupRefuses(t *testing.T) {
	ctx := context.Background()
	path := tempFile(t)
	r := conn(t, path, Writer)
	exec(t, r, "CREATE TABLE t (x)")
	t.Run("no read transaction", func(t *testing.T) {
		is := is.New(t)
		dst := filepath.Join(t.TempDir(), "copy")
		is.True(Backup(ctx, dst, r) != nil)
		_, err := os.Stat(dst)
		is.True(os.IsNotExist(err))
	})
	exec(t, r, "BEGIN", "SELECT * FROM t")
	t.Run("existing file", func(t *testing.T) {
		is := is.New(t)
		dst := filepath.Join(t.TempDir(), "copy")
		is.NoErr(os.WriteFile(dst, []byte("mine"), 0o600))
		is.True(errors.Is(Backup(ctx, dst, r), os.ErrExist))
		b, err := os.ReadFile(dst)
		is.NoErr(err)
		is.Equal(string(b), "mine")
	})
	t.Run("cancelled", func(t *testing.T) {
		is := is.New(t)
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		dst := filepath.Join(t.TempDir(), "copy")
		is.True(errors.Is(Backup(ctx, dst, r), context.Canceled))
		_, err := os.Stat(dst)
		is.True(os.IsNotExist(err))
	})
}

func TestChecks(t *testing.T) {
	ctx := context.Background()
	path := tempFile(t)
	build(t, path, "CREATE TABLE t (n INTEGER PRIMARY KEY, x TEXT)", "CREATE INDEX i ON t (x)",
		"WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM s WHERE n < 2000) INSERT INTO t SELECT n, hex(randomblob(50)) FROM s")
	t.Run("whole", func(t *testing.T) {
		is := is.New(t)
		c := conn(t, path, Plain)
		is.NoErr(QuickCheck(ctx, c))
		is.NoErr(IntegrityCheck(ctx, c))
	})
	t.Run("damaged", func(t *testing.T) {
		is := is.New(t)
		b, err := os.ReadFile(path)
		is.NoErr(err)
		found := 0
		for page := 1; page*4096 < len(b) && page < 20; page++ {
			bad := append([]byte(nil), b...)
			for i := range 64 {
				bad[page*4096+i] ^= 0xff
			}
			copied := tempFile(t)
			is.NoErr(os.WriteFile(copied, bad, 0o600))
			if err := QuickCheck(ctx, conn(t, copied, Plain)); err != nil {
				is.True(errors.Is(err, ErrDamaged))
				found++
			}
		}
		is.Equal(found, 19)
	})
}
