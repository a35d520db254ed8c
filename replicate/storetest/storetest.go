package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/driftdb/driftdb/replicate"
)

// Run runs the suite. newStore returns an empty store for each subtest, which
// has at least 64 MiB of room; it registers its own clean-up. Keys have the
// form of those that replication makes.
func Run(t *testing.T, newStore func(t *testing.T) replicate.Store) {
	t.Helper()
	for _, group := range [][]test{objectTests, conditionTests, raceTests, listTests, deleteTests, contextTests, rangeTests} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) { c.run(t, &suite{store: newStore(t)}) })
		}
	}
}

type test struct {
	name string
	run  func(*testing.T, *suite)
}

// suite is a store under test with what the tests say often.
type suite struct {
	store replicate.Store
}

var (
	always   = replicate.Condition{}
	ifAbsent = replicate.Condition{IfAbsent: true}
)

func ifMatch(etag string) replicate.Condition { return replicate.Condition{IfMatch: etag} }

// put stores data, which must succeed, and returns the entity tag.
func (s *suite) put(t *testing.T, key string, data []byte) string {
	t.Helper()
	etag, err := s.store.Put(t.Context(), key, bodyOf(data), always)
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
	if etag == "" {
		t.Fatalf("put %q: no entity tag", key)
	}
	return etag
}

// read returns the object at key.
func (s *suite) read(ctx context.Context, key string) ([]byte, replicate.Info, error) {
	body, info, err := s.store.Get(ctx, key)
	if err != nil {
		return nil, info, err
	}
	data, err := io.ReadAll(body)
	return data, info, errors.Join(err, body.Close())
}

// holds fails the test unless the object at key is want.
func (s *suite) holds(t *testing.T, key string, want []byte) replicate.Info {
	t.Helper()
	got, info, err := s.read(t.Context(), key)
	switch {
	case err != nil:
		t.Fatalf("get %q: %v", key, err)
	case !bytes.Equal(got, want):
		t.Fatalf("get %q: %d bytes that differ from the %d put, from byte %d on", key, len(got), len(want), difference(got, want))
	case info.Key != key:
		t.Fatalf("get %q: Info.Key is %q", key, info.Key)
	case info.Size >= 0 && info.Size != int64(len(want)):
		t.Fatalf("get %q: Info.Size is %d, the object has %d bytes", key, info.Size, len(want))
	case info.ETag == "":
		t.Fatalf("get %q: Info.ETag is empty", key)
	}
	return info
}

// missing fails the test unless a look-up finds nothing at key.
func (s *suite) missing(t *testing.T, key string) {
	t.Helper()
	body, _, err := s.store.Get(t.Context(), key)
	if err == nil {
		t.Fatalf("get %q: there is an object (close: %v), want ErrNotExist", key, body.Close())
	}
	if !errors.Is(err, replicate.ErrNotExist) {
		t.Fatalf("get %q: %v, want ErrNotExist", key, err)
	}
	if _, ok := errors.AsType[*replicate.PermanentError](err); ok {
		t.Fatalf("get %q: ErrNotExist is marked permanent: %v", key, err)
	}
}

// refused fails the test unless err is ErrPrecondition.
func refused(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, replicate.ErrPrecondition) {
		t.Fatalf("%s: %v, want ErrPrecondition", what, err)
	}
}

// bodyOf is a body of known size.
func bodyOf(data []byte) replicate.Body {
	return replicate.Body{
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
		Size: int64(len(data)),
	}
}

// streamOf is a body of unknown size that comes in pieces, from a reader that
// can do nothing but read.
func streamOf(data []byte) replicate.Body {
	return replicate.Body{
		Open: func() (io.ReadCloser, error) { return &trickle{data: data}, nil },
		Size: -1,
	}
}

type trickle struct{ data []byte }

func (r *trickle) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 70_001)], r.data)
	r.data = r.data[n:]
	return n, nil
}

func (r *trickle) Close() error { return nil }

// tracked counts how often a body was opened and closed.
type tracked struct {
	replicate.Body
	opened, closed atomic.Int64
}

func track(b replicate.Body) *tracked {
	t := &tracked{}
	t.Body = replicate.Body{Size: b.Size, Open: func() (io.ReadCloser, error) {
		t.opened.Add(1)
		r, err := b.Open()
		return &trackedReader{ReadCloser: r, t: t}, err
	}}
	return t
}

type trackedReader struct {
	io.ReadCloser
	t *tracked
}

func (r *trackedReader) Close() error {
	r.t.closed.Add(1)
	return r.ReadCloser.Close()
}

// noise is n bytes that no compression shortens, the same for the same seed.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	_, _ = rand.NewChaCha8(key).Read(b) // never fails
	return b
}

func difference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}
