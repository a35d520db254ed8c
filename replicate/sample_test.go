package replicate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// A sample reads less, finds what is gone or has another size at once, and any
// other damage when it comes to it.
func TestVerifySample(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"plain", "sealed"} {
		t.Run(mode, func(t *testing.T) {
			is := is.New(t)
			store := memstore.New()
			o, vo := fast(), verifyOptions(t)
			if mode == "sealed" {
				o.Encryption.Keys = []replicate.Key{replicate.NewKey()}
			}
			sound(t, store, o)
			vo.Encryption = o.Encryption
			all, err := replicate.Verify(t.Context(), dbName, store, vo)
			is.NoErr(err)
			vo.Sample = 1
			whole, err := replicate.Verify(t.Context(), dbName, store, vo)
			is.NoErr(err)
			is.Equal(whole.Batches, all.Batches)
			is.Equal(whole.Entries, all.Entries)
			is.Equal(whole.Snapshots, all.Snapshots)
			is.Equal(whole.Unread, 0)
			is.Equal(whole.Trial, nil)
			vo.Sample = 1e-9
			few, err := replicate.Verify(t.Context(), dbName, store, vo)
			is.NoErr(err)
			is.Equal(few.Snapshots, 1)
			is.True(few.Batches >= 1 && few.Unread >= 3 && few.Bytes < whole.Bytes)

			packed := func(key string) bool { // a batch that a pack holds as well is not needed
				return strings.Contains(key, "/logs/")
			}
			for _, key := range keys(t, store) {
				if key == replicate.ManifestKey(dbName) || packed(key) {
					continue
				}
				b := get(t, store, key)
				is.NoErr(store.Delete(t.Context(), key))
				report, err := replicate.Verify(t.Context(), dbName, store, vo)
				is.True(errors.Is(err, replicate.ErrMissing))
				is.True(!report.OK())
				put(t, store, key, b[:len(b)-1])
				_, err = replicate.Verify(t.Context(), dbName, store, vo)
				is.True(errors.Is(err, replicate.ErrCorrupt))
				put(t, store, key, flip(b, len(b)/2))
				for tries := 0; ; tries++ { // each has a good chance
					if _, err = replicate.Verify(t.Context(), dbName, store, vo); err != nil {
						break
					}
					is.True(tries < 1000)
				}
				is.True(errors.Is(err, replicate.ErrCorrupt) || errors.Is(err, replicate.ErrNoKey))
				put(t, store, key, b)
			}
		})
	}
	is := is.New(t)
	for _, share := range []float64{-0.1, 1.1} {
		_, err := replicate.Verify(t.Context(), dbName, memstore.New(), replicate.VerifyOptions{Sample: share})
		is.True(err != nil && strings.Contains(err.Error(), "option Sample"))
	}
}
