package replicate

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	goHash "hash"
	"io"
	"os"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/envelope"
	"github.com/driftdb/driftdb/internal/sqlite"
)

// snapshotFile is the finished copy of a database as a Body: compressed while
// it is read, member by member, so that its size does not matter.
type snapshotFile struct {
	path   string
	key    objectKey
	seal   Key // the zero Key: in the clear
	salt   [32]byte
	length int64
	last   *snapshotReader // of the newest Open
}

// sums is what the manifest says about a stored snapshot.
type sums struct {
	plain, stored hash
	storedSize    int64
}

func newSnapshotFile(path string, key objectKey, seal Key) (*snapshotFile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	f := &snapshotFile{path: path, key: key, seal: seal, length: info.Size()}
	// One salt for all attempts: the file does not change, so each stores the
	// same bytes, and one that was stored without our hearing of it is known.
	_, err = rand.Read(f.salt[:])
	return f, err
}

func (f *snapshotFile) body() Body {
	size, most := int64(-1), storedAtMost(f.length)
	if !f.key.gzip && !f.key.sealed {
		size, most = f.length, 0
	}
	return Body{Size: size, AtMost: most, Open: func() (io.ReadCloser, error) {
		r, err := f.open()
		f.last = r
		return r, err
	}}
}

// storedAtMost returns how large n bytes are at most when they are compressed and
// sealed: what does not compress grows by the frames of 64 KiB blocks, of 1 MiB
// members and of 64 KiB sealed chunks, which are less than a thousandth.
func storedAtMost(n int64) int64 { return n + n>>10 + 64<<10 }

// sums returns the sums of what was stored. A store that did not read to the
// end (it had the object from an earlier attempt) has the rest read here.
func (f *snapshotFile) sums() (sums, error) {
	r := f.last
	if r == nil || !r.ended || r.out.Len() > 0 {
		var err error
		if r, err = f.open(); err != nil {
			return sums{}, err
		}
		_, err = io.Copy(io.Discard, r)
		if err = errors.Join(err, r.Close()); err != nil {
			return sums{}, err
		}
	}
	return sums{plain: hash(r.plain.Sum(nil)), stored: hash(r.stored.Sum(nil)), storedSize: r.n}, nil
}

// recognise compares the object that is there under our key with what was to be
// stored.
func (f *snapshotFile) recognise(ctx context.Context, store *bucket) error {
	want, err := f.sums()
	if err != nil {
		return err
	}
	body, info, err := store.Get(ctx, f.key.String())
	if errors.Is(err, ErrNotExist) {
		return errors.New("the store refused to store the snapshot and then did not have it")
	}
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.Copy(h, newBodyReader(body, info))
	if err = errors.Join(err, body.Close()); err != nil {
		return err
	}
	if hash(h.Sum(nil)) != want.stored {
		return fmt.Errorf("%s holds something else: %w", f.key, ErrForked)
	}
	return nil
}

// snapshotReader yields the stored bytes of a snapshot.
type snapshotReader struct {
	file          *os.File
	src           io.Reader // the file through plain
	zip           *envelope.Writer
	out           bytes.Buffer
	chunk         []byte
	plain, stored goHash.Hash
	n             int64
	ended         bool
}

func (f *snapshotFile) open() (*snapshotReader, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	r := &snapshotReader{file: file, plain: sha256.New(), stored: sha256.New(), chunk: make([]byte, 256<<10)}
	r.src = io.TeeReader(file, r.plain)
	if f.key.gzip || f.key.sealed {
		h := f.key.header()
		h.Length = f.length
		if h.Seal != nil {
			h.Seal.Salt = f.salt
		}
		if r.zip, err = envelope.NewWriter(&r.out, h, f.seal); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	return r, nil
}

// Read implements io.Reader.
func (r *snapshotReader) Read(p []byte) (int, error) {
	for r.out.Len() == 0 {
		if r.ended {
			return 0, io.EOF
		}
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n, err := r.out.Read(p)
	r.stored.Write(p[:n])
	r.n += int64(n)
	return n, err
}

func (r *snapshotReader) fill() error {
	var dst io.Writer = &r.out
	if r.zip != nil {
		dst = r.zip
	}
	n, err := r.src.Read(r.chunk)
	if n > 0 {
		if _, err := dst.Write(r.chunk[:n]); err != nil {
			return err
		}
	}
	if errors.Is(err, io.EOF) {
		r.ended = true
		if r.zip != nil {
			return r.zip.Close()
		}
		return nil
	}
	return err
}

// Close implements io.Closer.
func (r *snapshotReader) Close() error { return r.file.Close() }

// finishCopy makes a copied file a snapshot at at: it strips what belongs to
// the source alone, writes the header and checks the file.
func finishCopy(ctx context.Context, path string, key objectKey, at link) (err error) {
	db := sql.OpenDB(sqlite.Connector(path, sqlite.Replay))
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	// What is deleted is overwritten with zeros: it compresses to nothing and
	// is not handed on.
	if _, err := conn.ExecContext(ctx, "PRAGMA secure_delete=ON; PRAGMA cache_size=-2000"); err != nil {
		return err
	}
	if err := changelog.Detach(ctx, conn, changelog.SnapshotHeader{
		DBName: key.db, NodeID: key.node, Epoch: key.epoch, Sequence: at.Sequence, Hash: at.Hash, MaxTime: at.MaxTime,
	}); err != nil {
		return err
	}
	return damaged(sqlite.QuickCheck(ctx, conn))
}
