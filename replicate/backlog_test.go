package replicate_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// away is a store that answers nothing but errors until Set() heals it.
func away() *faultstore.Store {
	return faultstore.New(memstore.New(), faultstore.Always(faultstore.Any, "", faultstore.Error))
}

// Under BacklogBlock a write waits for room and goes on as soon as the store takes
// some of the log again; without the store it is refused by name.
func TestBacklogBlocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		store := away()
		a := openApp(t, dbPath(t))
		o := replicate.Options{Backlog: replicate.Backlog{Alarm: 10_000, Policy: replicate.BacklogBlock, Bound: 12_000, Wait: time.Minute}}
		events := &recorder{}
		o.Events = events.add
		r := start(t, a, store, o)
		synctest.Wait() // the tables' own entry waits already
		is.Equal(len(events.of(replicate.EventBacklog)), 0)
		is.NoErr(r.Admit(t.Context()))
		a.insert(1, 100)
		r.Notify()
		pass(time.Second) // in the middle of an outage, between two attempts
		is.Equal(len(events.of(replicate.EventBacklog)), 1)
		is.True(r.Metrics().BacklogBytes >= 12_000)

		began := time.Now()
		err := r.Admit(t.Context())
		is.True(errors.Is(err, replicate.ErrBacklog))
		is.Equal(time.Since(began), time.Minute)
		is.True(strings.Contains(err.Error(), "12000") && strings.Contains(err.Error(), "the last attempt: "))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = r.Admit(ctx)
		is.True(errors.Is(err, replicate.ErrBacklog) && errors.Is(err, context.DeadlineExceeded))

		admitted := make(chan error)
		go func() { admitted <- r.Admit(t.Context()) }()
		pass(time.Second)
		select {
		case err := <-admitted:
			t.Fatalf("admitted while the store is away: %v", err)
		default:
		}
		store.Set()
		is.NoErr(<-admitted)
		is.Equal(r.Metrics().BacklogBytes, int64(0))
		is.NoErr(r.Admit(t.Context()))

		// Whoever waits when the replica stops is let go on.
		store.Set(faultstore.Always(faultstore.Any, "", faultstore.Error))
		a.insert(101, 250)
		r.Notify()
		pass(2 * time.Second)
		is.True(r.Metrics().BacklogBytes >= 12_000)
		go func() { admitted <- r.Admit(t.Context()) }()
		synctest.Wait()
		kill(t, r)
		is.NoErr(<-admitted)
	})
}

// A replica that has stopped shipping for good holds no write up.
func TestBacklogOfAFencedReplica(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	o := fast()
	o.Backlog = replicate.Backlog{Policy: replicate.BacklogBlock, Bound: 1, Wait: -1}
	r := start(t, a, store, o)
	a.insert(1, 1)
	flush(t, r)
	b := newReplica(t, store, replicate.Options{TakeOver: true, Sync: o.Sync, Snapshot: o.Snapshot, Retry: o.Retry})
	is.NoErr(b.Prepare(t.Context(), dbPath(t)))
	a.insert(2, 50)
	is.True(errors.Is(r.Flush(t.Context()), replicate.ErrFenced))
	is.NoErr(r.Admit(t.Context()))
}

// The default lets the log grow, and says so.
func TestBacklogAlarms(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		a := openApp(t, dbPath(t))
		events := &recorder{}
		r := start(t, a, away(), replicate.Options{Backlog: replicate.Backlog{Alarm: 2000, Bound: 1}, Events: events.add})
		for i := range 20 {
			a.insert(10*i+1, 10*i+10)
			r.Notify()
			pass(time.Second)
			is.NoErr(r.Admit(t.Context()))
		}
		is.Equal(len(events.of(replicate.EventBacklog)), 1)
		kill(t, r)
	})
}

func TestBacklogOptions(t *testing.T) {
	t.Parallel()
	for want, b := range map[string]replicate.Backlog{
		"Backlog.Policy": {Policy: "drop"},
		"Backlog.Bound":  {Bound: -1},
		"Backlog.Alarm":  {Alarm: -1},
	} {
		_, err := replicate.New(dbName, memstore.New(), replicate.Options{Backlog: b})
		is.New(t).True(err != nil && strings.Contains(err.Error(), want))
	}
}
