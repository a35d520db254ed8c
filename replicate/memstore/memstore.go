package memstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/driftdb/driftdb/replicate"
)

// Store holds objects in memory. All methods may be called concurrently.
type Store struct {
	now func() time.Time

	mu      sync.Mutex
	writes  int64 // counts up with every write: the next entity tag
	objects map[string]object
}

// object is never changed once it is in the map; a Put replaces it whole.
type object struct {
	data     []byte
	etag     string
	modified time.Time
}

var _ replicate.Store = (*Store)(nil)

// Options of a Store. The zero value is good.
type Options struct {
	// Now is the store's clock, which Info.Modified is read from. Defaults to
	// time.Now.
	Now func() time.Time
}

// New returns an empty store with default options.
func New() *Store { return NewWithOptions(Options{}) }

// NewWithOptions returns an empty store.
func NewWithOptions(o Options) *Store {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Store{now: o.Now, objects: map[string]object{}}
}

// Get opens the object at key. The body stays readable, and the same, whatever
// happens to the key afterwards.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, replicate.Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, replicate.Info{}, err
	}
	s.mu.Lock()
	obj, ok := s.objects[key]
	s.mu.Unlock()
	if !ok {
		return nil, replicate.Info{}, fmt.Errorf("get %q: %w", key, replicate.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(obj.data)), obj.info(key), nil
}

// Put stores body at key if cond holds and returns the new entity tag.
func (s *Store) Put(ctx context.Context, key string, body replicate.Body, cond replicate.Condition) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	data, err := readBody(key, body, cond)
	if err != nil {
		return "", err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	// Once more: reading the body may have taken its time.
	if err := ctx.Err(); err != nil {
		return "", err
	}
	old, exists := s.objects[key]
	switch {
	case cond.IfAbsent && exists:
		return "", fmt.Errorf("put %q if absent: %w", key, replicate.ErrPrecondition)
	case cond.IfMatch != "" && (!exists || old.etag != cond.IfMatch):
		return "", fmt.Errorf("put %q if unchanged: %w", key, replicate.ErrPrecondition)
	}
	s.writes++
	obj := object{data: data, etag: strconv.FormatInt(s.writes, 10), modified: s.now()}
	s.objects[key] = obj
	return obj.etag, nil
}

// List yields the objects under prefix and after the key after, as they were
// when the iteration began.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[replicate.Info, error] {
	return func(yield func(replicate.Info, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(replicate.Info{}, err)
			return
		}
		for _, info := range s.snapshot(prefix, after) {
			if !yield(info, nil) {
				return
			}
		}
	}
}

// Delete removes the objects.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		delete(s.objects, key)
	}
	return nil
}

// snapshot is taken under the lock; the caller of a List then runs without it
// and may call the store.
func (s *Store) snapshot(prefix, after string) []replicate.Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	var infos []replicate.Info
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		if strings.HasPrefix(key, prefix) && key > after {
			infos = append(infos, s.objects[key].info(key))
		}
	}
	return infos
}

func (o object) info(key string) replicate.Info {
	return replicate.Info{Key: key, Size: int64(len(o.data)), ETag: o.etag, Modified: o.modified}
}

// readBody returns a copy of body, which the caller may reuse afterwards.
func readBody(key string, body replicate.Body, cond replicate.Condition) (_ []byte, err error) {
	switch {
	case key == "":
		return nil, errors.New("put: the key is empty")
	case cond.IfAbsent && cond.IfMatch != "":
		return nil, fmt.Errorf("put %q: IfAbsent and IfMatch exclude each other", key)
	}
	r, err := body.Open()
	if err != nil {
		return nil, fmt.Errorf("put %q: open the body: %w", key, err)
	}
	defer func() {
		if cerr := r.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("put %q: close the body: %w", key, cerr)
		}
	}()
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("put %q: read the body: %w", key, err)
	}
	if body.Size >= 0 && int64(len(data)) != body.Size {
		return nil, fmt.Errorf("put %q: the body has %d bytes, not the %d announced", key, len(data), body.Size)
	}
	return data, nil
}
