package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile replaces the file at path by data, or makes it: a temporary file
// in the same directory is written and synced, renamed to path, and the
// directory synced. The file has the permission bits perm, whatever the umask.
// When it fails, the file at path is as it was.
func WriteFile(path string, data []byte, perm fs.FileMode) (err error) {
	// 0600 until it is whole, whatever perm is.
	f, err := os.CreateTemp(filepath.Dir(path), "."+tempBase(path)+".tmp-*")
	if err != nil {
		return fmt.Errorf("write %s: make a temporary file beside it: %w", path, err)
	}
	temp := f.Name()
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(temp)))
		}
	}()
	if err := fill(f, data, perm); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return SyncDir(filepath.Dir(path))
}

// fill writes data to f, gives it its permissions, syncs and closes it.
func fill(f *os.File, data []byte, perm fs.FileMode) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Chmod(perm)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// SyncFile forces the content of the file at path to the disk. It must not be
// used on a database that this process has open: closing the descriptor would
// drop SQLite's locks.
func SyncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // the caller names its own file
	if err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}

// LinkNew gives the file temp its final name and removes the name temp. It
// never replaces anything: when a file stands at final the error satisfies
// errors.Is(err, fs.ErrExist) and both files are as they were. The two names
// must lie in one file system. The content of temp must be synced already
// (SyncFile); the name final is on the disk when LinkNew returns nil.
func LinkNew(temp, final string) error {
	err := os.Link(temp, final)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("name %s: %w", final, fs.ErrExist)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("name %s: %w", final, err)
	default:
		// exFAT, some network and FUSE file systems have no hard links.
		return renameNew(temp, final, err)
	}
	if err := SyncDir(filepath.Dir(final)); err != nil {
		return err
	}
	if err := os.Remove(temp); err != nil {
		return fmt.Errorf("name %s: it is complete, but the temporary name is still there: %w", final, err)
	}
	return syncOther(temp, final)
}

// renameNew is LinkNew where hard links are not to be had.
func renameNew(temp, final string, linkErr error) error {
	done, err := renameNoReplace(temp, final)
	if !done {
		err = renameReserved(temp, final, linkErr)
	}
	if err != nil {
		return fmt.Errorf("name %s: %w", final, err)
	}
	return errors.Join(SyncDir(filepath.Dir(final)), syncOther(temp, final))
}

// renameReserved is the last resort: the name final is reserved with O_EXCL, so
// of two programs that do this at once one loses before anything is moved; then
// the reserved, empty file is replaced. A crash between the two leaves it.
func renameReserved(temp, final string, linkErr error) error {
	if _, err := os.Lstat(temp); err != nil {
		return err
	}
	f, err := os.OpenFile(final, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the caller names its own file
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	if err != nil {
		return errors.Join(linkErr, err)
	}
	err = f.Close()
	if err == nil {
		err = os.Rename(temp, final)
	}
	if err != nil {
		return errors.Join(err, os.Remove(final))
	}
	return nil
}

// syncOther syncs the directory that a name was removed from, if it is not the
// one that was synced already.
func syncOther(temp, final string) error {
	if filepath.Dir(temp) == filepath.Dir(final) {
		return nil
	}
	return SyncDir(filepath.Dir(temp))
}

// tempBase is path's base name, cut so that a suffix still fits in 255 bytes.
func tempBase(path string) string {
	b := filepath.Base(path)
	if len(b) > 200 {
		b = b[:200]
	}
	return b
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
