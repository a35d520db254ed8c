package replicate_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// Each of these ends in an error with a name, whose text has the way out that
// docs/operations.md describes; the test then goes that way.

// distant is a store where every request takes a round trip of 30 ms.
type distant struct{ replicate.Store }

func (distant) travel() { <-time.After(30 * time.Millisecond) }

func (s distant) Get(ctx context.Context, key string) (io.ReadCloser, replicate.Info, error) {
	s.travel()
	return s.Store.Get(ctx, key)
}

func (s distant) Put(ctx context.Context, key string, b replicate.Body, c replicate.Condition) (string, error) {
	s.travel()
	return s.Store.Put(ctx, key, b, c)
}

func (s distant) List(ctx context.Context, prefix, after string) iter.Seq2[replicate.Info, error] {
	s.travel()
	return s.Store.List(ctx, prefix, after)
}

// A new machine takes over from one that has crashed in the middle of its work:
// fence, adopt the tail that was never acknowledged, freeze, restore, start, and
// acknowledge a first change of its own, within two seconds of a bucket 30 ms
// away. The time is that of the requests, which synctest counts exactly; make
// bench-replication measures all of it.
func TestTakeOverWithinTwoSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		store := faultstore.New(memstore.New())
		a := openApp(t, dbPath(t))
		busy(t, a, store)
		want := dump(t, a.path)

		o := fast()
		o.TakeOver = true
		path := dbPath(t)
		before, began := store.Count(faultstore.Any), time.Now()
		r := newReplica(t, distant{store}, o)
		is.NoErr(r.Prepare(t.Context(), path))
		is.Equal(dump(t, path), want)
		b := openApp(t, path)
		is.NoErr(r.Start(t.Context(), path))
		b.insert(1000, 1000)
		flush(t, r)
		took := time.Since(began)
		t.Logf("%s, %d requests", took, store.Count(faultstore.Any)-before)
		is.True(took <= 2*time.Second)
		sameAsRestored(t, b, store)
		shutdown(t, r)
	})
}

// busy leaves what an owner leaves behind that has crashed after much work: a
// snapshot, packs, batches, and ten batches that no manifest names.
func busy(t *testing.T, a *app, store replicate.Store) {
	t.Helper()
	is := is.New(t)
	n := 0
	write := func(r *replicate.Replica, batches int) {
		for range batches {
			n++
			a.insert(n, n)
			flush(t, r)
			r.WaitForPack()
		}
	}
	r := start(t, a, store, fast())
	write(r, 20)
	is.NoErr(r.Snapshot(t.Context()))
	write(r, 60)
	kill(t, r)
	r = newReplica(t, store, fast())
	r.SetCut(2, 2)
	uploaded := 0
	r.SetHook(func(point string) error {
		if point == "marked" {
			uploaded++
		}
		if point == "acknowledging" && uploaded >= 10 {
			return errCrash
		}
		return nil
	})
	is.NoErr(r.Start(t.Context(), a.path))
	a.insert(n+1, n+10)
	is.True(errors.Is(r.Flush(t.Context()), errCrash))
	kill(t, r)
}

// late keeps writes of the manifest to itself while it is told to, and says that
// they have failed.
type late struct {
	replicate.Store
	hold bool
	held []func() error
}

func (s *late) Put(ctx context.Context, key string, b replicate.Body, c replicate.Condition) (string, error) {
	if s.hold && strings.HasSuffix(key, "manifest.json") {
		s.held = append(s.held, func() error {
			_, err := s.Store.Put(context.Background(), key, b, c)
			return err
		})
		return "", errCrash
	}
	return s.Store.Put(ctx, key, b, c)
}

// The request of a take-over arrives after its sender has died, and after the
// next start, which did not want one, has begun. That node owns the name now and
// has to be able to go on, although its own file has forked.
func TestTakeOverArrivesLate(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	inner := memstore.New()
	a := openApp(t, dbPath(t))
	ra := start(t, a, inner, fast())
	a.insert(1, 5)
	flush(t, ra)
	path := copyFile(t, a.path)
	a.insert(6, 7)
	flush(t, ra)
	want := dump(t, a.path)
	b := openApp(t, path)
	b.insert(50, 51)
	b.close()
	own := dump(t, path)

	store := &late{Store: inner, hold: true}
	o := fast()
	o.TakeOver = true
	rb := newReplica(t, store, o)
	is.True(errors.Is(rb.Prepare(t.Context(), path), errCrash))
	store.hold, o.TakeOver = false, false
	rb = newReplica(t, store, o)
	is.NoErr(rb.Prepare(t.Context(), path)) // the manifest is a's still: an ordinary start
	b = openApp(t, path)
	is.NoErr(rb.Start(t.Context(), path))
	says(t, rb.Flush(t.Context()), replicate.ErrOwned)

	is.NoErr(store.held[0]())
	says(t, rb.Flush(t.Context()), replicate.ErrFenced, "take-over", "restart")
	kill(t, rb)
	b.close()
	rb = newReplica(t, store, o)
	is.NoErr(rb.Prepare(t.Context(), path))
	is.Equal(dump(t, path), want)
	aside, err := filepath.Glob(path + ".forked-*")
	is.NoErr(err)
	is.Equal(len(aside), 1)
	is.Equal(dump(t, aside[0]), own)
	b = openApp(t, path)
	is.NoErr(rb.Start(t.Context(), path))
	b.insert(60, 60)
	flush(t, rb)
	sameAsRestored(t, b, inner)
	a.insert(8, 8)
	says(t, ra.Flush(t.Context()), replicate.ErrFenced)

	// Once the manifest has moved on nothing is left of it.
	shutdown(t, rb)
	rb = newReplica(t, store, o)
	is.NoErr(rb.Prepare(t.Context(), path))
	node, err := os.ReadFile(filepath.Join(path+"-drift", "node.json"))
	is.NoErr(err)
	is.True(!strings.Contains(string(node), "marker"))
}

// says asserts that err is target and that its text holds each of the words.
func says(t *testing.T, err, target error, words ...string) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("got %v, want %v", err, target)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Fatalf("the error does not say %q: %v", w, err)
		}
	}
}

// A database file that was copied to another machine, and is used there.
func TestCopiedFileAndItsWayOut(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	ra := start(t, a, store, fast())
	a.insert(1, 5)
	flush(t, ra)
	path := copyFile(t, a.path)
	a.insert(6, 7)
	flush(t, ra)

	c := openApp(t, path)
	c.insert(100, 101)
	rc := start(t, c, store, fast())
	says(t, rc.Flush(t.Context()), replicate.ErrOwned, "Options.TakeOver", "Options.NodeID", "drift take-over", "another name")
	is.Equal(manifest(t, store).Epoch, uint32(1)) // the owner was not disturbed
	kill(t, rc)

	// It goes on under a name of its own, with everything it holds.
	other, err := replicate.New("copy", store, fast())
	is.NoErr(err)
	is.NoErr(other.Start(t.Context(), path))
	is.NoErr(other.Flush(t.Context()))
	restored := dbPath(t)
	_, err = replicate.Restore(t.Context(), "copy", store, restored, replicate.RestoreOptions{})
	is.NoErr(err)
	is.Equal(dump(t, restored), dump(t, path))
	is.NoErr(other.Shutdown(t.Context()))
	a.insert(8, 9)
	flush(t, ra)
	sameAsRestored(t, a, store)
}

// A virtual machine that was cloned while its program ran: the directory beside
// the file was copied too, so both have one node id, and both go on.
func TestClonedMachineAndItsWayOut(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	ra := start(t, a, store, fast())
	a.insert(1, 5)
	flush(t, ra)

	path := copyFile(t, a.path)
	is.NoErr(os.MkdirAll(path+"-drift", 0o700))
	node, err := os.ReadFile(filepath.Join(a.path+"-drift", "node.json"))
	is.NoErr(err)
	is.NoErr(os.WriteFile(filepath.Join(path+"-drift", "node.json"), node, 0o600))
	c := openApp(t, path)
	rc := start(t, c, store, fast())
	is.Equal(rc.NodeID(), ra.NodeID())
	c.insert(100, 101)
	flush(t, rc) // the clone is taken for the owner that has restarted …

	a.insert(6, 7)
	err = ra.Flush(t.Context()) // … and the other one hears of it before it could acknowledge anything
	says(t, err, replicate.ErrFenced, "this node's own id", a.path+"-drift", "Options.TakeOver")
	sameAsRestored(t, c, store) // what was acknowledged is there
	kill(t, ra)
	ra = start(t, a, store, fast())
	says(t, ra.Flush(t.Context()), replicate.ErrForked, "another name", "move the file away")
	kill(t, ra)

	// The clone was not wanted: it is stopped, and its directory removed, which
	// makes it a node of its own. The other one wins, its file with it.
	kill(t, rc)
	is.NoErr(os.RemoveAll(path + "-drift"))
	rc = start(t, c, store, fast())
	says(t, rc.Snapshot(t.Context()), replicate.ErrOwned)
	kill(t, rc)

	// a's two rows are in its file only. It is moved away, the bucket's state
	// comes back, and the rows are written again.
	a.close()
	aside := a.path + ".mine"
	is.NoErr(os.Rename(a.path, aside))
	o := fast()
	o.AutoRestore = true
	ra = newReplica(t, store, o)
	is.NoErr(ra.Prepare(t.Context(), a.path))
	a = openApp(t, a.path)
	is.NoErr(ra.Start(t.Context(), a.path))
	a.exec(`ATTACH '` + aside + `' AS mine; INSERT INTO items SELECT * FROM mine.items WHERE id NOT IN (SELECT id FROM main.items)`)
	flush(t, ra)
	got := sameAsRestored(t, a, store)
	is.True(got.Position.Sequence > 0)
	for _, row := range []string{"item 5 ", "item 7 ", "item 101 "} {
		is.True(strings.Contains(dump(t, a.path), row))
	}
}

// month writes a row a day, and has a snapshot every third.
func (c *calendar) month(t *testing.T, a *app, r *replicate.Replica) {
	t.Helper()
	is := is.New(t)
	for i := range int64(30) {
		a.insert(int(100+i), int(100+i))
		_, err := a.db.ExecContext(t.Context(), `UPDATE _driftdb_log SET timestamp = ? WHERE sequence = (SELECT max(sequence) FROM _driftdb_log)`, c.now.Load())
		is.NoErr(err)
		flush(t, r)
		if i%3 == 2 {
			is.NoErr(r.Snapshot(t.Context()))
		}
		c.pass(24 * time.Hour)
	}
}

// A node comes back after a month. Another one has taken the name over, its
// epoch is closed, and what followed its last change was pruned.
func TestAwayForAMonthAndItsWayOut(t *testing.T) {
	t.Parallel()
	for name, wrote := range map[string]bool{"nothing of its own": false, "changes of its own": true} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			c := newCalendar()
			store := memstore.NewWithOptions(memstore.Options{Now: c.time})
			o, po := c.options()
			a := openApp(t, dbPath(t))
			ra := start(t, a, store, o)
			a.insert(1, 8)
			flush(t, ra)
			if wrote {
				a.insert(1000, 1001) // never shipped
			}
			kill(t, ra)
			was := dump(t, a.path)

			o.TakeOver = true
			path := dbPath(t)
			rb := newReplica(t, store, o)
			is.NoErr(rb.Prepare(t.Context(), path))
			b := openApp(t, path)
			is.NoErr(rb.Start(t.Context(), path))
			c.month(t, b, rb)
			_, err := replicate.Prune(t.Context(), dbName, store, po)
			is.NoErr(err)

			// Its name is somebody else's now; and when that one has let go, it is
			// told that what followed its file is gone.
			o.TakeOver, o.AutoRestore = false, true
			ra = start(t, a, store, o)
			says(t, ra.Snapshot(t.Context()), replicate.ErrOwned, "Options.TakeOver")
			kill(t, ra)
			shutdown(t, rb)
			ra = start(t, a, store, o)
			err = ra.Snapshot(t.Context())
			if wrote {
				says(t, err, replicate.ErrForked, "changes of its own", "another name", "move the file away")
			} else {
				says(t, err, replicate.ErrForked, "oldest point", "move the file away")
			}
			kill(t, ra)
			is.Equal(dump(t, a.path), was) // never touched
			want := dump(t, path)
			sameAsRestored(t, b, store)

			// The file's rows are kept under another name …
			if wrote {
				a.close()
				old := a.path + ".away"
				is.NoErr(os.Rename(a.path, old))
				kept, err := replicate.New("away", store, o)
				is.NoErr(err)
				is.NoErr(kept.Start(t.Context(), old))
				is.NoErr(kept.Flush(t.Context()))
				is.NoErr(kept.Shutdown(t.Context()))
				got := dbPath(t)
				_, err = replicate.Restore(t.Context(), "away", store, got, replicate.RestoreOptions{})
				is.NoErr(err)
				is.Equal(dump(t, got), was)
			} else {
				a.close()
				is.NoErr(os.Rename(a.path, a.path+".away"))
			}
			// … and it goes on with the bucket's.
			ra = newReplica(t, store, o)
			is.NoErr(ra.Prepare(t.Context(), a.path))
			is.Equal(dump(t, a.path), want)
			a = openApp(t, a.path)
			is.NoErr(ra.Start(t.Context(), a.path))
			a.insert(2000, 2001)
			flush(t, ra)
			sameAsRestored(t, a, store)
		})
	}
}

// The same, and the node may take over: what stands in the way is moved aside,
// not removed.
func TestAwayForAMonthTakesOver(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	c := newCalendar()
	store := memstore.NewWithOptions(memstore.Options{Now: c.time})
	o, po := c.options()
	a := openApp(t, dbPath(t))
	ra := start(t, a, store, o)
	a.insert(1, 8)
	flush(t, ra)
	a.insert(1000, 1001)
	kill(t, ra)
	was := dump(t, a.path)
	o.TakeOver = true
	path := dbPath(t)
	rb := newReplica(t, store, o)
	is.NoErr(rb.Prepare(t.Context(), path))
	b := openApp(t, path)
	is.NoErr(rb.Start(t.Context(), path))
	c.month(t, b, rb)
	_, err := replicate.Prune(t.Context(), dbName, store, po)
	is.NoErr(err)

	a.close()
	events := &recorder{}
	o.Events = events.add
	ra = newReplica(t, store, o)
	is.NoErr(ra.Prepare(t.Context(), a.path))
	is.Equal(dump(t, a.path), dump(t, path))
	moved := events.of(replicate.EventMovedAside)
	is.Equal(len(moved), 1)
	is.True(strings.Contains(moved[0].Key, ".forked-"))
	is.Equal(dump(t, moved[0].Key), was)
	b.insert(3000, 3000)
	says(t, rb.Flush(t.Context()), replicate.ErrFenced)
}
