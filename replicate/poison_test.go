package replicate_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// poisons are what may stand at a key of our own epoch and cannot be read as a
// batch. like is a batch that can.
func poisons(like []byte) map[string][]byte {
	newer := append([]byte(nil), like...)
	newer[20]++ // inside the header's extra field: the version or the magic
	return map[string][]byte{
		"nothing":       {},
		"noise":         []byte("poison"),
		"another batch": like,
		"half a batch":  like[:len(like)/2],
		"a bad header":  newer,
	}
}

// An object that is not ours under the key that the next batch needs is not
// written over and holds nothing up: shipping goes on under a new epoch.
func TestPoisonObject(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 3)
	flush(t, r)
	like := newestBatch(t, store, r)
	for name, poison := range poisons(like) {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			events := &recorder{}
			o := fast()
			o.Events = events.add
			store := memstore.New()
			a := openApp(t, dbPath(t))
			r := start(t, a, store, o)
			a.insert(1, 3)
			flush(t, r)
			is.Equal(manifest(t, store).Epoch, uint32(1))
			at := nextBatch(t, store, r)
			put(t, store, at, poison)
			events.forget()
			a.insert(4, 4)
			flush(t, r)
			m := manifest(t, store)
			is.Equal(m.Epoch, uint32(2))
			is.Equal(m.Head, r.Status().Captured)
			is.Equal(r.Status().Epoch, uint32(2))
			is.Equal(r.Status().State, replicate.StateIdle)
			is.Equal(len(events.of(replicate.EventRetry)), 0)
			claims := events.of(replicate.EventClaimed)
			is.Equal(len(claims), 1)
			is.Equal(claims[0].Epoch, uint32(2))
			is.Equal(claims[0].Key, at)
			is.True(claims[0].Err != nil)
			is.Equal(get(t, store, at), poison) // never written over
			sameAsRestored(t, a, store)

			// Everything else goes on as before: snapshots, another start, a release.
			is.NoErr(r.Snapshot(t.Context()))
			a.insert(5, 40)
			flush(t, r)
			sameAsRestored(t, a, store)
			kill(t, r)
			r = start(t, a, store, fast())
			a.insert(41, 42)
			flush(t, r)
			is.Equal(manifest(t, store).Epoch, uint32(3))
			shutdown(t, r)
			sameAsRestored(t, a, store)
			report, err := replicate.Verify(t.Context(), dbName, store, replicate.VerifyOptions{})
			is.NoErr(err)
			is.True(report.OK())
		})
	}
}

// newestBatch returns the stored bytes of the newest batch.
func newestBatch(t *testing.T, store replicate.Store, r *replicate.Replica) []byte {
	for key := range batches(t, store) {
		if _, _, _, to, ok := replicate.BatchRange(key); ok && to == r.Status().Acknowledged {
			return get(t, store, key)
		}
	}
	t.Fatal("no batch is stored")
	return nil
}

// A poison object among the parts of a transaction: none of the parts before it
// counts, and the transaction comes back whole.
func TestPoisonedPart(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := newReplica(t, store, fast())
	r.SetCut(10, 10)
	is.NoErr(r.Start(t.Context(), a.path))
	a.insert(1, 3)
	flush(t, r)
	head := r.Status().Acknowledged
	for key := range batches(t, store) {
		if _, _, _, to, ok := replicate.BatchRange(key); ok && to == head {
			// The first part's key says how many there are: the second is foreseen.
			put(t, store, key[:strings.LastIndex(key, "/")]+fmt.Sprintf("/%012d-%012d-p2of4.json.gz", head+11, head+20), []byte("poison"))
		}
	}
	a.bulk(10, 44) // 35 rows and a mark: four parts
	flush(t, r)
	is.Equal(manifest(t, store).Epoch, uint32(2))
	is.Equal(manifest(t, store).Head, r.Status().Captured)
	sameAsRestored(t, a, store)
	shutdown(t, r)
}

// A process that dies, or whose requests fail or lose their answers, at any step
// of the way around a poison object loses nothing and ends with everything stored.
func TestPoisonObjectAndFaults(t *testing.T) {
	t.Parallel()
	for _, fault := range []faultstore.Kind{0, faultstore.Error, faultstore.LostReply} {
		for nth, over := 1, false; !over; nth++ {
			t.Run(fmt.Sprintf("%v-%d", fault, nth), func(t *testing.T) {
				is := is.New(t)
				store := faultstore.New(memstore.New())
				a := openApp(t, dbPath(t))
				o := fast()
				r := newReplica(t, store, o)
				steps := -1
				r.SetHook(func(string) error {
					if steps >= 0 {
						steps++
					}
					if fault == 0 && steps == nth {
						return errCrash
					}
					return nil
				})
				is.NoErr(r.Start(t.Context(), a.path))
				a.insert(1, 3)
				flush(t, r)
				poison := nextBatch(t, store, r)
				put(t, store, poison, []byte("poison"))
				if fault != 0 {
					store.Set(faultstore.Rule{Nth: nth, Kind: fault, Err: errors.New("503")})
				}
				steps = 0
				a.insert(4, 4)
				err := r.Flush(t.Context())
				if fault == 0 {
					over = steps < nth
				} else {
					over = store.Fired() == 0
				}
				store.Set()
				steps = -1
				if err != nil {
					is.True(fault == 0 && errors.Is(err, errCrash))
					kill(t, r)
					r = start(t, a, store, fast())
				}
				// The object is taken away by somebody while the new epoch is perhaps
				// not known to us: the old one must not be gone on with.
				is.NoErr(store.Delete(t.Context(), poison))
				a.insert(5, 6)
				flush(t, r)
				is.Equal(manifest(t, store).Head, r.Status().Captured)
				sameAsRestored(t, a, store)
				shutdown(t, r)
			})
			if nth > 100 {
				t.Fatal("no end")
			}
		}
	}
}

// The answer to the change of the epoch is lost, its object is removed, and only
// then is the next request made: what is stored under the old epoch does not count.
func TestPoisonObjectRemovedMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		store := faultstore.New(memstore.New())
		a := openApp(t, dbPath(t))
		o := replicate.Options{Retry: replicate.Retry{Base: time.Minute, Max: time.Minute}}
		r := start(t, a, store, o)
		a.insert(1, 3)
		flush(t, r)
		poison := nextBatch(t, store, r)
		put(t, store, poison, []byte("poison"))
		store.Set(faultstore.Rule{Op: faultstore.Put, Key: replicate.ManifestKey(dbName), Kind: faultstore.LostReply, Err: errors.New("reset")})
		a.insert(4, 4)
		r.Notify()
		pass(time.Second)
		is.Equal(store.Fired(), 1)
		is.Equal(manifest(t, store).Epoch, uint32(2))
		is.Equal(r.Status().Epoch, uint32(1)) // it does not know
		is.NoErr(store.Delete(t.Context(), poison))
		pass(5 * time.Minute)
		is.Equal(r.Status().Epoch, uint32(2))
		is.Equal(r.Status().Acknowledged, r.Status().Captured)
		is.Equal(manifest(t, store).Head, r.Status().Captured)
		sameAsRestored(t, a, store)
		shutdown(t, r)
	})
}

// poisoner stores something else at each key of a batch before the batch.
type poisoner struct {
	replicate.Store
	on atomic.Bool
}

func (p *poisoner) Put(ctx context.Context, key string, body replicate.Body, cond replicate.Condition) (string, error) {
	if p.on.Load() && strings.Contains(key, "/logs/") {
		if _, err := p.Store.Put(ctx, key, replicate.BytesBody([]byte("poison")), replicate.Condition{IfAbsent: true}); err != nil && !errors.Is(err, replicate.ErrPrecondition) {
			return "", err
		}
	}
	return p.Store.Put(ctx, key, body, cond)
}

// A bucket that poisons every epoch is not asked more often than one that is
// away, its epochs do not run away, and it shows; when it stops, all goes on.
func TestPoisonInEveryEpoch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		store := &poisoner{Store: memstore.New()}
		a := openApp(t, dbPath(t))
		r := start(t, a, store, replicate.Options{})
		a.insert(1, 3)
		flush(t, r)
		synctest.Wait()
		store.on.Store(true)
		a.insert(4, 4)
		r.Notify()
		pass(time.Hour)
		s := r.Status()
		is.Equal(s.State, replicate.StateRetry)
		is.True(errors.Is(s.LastError, replicate.ErrCorrupt))
		is.True(strings.Contains(s.LastError.Error(), "/logs/"))
		t.Logf("epoch %d after an hour", s.Epoch)
		is.True(s.Epoch > 50 && s.Epoch < 600)
		is.True(errors.Is(r.Flush(t.Context()), replicate.ErrCorrupt))
		store.on.Store(false)
		pass(2 * time.Minute)
		is.Equal(r.Status().State, replicate.StateIdle)
		is.Equal(r.Metrics().PendingChanges, int64(0))
		sameAsRestored(t, a, store)
		shutdown(t, r)
	})
}

// An object behind head that is damaged, or not ours, ends what a take-over finds
// there: nothing of it was acknowledged. The new owner goes on from head.
func TestTakeOverOverPoison(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 3)
	flush(t, r)
	kill(t, r)
	at := nextBatch(t, store, r)
	before := dump(t, a.path)
	for name, poison := range poisons(newestBatch(t, store, r)) {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			copied := memstore.New()
			for key, content := range contents(t, store) {
				put(t, copied, key, []byte(content))
			}
			put(t, copied, at, poison)
			var log strings.Builder
			o := fast()
			o.TakeOver, o.AutoRestore = true, true
			o.Logger = slog.New(slog.NewTextHandler(&log, nil))
			r := newReplica(t, copied, o)
			path := dbPath(t)
			is.NoErr(r.Prepare(t.Context(), path))
			is.True(strings.Contains(log.String(), at))
			b := openApp(t, path)
			is.Equal(dump(t, path), before)
			is.NoErr(r.Start(t.Context(), path))
			b.insert(4, 9)
			flush(t, r)
			sameAsRestored(t, b, copied)
			shutdown(t, r)
			sameAsRestored(t, b, copied)
			is.Equal(get(t, copied, at), poison)
		})
	}
}

// What the owner has stored behind head with a key that the one who takes over
// lacks is not passed over, and its owner is not fenced before that is known.
func TestTakeOverWithoutTheKeyOfTheTail(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	k1, k2 := replicate.NewKey(), replicate.NewKey()
	with := func(ring ...replicate.Key) replicate.Options {
		o := fast()
		o.Encryption.Keys = ring
		return o
	}
	a := openApp(t, dbPath(t))
	a.insert(1, 5)
	r := start(t, a, store, with(k1))
	flush(t, r)
	kill(t, r)
	r = newReplica(t, store, with(k2, k1))
	stop := errors.New("stop")
	r.SetHook(func(point string) error {
		if point == "acknowledging" {
			return stop
		}
		return nil
	})
	is.NoErr(r.Start(t.Context(), a.path))
	a.insert(6, 12)
	is.True(errors.Is(r.Flush(t.Context()), stop))
	kill(t, r)
	// An operator's tool with the ring in another order has written the manifest since.
	_, err := replicate.Prune(t.Context(), dbName, store, replicate.PruneOptions{
		Encryption: with(k1, k2).Encryption, Retry: fast().Retry,
		Now: func() time.Time { return time.Now().Add(-time.Hour) },
	})
	is.NoErr(err)

	before := contents(t, store)
	take := func(ring ...replicate.Key) (string, error) {
		o := with(ring...)
		o.TakeOver, o.AutoRestore = true, true
		r := newReplica(t, store, o)
		path := dbPath(t)
		err := r.Prepare(t.Context(), path)
		kill(t, r)
		return path, err
	}
	_, err = take(k1)
	is.True(errors.Is(err, replicate.ErrNoKey))
	is.True(strings.Contains(err.Error(), k2.ID().String()))
	is.True(strings.Contains(err.Error(), "/logs/"))
	is.Equal(contents(t, store), before)

	path, err := take(k1, k2)
	is.NoErr(err)
	is.Equal(dump(t, path), dump(t, a.path)) // what was not acknowledged is there, too
}

// Nobody is fenced by one who cannot read what a restore begins with: the manifest
// was written since with a key that it has.
func TestTakeOverWithoutTheKeyOfTheBeginning(t *testing.T) {
	t.Parallel()
	for _, snapshot := range []bool{true, false} {
		t.Run(fmt.Sprintf("snapshot %v", snapshot), func(t *testing.T) {
			is := is.New(t)
			store := memstore.New()
			old, next := replicate.NewKey(), replicate.NewKey()
			a := openApp(t, dbPath(t))
			r := start(t, a, store, sealedOptions(old))
			a.insert(1, 5)
			flush(t, r)
			if snapshot {
				is.NoErr(r.Snapshot(t.Context()))
			}
			shutdown(t, r)
			r = start(t, a, store, sealedOptions(next, old))
			a.insert(6, 9)
			flush(t, r)

			before := contents(t, store)
			take := func(ring ...replicate.Key) (string, error) {
				o := sealedOptions(ring...)
				o.TakeOver, o.AutoRestore = true, true
				path := dbPath(t)
				b := newReplica(t, store, o)
				err := b.Prepare(t.Context(), path)
				kill(t, b)
				return path, err
			}
			path, err := take(next)
			is.True(errors.Is(err, replicate.ErrNoKey))
			is.True(strings.Contains(err.Error(), old.ID().String()))
			_, err = os.Stat(path)
			is.True(errors.Is(err, fs.ErrNotExist))
			if diff := cmp.Diff(before, contents(t, store)); diff != "" {
				t.Fatal(diff)
			}
			a.insert(10, 12)
			flush(t, r) // the owner goes on

			path, err = take(next, old)
			is.NoErr(err)
			is.Equal(dump(t, path), dump(t, a.path))
			is.True(errors.Is(func() error { a.insert(13, 13); return r.Flush(t.Context()) }(), replicate.ErrFenced))
		})
	}
}
