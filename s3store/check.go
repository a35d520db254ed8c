package s3store

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/driftdb/driftdb/replicate"
)

// ErrMayNotDelete is what Check returns when everything but deletion works.
// Replication goes on without; the check's object is left behind.
var ErrMayNotDelete = errors.New("these credentials may not delete")

// Check tries out on a scratch object, under "check/", whether the bucket does
// what replication needs, and says what is wrong and what to do about it. It
// sends about ten small requests. With ConditionalNone it tries no conditions.
func (s *Store) Check(ctx context.Context) error {
	c := check{store: s, key: "check/" + strings.ToLower(rand.Text())}
	err := c.run(ctx)
	// Whatever was found, nothing shall stay behind.
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterDeadline)
	defer cancel()
	delErr := s.Delete(clean, c.key)
	var permanent *replicate.PermanentError
	switch {
	case err != nil:
		return fmt.Errorf("check of bucket %q: %w", s.bucket, err)
	case errors.As(delErr, &permanent):
		return fmt.Errorf("check of bucket %q: %w: %w", s.bucket, ErrMayNotDelete, delErr)
	case delErr != nil:
		return fmt.Errorf("check of bucket %q: %w", s.bucket, delErr)
	}
	return nil
}

type check struct {
	store *Store
	key   string
}

func (c check) run(ctx context.Context) error {
	first, err := gzipped("driftdb checks this bucket: 1")
	if err != nil {
		return err
	}
	none := c.store.Conditional() == ConditionalNone
	var etag string
	if none {
		etag, err = c.put(ctx, first, replicate.Condition{})
	} else {
		etag, err = c.createdOnce(ctx, first)
	}
	if err != nil {
		return err
	}
	if err := c.readBack(ctx, first, etag); err != nil {
		return err
	}
	if !none {
		if err := c.swapped(ctx, etag); err != nil {
			return err
		}
	}
	return c.listed(ctx)
}

// createdOnce puts the object, and puts it once more.
func (c check) createdOnce(ctx context.Context, data []byte) (etag string, err error) {
	etag, err = c.put(ctx, data, replicate.Condition{IfAbsent: true})
	if err != nil {
		return "", err
	}
	_, err = c.put(ctx, []byte("2"), replicate.Condition{IfAbsent: true})
	switch {
	case err == nil:
		return "", replicate.Permanent(errors.New("an object was written twice under If-None-Match: *"),
			ignored)
	case !errors.Is(err, replicate.ErrPrecondition):
		return "", err
	}
	return etag, nil
}

// readBack compares what was put, in bytes and in entity tag, and looks for a
// key that does not exist.
func (c check) readBack(ctx context.Context, want []byte, etag string) error {
	body, info, err := c.store.Get(ctx, c.key)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil {
		return err
	}
	switch {
	case !bytes.Equal(got, want):
		return replicate.Permanent(errors.New("a compressed object came back changed"), "something on the way decompresses or rewrites objects: go round it")
	case info.ETag != etag:
		return replicate.Permanent(fmt.Errorf("the object's entity tag is %q when put and %q when read", etag, info.ETag),
			"compare-and-swap cannot work on this server: use another one")
	}
	body, _, err = c.store.Get(ctx, c.key+"-missing")
	if err == nil {
		return errors.Join(errors.New("an object that was never put can be read"), body.Close())
	}
	if !errors.Is(err, replicate.ErrNotExist) {
		return err
	}
	return nil
}

// swapped changes the object under its entity tag, then under the old one.
func (c check) swapped(ctx context.Context, etag string) error {
	_, err := c.put(ctx, []byte("2"), replicate.Condition{IfMatch: etag})
	if errors.Is(err, replicate.ErrPrecondition) {
		return replicate.Permanent(errors.New("If-Match with the object's own entity tag was refused"),
			"this server wants entity tags in another form than Conditional says: leave it at ConditionalAuto")
	}
	if err != nil {
		return err
	}
	_, err = c.put(ctx, []byte("3"), replicate.Condition{IfMatch: etag})
	switch {
	case err == nil:
		return replicate.Permanent(errors.New("an object was overwritten under the entity tag of an older version"),
			ignored)
	case !errors.Is(err, replicate.ErrPrecondition):
		return err
	}
	return nil
}

// listed looks for the object in a listing that begins after a key which does
// not exist.
func (c check) listed(ctx context.Context) error {
	after := c.key[:len(c.key)-1] // no object, and sorts just before it
	for info, err := range c.store.List(ctx, c.key, after) {
		if err != nil {
			return err
		}
		if info.Key == c.key {
			return nil
		}
	}
	return replicate.Permanent(errors.New("an object that was put is not in the listing"), "this server's listings cannot be trusted: use another one")
}

func (c check) put(ctx context.Context, data []byte, cond replicate.Condition) (string, error) {
	return c.store.Put(ctx, c.key, replicate.Body{
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
		Size: int64(len(data)),
	}, cond)
}

func gzipped(text string) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
