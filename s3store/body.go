package s3store

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// body reads what Get opened and never takes a part for the whole.
type body struct {
	ctx   context.Context //nolint:containedctx // the request's: it ends the body too
	src   io.ReadCloser
	store *Store
	key   string
	left  int64 // bytes still to come, below 0 if not known
	err   error // sticky: the SDK's readers do not promise that
}

// Read returns an error where the connection broke off or a checksum is wrong;
// io.EOF stands for the whole object only.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.src.Read(p)
	known := b.left >= 0
	if known {
		b.left = max(b.left-int64(n), 0)
	}
	switch {
	case errors.Is(err, io.EOF) && known && b.left > 0:
		err = b.store.fail(b.ctx, opRead, b.key, fmt.Errorf("the body broke off %d bytes before its end: %w", b.left, io.ErrUnexpectedEOF))
	case err != nil && !errors.Is(err, io.EOF):
		err = b.store.fail(b.ctx, opRead, b.key, err)
	}
	b.err = err
	return n, err
}

// Close releases the connection.
func (b *body) Close() error {
	if err := b.src.Close(); err != nil && errors.Is(b.err, io.EOF) {
		return b.store.fail(b.ctx, opRead, b.key, err)
	}
	return nil // nobody wanted the rest
}

// source is the body of a Put. It keeps its own errors apart from the
// request's, and does not let a body of the wrong size become an object.
type source struct {
	r    io.Reader
	size int64 // as announced, -1 for unknown
	n    int64
	err  error
}

// Read passes the body on.
func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	switch {
	case err != nil && err != io.EOF:
		s.err = err
	case s.size >= 0 && (s.n > s.size || err == io.EOF && s.n < s.size):
		s.err = fmt.Errorf("it has not the %d bytes announced", s.size)
		err = s.err
	}
	return n, err
}
