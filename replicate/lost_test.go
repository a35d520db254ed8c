package replicate_test

import (
	"context"
	"errors"
	"iter"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// contents returns everything that is stored.
func contents(t testing.TB, store replicate.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, k := range keys(t, store) {
		all[k] = string(get(t, store, k))
	}
	return all
}

// A manifest that is gone while the file is still there: no new backup begins in
// the place of the old one, whatever has been committed since, and what a rebuilt
// manifest needs is left alone. Each way out that the text names works.
func TestManifestLostUnderAFile(t *testing.T) {
	wayOut := map[string]func(*testing.T, replicate.Store){
		"rebuilt": func(t *testing.T, store replicate.Store) {
			if _, err := rebuildWith(t, store, replicate.RebuildOptions{}); err != nil {
				t.Fatal(err)
			}
		},
		"deleted": func(t *testing.T, store replicate.Store) {
			if err := store.Delete(t.Context(), keys(t, store)...); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, out := range wayOut {
		for _, loose := range []bool{false, true} {
			for _, tail := range []int64{0, -1} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					is := is.New(t)
					var store replicate.Store = memstore.New()
					if loose {
						store = replicate.Unfenced(store)
					}
					var seen recorder
					o := fast()
					o.Events, o.LogTail = seen.add, tail
					a := openApp(t, dbPath(t))
					a.insert(1, 10)
					r := start(t, a, store, o)
					flush(t, r)
					is.NoErr(r.Snapshot(t.Context()))
					a.insert(11, 20)
					shutdown(t, r)
					is.NoErr(store.Delete(t.Context(), replicate.ManifestKey(dbName)))
					before, next := contents(t, store), 30

					for range 2 { // a start is no way out
						a.insert(next, next)
						next++
						r = start(t, a, store, o)
						err := r.Flush(t.Context())
						is.True(errors.Is(err, replicate.ErrManifestLost))
						is.True(strings.Contains(err.Error(), "rebuild-manifest") && strings.Contains(err.Error(), "another name"))
						is.Equal(r.Status().State, replicate.StateHalted)
						is.True(r.Shutdown(t.Context()) != nil)
						is.Equal(contents(t, store), before)
					}
					is.Equal(len(seen.of(replicate.EventHalted)), 2)
					is.Equal(len(seen.of(replicate.EventRebased)), 0)

					out(t, store)
					r = start(t, a, store, o)
					flush(t, r)
					is.Equal(len(seen.of(replicate.EventRebased)) == 0, name == "rebuilt") // one history
					sameAsRestored(t, a, store)
					a.insert(21, 22)
					shutdown(t, r)
					sameAsRestored(t, a, store)
				})
			}
		}
	}
}

// Whoever asks for a backup whose manifest is gone hears that, and nobody that
// there was never one.
func TestManifestLostIsSaidByAll(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	a.insert(1, 10)
	r := start(t, a, store, fast())
	shutdown(t, r)
	retry := fast().Retry
	ask := map[string]func() error{
		"ReadBackup": func() error {
			_, err := replicate.ReadBackup(t.Context(), dbName, store, replicate.ReadOptions{Retry: retry})
			return err
		},
		"Prune": func() error {
			_, err := replicate.Prune(t.Context(), dbName, store, replicate.PruneOptions{Retry: retry})
			return err
		},
		"Prune, dry": func() error {
			_, err := replicate.Prune(t.Context(), dbName, store, replicate.PruneOptions{Retry: retry, DryRun: true})
			return err
		},
		"Verify": func() error {
			_, err := replicate.Verify(t.Context(), dbName, store, replicate.VerifyOptions{Retry: retry})
			return err
		},
		"ReadLog": func() error {
			for _, err := range replicate.ReadLog(t.Context(), dbName, store, replicate.LogOptions{Retry: retry}) {
				return err
			}
			return nil
		},
		"Restore": func() error {
			_, err := replicate.Restore(t.Context(), dbName, store, dbPath(t), replicate.RestoreOptions{Retry: retry})
			return err
		},
		"a dry run of it": func() error {
			_, err := replicate.Restore(t.Context(), dbName, store, dbPath(t), replicate.RestoreOptions{Retry: retry, DryRun: true})
			return err
		},
		"AutoRestore": func() error {
			o := fast()
			o.AutoRestore = true
			return newReplica(t, store, o).Prepare(t.Context(), dbPath(t))
		},
		"TakeOver": func() error {
			o := fast()
			o.TakeOver = true
			return newReplica(t, store, o).Prepare(t.Context(), dbPath(t))
		},
	}
	for what, f := range ask {
		if err := f(); errors.Is(err, replicate.ErrManifestLost) {
			t.Error(what, err)
		}
	}
	is.NoErr(store.Delete(t.Context(), replicate.ManifestKey(dbName)))
	for what, f := range ask {
		if err := f(); !errors.Is(err, replicate.ErrManifestLost) || errors.Is(err, replicate.ErrNoBackup) {
			t.Errorf("%s: %v", what, err)
		}
	}
	is.NoErr(store.Delete(t.Context(), keys(t, store)...))
	for what, f := range ask {
		if err := f(); what != "AutoRestore" && what != "TakeOver" && !errors.Is(err, replicate.ErrNoBackup) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// listing is a store that calls before, once, when it is first asked for a list.
type listing struct {
	replicate.Store
	once   *sync.Once
	before func()
}

func (l listing) List(ctx context.Context, prefix, after string) iter.Seq2[replicate.Info, error] {
	l.once.Do(l.before)
	return l.Store.List(ctx, prefix, after)
}

// A first claim costs a look, a list and a write. Another node that is faster, and
// has stored something before the list is made, is the owner and no manifest is
// lost; what does not belong to any backup is in nobody's way.
func TestFirstClaim(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := faultstore.New(memstore.New())
	put(t, store, "databases/"+dbName+"/nodes/", nil)
	put(t, store, "databases/"+dbName+"/nodes/.DS_Store", []byte("x"))
	a := openApp(t, dbPath(t))
	a.insert(1, 3)
	r := start(t, a, store, fast())
	flush(t, r)
	is.Equal(store.Count(faultstore.List), 1)
	is.Equal(store.Count(faultstore.Get), 1)
	is.Equal(store.Count(faultstore.Put), 2+3) // the two of this test, claim, batch, manifest
	shutdown(t, r)
	sameAsRestored(t, a, store)

	inner := memstore.New()
	racing := listing{inner, &sync.Once{}, func() {
		b := openApp(t, dbPath(t))
		b.insert(1, 2)
		flush(t, start(t, b, inner, fast()))
	}}
	a = openApp(t, dbPath(t))
	a.insert(1, 3)
	r = start(t, a, racing, fast())
	err := r.Flush(t.Context())
	is.True(errors.Is(err, replicate.ErrOwned) && !errors.Is(err, replicate.ErrManifestLost))
}

// Objects of the original whose manifest is gone are its backup all the same: it
// can be imported without, and cannot once a manifest of ours stands there.
func TestV1ObjectsWithoutAManifest(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	put(t, store, "databases/"+dbName+"/nodes/0123456789ab/logs/000000000001-000000000007.json", []byte("{}"))
	before := contents(t, store)
	a := openApp(t, dbPath(t))
	a.insert(1, 3)
	r := start(t, a, store, fast())
	is.True(errors.Is(r.Flush(t.Context()), replicate.ErrV1Manifest))
	o := fast()
	o.AutoRestore = true
	is.True(errors.Is(newReplica(t, store, o).Prepare(t.Context(), filepath.Join(t.TempDir(), "x")), replicate.ErrV1Manifest))
	is.Equal(contents(t, store), before)
}
