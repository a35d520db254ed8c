package replicate

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// Store holds the objects of one bucket. replicate/memstore,
// replicate/filestore and s3store implement it; replicate/storetest checks an
// implementation against every promise below.
//
// Promises of every implementation:
//   - Read-after-write: after a Put or Delete has returned nil, every later Get
//     and List sees it.
//   - Atomic visibility: an object is seen whole or not at all. A Put that
//     failed may or may not have stored the object ("timed out after success");
//     it never stores a part of it.
//   - A condition of Put is checked and the object stored in one step, also
//     against other processes.
//   - A cancelled context starts no remote operation.
//   - All methods may be called concurrently.
//
// Every error that is not ErrNotExist, ErrPrecondition or marked with
// Permanent is taken as transient and tried again. A store does not retry more
// than its own transport needs: the engine owns retries.
type Store interface {
	// Get opens the object at key. The caller closes the body. The bytes are
	// the stored bytes, never transparently decompressed.
	// ErrNotExist: a successful look-up found no object at key.
	Get(ctx context.Context, key string) (io.ReadCloser, Info, error)

	// Put stores body at key if cond holds and returns the new entity tag.
	// ErrPrecondition: cond does not hold, or (also under a store's own retry)
	// an earlier attempt of this same Put had already stored the object.
	Put(ctx context.Context, key string, body Body, cond Condition) (etag string, err error)

	// List yields the objects whose key begins with prefix and is greater than
	// after, in ascending byte order of their keys. after "" begins at the
	// first; it need not name an existing key. An error ends the sequence.
	List(ctx context.Context, prefix, after string) iter.Seq2[Info, error]

	// Delete removes the objects. A key that does not exist is no error.
	Delete(ctx context.Context, keys ...string) error
}

// Info describes a stored object.
type Info struct {
	Key      string
	Size     int64     // stored bytes
	ETag     string    // opaque; empty where a List does not give one
	Modified time.Time // by the store's clock
}

// Body is what a Put stores. A store may read it more than once (a retry), so
// Open starts again from the first byte each time. What Open returns may implement
// io.ReaderAt, as a file does: a store that sends large objects in parts can read
// them from there.
type Body struct {
	Open func() (io.ReadCloser, error)
	Size int64 // bytes, or -1 when not known before the end
}

// Condition is what must hold for a Put. The zero Condition always holds.
type Condition struct {
	IfAbsent bool   // no object exists at the key
	IfMatch  string // the object at the key has this entity tag
}

// Sentinels that a Store returns, wrapped or as they are.
var (
	ErrNotExist     = errors.New("object does not exist")
	ErrPrecondition = errors.New("object changed or exists already")
)

// Permanent marks err as an error that trying again will not mend: missing
// bucket, no permission, wrong credentials. reason says in a few words what a
// person must do.
func Permanent(err error, reason string) error {
	return &PermanentError{Reason: reason, Err: err}
}

// PermanentError is an error of a Store that trying again will not mend.
type PermanentError struct {
	Reason string // what a person must do
	Err    error
}

func (e *PermanentError) Error() string { return e.Err.Error() + ": " + e.Reason }

// Unwrap returns the store's own error.
func (e *PermanentError) Unwrap() error { return e.Err }
