package replicate_test

import (
	"context"
	"crypto/rand"
	"errors"
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
