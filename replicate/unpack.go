package replicate

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/driftdb/driftdb/internal/envelope"
)

// readSnapshot writes the file that a snapshot holds to w, checking every sum on
// the way. read is the number of stored bytes; progress is told it after every MiB.
func readSnapshot(ctx context.Context, store *bucket, key objectKey, s *snapshotEntry, w io.Writer, progress func(read int64)) (read int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, info, err := store.Get(ctx, s.Key)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	counted := newBodyReader(body, info)
	defer func() { read = counted.n }()
	stored, plain := sha256.New(), sha256.New()
	src := newPipe(io.TeeReader(io.LimitReader(&tick{counted, progress, 1 << 20}, s.StoredSize+1), stored))
	stop := sync.OnceFunc(src.stop)
	defer stop() // before anyone looks at counted
	n, err := unpack(store, key, s.Length, src, info, io.MultiWriter(w, plain), cancel)
	if err != nil {
		cancel() // ends a read under way
		return 0, err
	}
	stop()
	if n != s.Length || counted.n != s.StoredSize || hash(plain.Sum(nil)) != s.SHA256 || hash(stored.Sum(nil)) != s.StoredSHA256 {
		return 0, fmt.Errorf("sizes or sums differ from the manifest's: %w", ErrCorrupt)
	}
	return 0, nil
}

// tick tells of every MiB that is read.
type tick struct {
	src  *bodyReader
	tell func(read int64)
	next int64
}

func (t *tick) Read(p []byte) (int, error) {
	n, err := t.src.Read(p)
	if t.src.n >= t.next {
		t.next = t.src.n + 1<<20
		t.tell(t.src.n)
	}
	return n, err
}

// unpack writes what the stored bytes of a snapshot in src hold to w: one stage reads,
// several decompress, the caller writes. After an error cancel ends the reading.
func unpack(store *bucket, key objectKey, length int64, src io.Reader, info Info, w io.Writer, cancel func()) (n int64, err error) {
	if !key.gzip && !key.sealed {
		return io.Copy(w, src)
	}
	want := key.header()
	want.Length = length
	plain, _, err := envelope.NewReaderAhead(src, info.Size, want, envelope.Ring(store.Keys))
	if err != nil {
		return 0, err
	}
	from, stop := io.Reader(plain), func() { _ = plain.Close() } // which only waits
	if !key.gzip {                                               // then nothing is read ahead yet
		p := newPipe(plain)
		from, stop = p, p.stop
	}
	defer func() {
		if err != nil {
			cancel()
		}
		stop()
	}()
	return io.CopyBuffer(w, from, make([]byte, pipeBlockSize))
}
