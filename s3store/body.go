package s3store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/driftdb/driftdb/replicate"
)

const (
	readAttempts = 4       // how often a read may go on without enough bytes between
	readProgress = 1 << 20 // bytes that are enough
)

// body reads what Get opened and never takes a part for the whole. Where the
// connection breaks off it asks for the rest of the same version: whoever reads
// a snapshot over a poor line would begin anew again and again.
//
// This is the only retry of a read below the engine. A request that is refused
// outright, and a body that does not get on, are the engine's to try again.
type body struct {
	ctx   context.Context //nolint:containedctx // the request's: it ends the body too
	src   io.ReadCloser
	store *Store
	key   string
	etag  string // of the version, empty if the server does not say
	at    int64  // of the object, the byte that comes next
	left  int64  // bytes still to come, below 0 if not known
	tries int    // how often it may still go on
	since int64  // bytes read since it broke off last
	err   error  // sticky: the SDK's readers do not promise that
}

func newBody(ctx context.Context, s *Store, key string, src io.ReadCloser, at, left int64, etag string) *body {
	return &body{ctx: ctx, src: src, store: s, key: key, etag: etag, at: at, left: left, tries: readAttempts}
}

// Read returns an error where the connection broke off for good or a checksum
// is wrong; io.EOF stands for the whole object only.
func (b *body) Read(p []byte) (int, error) {
	for b.err == nil {
		n, err := b.src.Read(p)
		b.at += int64(n)
		if b.since += int64(n); b.since >= readProgress {
			b.tries, b.since = readAttempts, 0
		}
		if b.left >= 0 {
			b.left = max(b.left-int64(n), 0)
		}
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, io.EOF) && b.left <= 0:
			b.err = err
			return n, err
		case errors.Is(err, io.EOF):
			err = fmt.Errorf("the body broke off %d bytes before its end: %w", b.left, io.ErrUnexpectedEOF)
		}
		if b.err = b.resume(err); b.err != nil || n > 0 {
			return n, b.err
		}
	}
	return 0, b.err
}

// resume goes on behind the last byte that was read, after a read has failed
// with cause. It returns what the reader is to be told when that cannot be done.
func (b *body) resume(cause error) error {
	told := b.store.fail(b.ctx, opRead, b.key, cause)
	if b.left <= 0 || b.etag == "" {
		return told // a wrong checksum, or nothing to tell versions apart
	}
	if netErr, ok := errors.AsType[net.Error](cause); ok && netErr.Timeout() {
		b.tries = min(b.tries, 1) // each costs ReadTimeout
	}
	for first := true; b.tries > 0 && b.ctx.Err() == nil; first = false {
		b.tries--
		if !first && wait(b.ctx, backoff(readAttempts-b.tries)) != nil {
			break
		}
		done, err := b.reopen()
		if done {
			b.since = 0
			b.store.log.InfoContext(b.ctx, "s3: a read broke off and goes on", "key", b.store.prefix+b.key, "offset", b.at, "error", told)
			return nil
		}
		if err != nil {
			return err
		}
	}
	if b.ctx.Err() != nil {
		return b.store.fail(b.ctx, opRead, b.key, b.ctx.Err())
	}
	return told
}

// reopen asks for the rest once. Neither done nor an error: it is worth another
// attempt.
func (b *body) reopen() (done bool, err error) {
	_ = b.src.Close() // it is broken
	b.src = io.NopCloser(errReader{io.ErrUnexpectedEOF})
	p, err := b.store.part(b.ctx, b.key, b.at, b.etag)
	var permanent *replicate.PermanentError
	changed := errors.Is(err, replicate.ErrPrecondition) || errors.Is(err, replicate.ErrNotExist)
	switch {
	case errors.As(err, &permanent):
		return false, err
	case err != nil && !changed:
		return false, nil
	case err == nil && p.info.ETag != b.etag, err == nil && p.info.Size >= 0 && p.info.Size != b.at+b.left:
		changed = true // a server that does not know If-Match here
		_ = p.src.Close()
	}
	if changed { // what came so far is of another version: it must not be mixed
		return false, b.store.fail(b.ctx, opRead, b.key, errors.New("the object was replaced or deleted while it was read"))
	}
	if p.begins < b.at {
		if _, err := io.CopyN(io.Discard, p.src, b.at-p.begins); err != nil {
			_ = p.src.Close()
			return false, nil //nolint:nilerr // it broke off once more: another attempt may do
		}
	}
	b.src = p.src
	return true, nil
}

// Close releases the connection.
func (b *body) Close() error {
	if err := b.src.Close(); err != nil && errors.Is(b.err, io.EOF) {
		return b.store.fail(b.ctx, opRead, b.key, err)
	}
	return nil // nobody wanted the rest
}

type errReader struct{ err error }

// Read fails.
func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// source is the body of a Put. It keeps its own errors apart from the
// request's, and does not let a body of the wrong size become an object.
type source struct {
	r    io.Reader
	size int64 // as announced, -1 for unknown
	n    int64 // read; of one that is read at any place: size

	mu  sync.Mutex // several parts may be read at once
	err error
}

// parts returns what the SDK's uploader reads. A file, or what else can be read at any
// place, is sent from there, part by part; it holds anything else in memory, two parts
// at a time.
func (s *source) parts() (io.Reader, error) {
	at, ok := s.r.(io.ReaderAt)
	if !ok || s.size < 0 {
		return s, nil
	}
	if n, _ := at.ReadAt(make([]byte, 1), s.size); n > 0 {
		return nil, s.failed(s.wrongSize())
	}
	s.n = s.size
	return io.NewSectionReader(sourceAt{s, at}, 0, s.size), nil
}

// Read passes the body on.
func (s *source) Read(p []byte) (int, error) {
	if err := s.failed(nil); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	switch {
	case err != nil && err != io.EOF:
		return n, s.failed(err)
	case s.size >= 0 && (s.n > s.size || err == io.EOF && s.n < s.size):
		return n, s.failed(s.wrongSize())
	}
	return n, err
}

// failed keeps the first error, and returns it.
func (s *source) failed(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	return s.err
}

func (s *source) wrongSize() error { return fmt.Errorf("it has not the %d bytes announced", s.size) }

// sourceAt is a source that can be read at any place.
type sourceAt struct {
	*source
	at io.ReaderAt
}

// ReadAt passes a part of the body on.
func (s sourceAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.at.ReadAt(p, off)
	switch {
	case err != nil && err != io.EOF:
		return n, s.failed(err)
	case err == io.EOF && off+int64(n) < s.size:
		return n, s.failed(s.wrongSize())
	}
	return n, err
}
