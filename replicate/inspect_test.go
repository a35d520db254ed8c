package replicate_test

import (
	"errors"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// Every object of a backup says what it is, and a damaged one that it is.
func TestInspect(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"plain", "gzip", "sealed"} {
		t.Run(mode, func(t *testing.T) {
			is := is.New(t)
			store := memstore.New()
			o, ro := fast(), replicate.ReadOptions{Retry: fast().Retry}
			o.DisableCompression = mode == "plain"
			if mode == "sealed" {
				o.Encryption.Keys = []replicate.Key{replicate.NewKey()}
			}
			ro.Encryption = o.Encryption
			sound(t, store, o)
			kinds := map[string]int{}
			for _, key := range keys(t, store) {
				got, err := replicate.Inspect(t.Context(), store, key, ro)
				is.NoErr(err)
				kinds[got.Kind]++
				is.Equal(got.Name, dbName)
				whole := get(t, store, key)
				is.Equal(got.StoredSize, int64(len(whole)))
				if got.Kind != "pack" {
					is.Equal(got.Sealed, mode == "sealed")
				}
				is.Equal(got.Indent() != "", got.Kind == "batch" || got.Kind == "manifest")
				if got.Kind == "batch" {
					put(t, store, key, whole[:len(whole)-1]) // a bit of plain text, only the chain would notice
					_, err = replicate.Inspect(t.Context(), store, key, ro)
					is.True(err != nil)
					put(t, store, key, whole)
				}
			}
			is.Equal(len(kinds), 4)
			_, err := replicate.Inspect(t.Context(), store, "databases/bank/x", ro)
			is.True(err != nil)
			_, err = replicate.Inspect(t.Context(), store, "databases/other/manifest.json", ro)
			is.True(errors.Is(err, replicate.ErrMissing))
		})
	}
}
