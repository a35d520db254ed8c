package replicate_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// sizes notes what is said of the size of each snapshot, and what it came to.
type sizes struct {
	replicate.Store
	body   replicate.Body
	stored int64
}

func (s *sizes) Put(ctx context.Context, key string, body replicate.Body, cond replicate.Condition) (string, error) {
	if strings.Contains(key, "/snapshots/") {
		r, err := body.Open()
		if err != nil {
			return "", err
		}
		if _, ok := r.(io.ReaderAt); !ok {
			return "", errors.New("the snapshot cannot be read at any place")
		}
		s.body = body
		s.stored, err = io.Copy(io.Discard, r)
		if err != nil || r.Close() != nil {
			return "", err
		}
	}
	return s.Store.Put(ctx, key, body, cond)
}

// places reads packs from both ends, in pieces of odd sizes, and stores them if that is
// the same as from the beginning.
type places struct {
	replicate.Store
	t     *testing.T
	packs int
}

func (s *places) Put(ctx context.Context, key string, body replicate.Body, cond replicate.Condition) (string, error) {
	if strings.Contains(key, "/packs/") {
		r, err := body.Open()
		if err != nil {
			return "", err
		}
		straight, err := io.ReadAll(r)
		at, ok := r.(io.ReaderAt)
		if err != nil || !ok || int64(len(straight)) != body.Size {
			s.t.Errorf("pack: %d bytes of %d, %T: %v", len(straight), body.Size, r, err)
			return "", err
		}
		s.packs++
		other := make([]byte, len(straight))
		for end, size := len(other), 1; end > 0; size = size*3 + 1 {
			begin := max(end-size, 0)
			if n, err := at.ReadAt(other[begin:end], int64(begin)); err != nil || n != end-begin {
				s.t.Errorf("pack: read %d bytes at %d: %d: %v", end-begin, begin, n, err)
			}
			end = begin
		}
		if n, err := at.ReadAt(make([]byte, 9), body.Size-4); n != 4 || err != io.EOF {
			s.t.Errorf("pack: read over its end: %d: %v", n, err)
		}
		if !bytes.Equal(straight, other) {
			s.t.Error("a pack is something else where it is read at places")
		}
		if err := r.Close(); err != nil {
			return "", err
		}
	}
	return s.Store.Put(ctx, key, body, cond)
}

// A pack is in memory, or in a file and in memory: it can be read at any place.
func TestPacksAtAnyPlace(t *testing.T) {
	t.Parallel()
	for _, blob := range []int64{10, 700_000} {
		is := is.New(t)
		store := &places{Store: memstore.New(), t: t}
		a := openApp(t, dbPath(t))
		r := newReplica(t, store, fast())
		r.SetFan(4)
		is.NoErr(r.Start(t.Context(), a.path))
		for i := range 20 {
			a.exec(`INSERT INTO items (id, name, data) VALUES (?, ?, randomblob(?))`, int64(i), fmt.Sprint("row ", i), blob)
			flush(t, r)
			r.WaitForPack()
		}
		shutdown(t, r)
		is.True(store.packs >= 5)
		sameAsRestored(t, a, store)
	}
}

// A store is told the size of a snapshot, compressed and sealed too, and can read it at
// any place: so it sends its parts from the disk.
func TestSnapshotSaysItsSize(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]func(*replicate.Options){
		"plain":      func(o *replicate.Options) { o.DisableCompression = true },
		"compressed": func(*replicate.Options) {},
		"sealed": func(o *replicate.Options) {
			o.DisableCompression = true
			o.Encryption.Keys = []replicate.Key{replicate.NewKey()}
		},
		"compressed and sealed": func(o *replicate.Options) { o.Encryption.Keys = []replicate.Key{replicate.NewKey()} },
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			store := &sizes{Store: memstore.New()}
			options := fast()
			o(&options)
			a := openApp(t, dbPath(t))
			r := start(t, a, store, options)
			noise, files := make([]byte, 1<<20), amount(6)
			a.in(func(x changelog.Execer) error {
				for i := range files {
					_, _ = rand.Read(noise)
					if err := x.Exec(t.Context(), `INSERT INTO items (id, name, data) VALUES (?, ?, ?)`, int64(i), string(rune('a'+i)), noise); err != nil {
						return err
					}
				}
				return nil
			})
			is.NoErr(r.Snapshot(t.Context()))
			is.True(store.stored > int64(files)<<20)
			is.Equal(store.body.Size, store.stored)
			shutdown(t, r)
		})
	}
}
