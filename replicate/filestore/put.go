package filestore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/driftdb/driftdb/replicate"
)

// Put stores body at key if cond holds and returns the new entity tag.
func (s *Store) Put(ctx context.Context, key string, body replicate.Body, cond replicate.Condition) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := validKey(key); err != nil {
		return "", err
	}
	if cond.IfAbsent && cond.IfMatch != "" {
		return "", fmt.Errorf("put %q: IfAbsent and IfMatch exclude each other", key)
	}
	t, err := s.stage(ctx, body)
	if err != nil {
		return "", s.failPut(key, err)
	}
	// After a successful rename there is nothing to remove.
	defer func() { _ = s.root.Remove(t.name) }()

	var tag string
	err = s.lock.do(ctx, func() error {
		tag, err = s.publish(key, t, cond)
		return err
	})
	if err != nil {
		return "", s.failPut(key, err)
	}
	return tag, nil
}

// failPut never says ErrNotExist: what a Put misses is a directory.
func (s *Store) failPut(key string, err error) error {
	switch {
	case errors.Is(err, replicate.ErrPrecondition):
		return fmt.Errorf("put %q: %w", key, replicate.ErrPrecondition)
	case errors.Is(err, fs.ErrNotExist):
		if gone := s.present(); gone != nil {
			err = gone
		}
		return fmt.Errorf("put %q: %w", key, err)
	case isNotDir(err):
		return fmt.Errorf("put %q: a part of the key is an object: %w", key, err)
	}
	return s.fail("put", key, err)
}

// staged is a temporary file, whole and on the disk.
type staged struct {
	name     string
	size     int64
	modified time.Time
	sum      []byte // nil for a large one
}

func (t staged) etag() string { return etag(t.modified, t.size, t.sum) }

// stage writes body to a temporary file. It holds no lock: bodies may be large
// and slow.
func (s *Store) stage(ctx context.Context, body replicate.Body) (t staged, err error) {
	t.name = path.Join(tempDir, rand.Text())
	src, err := body.Open()
	if err != nil {
		return t, fmt.Errorf("open the body: %w", err)
	}
	defer func() { err = errors.Join(err, src.Close()) }()

	f, err := s.root.OpenFile(t.name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return t, err
	}
	sum := sha256.New()
	t.size, err = copyBody(ctx, f, sum, src)
	switch {
	case err != nil:
	case body.Size >= 0 && t.size != body.Size:
		err = fmt.Errorf("the body has %d bytes, not the %d announced", t.size, body.Size)
	case s.sync:
		err = f.Sync()
	}
	var stat fs.FileInfo
	if err == nil {
		stat, err = f.Stat()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return t, errors.Join(err, s.root.Remove(t.name))
	}
	t.modified = stat.ModTime()
	if t.size <= hashed {
		t.sum = sum.Sum(nil)
	}
	return t, nil
}

// copyBody copies src until its end or the end of ctx.
func copyBody(ctx context.Context, f *os.File, sum hash.Hash, src io.Reader) (int64, error) {
	w := io.MultiWriter(f, sum)
	var n int64
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		m, err := io.CopyN(w, src, 1<<20)
		n += m
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// publish gives the staged file its name if cond holds. The caller has the
// lock.
func (s *Store) publish(key string, t staged, cond replicate.Condition) (string, error) {
	old, err := s.current(key)
	if err != nil {
		return "", err
	}
	switch {
	case cond.IfAbsent && old != nil, cond.IfMatch != "" && (old == nil || old.ETag != cond.IfMatch):
		return "", replicate.ErrPrecondition
	}
	if old != nil && !t.modified.After(old.Modified) {
		// A clock that is coarse or went back. The tag hangs on the time.
		t.modified = old.Modified.Add(time.Microsecond)
		if err := s.setTime(t); err != nil {
			return "", err
		}
	}
	if err := s.mkdir(path.Dir(key)); err != nil {
		return "", err
	}
	if cond.IfAbsent {
		// Not a rename: it would replace what a process without a working lock
		// has put there in between.
		err = s.root.Link(t.name, key)
		switch {
		case errors.Is(err, fs.ErrExist):
			return "", replicate.ErrPrecondition
		case errors.Is(err, errors.ErrUnsupported), errors.Is(err, fs.ErrPermission):
			err = s.root.Rename(t.name, key) // no hard links here; the lock has to do
		}
	} else {
		err = s.root.Rename(t.name, key)
	}
	if err != nil {
		return "", err
	}
	return t.etag(), s.syncDir(path.Dir(key))
}

// current describes what stands at key, nil if nothing does.
func (s *Store) current(key string) (*replicate.Info, error) {
	f, stat, err := s.open(key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info := &replicate.Info{Modified: stat.ModTime()}
	var sum []byte
	if stat.Size() <= hashed {
		h := sha256.New()
		_, err = io.Copy(h, f)
		sum = h.Sum(nil)
	}
	info.ETag = etag(stat.ModTime(), stat.Size(), sum)
	return info, errors.Join(err, f.Close())
}

// setTime sets the staged file's time, on the disk too.
func (s *Store) setTime(t staged) error {
	if err := s.root.Chtimes(t.name, t.modified, t.modified); err != nil {
		return err
	}
	if !s.sync {
		return nil
	}
	f, err := s.root.OpenFile(t.name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// mkdir makes dir and what is missing above it, each on the disk before the
// next.
func (s *Store) mkdir(dir string) error {
	if dir == "." {
		return nil
	}
	err := s.root.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err := s.mkdir(path.Dir(dir)); err != nil {
			return err
		}
		err = s.root.Mkdir(dir, 0o700)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return s.syncDir(path.Dir(dir))
}
