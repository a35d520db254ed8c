package replicate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// disk is a file system of its own, of a given size.
type disk struct {
	t   *testing.T
	dir string
}

// newDisk mounts a file system of so many KiB; that needs privileges.
func newDisk(t *testing.T, kib int) *disk {
	t.Helper()
	d := &disk{t, t.TempDir()}
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, fmt.Sprintf("size=%dk", kib)); err != nil {
		t.Skipf("mounting a file system of a given size: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(d.dir, 0); err != nil {
			t.Errorf("unmount %s: %v", d.dir, err)
		}
	})
	return d
}

// remount changes the size or how the file system is mounted.
func (d *disk) remount(flags uintptr, options string) {
	d.t.Helper()
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", syscall.MS_REMOUNT|flags, options); err != nil {
		d.t.Fatal(err)
	}
}

// isFull says that err tells of a full disk, whoever met it.
func isFull(err error) bool { return sqlite.IsFull(err) || errors.Is(err, syscall.ENOSPC) }

// fill commits rows of 2 KiB until one is refused, and returns how many there are.
func fill(t *testing.T, a *app, from int) (to int, err error) {
	t.Helper()
	for i := from; i < 1<<20; i++ {
		if _, err := a.db.ExecContext(t.Context(), `INSERT INTO items (id, name, data) VALUES (?, ?, ?)`,
			i, fmt.Sprint("row ", i), bytes.Repeat([]byte{byte(i)}, 2<<10)); err != nil {
			return i - 1, err
		}
	}
	return 0, errors.New("the disk is never full")
}

// A disk that is full, at whatever step that is met first, loses nothing that was
// committed, is told of under its name, and is gone on from when there is room.
// DRIFTDB_DISKS sets how many sizes are tried.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	n := env("DRIFTDB_DISKS", 6)
	for i := range n {
		kib := 512 + i*(4096/n)
		t.Run(fmt.Sprint(kib), func(t *testing.T) {
			is := is.New(t)
			d := newDisk(t, kib)
			a := openApp(t, filepath.Join(d.dir, "app.sqlite"))
			defer a.close() // before the disk goes
			store := memstore.New()
			o := fast()
			o.Snapshot = replicate.SnapshotRule{Every: 50, MinLogRatio: 0.01}
			o.Retry = retries(2)
			o.LogTail = 10
			r := start(t, a, store, o)
			rows := 0
			for round := range 3 {
				to, err := fill(t, a, rows+1)
				is.True(isFull(err))
				rows = to
				if err := r.Flush(t.Context()); err != nil {
					is.True(isFull(err))
				}
				if err := r.Snapshot(t.Context()); err != nil {
					is.True(isFull(err))
				}
				var count int
				var check string
				is.NoErr(a.db.QueryRowContext(t.Context(), `SELECT count(*) FROM items`).Scan(&count))
				is.Equal(count, rows) // what was committed can be read, and nothing else
				is.NoErr(a.db.QueryRowContext(t.Context(), `PRAGMA quick_check`).Scan(&check))
				is.Equal(check, "ok")
				if round == 1 {
					kill(t, r)
					if err := a.db.PingContext(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				kib += 256 + 32*i
				d.remount(0, fmt.Sprintf("size=%dk", kib))
				if round == 1 {
					r = start(t, a, store, o)
				}
				if err := r.Flush(t.Context()); err != nil { // a snapshot may have taken the room
					is.True(isFull(err))
				} else {
					sameAsRestored(t, a, store)
				}
			}
			d.remount(0, "size=64m")
			is.NoErr(r.Snapshot(t.Context()))
			shutdown(t, r)
			sameAsRestored(t, a, store)
		})
	}
}

// A restore to a disk that has too little room says so, leaves no file there that
// could be taken for a database, and goes on when there is room.
func TestRestoreToFullDisk(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	a := openApp(t, dbPath(t))
	for i := range 100 {
		a.exec(`INSERT INTO items (id, name, data) VALUES (?, ?, ?)`, int64(i+1), fmt.Sprint("row ", i), bytes.Repeat([]byte{byte(i)}, 20<<10))
	}
	store := memstore.New()
	r := start(t, a, store, fast())
	is.NoErr(r.Snapshot(t.Context()))
	for i := range 20 {
		a.exec(`INSERT INTO items (id, name, data) VALUES (?, ?, ?)`, int64(i+1001), fmt.Sprint("later ", i), bytes.Repeat([]byte{byte(i)}, 20<<10))
	}
	shutdown(t, r)
	for _, kib := range []int{64, 300, 1024, 3000, 3500} {
		t.Run(fmt.Sprint(kib), func(t *testing.T) {
			is := is.New(t)
			d := newDisk(t, kib)
			to := filepath.Join(d.dir, "back.sqlite")
			restore := func() error {
				_, err := replicate.Restore(context.WithoutCancel(t.Context()), dbName, store, to, replicate.RestoreOptions{Retry: retries(2)})
				return err
			}
			err := restore()
			is.True(isFull(err))
			is.True(!fileExists(t, to))
			d.remount(0, "size=64m")
			is.NoErr(restore())
			is.Equal(dump(t, to), dump(t, a.path))
		})
	}
}

// A file system that becomes read-only, as Linux does after an error of the disk,
// stops what would be written, under its name; what is there can be read, and a
// restart on it is refused by name too.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	d := newDisk(t, 8<<10)
	path := filepath.Join(d.dir, "app.sqlite")
	a := openApp(t, path)
	store := memstore.New()
	r := start(t, a, store, fast())
	a.insert(1, 5)
	flush(t, r)
	a.insert(6, 8)
	a.close()
	kill(t, r)
	d.remount(syscall.MS_RDONLY, "")
	r = newReplica(t, store, fast())
	err := r.Prepare(t.Context(), path)
	if err == nil {
		err = r.Start(t.Context(), path)
	}
	is.True(errors.Is(err, syscall.EROFS) || sqlite.IsReadOnly(err))
	_, err = replicate.Restore(t.Context(), dbName, store, filepath.Join(d.dir, "back.sqlite"), replicate.RestoreOptions{Retry: retries(2)})
	is.True(errors.Is(err, syscall.EROFS))
	d.remount(0, "size=8192k")
	a = openApp(t, path)
	defer a.close()
	r = start(t, a, store, fast())
	shutdown(t, r)
	sameAsRestored(t, a, store)
}
