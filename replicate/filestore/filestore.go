package filestore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/driftdb/driftdb/replicate"
)

const (
	ownDir   = ".filestore"
	tempDir  = ownDir + "/tmp"
	lockFile = ownDir + "/lock"

	// abandoned is the age at which a temporary file has lost its writer.
	abandoned = 24 * time.Hour
	// hashed is the size up to which an entity tag covers the content. Larger
	// objects are not changed by compare-and-swap, and reading them twice for
	// a tag would cost.
	hashed = 1 << 20
)

// Options of a Store. The zero value is good.
type Options struct {
	// NoSync leaves out every fsync. Defaults to false; for tests, where a power
	// failure does not matter.
	NoSync bool
}

// Store keeps objects as files below a directory. All methods may be called
// concurrently, also from several processes.
type Store struct {
	root *os.Root
	dir  string // for messages and the lock
	sync bool
	lock lock
}

var _ replicate.Store = (*Store)(nil)

// New opens the store in dir, and makes the directory if it is missing.
func New(dir string, o Options) (*Store, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("filestore %q: %w", dir, err)
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, fmt.Errorf("filestore: %w", err)
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("filestore: %w", err)
	}
	s := &Store{root: root, dir: abs, sync: !o.NoSync, lock: newLock(filepath.Join(abs, filepath.FromSlash(lockFile)))}
	if err := errors.Join(s.prepare(), s.sweep(time.Now())); err != nil {
		return nil, errors.Join(fmt.Errorf("filestore %q: %w", dir, err), root.Close())
	}
	return s, nil
}

// Close releases the directory. Calls after it fail.
func (s *Store) Close() error { return s.root.Close() }

// prepare makes the store's own files.
func (s *Store) prepare() error {
	if err := s.root.MkdirAll(tempDir, 0o700); err != nil {
		return err
	}
	f, err := s.root.OpenFile(lockFile, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), s.syncDir(ownDir), s.syncDir("."))
}

// sweep removes temporary files that a crash has left.
func (s *Store) sweep(now time.Time) error {
	entries, err := fs.ReadDir(s.root.FS(), tempDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || now.Sub(info.ModTime()) < abandoned {
			continue // another process has finished with it, or is still at it
		}
		if err := s.root.Remove(path.Join(tempDir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Get opens the object at key. The body stays the same whatever happens to the
// key afterwards.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, replicate.Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, replicate.Info{}, err
	}
	if err := validKey(key); err != nil {
		return nil, replicate.Info{}, err
	}
	f, stat, err := s.open(key)
	if err != nil {
		return nil, replicate.Info{}, s.fail("get", key, err)
	}
	info := replicate.Info{Key: key, Size: stat.Size(), Modified: stat.ModTime()}
	if stat.Size() > hashed {
		info.ETag = etag(stat.ModTime(), stat.Size(), nil)
		return f, info, nil
	}
	data, err := io.ReadAll(io.LimitReader(f, hashed+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, replicate.Info{}, s.fail("get", key, err)
	}
	sum := sha256.Sum256(data)
	info.ETag = etag(stat.ModTime(), stat.Size(), sum[:])
	return io.NopCloser(bytes.NewReader(data)), info, nil
}

// open opens a regular file. Its content never changes: objects are replaced.
func (s *Store) open(key string) (*os.File, fs.FileInfo, error) {
	f, err := s.root.Open(key)
	if err != nil {
		return nil, nil, err
	}
	stat, err := f.Stat()
	if err == nil && stat.IsDir() {
		err = fs.ErrNotExist // a part of other keys
	} else if err == nil && !stat.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, stat, nil
}

// Delete removes the objects, and directories that are empty then.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, key := range keys {
		if err := validKey(key); err != nil {
			return err
		}
	}
	return s.lock.do(ctx, func() error {
		changed := map[string]bool{}
		for _, key := range keys {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := s.remove(key, changed); err != nil {
				return s.fail("delete", key, err)
			}
		}
		for dir := range changed {
			if err := s.syncDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return s.fail("delete", dir, err)
			}
		}
		return nil
	})
}

// remove deletes one file and the directories that it was the last in. It
// notes the directory that has changed. The lock keeps a Put from finding its
// directory gone.
func (s *Store) remove(key string, changed map[string]bool) error {
	stat, err := s.root.Lstat(key)
	if errors.Is(err, fs.ErrNotExist) || err == nil && stat.IsDir() || isNotDir(err) {
		return s.present()
	}
	if err == nil {
		err = s.root.Remove(key)
	}
	if err != nil {
		return err
	}
	dir := path.Dir(key)
	for ; dir != "."; dir = path.Dir(dir) {
		if gone := s.root.Remove(dir) == nil; !gone {
			break // not empty, as a rule
		}
		delete(changed, dir)
	}
	changed[dir] = true
	return nil
}

// present tells a missing object from a missing store: a share that was
// unmounted must not look like an empty bucket.
func (s *Store) present() error {
	_, err := os.Stat(filepath.Join(s.dir, filepath.FromSlash(lockFile)))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the directory %q of the store is gone", s.dir)
	}
	return err
}

// fail gives an error of a file its kind.
func (s *Store) fail(op, key string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), isNotDir(err):
		if err := s.present(); err != nil {
			return fmt.Errorf("%s %q: %w", op, key, err)
		}
		return fmt.Errorf("%s %q: %w", op, key, replicate.ErrNotExist)
	case errors.Is(err, fs.ErrPermission):
		return replicate.Permanent(fmt.Errorf("%s %q: %w", op, key, err), fmt.Sprintf("let this user read and write below %q", s.dir))
	}
	return fmt.Errorf("%s %q: %w", op, key, err)
}

// validKey refuses what is not a plain path below the root. os.Root would not
// let it escape either; this says so clearly.
func validKey(key string) error {
	switch {
	case !fs.ValidPath(key), key == ".", strings.ContainsAny(key, "\\\x00"), !filepath.IsLocal(filepath.FromSlash(key)):
		return fmt.Errorf("key %q is not a path of plain names", key)
	case key == ownDir, strings.HasPrefix(key, ownDir+"/"):
		return fmt.Errorf("key %q is taken by the store's own files", key)
	}
	return nil
}

// etag names one write: no two writes of a key have the same time, and below
// a megabyte the content counts too, for file systems with coarse clocks. sum
// is nil above.
func etag(modified time.Time, size int64, sum []byte) string {
	return fmt.Sprintf("%x-%x-%x", modified.UnixNano(), size, sum[:min(len(sum), 16)])
}
