package replicate_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// rewrite stores what edit makes of the object at key.
func rewrite(t *testing.T, store replicate.Store, key string, edit func([]byte) []byte) {
	t.Helper()
	body, _, err := store.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil {
		t.Fatal(err)
	}
	b = edit(b)
	_, err = store.Put(t.Context(), key, replicate.Body{
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }, Size: int64(len(b)),
	}, replicate.Condition{})
	if err != nil {
		t.Fatal(err)
	}
}

// Snapshot of a file in which nothing has changed stores another one where the
// newest has gone, was cut off, or is something else; nothing where it stands.
func TestSnapshotLooksAtTheNewest(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"plain", "gzip", "sealed"} {
		for how, damage := range map[string]func(store replicate.Store, key string){
			"stands": nil,
			"gone": func(store replicate.Store, key string) {
				is.New(t).NoErr(store.Delete(t.Context(), key))
			},
			"cut off": func(store replicate.Store, key string) {
				rewrite(t, store, key, func(b []byte) []byte { return b[:len(b)-1] })
			},
			"something else": func(store replicate.Store, key string) {
				rewrite(t, store, key, func(b []byte) []byte { return bytes.Repeat([]byte{'x'}, len(b)) })
			},
		} {
			if mode == "plain" && how == "something else" {
				continue // the file as it is has no header to tell by; a drill reads it whole
			}
			t.Run(mode+" "+how, func(t *testing.T) {
				is := is.New(t)
				store := memstore.New()
				o := fast()
				o.DisableCompression = mode == "plain"
				if mode == "sealed" {
					o.Encryption.Keys = []replicate.Key{replicate.NewKey()}
				}
				a := openApp(t, dbPath(t))
				r := start(t, a, store, o)
				a.insert(1, 5)
				is.NoErr(r.Snapshot(t.Context()))
				shutdown(t, r)
				before, _ := snapshots(t, store)
				if damage != nil {
					damage(store, before)
				}
				r = start(t, a, store, o)
				is.NoErr(r.Snapshot(t.Context()))
				is.NoErr(r.Snapshot(t.Context())) // the second call finds the first one's
				shutdown(t, r)
				want := 1
				if damage != nil {
					want++
				}
				_, n := snapshots(t, store)
				is.Equal(n, want-gone(how))
				if damage != nil {
					is.NoErr(store.Delete(t.Context(), logKeys(t, store)...)) // the new one alone is enough
				}
				path := dbPath(t)
				_, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{Encryption: o.Encryption, Retry: o.Retry})
				is.NoErr(err)
				is.Equal(dump(t, path), dump(t, a.path))
			})
		}
	}
}

func gone(how string) int {
	if how == "gone" {
		return 1
	}
	return 0
}

func logKeys(t *testing.T, store replicate.Store) (found []string) {
	t.Helper()
	for _, k := range keys(t, store) {
		if strings.Contains(k, "/logs/") {
			found = append(found, k)
		}
	}
	return found
}

// With Anew each call stores one, for who knows that the newest is damaged.
func TestSnapshotAnew(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	o := fast()
	o.Snapshot.Anew = true
	a := openApp(t, dbPath(t))
	r := start(t, a, store, o)
	a.insert(1, 5)
	is.NoErr(r.Snapshot(t.Context()))
	first, _ := snapshots(t, store)
	is.NoErr(r.Snapshot(t.Context()))
	second, _ := snapshots(t, store)
	is.True(first != second)
	shutdown(t, r)
	rewrite(t, store, second, func(b []byte) []byte { b[len(b)/2]++; return b })
	r = start(t, a, store, o)
	is.NoErr(r.Snapshot(t.Context()))
	third, _ := snapshots(t, store)
	is.True(third != second)
	shutdown(t, r)
	_, result := restore(t, store)
	is.Equal(result.Batches, 0)
}

// A drill that finds the newest state spoilt has the file stored again: the next
// drill finds nothing of it.
func TestDrillMends(t *testing.T) {
	t.Parallel()
	for how, spoil := range map[string]func(t *testing.T, store replicate.Store){
		"snapshot": func(t *testing.T, store replicate.Store) {
			t.Helper()
			key, _ := snapshots(t, store)
			rewrite(t, store, key, func(b []byte) []byte { b[len(b)/2]++; return b })
		},
		"log": func(t *testing.T, store replicate.Store) {
			t.Helper()
			is.New(t).NoErr(store.Delete(t.Context(), logKeys(t, store)...))
		},
	} {
		t.Run(how, func(t *testing.T) {
			is := is.New(t)
			store := memstore.New()
			a := openApp(t, dbPath(t))
			r := start(t, a, store, fast())
			a.insert(1, 5)
			is.NoErr(r.Snapshot(t.Context()))
			a.insert(6, 9)
			flush(t, r)
			shutdown(t, r)
			spoil(t, store)

			o := fast()
			o.Sync = replicate.Sync{Debounce: time.Millisecond}
			o.Snapshot = replicate.SnapshotRule{Every: 1 << 40} // none by itself
			o.Drill = replicate.Drill{Every: 20 * time.Millisecond, Dir: t.TempDir()}
			drilled := make(chan error, 10_000)
			o.Events = func(e replicate.Event) {
				if e.Kind == replicate.EventDrilled {
					drilled <- e.Err
				}
			}
			r = start(t, a, store, o)
			a.insert(10, 10)
			flush(t, r)
			var failed int
			for err := range drilled {
				if err == nil {
					break
				}
				if failed++; failed > 100 {
					t.Fatal(err)
				}
			}
			is.True(failed > 0)
			shutdown(t, r)
			sameAsRestored(t, a, store)
			_, n := snapshots(t, store)
			is.Equal(n, 2) // one more, not one with each drill
		})
	}
}
