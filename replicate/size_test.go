package replicate_test

import (
	"context"
	"crypto/rand"
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
		s.body = body
		s.stored, err = io.Copy(io.Discard, r)
		if err != nil || r.Close() != nil {
			return "", err
		}
	}
	return s.Store.Put(ctx, key, body, cond)
}

// A snapshot of bytes that do not compress stays below what the store was told that
// it has at most, compressed and sealed too: the store has chosen its parts by it.
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
			t.Logf("%d stored, Size %d, AtMost %d", store.stored, store.body.Size, store.body.AtMost)
			is.True(store.stored > int64(files)<<20)
			if name == "plain" {
				is.Equal(store.body.Size, store.stored)
			} else {
				is.Equal(store.body.Size, int64(-1))
				is.True(store.stored <= store.body.AtMost)
				is.True(store.body.AtMost < int64(files)*19/3<<20) // and it is no wild guess: six make a file of 19 MiB, for the log has the bytes in hex
			}
			shutdown(t, r)
		})
	}
}
