package replicate_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// A snapshot of many gzip members, which are decompressed at once: damage anywhere in
// it is an error or makes no difference, what breaks off is read again, and no file
// and no goroutine is left of what failed.
func TestSnapshotOfManyMembers(t *testing.T) {
	for _, mode := range []string{"gzip", "sealed"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			is := is.New(t)
			inner, o := memstore.New(), fast()
			if mode == "sealed" {
				o.Encryption.Keys = []replicate.Key{replicate.NewKey()}
			}
			a := openApp(t, dbPath(t))
			r := start(t, a, inner, o)
			a.exec(`INSERT INTO items (id, name, data) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60) SELECT i, CAST(i AS TEXT), CAST(hex(randomblob(40000)) AS BLOB) FROM n`)
			is.NoErr(r.Snapshot(t.Context()))
			shutdown(t, r)
			var key string
			for _, k := range keys(t, inner) {
				if strings.Contains(k, "/snapshots/") {
					key = k
				}
			}
			whole := get(t, inner, key)
			is.True(len(whole) > 2<<20)
			for _, k := range keys(t, inner) { // else the log would give everything back
				if strings.Contains(k, "/logs/") {
					is.NoErr(inner.Delete(t.Context(), k))
				}
			}
			want := dump(t, a.path)
			restore := func(store replicate.Store) error {
				path := dbPath(t)
				_, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{Retry: o.Retry, Encryption: o.Encryption})
				if err == nil {
					is.Equal(dump(t, path), want)
				} else if _, there := os.Stat(path); !errors.Is(there, os.ErrNotExist) {
					t.Errorf("a file is left behind: %v", there)
				}
				return err
			}
			is.NoErr(restore(inner))

			rng, bad := rand.New(rand.NewPCG(7, 7)), [][]byte{whole[:len(whole)-1], whole[:len(whole)/2], append(bytes.Clone(whole), whole...)}
			for range amount(12) {
				bad = append(bad, flip(whole, rng.IntN(len(whole))))
			}
			for i, b := range bad {
				put(t, inner, key, b)
				if err := restore(inner); !errors.Is(err, replicate.ErrCorrupt) {
					t.Errorf("damage %d: %v", i, err)
				}
			}
			put(t, inner, key, whole)

			for _, kind := range []faultstore.Kind{faultstore.Reset, faultstore.ShortBody} {
				store := faultstore.New(inner)
				store.Set(faultstore.Rule{Op: faultstore.Get, Key: "/snapshots/", Nth: 1, Kind: kind, Err: io.ErrUnexpectedEOF})
				if err := restore(store); err != nil {
					t.Errorf("%v: %v", kind, err)
				}
				is.Equal(store.Fired(), 1)
			}

		})
	}
}
