package replicate_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// startSmall is start with batches of 5 entries and parts of 7.
func startSmall(t *testing.T, a *app, store replicate.Store, o replicate.Options) *replicate.Replica {
	t.Helper()
	r := newReplica(t, store, o)
	r.SetCut(5, 7)
	if err := r.Start(t.Context(), a.path); err != nil {
		t.Fatal(err)
	}
	return r
}

// A transaction that is too long for one batch is shipped in parts, and a restore
// to any point has all of it or nothing.
func TestPartsAreOneTransaction(t *testing.T) {
	for _, mode := range []string{"gzip", "packs"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			is := is.New(t)
			store := memstore.New()
			a := openApp(t, dbPath(t))
			r := startSmall(t, a, store, fast())
			var units []unit
			clock := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
			end := func() {
				var n int64
				is.NoErr(a.db.QueryRowContext(t.Context(), changelog.NewestSQL).Scan(&n))
				if len(units) > 0 {
					// The entries of a long transaction are older than its end.
					_, err := a.db.ExecContext(t.Context(), `UPDATE _driftdb_log SET timestamp = ?1 - (?2 - sequence) WHERE sequence > ?3`, clock, n, units[len(units)-1].to)
					is.NoErr(err)
				}
				units = append(units, unit{n, clock, dump(t, a.path)})
				clock += 100_000
			}
			end()
			id := 1
			for i := range 12 {
				if i%3 == 1 {
					a.bulk(id, id+29)
					id += 30
				} else {
					a.insert(id, id)
					id++
				}
				end()
				if i%4 == 3 || mode == "packs" {
					flush(t, r)
					r.WaitForPack()
				}
			}
			flush(t, r)
			shutdown(t, r)
			parts, packs := 0, 0
			for _, k := range keys(t, store) {
				if strings.Contains(k, "of5.json") {
					parts++
				}
				if strings.Contains(k, "/packs/") {
					packs++
				}
			}
			is.True(parts >= 15)
			is.Equal(packs > 0, true)
			for i, u := range units {
				next := u.to
				if i+1 < len(units) {
					next = units[i+1].to
				}
				for at := u.to; at < max(next, u.to+1); at++ {
					path := filepath.Join(t.TempDir(), "r.sqlite")
					result, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{Sequence: at, Retry: fast().Retry})
					if err != nil {
						t.Fatal(at, err)
					}
					is.Equal(result.Position.Sequence, u.to)
					is.Equal(cmp.Diff(u.rows, dump(t, path)), "")
				}
				if i == 0 {
					continue // its times are those of the machine
				}
				for _, ms := range []int64{0, 1, 99_950} { // 99,950: inside of the next one, if that is long
					path := filepath.Join(t.TempDir(), "r.sqlite")
					result, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{At: time.UnixMilli(u.time + ms), Retry: fast().Retry})
					is.NoErr(err)
					is.Equal(result.Position.Sequence, u.to)
					if i+1 < len(units) {
						is.Equal(result.Next, time.UnixMilli(units[i+1].time))
					}
				}
			}
		})
	}
}

// The engine dies, or the network fails, at any moment of shipping a long
// transaction: what a restore gives back is the state before it or after it.
func TestPartsAndCrashes(t *testing.T) {
	t.Parallel()
	for nth := 1; ; nth++ {
		is := is.New(t)
		store := memstore.New()
		a := openApp(t, dbPath(t))
		a.insert(1, 3)
		r := startSmall(t, a, store, fast())
		flush(t, r)
		shutdown(t, r)
		before := dump(t, a.path)
		a.bulk(10, 49)
		a.insert(100, 102)
		after := dump(t, a.path)

		r = newReplica(t, store, fast())
		r.SetCut(5, 7)
		points := 0
		r.SetHook(func(string) error {
			if points++; points == nth {
				return errors.New("stopped here")
			}
			return nil
		})
		o := fast()
		o.Retry.MaxAttempts = 1
		is.NoErr(r.Start(t.Context(), a.path))
		_ = r.Flush(t.Context())
		kill(t, r)
		check := func(path string) {
			t.Helper()
			if got := dump(t, path); got != before && got != after {
				// The short ones behind it may be in a batch of their own.
				if strings.Contains(got, "item 10 ") != strings.Contains(got, "item 49 ") {
					t.Fatalf("at %d: half a transaction:\n%s", nth, got)
				}
			}
		}
		path, _ := restore(t, store)
		check(path)

		// Another machine takes over from what is stored.
		taken := filepath.Join(t.TempDir(), "taken.sqlite")
		take := fast()
		take.TakeOver = true
		other := newReplica(t, copyOf(t, store), take)
		is.NoErr(other.Prepare(t.Context(), taken))
		check(taken)
		kill(t, other)

		// The same machine goes on.
		r = startSmall(t, a, store, fast())
		flush(t, r)
		shutdown(t, r)
		sameAsRestored(t, a, store)
		if points < nth {
			return
		}
	}
}

// copyOf returns a store with the same objects.
func copyOf(t *testing.T, store replicate.Store) replicate.Store {
	t.Helper()
	other := memstore.New()
	for _, k := range keys(t, store) {
		body, _, err := store.Get(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		put(t, other, k, readAll(t, body))
	}
	return other
}

// Beyond head the parts of a transaction count together or not at all, also when
// one in the middle is damaged.
func TestDamagedPartBeyondHead(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	inner := memstore.New()
	store := faultstore.New(inner)
	a := openApp(t, dbPath(t))
	a.insert(1, 3)
	r := startSmall(t, a, store, fast())
	flush(t, r)
	before := dump(t, a.path)
	a.bulk(10, 49)
	store.Set(faultstore.Rule{Op: faultstore.Put, Key: "manifest.json", Times: -1, Kind: faultstore.Error})
	is.True(r.Flush(t.Context()) != nil)
	kill(t, r)
	sameAsRestored(t, a, inner) // all of it is stored
	var third string
	for _, k := range keys(t, inner) {
		if strings.Contains(k, "-p3of") {
			third = k
		}
	}
	put(t, inner, third, []byte("damaged"))
	path, _ := restore(t, inner)
	is.Equal(dump(t, path), before)
	is.NoErr(inner.Delete(t.Context(), third))
	path, _ = restore(t, inner)
	is.Equal(dump(t, path), before)
}

// A trigger of the application that is newer than ours writes its entry before
// the insert that it belongs to, and a part may end between the two.
func TestApplicationTriggersAcrossParts(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	a := openApp(t, dbPath(t))
	trigger := `CREATE TRIGGER mine AFTER INSERT ON items BEGIN UPDATE items SET n = NEW.id * 100 WHERE id = NEW.id; END`
	a.in(func(x changelog.Execer) error { return x.Exec(t.Context(), trigger) })
	r := startSmall(t, a, store, fast())
	a.bulk(1, 40)
	flush(t, r)
	shutdown(t, r)
	path, _ := restore(t, store)
	want, got := strings.ReplaceAll(dump(t, a.path), "trigger mine: "+trigger+"\n", ""), dump(t, path)
	if d := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); d != "" {
		t.Errorf("restored differs:\n%s", d)
	}
}

// A trigger that is newer than ours and gives the row another key leaves an entry
// that finds no row; a restore says so.
func TestSuperseded(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	a.exec(`CREATE TRIGGER mine AFTER UPDATE ON items WHEN NEW.n = -1 AND NEW.id < 100 BEGIN UPDATE items SET id = id + 100 WHERE id = NEW.id; END`)
	r := start(t, a, store, fast())
	a.bulk(1, 20)
	a.exec(`UPDATE items SET n = -1 WHERE id < 4`)
	flush(t, r)
	shutdown(t, r)
	_, result := restore(t, store)
	is.Equal(result.Superseded, int64(3))
	report, err := replicate.Verify(t.Context(), dbName, store, verifyOptions(t))
	is.NoErr(err)
	is.Equal(report.Trial.Superseded, int64(3))
}
