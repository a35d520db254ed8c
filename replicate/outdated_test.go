package replicate_test

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// The first manifest of a name, put back by somebody over a full backup, promises
// nothing. Nobody makes an empty database of it, or begins anew over what is stored.
func TestFirstManifestPutBack(t *testing.T) {
	t.Parallel()
	for _, data := range []bool{false, true} {
		t.Run(map[bool]string{false: "began empty", true: "began on data"}[data], func(t *testing.T) {
			is := is.New(t)
			store := memstore.New()
			a := openApp(t, dbPath(t))
			if data {
				a.insert(1000, 1003)
			}
			r := newReplica(t, store, fast())
			stop := errors.New("stop")
			r.SetHook(func(point string) error {
				if point == "claimed" {
					return stop
				}
				return nil
			})
			is.NoErr(r.Start(t.Context(), a.path))
			a.insert(1, 1)
			is.True(errors.Is(r.Flush(t.Context()), stop))
			kill(t, r)
			first := contents(t, store)[replicate.ManifestKey(dbName)]
			for i := range 3 {
				r = start(t, a, store, fast())
				a.insert(10*i+2, 10*i+9)
				is.NoErr(r.Snapshot(t.Context()))
				shutdown(t, r)
			}
			put(t, store, replicate.ManifestKey(dbName), []byte(first))
			before := contents(t, store)

			for name, o := range map[string]replicate.Options{
				"AutoRestore": {AutoRestore: true}, "TakeOver": {AutoRestore: true, TakeOver: true},
			} {
				o.Sync, o.Retry, o.Snapshot = fast().Sync, fast().Retry, fast().Snapshot
				path := dbPath(t)
				b := newReplica(t, store, o)
				err := b.Prepare(t.Context(), path)
				if !errors.Is(err, replicate.ErrManifestLost) && (name == "TakeOver" || !errors.Is(err, replicate.ErrOwned)) {
					t.Errorf("%s: %v", name, err)
				}
				kill(t, b)
				_, err = os.Stat(path)
				is.True(errors.Is(err, fs.ErrNotExist))
			}
			_, err := replicate.Restore(t.Context(), dbName, store, dbPath(t), replicate.RestoreOptions{Retry: fast().Retry})
			is.True(errors.Is(err, replicate.ErrManifestLost))
			r = start(t, a, store, fast())
			a.insert(100, 101)
			err = r.Flush(t.Context())
			is.True(errors.Is(err, replicate.ErrManifestLost))
			is.True(strings.Contains(err.Error(), "epoch"))
			kill(t, r)
			if diff := cmp.Diff(before, contents(t, store)); diff != "" {
				t.Fatal(diff)
			}

			_, err = replicate.RebuildManifest(t.Context(), dbName, store, replicate.RebuildOptions{Replace: true, Dir: t.TempDir(), Retry: fast().Retry})
			is.NoErr(err)
			r = start(t, a, store, fast())
			flush(t, r)
			shutdown(t, r)
			sameAsRestored(t, a, store)
		})
	}
}
