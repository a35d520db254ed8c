package replicate

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/envelope"
	"github.com/driftdb/driftdb/internal/sqlite"
)

// snapshotFile is a snapshot as it is stored, in a file of its own: whoever sends it
// reads its parts from there, as often as it takes, and holds none of them in memory.
type snapshotFile struct {
	path          string
	key           objectKey
	length        int64 // of the database
	storedSize    int64
	plain, stored hash
}

// newSnapshotFile compresses and seals the finished copy of a database, in whose place
// it leaves what is to be stored. seal is the zero Key for a snapshot in the clear.
func newSnapshotFile(ctx context.Context, path string, key objectKey, seal Key) (*snapshotFile, error) {
	f := &snapshotFile{path: path, key: key}
	if key.gzip || key.sealed {
		f.path = path + ".stored"
	}
	if err := f.fill(ctx, path, seal); err != nil {
		return nil, err
	}
	if f.path != path {
		return f, os.Remove(path)
	}
	return f, nil
}

const snapshotBlock = 256 << 10

// fill reads the copy and writes what is to be stored, where that is not the copy
// itself.
func (f *snapshotFile) fill(ctx context.Context, path string, seal Key) (err error) {
	src, err := os.Open(path) //nolint:gosec // in a directory of our own
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	f.length = info.Size()
	plain := sha256.New()
	if f.path == path {
		f.storedSize, err = io.CopyBuffer(plain, contextReader{ctx, src}, make([]byte, snapshotBlock))
		f.plain = hash(plain.Sum(nil))
		f.stored = f.plain
		return err
	}
	f.storedSize, f.stored, err = f.write(io.TeeReader(contextReader{ctx, src}, plain), seal)
	f.plain = hash(plain.Sum(nil))
	return err
}

// write makes the file of what the plaintext from becomes.
func (f *snapshotFile) write(from io.Reader, seal Key) (size int64, sum hash, err error) {
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, sum, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	stored := sha256.New()
	to := bufio.NewWriterSize(io.MultiWriter(file, stored), snapshotBlock)
	h := f.key.header()
	h.Length = f.length
	w, err := envelope.NewWriter(to, h, seal)
	if err != nil {
		return 0, sum, err
	}
	if _, err := io.CopyBuffer(w, from, make([]byte, snapshotBlock)); err != nil {
		return 0, sum, err
	}
	if err := errors.Join(w.Close(), to.Flush()); err != nil {
		return 0, sum, err
	}
	size, err = file.Seek(0, io.SeekCurrent)
	return size, hash(stored.Sum(nil)), err
}

func (f *snapshotFile) body() Body {
	return Body{Size: f.storedSize, Open: func() (io.ReadCloser, error) { return os.Open(f.path) }}
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context //nolint:containedctx // of the one call that reads
	src io.Reader
}

// Read implements io.Reader.
func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.src.Read(p)
}

// recognise compares the object that is there under our key with what was to be
// stored.
func (f *snapshotFile) recognise(ctx context.Context, store *bucket) error {
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
	if hash(h.Sum(nil)) != f.stored {
		return fmt.Errorf("%s holds something else: %w", f.key, ErrForked)
	}
	return nil
}

// finishCopy makes a copied file a snapshot at at: it strips what belongs to
// the source alone, writes the header and checks the file.
func finishCopy(ctx context.Context, path string, key objectKey, at link) (err error) {
	db := sql.OpenDB(sqlite.Connector(path, sqlite.Replay))
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if sqlite.IsReadOnly(err) { // it was written a moment ago: its header says so
		return fmt.Errorf("%w: %w", err, ErrDamaged)
	}
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
	return sqlite.QuickCheck(ctx, conn)
}
