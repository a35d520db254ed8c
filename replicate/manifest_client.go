package replicate

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/driftdb/driftdb/internal/v1"
)

// versioned is a manifest together with the entity tag it was read or written
// under.
type versioned struct {
	*manifest
	etag string
}

// readManifest returns nil when a successful look-up found none. Every other
// outcome but a valid manifest is an error: a manifest that cannot be read is
// never taken for a missing one.
func readManifest(ctx context.Context, store *bucket, db string) (*versioned, error) {
	body, info, err := store.Get(ctx, manifestKey(db))
	if errors.Is(err, ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the manifest of %q: %w", db, err)
	}
	b, err := io.ReadAll(io.LimitReader(newBodyReader(body, info), maxManifest+1))
	if closeErr := body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("read the manifest of %q: %w", db, err)
	}
	if len(b) > maxManifest {
		return nil, fmt.Errorf("manifest of %q is larger than %d bytes: %w", db, maxManifest, ErrCorrupt)
	}
	m, err := store.openManifest(b, db)
	if err != nil {
		return nil, fmt.Errorf("database %q: %w", db, err)
	}
	return &versioned{manifest: m, etag: info.ETag}, nil
}

// errConflict: the manifest is not the one that was to be replaced. The
// *versioned beside it is what is there, nil for none.
var errConflict = errors.New("the manifest has changed")

// errBegun says that the manifest has changed since it was looked at, when it was not
// there, or what it led to could not be found: it is read again.
var errBegun = errors.New("the backup has changed meanwhile")

// noBackup is the error of a name without a manifest: ErrNoBackup, ErrManifestLost
// where objects of this format are stored under it, or ErrV1Manifest for such of
// the original. What is neither is in nobody's way. A claim writes the manifest
// before anything else is stored, so objects without one are of a backup that has
// lost it.
func noBackup(ctx context.Context, store *bucket, db string) error {
	for info, err := range store.List(ctx, root+db+"/nodes/", "") {
		if err != nil {
			return fmt.Errorf("look for objects of %q: %w", db, err)
		}
		_, err := parseKey(info.Key)
		_, original := v1.Locate(db, info.Key)
		if err != nil && !original {
			continue
		}
		if m, err := readManifest(ctx, store, db); err != nil || m != nil {
			return cmp.Or(err, errBegun)
		}
		if err != nil {
			return fmt.Errorf("database %q: objects of version 1 are stored under this name, and no manifest: %w", db, ErrV1Manifest)
		}
		return fmt.Errorf("database %q: %w", db, ErrManifestLost)
	}
	return ErrNoBackup
}

// outdated is ErrManifestLost if m, which promises nothing, is not the newest
// manifest that was written: objects of epochs that it does not know of are stored,
// so somebody has put it back. errBegun: it has changed while that was looked up.
func outdated(ctx context.Context, store *bucket, m *versioned) error {
	if !m.promisesNothing() {
		return nil
	}
	newer := ""
	for info, err := range store.List(ctx, root+m.DBName+"/nodes/", "") {
		if err != nil {
			return fmt.Errorf("look for objects of %q: %w", m.DBName, err)
		}
		if k, err := parseKey(info.Key); err == nil && k.epoch > m.Epoch {
			newer = info.Key
			break
		}
	}
	now, err := readManifest(ctx, store, m.DBName)
	switch {
	case err != nil:
		return err
	case now == nil || now.Nonce != m.Nonce:
		return errBegun
	case newer != "":
		return fmt.Errorf("database %q: its manifest is an old one, of epoch %d, and leads to nothing; %s is stored (rebuilding it needs Replace, --replace): %w",
			m.DBName, m.Epoch, newer, ErrManifestLost)
	}
	return nil
}

// lookUp is readManifest where a backup has to be: none is the error of noBackup.
func lookUp(ctx context.Context, store *bucket, db string) (*versioned, error) {
	for {
		m, err := readManifest(ctx, store, db)
		if err == nil && m != nil {
			if err = outdated(ctx, store, m); errors.Is(err, errBegun) {
				continue
			}
		}
		if m != nil || err != nil {
			return m, err
		}
		if err := noBackup(ctx, store, db); !errors.Is(err, errBegun) {
			return nil, err
		}
	}
}

// swap writes next in place of prev (nil: of none) and returns it with its new
// entity tag. A reply that was lost is recognised by the nonce: it is new in
// every write, so the same nonce is the same write.
func swap(ctx context.Context, store *bucket, prev *versioned, next *manifest, now time.Time) (*versioned, error) {
	next.Revision = 1
	cond := Condition{IfAbsent: true}
	if prev != nil {
		next.Revision = prev.Revision + 1
		cond = Condition{IfMatch: prev.etag}
	}
	next.Nonce = newToken()
	next.UpdatedAt = now.UnixMilli()
	next.trim()
	b, err := store.sealManifest(next)
	if err != nil {
		return nil, err
	}
	if len(b) > maxManifest { // nobody could read it
		return nil, Permanent(fmt.Errorf("the manifest of %q would have %d bytes, and %d can be read", next.DBName, len(b), maxManifest), "prune, or take named points away")
	}
	etag, err := store.Put(ctx, manifestKey(next.DBName), bytesBody(b), cond)
	if err == nil {
		return &versioned{manifest: next, etag: etag}, nil
	}
	if !errors.Is(err, ErrPrecondition) {
		return nil, fmt.Errorf("write the manifest of %q: %w", next.DBName, err)
	}
	found, err := readManifest(ctx, store, next.DBName)
	if err != nil {
		return nil, err
	}
	switch {
	case found != nil && found.Nonce == next.Nonce:
		return found, nil
	case found == nil && prev == nil, found != nil && prev != nil && found.etag == prev.etag && found.Nonce == prev.Nonce:
		// Not a conflict, which is judged anew at once: a store that answers so
		// for ever would be asked for ever, without a pause.
		return nil, fmt.Errorf("write the manifest of %q: the store says that it has changed and shows it unchanged; "+
			"if this stays so, its conditional writes do not work (drift check-bucket says more)", next.DBName)
	}
	return found, errConflict
}

func bytesBody(b []byte) Body {
	return Body{
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil },
		Size: int64(len(b)),
	}
}

// bodyReader reads what Get opened and tells a body that broke off, which may
// be tried again, from one that is whole and wrong.
type bodyReader struct {
	src  io.Reader
	left int64 // bytes still to come, below 0 if not known
	n    int64
}

func newBodyReader(src io.Reader, info Info) *bodyReader {
	return &bodyReader{src: src, left: info.Size}
}

func (r *bodyReader) Read(p []byte) (int, error) {
	n, err := r.src.Read(p)
	r.n += int64(n)
	r.left -= int64(n)
	switch {
	case errors.Is(err, io.EOF) && r.left > 0:
		return n, fmt.Errorf("the body broke off %d bytes before its end", r.left)
	case err != nil && !errors.Is(err, io.EOF):
		// Cut from io.ErrUnexpectedEOF, which would look like a damaged object.
		return n, &bodyError{err}
	}
	return n, err
}

// bodyError is an error of the transport while a body was read.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "read the body: " + e.err.Error() }

// Is lets a cancelled context and a permanent error through, and nothing else.
func (e *bodyError) Is(target error) bool {
	return (target == context.Canceled || target == context.DeadlineExceeded) && errors.Is(e.err, target)
}
