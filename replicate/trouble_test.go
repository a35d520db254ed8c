package replicate_test

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// trouble is a cause that a person must remove.
type trouble struct {
	begin, end func(t *testing.T, s *faultstore.Store, r *replicate.Replica)
	is         func(error) bool
}

func troubles() map[string]trouble {
	healed := func(_ *testing.T, s *faultstore.Store, _ *replicate.Replica) { s.Set() }
	permanent := func(status int) trouble {
		return trouble{
			begin: func(_ *testing.T, s *faultstore.Store, _ *replicate.Replica) {
				s.Set(faultstore.Rule{Times: -1, Kind: faultstore.Permanent, Err: errStatus[status]})
			},
			end: healed,
			is: func(err error) bool {
				_, ok := errors.AsType[*replicate.PermanentError](err)
				return ok && errors.Is(err, errStatus[status]) && !errors.Is(err, replicate.ErrNotExist)
			},
		}
	}
	return map[string]trouble{
		"403":        permanent(403),
		"404 bucket": permanent(404),
		"the store refuses a batch and does not have it": {
			begin: func(_ *testing.T, s *faultstore.Store, _ *replicate.Replica) {
				s.Set(faultstore.Rule{Op: faultstore.Put, Key: "/logs/", Times: -1, Kind: faultstore.Precondition})
			},
			end: healed,
			is:  func(err error) bool { return strings.Contains(err.Error(), "refused to store the batch") },
		},
		"the local file cannot be written": {
			begin: func(t *testing.T, _ *faultstore.Store, r *replicate.Replica) { localExec(t, r, "PRAGMA query_only=ON") },
			end: func(t *testing.T, _ *faultstore.Store, r *replicate.Replica) {
				localExec(t, r, "PRAGMA query_only=OFF")
			},
			is: func(err error) bool { return strings.Contains(err.Error(), "readonly") },
		},
	}
}

func localExec(t *testing.T, r *replicate.Replica, query string) {
	t.Helper()
	if err := r.LocalExec(t.Context(), query); err != nil {
		t.Fatal(err)
	}
}

// nextBatch is the key of the batch of one row behind the newest stored one.
func nextBatch(t *testing.T, s replicate.Store, r *replicate.Replica) string {
	t.Helper()
	for key := range batches(t, s) {
		if _, _, _, to, ok := replicate.BatchRange(key); ok && to == r.Status().Acknowledged {
			return path.Dir(key) + fmt.Sprintf("/%012d-%012d.json.gz", to+1, to+2)
		}
	}
	t.Fatal("no batch ends at head")
	return ""
}

// What a person must mend shows everywhere under its name, and is over as soon as
// it is mended, without a restart.
func TestTroubleIsSeenAndHeals(t *testing.T) {
	t.Parallel()
	for name, trouble := range troubles() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				is := is.New(t)
				store := faultstore.New(memstore.New())
				events := &recorder{}
				a := openApp(t, dbPath(t))
				r := start(t, a, store, replicate.Options{Events: events.add})
				a.insert(1, 3)
				flush(t, r)
				synctest.Wait()
				trouble.begin(t, store, r)
				a.insert(4, 4)
				r.Notify()
				pass(10 * time.Minute)
				s, figures := r.Status(), measured(r)
				is.Equal(s.State, replicate.StateRetry)
				is.True(trouble.is(s.LastError))
				retries := events.of(replicate.EventRetry)
				is.True(len(retries) > 10) // it goes on trying
				is.True(len(retries) < 200)
				is.True(trouble.is(retries[0].Err))
				is.True(trouble.is(r.Metrics().LastError))
				is.Equal(figures["driftdb_retrying"], 1.0)
				is.Equal(figures["driftdb_pending_entries"], 2.0)
				is.True(figures["driftdb_errors_total"] > 10)
				is.True(figures["driftdb_lag_seconds"] >= 0)
				is.True(trouble.is(r.Flush(t.Context())))

				trouble.end(t, store, r)
				pass(2 * time.Minute)
				is.Equal(r.Status().State, replicate.StateIdle)
				is.Equal(r.Status().LastError, nil)
				is.Equal(r.Metrics().PendingChanges, int64(0))
				is.Equal(measured(r)["driftdb_retrying"], 0.0)
				sameAsRestored(t, a, store)
				shutdown(t, r)
			})
		})
	}
}

func measured(r *replicate.Replica) map[string]float64 {
	figures := map[string]float64{}
	for _, m := range r.Measurements() {
		figures[m.Name] = m.Value
	}
	return figures
}

// A start with another key than the bucket's says which one is wanted, ships
// nothing, and one with the right key goes on.
func TestWrongKeyIsSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		store, right := memstore.New(), replicate.NewKey()
		o := sealedOptions(right)
		a := openApp(t, dbPath(t))
		r := start(t, a, store, o)
		a.insert(1, 3)
		flush(t, r)
		shutdown(t, r)
		before := keys(t, store)

		events := &recorder{}
		wrong := replicate.Options{Events: events.add, Encryption: replicate.Encryption{Keys: []replicate.Key{replicate.NewKey()}}}
		r = start(t, a, store, wrong)
		a.insert(4, 4)
		r.Notify()
		pass(10 * time.Minute)
		is.True(errors.Is(r.Status().LastError, replicate.ErrNoKey))
		is.True(errors.Is(r.Flush(t.Context()), replicate.ErrNoKey))
		is.True(len(events.of(replicate.EventRetry)) > 0)
		is.Equal(keys(t, store), before)
		kill(t, r)

		r = start(t, a, store, o)
		flush(t, r)
		shutdown(t, r)
		sameWith(t, a, store, right)
	})
}
