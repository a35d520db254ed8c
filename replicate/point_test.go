package replicate_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// unit is what a restore ends behind: a transaction, or several of which no mark
// tells where one ends.
type unit struct {
	to, time int64
	rows     string
}

// history makes transactions with times of its own, some without a mark, ships
// them in batches of any size, and returns the units.
func history(t *testing.T, store replicate.Store, o replicate.Options, rng *rand.Rand, snapshots bool) (*app, []unit) {
	t.Helper()
	is := is.New(t)
	a := openApp(t, dbPath(t))
	r := start(t, a, store, o)
	seq := func() (n int64) {
		is.NoErr(a.db.QueryRowContext(t.Context(), changelog.NewestSQL).Scan(&n))
		return n
	}
	var units []unit
	clock := int64(1_700_000_000_000)
	stamp := func(after int64) {
		clock += rng.Int64N(3000) - 500 // clocks go back, too
		_, err := a.db.ExecContext(t.Context(), `UPDATE _driftdb_log SET timestamp = ? WHERE sequence > ?`, clock, after)
		is.NoErr(err)
	}
	stamp(0)
	end := func() {
		if n := seq(); len(units) == 0 || units[len(units)-1].to < n {
			units = append(units, unit{n, clock, dump(t, a.path)})
		}
	}
	end()
	for i := range 40 {
		before := seq()
		mark := rng.IntN(4) > 0
		if mark {
			a.exec(`INSERT INTO items (id, name) VALUES (?, ?)`, int64(i), fmt.Sprint("item ", i))
		} else {
			_, err := a.db.ExecContext(t.Context(), `INSERT INTO items (id, name) VALUES (?, ?); UPDATE items SET n = coalesce(n, 0) + 1`, i, fmt.Sprint("item ", i))
			is.NoErr(err)
		}
		stamp(before)
		if mark {
			end()
		}
		if rng.IntN(6) == 0 {
			flush(t, r)
			end()
		}
		if snapshots && rng.IntN(12) == 0 {
			is.NoErr(r.Snapshot(t.Context()))
			end()
		}
	}
	flush(t, r)
	end()
	shutdown(t, r)
	return a, units
}

// A restore to any sequence ends behind the last whole transaction up to it, a
// restore to any time before the first transaction that is later.
func TestRestoreToAPoint(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			is := is.New(t)
			rng := rand.New(rand.NewPCG(seed, 1))
			store := memstore.New()
			o := fast()
			o.DisableCompression = seed%2 == 0
			_, units := history(t, store, o, rng, seed%3 != 0)
			newest := units[len(units)-1]
			check := func(what string, o replicate.RestoreOptions, want unit, tooLate time.Time) {
				t.Helper()
				o.Retry = fast().Retry
				path := filepath.Join(t.TempDir(), "r.sqlite")
				result, err := replicate.Restore(t.Context(), dbName, store, path, o)
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if result.Position.Sequence != want.to {
					t.Fatalf("%s: ended at %d, want %d", what, result.Position.Sequence, want.to)
				}
				if d := cmp.Diff(want.rows, dump(t, path)); d != "" {
					t.Fatalf("%s:\n%s", what, d)
				}
				if !result.Next.Equal(tooLate) {
					t.Fatalf("%s: the next transaction is of %v, want %v", what, result.Next, tooLate)
				}
			}
			for i, u := range units {
				next := newest.to
				if i+1 < len(units) {
					next = units[i+1].to - 1
				}
				check(fmt.Sprint("sequence ", u.to), replicate.RestoreOptions{Sequence: u.to}, u, time.Time{})
				check(fmt.Sprint("sequence ", next), replicate.RestoreOptions{Sequence: next}, u, time.Time{})
			}
			for range 30 {
				at := units[0].time + rng.Int64N(newest.time-units[0].time+2000)
				want, tooLate := units[0], time.Time{}
				for _, u := range units[1:] {
					if u.time > at {
						tooLate = time.UnixMilli(u.time)
						break
					}
					want = u
				}
				check(fmt.Sprint("time ", at), replicate.RestoreOptions{At: time.UnixMilli(at)}, want, tooLate)
			}
			_, err := replicate.Restore(t.Context(), dbName, store, dbPath(t), replicate.RestoreOptions{Sequence: newest.to + 1})
			is.True(errors.Is(err, replicate.ErrNoPoint))
			_, err = replicate.Restore(t.Context(), dbName, store, dbPath(t), replicate.RestoreOptions{Sequence: 1, At: time.Now()})
			is.True(err != nil)
			_, err = replicate.Restore(t.Context(), dbName, store, dbPath(t), replicate.RestoreOptions{Point: "none"})
			is.True(errors.Is(err, replicate.ErrNoPoint))
		})
	}
}

// A file that was restored to an older point is another history: it neither
// ships over the newer one nor is taken for an older state of it, and can go on
// under another name.
func TestRestoredPointHasAHistoryOfItsOwn(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 3)
	is.NoErr(r.Mark(t.Context(), "before"))
	a.insert(4, 6)
	shutdown(t, r)

	path := filepath.Join(t.TempDir(), "old.sqlite")
	result, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{Point: "before"})
	is.NoErr(err)
	old := openApp(t, path)
	var n int
	is.NoErr(old.db.QueryRowContext(t.Context(), `SELECT count(*) FROM items`).Scan(&n))
	is.Equal(n, 3)
	is.True(!result.Time.IsZero())
	o := fast()
	o.AutoRestore = true
	again := start(t, old, store, o)
	old.insert(9, 9)
	is.True(errors.Is(again.Flush(t.Context()), replicate.ErrForked))
	is.NoErr(again.Kill())

	other, err := replicate.New("other", store, fast())
	is.NoErr(err)
	is.NoErr(other.Start(t.Context(), path))
	old.insert(10, 12)
	is.NoErr(other.Shutdown(t.Context()))
	to := filepath.Join(t.TempDir(), "other.sqlite")
	_, err = replicate.Restore(t.Context(), "other", store, to, replicate.RestoreOptions{})
	is.NoErr(err)
	is.Equal(dump(t, to), dump(t, path))
}

func TestMark(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 2)
	is.NoErr(r.Mark(t.Context(), "one"))
	is.True(errors.Is(r.Mark(t.Context(), "one"), replicate.ErrMarked))
	is.True(r.Mark(t.Context(), "No Name") != nil)
	is.True(errors.Is(r.Unmark(t.Context(), "two"), replicate.ErrNoPoint))
	a.insert(3, 4)
	is.NoErr(r.Mark(t.Context(), "two"))
	is.NoErr(r.Unmark(t.Context(), "one"))
	is.NoErr(r.Mark(t.Context(), "one")) // free again, and later than two
	shutdown(t, r)
	r = start(t, a, store, fast()) // points outlive a claim
	a.insert(5, 6)
	flush(t, r)
	for point, want := range map[string]int{"one": 4, "two": 4} {
		path := filepath.Join(t.TempDir(), "r.sqlite")
		_, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{Point: point})
		is.NoErr(err)
		var n int
		is.NoErr(openApp(t, path).db.QueryRowContext(t.Context(), `SELECT count(*) FROM items`).Scan(&n))
		is.Equal(n, want)
	}
}

// A dry run says what a restore would read, and reads none of it.
func TestDryRun(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 3)
	is.NoErr(r.Snapshot(t.Context()))
	for i := 4; i < 8; i++ {
		a.insert(i, i)
		flush(t, r)
	}
	shutdown(t, r)
	path := dbPath(t)
	plan, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{DryRun: true})
	is.NoErr(err)
	is.True(!fileExists(t, path))
	done, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{})
	is.NoErr(err)
	is.Equal([]int64{plan.Snapshot, int64(plan.Batches), plan.Entries, plan.Bytes, plan.Position.Sequence},
		[]int64{done.Snapshot, int64(done.Batches), done.Entries, done.Bytes, done.Position.Sequence})
	is.True(plan.Snapshot > 0 && plan.Batches == 4)
}

// Callers of WaitDurable share uploads and writes of the manifest.
func TestWaitDurable(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	slow := &delayed{Store: memstore.New(), put: 20 * time.Millisecond}
	a := openApp(t, dbPath(t))
	r := start(t, a, slow, fast())
	position := func() replicate.Position {
		conn, err := a.db.Conn(t.Context())
		is.NoErr(err)
		p, err := changelog.ReadPosition(t.Context(), changelog.SQL(conn))
		is.NoErr(err)
		is.NoErr(conn.Close())
		return p
	}
	a.insert(1, 1)
	first := position()
	is.NoErr(r.WaitDurable(t.Context(), first))
	is.True(manifest(t, slow).Head >= first.Sequence)
	puts := slow.puts.Load()
	is.NoErr(r.WaitDurable(t.Context(), first)) // known: nothing is sent
	is.Equal(slow.puts.Load(), puts)

	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range 100 {
		wg.Go(func() {
			mu.Lock()
			a.insert(10+i, 10+i)
			p := position()
			mu.Unlock()
			if err := r.WaitDurable(t.Context(), p); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	is.True(slow.puts.Load()-puts <= 20) // two for each round

	is.True(errors.Is(r.WaitDurable(t.Context(), replicate.Position{Generation: "other", Sequence: 1}), replicate.ErrPosition))
	is.True(errors.Is(r.WaitDurable(t.Context(), replicate.Position{Generation: first.Generation, Sequence: 1 << 40}), replicate.ErrPosition))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.insert(1000, 1000)
	is.True(errors.Is(r.WaitDurable(ctx, position()), context.Canceled))
	shutdown(t, r)
	is.True(errors.Is(r.WaitDurable(t.Context(), first), replicate.ErrClosed))
}

// delayed takes its time for a Put, and counts them.
type delayed struct {
	replicate.Store
	put  time.Duration
	puts atomic.Int64
}

func (d *delayed) Put(ctx context.Context, key string, body replicate.Body, cond replicate.Condition) (string, error) {
	d.puts.Add(1)
	select {
	case <-time.After(d.put):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	return d.Store.Put(ctx, key, body, cond)
}
