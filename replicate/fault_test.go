package replicate_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// points are the places between two steps of the engine.
var points = []string{
	"claiming", "claimed", "sealed", "encoded", "uploaded", "marked", "acknowledging", "acknowledged", "settled",
	"snapshot-begun", "snapshot-uploaded",
}

// A process that dies between any two steps loses nothing that it acknowledged,
// ships the same boundaries again, and never ends in a false ErrForked.
func TestCrashBetweenSteps(t *testing.T) {
	for _, point := range points {
		for nth := 1; nth <= 4; nth++ {
			t.Run(fmt.Sprintf("%s-%d", point, nth), func(t *testing.T) {
				t.Parallel()
				is := is.New(t)
				store := memstore.New()
				a := openApp(t, dbPath(t))
				r := newReplica(t, store, fast())
				r.SetHook(crashAt(point, nth))
				is.NoErr(r.Start(t.Context(), a.path))
				var acked int64
				crashed := false
				for i := 0; i < 4 && !crashed; i++ {
					a.insert(10*i+1, 10*i+3)
					err := r.Flush(t.Context())
					if err == nil && i == 2 {
						err = r.Snapshot(t.Context())
					}
					if err == nil {
						acked = r.Status().Acknowledged
					}
					crashed = err != nil
					is.True(err == nil || errors.Is(err, errCrash))
				}
				kill(t, r)
				if acked > 0 {
					_, result := restore(t, store)
					is.True(result.Position.Sequence >= acked) // nothing acknowledged is lost
				}
				before := batches(t, store)

				r = start(t, a, store, fast())
				a.insert(90, 92)
				flush(t, r)
				sameAsRestored(t, a, store)
				for key := range before {
					is.True(batches(t, store)[key]) // nothing was removed
				}
				is.True(boundariesAgree(batches(t, store))) // nor cut anew
				shutdown(t, r)
				is.True(manifest(t, store).Released)
			})
		}
	}
}

func batches(t *testing.T, store replicate.Store) map[string]bool {
	found := map[string]bool{}
	for _, k := range keys(t, store) {
		if strings.Contains(k, "/logs/") {
			found[k] = true
		}
	}
	return found
}

// boundariesAgree says whether batches that begin at the same sequence end at
// the same one, whatever the epoch.
func boundariesAgree(keys map[string]bool) bool {
	ends := map[int64]int64{}
	for k := range keys {
		_, _, from, to, ok := replicate.BatchRange(k)
		if have, seen := ends[from]; !ok || seen && have != to {
			return false
		}
		ends[from] = to
	}
	return true
}

// A request that succeeded and whose answer was lost is recognised.
func TestLostReplies(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"/logs/", "manifest.json", "/snapshots/"} {
		for nth := 1; nth <= 3; nth++ {
			t.Run(fmt.Sprintf("%s-%d", strings.Trim(key, "/"), nth), func(t *testing.T) {
				is := is.New(t)
				store := faultstore.New(memstore.New(), faultstore.Rule{Op: faultstore.Put, Key: key, Nth: nth, Kind: faultstore.LostReply})
				a := openApp(t, dbPath(t))
				events := &recorder{}
				o := fast()
				o.Events = events.add
				r := start(t, a, store, o)
				for i := range 3 {
					a.insert(10*i+1, 10*i+3)
					flush(t, r)
					is.NoErr(r.Snapshot(t.Context()))
				}
				is.Equal(store.Fired(), 1)
				if key == "/logs/" {
					is.Equal(len(events.of(replicate.EventAdopted)), 1)
				}
				is.Equal(manifest(t, store).Epoch, uint32(1))
				sameAsRestored(t, a, store)
				shutdown(t, r)
			})
		}
	}
}

// An object of our own epoch that is there already and holds something else is
// not taken for ours, whatever it is, and not overwritten.
func TestKeyIsTaken(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store, other := memstore.New(), memstore.New()
	o := fast()
	o.NodeID = "twin"
	a, b := openApp(t, dbPath(t)), openApp(t, dbPath(t))
	ra, rb := start(t, a, store, o), start(t, b, other, o)
	flush(t, ra)
	flush(t, rb)
	a.insert(1, 3)
	b.insert(4, 6)
	flush(t, rb)
	var key string
	for k := range batches(t, other) {
		if !batches(t, store)[k] {
			key = k
		}
	}
	body, _, err := other.Get(t.Context(), key)
	is.NoErr(err)
	put(t, store, key, readAll(t, body))
	err = ra.Flush(t.Context())
	is.True(errors.Is(err, replicate.ErrForked))
	is.True(strings.Contains(err.Error(), key))
	is.Equal(ra.Status().State, replicate.StateHalted)
}

// Every operation of a whole life fails once, in every way, until a pass is
// clean: each ends in success or a named error, and converges when the store is
// healed.
func TestNthFault(t *testing.T) {
	kinds := []faultstore.Kind{faultstore.Error, faultstore.LostReply, faultstore.Permanent, faultstore.Precondition, faultstore.ShortBody, faultstore.Reset}
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			for nth := 1; ; nth++ {
				if nth > 200 {
					t.Fatal("no clean pass")
				}
				if oneFault(t, kind, nth) == 0 {
					break
				}
			}
		})
	}
}

func oneFault(t *testing.T, kind faultstore.Kind, nth int) int {
	t.Helper()
	is := is.New(t)
	store := faultstore.New(memstore.New(), faultstore.Rule{Nth: nth, Kind: kind})
	path := filepath.Join(t.TempDir(), "app.sqlite")
	o := fast()
	o.AutoRestore = true
	var acked int64
	// attempt does it again after a failure, with the store healed.
	attempt := func(what string, f func() error) {
		t.Helper()
		if err := f(); err != nil {
			if store.Fired() == 0 {
				t.Fatalf("%v %d: %s failed without a fault: %v", kind, nth, what, err)
			}
			if isForked := errors.Is(err, replicate.ErrForked) || errors.Is(err, replicate.ErrFenced); isForked {
				t.Fatalf("%v %d: %s: false alarm: %v", kind, nth, what, err)
			}
			if err := f(); err != nil {
				t.Fatalf("%v %d: %s does not recover: %v", kind, nth, what, err)
			}
		}
	}
	for round := range 2 {
		r := newReplica(t, store, o)
		attempt("prepare", func() error { return r.Prepare(t.Context(), path) })
		a := openApp(t, path)
		is.NoErr(r.Start(t.Context(), path))
		a.insert(100*round+1, 100*round+4)
		attempt("flush", func() error { return r.Flush(t.Context()) })
		acked = r.Status().Acknowledged
		is.Equal(acked, r.Status().Captured)
		attempt("snapshot", func() error { return r.Snapshot(t.Context()) })
		a.insert(100*round+5, 100*round+7)
		if round == 0 {
			kill(t, r) // a crash: the next round restores the lost file
		} else {
			attempt("shutdown", func() error { return r.Shutdown(t.Context()) })
			is.True(!r.Metrics().IsRunning)
		}
		want := dump(t, path)
		a.close()
		restored := ""
		attempt("restore", func() error {
			restored = filepath.Join(t.TempDir(), "restored.sqlite")
			result, err := replicate.Restore(t.Context(), dbName, store, restored, replicate.RestoreOptions{Retry: o.Retry})
			if err == nil && result.Position.Sequence < acked {
				t.Fatalf("%v %d: restored to %d, %d was acknowledged", kind, nth, result.Position.Sequence, acked)
			}
			if err != nil && fileExists(t, restored) {
				t.Fatalf("%v %d: a failed restore left a file", kind, nth)
			}
			return err
		})
		got := dump(t, restored)
		if round == 0 {
			removeDatabase(t, path)
		} else if got != want && manifest(t, store).Released {
			t.Fatalf("%v %d: restored file differs:\n%s\n---\n%s", kind, nth, want, got)
		}
	}
	return store.Fired()
}

// sealedFirst refuses an upload of anything that the local file has not sealed.
type sealedFirst struct {
	replicate.Store
	t    *testing.T
	path string
	n    int
}

func (s *sealedFirst) Put(ctx context.Context, key string, body replicate.Body, cond replicate.Condition) (string, error) {
	_, _, _, to, ok := replicate.BatchRange(key)
	if ok {
		db := sql.OpenDB(sqlite.Connector(s.path, sqlite.Reader))
		var sealed int64
		err := db.QueryRowContext(ctx, `SELECT coalesce(max("to"), 0) FROM _driftdb_queue`).Scan(&sealed)
		if err = errors.Join(err, db.Close()); err != nil {
			s.t.Error(err)
		}
		if sealed < to {
			s.t.Errorf("%s is uploaded while only %d is sealed", key, sealed)
		}
		s.n++
	}
	return s.Store.Put(ctx, key, body, cond)
}

// After a power cut the file may be what it was at the last seal: nothing newer
// may be in the bucket, batches and snapshots alike.
func TestSealedBeforeUploaded(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	a := openApp(t, dbPath(t))
	store := &sealedFirst{Store: memstore.New(), t: t, path: a.path}
	r := start(t, a, store, fast())
	for i := range 5 {
		a.insert(10*i+1, 10*i+5)
		if i%2 == 0 {
			flush(t, r)
		}
		is.NoErr(r.Snapshot(t.Context()))
	}
	a.bulk(1000, 20_000)
	flush(t, r)
	shutdown(t, r)
	is.True(store.n > 10)
	sameAsRestored(t, a, store)
}

// Damage in the bucket is an error with a name and no file; a damaged newest
// snapshot is passed over while an older way exists.
func TestDamagedObjects(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	for i := range 4 {
		a.insert(10*i+1, 10*i+5)
		flush(t, r)
		if i == 1 || i == 2 {
			if err := r.Snapshot(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	shutdown(t, r)
	all := keys(t, store)
	want := dump(t, a.path)
	for _, key := range all {
		body, _, err := store.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		whole := readAll(t, body)
		flip := append([]byte(nil), whole...)
		flip[len(flip)/2] ^= 0x10
		for name, bad := range map[string][]byte{"missing": nil, "flipped": flip, "cut": whole[:len(whole)/2], "empty": {}, "longer": append(slices.Clip(whole), whole...)} {
			t.Run(filepath.Base(key)+" "+name, func(t *testing.T) {
				is := is.New(t)
				is.NoErr(store.Delete(t.Context(), key))
				if bad != nil {
					put(t, store, key, bad)
				}
				defer put(t, store, key, whole)
				path := dbPath(t)
				result, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{Retry: fast().Retry})
				if err != nil {
					is.True(errors.Is(err, replicate.ErrCorrupt) || errors.Is(err, replicate.ErrMissing) || errors.Is(err, replicate.ErrManifestLost))
					is.True(!fileExists(t, path))
					is.True(!strings.Contains(key, "/snapshots/")) // there is another way
					return
				}
				is.Equal(dump(t, path), want) // never something else
				if strings.Contains(key, "/snapshots/") && strings.Contains(key, all[len(all)-1]) {
					is.Equal(result.Damaged, []string{key})
				}
			})
		}
	}
}
