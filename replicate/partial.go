package replicate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/driftdb/driftdb/internal/durable"
)

// RangeStore is a Store that can give the rest of an object. With one a restore
// that was interrupted inside of a large object goes on where it broke off; with
// any other it reads that object from its beginning.
type RangeStore interface {
	Store

	// GetFrom is Get from the byte offset on. Info.Size is that of the whole
	// object, or -1 when it is not known. ErrPrecondition: the object has no
	// byte at offset.
	GetFrom(ctx context.Context, key string, offset int64) (io.ReadCloser, Info, error)
}

// partial keeps what a restore has read in a private directory beside the
// target: a restore that was interrupted, by a crash too, goes on with it. Kept
// are stored bytes, as they are in the bucket; they are checked as those that
// come from there. It is the store that the restore reads.
type partial struct {
	Store
	dir string

	mu      sync.Mutex
	wanted  map[string]bool // keys that are kept: what the manifest vouches for
	busy    map[string]bool // keys that are being read
	earlier map[string]bool // keys of which an earlier restore has left something
	reused  int64           // bytes that were not read from the store again
}

// partialState is the file state.json in the directory.
type partialState struct {
	Version  int    `json:"version"`
	Database string `json:"database"`
}

func newPartial(store Store, side *sidecar) *partial {
	return &partial{Store: store, dir: filepath.Join(side.dir, "partial"), busy: map[string]bool{}, earlier: map[string]bool{}}
}

// begin prepares for the plan p: it keeps what an earlier restore has left of
// the objects that p, or another restore by the same manifest, reads, and
// removes what belongs to another plan. Nothing is kept of what lies beyond
// head: there only the bucket says what counts.
func (p *partial) begin(name string, of *plan) error {
	if p == nil {
		return nil
	}
	wanted := map[string]bool{}
	for _, s := range of.m.Snapshots {
		wanted[s.Key] = true
	}
	for _, path := range of.paths {
		for _, k := range path {
			wanted[k.String()] = true
		}
	}
	if err := p.sameDatabase(name); err != nil {
		return err
	}
	files := map[string]string{}
	for key := range wanted {
		files[fileName(key)] = key
	}
	left, err := os.ReadDir(p.dir)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = wanted
	for _, e := range left {
		if e.Name() == stateFile {
			continue
		}
		if key, ok := files[trimPart(e.Name())]; ok {
			p.earlier[key] = true
			continue
		}
		if err := os.RemoveAll(filepath.Join(p.dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

const (
	stateFile  = "state.json"
	partSuffix = ".part"
)

// sameDatabase makes the directory, and empties one that another database's
// restore has left.
func (p *partial) sameDatabase(name string) error {
	path := filepath.Join(p.dir, stateFile)
	want := partialState{Version: 1, Database: name}
	b, err := os.ReadFile(path) //nolint:gosec // beside the target
	var got partialState
	if err == nil && json.Unmarshal(b, &got) == nil && got == want {
		return nil
	}
	if err := p.remove(); err != nil {
		return err
	}
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		return err
	}
	if b, err = json.Marshal(want); err != nil {
		return err
	}
	return durable.WriteFile(path, b, 0o600)
}

// remove forgets everything.
func (p *partial) remove() error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	clear(p.earlier)
	p.mu.Unlock()
	if err := os.RemoveAll(p.dir); err != nil {
		return fmt.Errorf("remove what an interrupted restore has left: %w", err)
	}
	return nil
}

// distrust forgets what was kept of an object that is not what it should be, so
// that it is read from the bucket.
func (p *partial) distrust(key string, err error) {
	if p == nil || !errors.Is(err, ErrCorrupt) {
		return
	}
	p.mu.Lock()
	delete(p.earlier, key)
	p.mu.Unlock()
	_ = os.Remove(p.path(key)) // what stays is only found wrong again
	_ = os.Remove(p.path(key) + partSuffix)
}

// doubtful says whether anything that an earlier restore has left was used.
func (p *partial) doubtful() bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reused > 0 && len(p.earlier) > 0
}

func (p *partial) reusedBytes() int64 {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reused
}

func fileName(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

func trimPart(name string) string {
	if ext := filepath.Ext(name); ext == partSuffix {
		return name[:len(name)-len(ext)]
	}
	return name
}

func (p *partial) path(key string) string { return filepath.Join(p.dir, fileName(key)) }

// Get opens an object: what was kept of it, and the rest from the store.
func (p *partial) Get(ctx context.Context, key string) (io.ReadCloser, Info, error) {
	p.mu.Lock()
	keep := p.wanted[key] && !p.busy[key]
	if keep {
		p.busy[key] = true
	}
	p.mu.Unlock()
	if !keep {
		return p.Store.Get(ctx, key)
	}
	body, info, err := p.open(ctx, key)
	if err != nil {
		p.release(key, 0)
	}
	return body, info, err
}

func (p *partial) open(ctx context.Context, key string) (io.ReadCloser, Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, Info{}, err
	}
	f, err := os.Open(p.path(key))
	if err == nil {
		info, err := f.Stat()
		if err != nil {
			return nil, Info{}, errors.Join(err, f.Close())
		}
		return &keptBody{p: p, key: key, file: f, kept: info.Size(), size: info.Size()}, Info{Key: key, Size: info.Size()}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, Info{}, err
	}
	if f, err = os.OpenFile(p.path(key)+partSuffix, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, Info{}, fmt.Errorf("keep what is restored: %w", err)
	}
	b := &keptBody{p: p, key: key, file: f, part: true}
	info, err := b.rest(ctx)
	if err != nil {
		return nil, Info{}, errors.Join(err, f.Close())
	}
	b.size = info.Size
	return b, info, nil
}

// release lets go of a key, of which reused bytes were here already.
func (p *partial) release(key string, reused int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.busy, key)
	if p.earlier[key] {
		p.reused += reused
	}
}

// stop keeps nothing from here on, and frees the space: a full disk had better
// hold what is restored.
func (p *partial) stop() {
	p.mu.Lock()
	p.wanted = nil
	p.mu.Unlock()
	_ = p.remove() // nothing depends on it
}

// keptBody reads an object from the file that keeps it, and from the store what
// the file lacks, which it then has.
type keptBody struct {
	p     *partial
	key   string
	file  *os.File
	rem   io.ReadCloser // the rest, from the store; nil: the file has all
	part  bool          // the file has not got its final name
	whole bool          // it has all of the object
	lost  bool          // it could not be written
	kept  int64         // bytes that it had
	at    int64         // read
	size  int64         // of the object, -1: not known
}

// rest opens what the file lacks.
func (b *keptBody) rest(ctx context.Context) (info Info, err error) {
	size, err := b.file.Seek(0, io.SeekEnd)
	if err != nil {
		return info, err
	}
	// One byte is always read again: an object that was read to its end, but
	// for the end itself, has no rest to ask for.
	if s, ok := b.p.Store.(RangeStore); ok && size > 1 {
		b.rem, info, err = s.GetFrom(ctx, b.key, size-1)
		if err == nil {
			b.kept = size - 1
			return info, nil
		}
		if !errors.Is(err, ErrPrecondition) {
			return info, err
		}
	}
	if err := b.file.Truncate(0); err != nil {
		return info, err
	}
	b.rem, info, err = b.p.Store.Get(ctx, b.key)
	return info, err
}

// Read implements io.Reader.
func (b *keptBody) Read(buf []byte) (int, error) {
	if b.at < b.kept {
		n, err := b.file.ReadAt(buf[:min(int64(len(buf)), b.kept-b.at)], b.at)
		b.at += int64(n)
		return n, err
	}
	if b.rem == nil {
		return 0, io.EOF
	}
	n, err := b.rem.Read(buf)
	if n > 0 && !b.lost {
		if _, err := b.file.WriteAt(buf[:n], b.at); err != nil {
			b.lost = true
			b.p.stop()
		}
	}
	b.at += int64(n)
	b.whole = errors.Is(err, io.EOF) && (b.size < 0 || b.at == b.size)
	return n, err
}

// Close implements io.Closer.
func (b *keptBody) Close() error {
	err := b.file.Close()
	if b.rem != nil {
		err = errors.Join(err, b.rem.Close())
	}
	if b.part && b.whole && !b.lost {
		// A name that cannot be had costs a second reading, if that.
		_ = os.Rename(b.p.path(b.key)+partSuffix, b.p.path(b.key))
	}
	b.p.release(b.key, min(b.at, b.kept))
	return err
}
