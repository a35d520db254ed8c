package replicate_test

import (
	"context"
	"errors"
	"io"
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

var errCrash = errors.New("crash")

// crashAt returns a hook that stops the replica at the nth visit of point.
func crashAt(point string, nth int) func(string) error {
	seen := 0
	return func(p string) error {
		if p == point {
			if seen++; seen >= nth {
				return errCrash
			}
		}
		return nil
	}
}

// copyFile copies a database that nobody writes to, without its sidecar: what a
// person does who copies a file to another machine.
func copyFile(t *testing.T, from string) string {
	t.Helper()
	to := dbPath(t)
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(from + suffix)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func removeDatabase(t *testing.T, path string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

func TestAnotherNodeIsRefused(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 3)
	flush(t, r)
	kill(t, r) // crashed, not released

	// A new machine without a file.
	path := dbPath(t)
	o := fast()
	o.AutoRestore = true
	b := newReplica(t, store, o)
	err := b.Prepare(t.Context(), path)
	is.True(errors.Is(err, replicate.ErrOwned))
	var owned *replicate.OwnedError
	is.True(errors.As(err, &owned))
	is.Equal(owned.Node, manifest(t, store).Node)
	is.True(!owned.Since.IsZero())
	for _, way := range []string{"Options.TakeOver", "Options.NodeID"} {
		is.True(strings.Contains(err.Error(), way))
	}
	is.True(!fileExists(t, path))

	// A new machine with a copy of the file.
	c := openApp(t, copyFile(t, a.path))
	c.insert(4, 4)
	rc := start(t, c, store, fast())
	is.True(errors.Is(rc.Flush(t.Context()), replicate.ErrOwned))
	is.Equal(manifest(t, store).Epoch, uint32(1))

	// The owner itself goes on.
	r = start(t, a, store, fast())
	a.insert(5, 6)
	flush(t, r)
	sameAsRestored(t, a, store)
	// And when it releases the name, the copy turns out to have forked.
	shutdown(t, r)
	is.True(errors.Is(rc.Flush(t.Context()), replicate.ErrForked))
}

func TestHandOver(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 10)
	shutdown(t, r) // drains and releases without a Flush
	is.True(manifest(t, store).Released)
	want := dump(t, a.path)

	o := fast()
	o.AutoRestore = true
	path := dbPath(t)
	rb := newReplica(t, store, o)
	is.NoErr(rb.Prepare(t.Context(), path))
	is.Equal(dump(t, path), want)
	b := openApp(t, path)
	is.NoErr(rb.Start(t.Context(), path))
	is.True(!manifest(t, store).Released)
	b.insert(11, 20)
	flush(t, rb)
	sameAsRestored(t, b, store)

	// The first machine comes back with its old file and new changes.
	a.insert(11, 11)
	r = start(t, a, store, fast())
	is.True(errors.Is(r.Flush(t.Context()), replicate.ErrOwned))
	kill(t, r)
	shutdown(t, rb)
	r = start(t, a, store, fast())
	is.True(errors.Is(r.Flush(t.Context()), replicate.ErrForked))
	is.Equal(r.Status().State, replicate.StateHalted)
	sameAsRestored(t, b, store)
}

// putter lets something happen before a Put.
type putter struct {
	replicate.Store
	before func(key string, body []byte)
}

func (p *putter) Put(ctx context.Context, key string, b replicate.Body, c replicate.Condition) (string, error) {
	body, err := b.Open()
	if err != nil {
		return "", err
	}
	stored, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil {
		return "", err
	}
	p.before(key, stored)
	return p.Store.Put(ctx, key, b, c)
}

// A commit in the very moment in which the name is released is shipped all the
// same: a released name has everything.
func TestCommitDuringRelease(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	inner := memstore.New()
	a := openApp(t, dbPath(t))
	releases := 0
	store := &putter{Store: inner, before: func(_ string, body []byte) {
		if strings.Contains(string(body), `"released":true`) {
			if releases++; releases <= 2 {
				a.insert(100*releases, 100*releases)
			}
		}
	}}
	r := start(t, a, store, fast())
	a.insert(1, 3)
	shutdown(t, r)
	is.Equal(releases, 3)
	is.True(manifest(t, inner).Released)
	sameAsRestored(t, a, inner)
}

// Deleting the file and starting again restores it without a question.
func TestDeletedFileComesBack(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 10)
	flush(t, r)
	want := dump(t, a.path)
	a.close()
	kill(t, r)
	removeDatabase(t, a.path)

	o := fast()
	o.AutoRestore = true
	events := &recorder{}
	o.Events = events.add
	r = newReplica(t, store, o)
	is.NoErr(r.Prepare(t.Context(), a.path))
	is.Equal(dump(t, a.path), want)
	is.Equal(len(events.of(replicate.EventRestored)), 1)
	a = openApp(t, a.path)
	is.NoErr(r.Start(t.Context(), a.path))
	a.insert(11, 12)
	flush(t, r)
	sameAsRestored(t, a, store)
}

func TestAutoRestoreWithoutBackup(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := faultstore.New(memstore.New())
	o := fast()
	o.AutoRestore = true
	path := dbPath(t)
	r := newReplica(t, store, o)
	is.NoErr(r.Prepare(t.Context(), path)) // no backup: a new file
	is.True(!fileExists(t, path))
	a := openApp(t, path)
	is.NoErr(r.Start(t.Context(), path))
	a.insert(1, 3)
	shutdown(t, r)
	sameAsRestored(t, a, store)

	// With the file there, nothing is asked of the store, but by who waits.
	for _, waits := range []int{0, 1} {
		before := store.Count(faultstore.Any)
		r = newReplica(t, store, o)
		is.NoErr(r.Prepare(t.Context(), path))
		is.NoErr(r.Start(t.Context(), path))
		for range 2 * waits {
			flush(t, r)
		}
		shutdown(t, r)
		is.Equal(store.Count(faultstore.Any), before+waits)
	}
}

// A store that cannot be read is never taken for an empty one.
func TestUnreadableManifest(t *testing.T) {
	t.Parallel()
	inner := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, inner, fast())
	a.insert(1, 3)
	shutdown(t, r)

	forbidden := errors.New("403 AccessDenied")
	for name, rule := range map[string]faultstore.Rule{
		"403":        {Op: faultstore.Get, Key: "manifest.json", Times: -1, Kind: faultstore.Permanent, Err: forbidden},
		"500":        {Op: faultstore.Get, Key: "manifest.json", Times: -1, Kind: faultstore.Error, Err: forbidden},
		"short body": {Op: faultstore.Get, Key: "manifest.json", Times: -1, Kind: faultstore.ShortBody, Err: forbidden},
		"reset":      {Op: faultstore.Get, Key: "manifest.json", Times: -1, Kind: faultstore.Reset, Err: forbidden},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			store := faultstore.New(inner, rule)
			o := fast()
			o.AutoRestore = true
			path := dbPath(t)
			r := newReplica(t, store, o)
			err := r.Prepare(t.Context(), path)
			is.True(err != nil)
			is.True(!errors.Is(err, replicate.ErrNoBackup))
			if name == "403" {
				is.True(errors.Is(err, forbidden))
				is.Equal(store.Count(faultstore.Get), 1) // told apart from what may pass
			}
			is.True(!fileExists(t, path))
			_, err = replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{Retry: fast().Retry})
			is.True(err != nil)
			is.True(!fileExists(t, path))

			store.Set() // healed
			is.NoErr(r.Prepare(t.Context(), path))
			is.Equal(dump(t, path), dump(t, a.path))
			is.NoErr(r.Start(t.Context(), path))
			shutdown(t, r)
		})
	}
}

// Two live writers under one name: the one that was replaced is told before it
// could acknowledge anything more, and nothing acknowledged is lost.
func TestTwoLiveWriters(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	o := fast()
	o.NodeID = "same-node" // two machines set up alike
	a := openApp(t, dbPath(t))
	ra := start(t, a, store, o)
	a.insert(1, 5)
	flush(t, ra)

	b := openApp(t, copyFile(t, a.path))
	rb := start(t, b, store, o)
	b.insert(100, 105)
	flush(t, rb)

	a.insert(6, 9)
	err := ra.Flush(t.Context())
	is.True(errors.Is(err, replicate.ErrFenced))
	is.True(errors.Is(ra.Flush(t.Context()), replicate.ErrFenced)) // and stays so
	a.insert(10, 10)                                               // local writes go on
	b.insert(106, 108)
	flush(t, rb)
	sameAsRestored(t, b, store)
	is.True(errors.Is(ra.Shutdown(t.Context()), replicate.ErrFenced))

	// Restarted, the loser learns that its file has forked; its file is kept.
	ra = start(t, a, store, o)
	is.True(errors.Is(ra.Flush(t.Context()), replicate.ErrForked))
	is.True(strings.Contains(dump(t, a.path), "item 10 "))
	flush(t, rb)
	sameAsRestored(t, b, store)
}

// A manifest of the same revision by somebody else is not ours.
func TestFencedAtSameRevision(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	o := fast()
	o.NodeID = "same-node"
	a := openApp(t, dbPath(t))
	ra := start(t, a, store, o)
	a.insert(1, 5)
	flush(t, ra)
	before := manifest(t, store).Revision
	b := openApp(t, copyFile(t, a.path))
	rb := newReplica(t, store, o)
	rb.SetHook(crashAt("claimed", 1))
	is.NoErr(rb.Start(t.Context(), b.path))
	b.insert(10, 11)
	is.True(errors.Is(rb.Flush(t.Context()), errCrash))
	is.Equal(manifest(t, store).Revision, before+1) // what the other tries to write next
	a.insert(6, 7)
	is.True(errors.Is(ra.Flush(t.Context()), replicate.ErrFenced))
}

func TestTakeOver(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	ra := newReplica(t, store, fast())
	is.NoErr(ra.Start(t.Context(), a.path))
	a.insert(1, 5)
	flush(t, ra)
	kill(t, ra)
	ra = newReplica(t, store, fast())
	ra.SetHook(crashAt("acknowledging", 1))
	is.NoErr(ra.Start(t.Context(), a.path))
	a.insert(6, 8) // uploaded, not acknowledged
	is.True(errors.Is(ra.Flush(t.Context()), errCrash))
	want := dump(t, a.path)

	o := fast()
	o.TakeOver = true
	path := dbPath(t)
	rb := newReplica(t, store, o)
	is.NoErr(rb.Prepare(t.Context(), path))
	is.Equal(dump(t, path), want) // the fenced owner's tail is adopted
	b := openApp(t, path)
	is.NoErr(rb.Start(t.Context(), path))
	b.insert(20, 25)
	flush(t, rb)

	sameAsRestored(t, b, store)

	// TakeOver with a file that contains everything keeps the file.
	shutdown(t, rb)
	b.insert(26, 26)
	rb = newReplica(t, store, o)
	is.NoErr(rb.Prepare(t.Context(), path))
	is.NoErr(rb.Start(t.Context(), path))
	flush(t, rb)
	sameAsRestored(t, b, store)

	// TakeOver with a file that has forked moves it aside.
	kill(t, ra)
	a.close()
	events := &recorder{}
	o.Events = events.add
	ra = newReplica(t, store, o)
	is.NoErr(ra.Prepare(t.Context(), a.path))
	is.Equal(dump(t, a.path), dump(t, path))
	moved := events.of(replicate.EventMovedAside)
	is.Equal(len(moved), 1)
	is.Equal(dump(t, moved[0].Key), want) // nothing was destroyed
	is.True(errors.Is(rb.Snapshot(t.Context()), replicate.ErrFenced))
}

// A take-over that dies at any step is resumed by the next start, which need
// not ask for it again.
func TestTakeOverResumes(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"marked", "fenced", "listed", "frozen", "applied", "placing", "restored"} {
		t.Run(point, func(t *testing.T) {
			is := is.New(t)
			store := memstore.New()
			a := openApp(t, dbPath(t))
			ra := newReplica(t, store, fast())
			ra.SetHook(crashAt("acknowledging", 2))
			is.NoErr(ra.Start(t.Context(), a.path))
			a.insert(1, 5)
			flush(t, ra)
			a.insert(6, 8)
			is.True(errors.Is(ra.Flush(t.Context()), errCrash))
			want := dump(t, a.path)

			path := dbPath(t)
			o := fast()
			o.TakeOver = true
			rb := newReplica(t, store, o)
			rb.SetHook(crashAt(point, 1))
			is.True(errors.Is(rb.Prepare(t.Context(), path), errCrash))
			owner := manifest(t, store).Node

			o.TakeOver = false // whoever restarts does not know
			o.AutoRestore = true
			rb = newReplica(t, store, o)
			err := rb.Prepare(t.Context(), path)
			if owner == ra.NodeID() { // died before it had fenced
				is.True(errors.Is(err, replicate.ErrOwned))
				return
			}
			is.NoErr(err)
			is.Equal(dump(t, path), want)
			b := openApp(t, path)
			is.NoErr(rb.Start(t.Context(), path))
			b.insert(20, 21)
			flush(t, rb)
			sameAsRestored(t, b, store)
			node, err := os.ReadFile(filepath.Join(path+"-drift", "node.json"))
			is.NoErr(err)
			is.True(!strings.Contains(string(node), "marker"))
		})
	}
}

// The same on a machine that has a file of its own, which has forked: the
// marker alone tells a restart that this was decided.
func TestTakeOverResumesOverFile(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"fenced", "listed", "frozen", "applied", "placing", "restored"} {
		t.Run(point, func(t *testing.T) {
			is := is.New(t)
			store := memstore.New()
			a := openApp(t, dbPath(t))
			ra := start(t, a, store, fast())
			a.insert(1, 5)
			flush(t, ra)
			path := copyFile(t, a.path)
			b := openApp(t, path)
			b.insert(50, 51)
			b.close()
			own := dump(t, path)
			a.insert(6, 8)
			flush(t, ra)
			want := dump(t, a.path)

			o := fast()
			o.TakeOver = true
			rb := newReplica(t, store, o)
			rb.SetHook(crashAt(point, 1))
			is.True(errors.Is(rb.Prepare(t.Context(), path), errCrash))

			rb = newReplica(t, store, fast())
			is.NoErr(rb.Prepare(t.Context(), path))
			is.Equal(dump(t, path), want)
			b = openApp(t, path)
			is.NoErr(rb.Start(t.Context(), path))
			b.insert(20, 21)
			flush(t, rb)
			sameAsRestored(t, b, store)
			aside, err := filepath.Glob(path + ".forked-*")
			is.NoErr(err)
			is.Equal(len(aside), 1)
			is.Equal(dump(t, aside[0]), own)
		})
	}
}

// A second machine supersedes a take-over that was never finished.
func TestTakeOverSuperseded(t *testing.T) {
	t.Parallel()
	for _, point := range []string{"fenced", "listed", "frozen", "placing"} {
		t.Run(point, func(t *testing.T) {
			is := is.New(t)
			store := memstore.New()
			a := openApp(t, dbPath(t))
			ra := newReplica(t, store, fast())
			ra.SetHook(crashAt("acknowledging", 2))
			is.NoErr(ra.Start(t.Context(), a.path))
			a.insert(1, 5)
			flush(t, ra)
			a.insert(6, 8)
			is.True(errors.Is(ra.Flush(t.Context()), errCrash))
			want := dump(t, a.path)

			o := fast()
			o.TakeOver = true
			rb := newReplica(t, store, o)
			rb.SetHook(crashAt(point, 1))
			is.True(errors.Is(rb.Prepare(t.Context(), dbPath(t)), errCrash))

			path := dbPath(t)
			rc := newReplica(t, store, o)
			is.NoErr(rc.Prepare(t.Context(), path))
			is.Equal(dump(t, path), want)
			c := openApp(t, path)
			is.NoErr(rc.Start(t.Context(), path))
			c.insert(30, 31)
			flush(t, rc)
			sameAsRestored(t, c, store)
			is.True(!manifest(t, store).Open)
		})
	}
}

// The owner comes back after a take-over of its name that was never finished.
func TestOwnerReturnsAfterUnfinishedTakeOver(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	ra := start(t, a, store, fast())
	a.insert(1, 5)
	flush(t, ra)
	kill(t, ra)

	o := fast()
	o.TakeOver = true
	rb := newReplica(t, store, o)
	rb.SetHook(crashAt("fenced", 1))
	is.True(errors.Is(rb.Prepare(t.Context(), dbPath(t)), errCrash))
	is.True(manifest(t, store).Open)
	a.insert(6, 7)
	ra = newReplica(t, store, o)
	is.NoErr(ra.Start(t.Context(), a.path))
	flush(t, ra)
	is.True(!manifest(t, store).Open)
	sameAsRestored(t, a, store)
}

// A take-over that crashed after its claim had arrived, and again before the next
// one was sent: the third start goes on with it, whatever its options say.
func TestTakeOverCrashesTwice(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	ra := start(t, a, store, fast())
	a.insert(1, 5)
	flush(t, ra)
	kill(t, ra)

	path, o := dbPath(t), fast()
	for _, point := range []string{"fenced", "marked"} {
		o.TakeOver = true
		rb := newReplica(t, store, o)
		rb.SetHook(crashAt(point, 1))
		is.True(errors.Is(rb.Prepare(t.Context(), path), errCrash))
	}
	o.TakeOver, o.AutoRestore = false, false
	rb := newReplica(t, store, o)
	is.NoErr(rb.Prepare(t.Context(), path))
	b := openApp(t, path)
	is.NoErr(rb.Start(t.Context(), path))
	b.insert(6, 7)
	flush(t, rb)
	sameAsRestored(t, b, store)
}

// The same with its own node id and without the marker: the fenced epoch is
// closed at head, and what it holds up to there still counts.
func TestOwnFileOverOpenEpoch(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	ra := start(t, a, store, fast())
	a.insert(1, 5)
	flush(t, ra)
	kill(t, ra)
	path := copyFile(t, a.path)

	o := fast()
	o.TakeOver, o.NodeID = true, "second"
	rb := newReplica(t, store, o)
	rb.SetHook(crashAt("fenced", 1))
	is.True(errors.Is(rb.Prepare(t.Context(), path), errCrash))
	is.NoErr(os.RemoveAll(path + "-drift"))
	o.TakeOver = false
	b := openApp(t, path)
	b.insert(6, 7)
	rb = start(t, b, store, o)
	flush(t, rb)
	is.True(!manifest(t, store).Open)
	sameAsRestored(t, b, store)
}

// An older state of the file with nothing of its own is behind, not forked;
// AutoRestore brings it up to date at the next start.
func TestBehind(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 5)
	shutdown(t, r)
	old := copyFile(t, a.path)
	r = start(t, a, store, fast())
	a.insert(6, 9)
	shutdown(t, r)

	o := fast()
	b := openApp(t, old)
	was := dump(t, old)
	rb := start(t, b, store, o)
	err := rb.Snapshot(t.Context()) // nothing to ship: only a snapshot asks the store
	is.True(errors.Is(err, replicate.ErrBehind))
	is.True(strings.Contains(err.Error(), "AutoRestore"))
	kill(t, rb)

	o.AutoRestore = true
	rb = start(t, b, store, o)
	is.True(errors.Is(rb.Snapshot(t.Context()), replicate.ErrBehind))
	kill(t, rb)
	b.close()
	events := &recorder{}
	o.Events = events.add
	rb = newReplica(t, store, o)
	is.NoErr(rb.Prepare(t.Context(), old))
	is.Equal(dump(t, old), dump(t, a.path))
	moved := events.of(replicate.EventMovedAside)
	is.Equal(len(moved), 1)
	is.True(strings.Contains(moved[0].Key, ".behind-"))
	is.Equal(dump(t, moved[0].Key), was)
	b = openApp(t, old)
	is.NoErr(rb.Start(t.Context(), old))
	b.insert(50, 51)
	flush(t, rb)
	sameAsRestored(t, b, store)
}

// A behind file that is written to before the restart has forked: it is left
// alone.
func TestBehindAndThenWritten(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 5)
	shutdown(t, r)
	old := copyFile(t, a.path)
	r = start(t, a, store, fast())
	a.insert(6, 9)
	shutdown(t, r)

	o := fast()
	o.AutoRestore = true
	b := openApp(t, old)
	rb := start(t, b, store, o)
	is.True(errors.Is(rb.Snapshot(t.Context()), replicate.ErrBehind))
	kill(t, rb)
	b.insert(70, 70)
	was := dump(t, old)
	rb = newReplica(t, store, o)
	is.NoErr(rb.Prepare(t.Context(), old))
	is.NoErr(rb.Start(t.Context(), old))
	is.True(errors.Is(rb.Flush(t.Context()), replicate.ErrForked))
	is.Equal(dump(t, old), was)
}

func TestLocked(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	second := newReplica(t, store, fast())
	is.True(errors.Is(second.Prepare(t.Context(), a.path), replicate.ErrLocked))
	link := filepath.Join(t.TempDir(), "link.sqlite")
	is.NoErr(os.Symlink(a.path, link))
	is.True(errors.Is(second.Start(t.Context(), link), replicate.ErrLocked)) // by another name too
	_, err := replicate.Restore(t.Context(), dbName, store, a.path, replicate.RestoreOptions{})
	is.True(errors.Is(err, replicate.ErrLocked))
	shutdown(t, r)
	is.NoErr(second.Start(t.Context(), link))
}

// A program that lives for seconds waits for the one before it, as long as it is told
// to, and ships what it writes itself.
func TestLockWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		store := memstore.New()
		a := openApp(t, dbPath(t))
		r := start(t, a, store, fast())
		o := fast()
		o.Retry.LockWait = 10 * time.Second
		second := newReplica(t, store, o)
		began := time.Now()
		is.True(errors.Is(second.Prepare(t.Context(), a.path), replicate.ErrLocked))
		is.Equal(time.Since(began), o.Retry.LockWait)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		is.True(errors.Is(second.Prepare(ctx, a.path), context.DeadlineExceeded))
		is.Equal(time.Since(began), o.Retry.LockWait+3*time.Second)
		a.insert(10, 10)
		flush(t, r)
		third, path := newReplica(t, store, fast()), dbPath(t)
		is.NoErr(third.Prepare(t.Context(), path)) // it has the lock, and there is no file yet
		began = time.Now()
		_, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{Retry: o.Retry})
		is.True(errors.Is(err, replicate.ErrLocked))
		is.Equal(time.Since(began), o.Retry.LockWait)
		started := make(chan error)
		go func() { started <- second.Start(t.Context(), a.path) }()
		a.insert(1, 3)
		pass(2 * time.Second)
		shutdown(t, r)
		is.NoErr(<-started)
		a.insert(4, 6)
		flush(t, second)
		sameAsRestored(t, a, store)
		shutdown(t, second)
	})
	_, err := replicate.New(dbName, memstore.New(), replicate.Options{Retry: replicate.Retry{LockWait: -1}})
	is.New(t).True(err != nil && strings.Contains(err.Error(), "LockWait"))
}

func TestForeignManifest(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	put := func(body string) {
		_, err := store.Put(context.Background(), replicate.ManifestKey(dbName), replicate.BytesBody([]byte(body)), replicate.Condition{})
		is.NoErr(err)
	}
	put(`{"dbName":"bank","latestSnapshotKey":null,"latestLogSequence":3}`)
	a := openApp(t, dbPath(t))
	a.insert(1, 2)
	r := start(t, a, store, fast())
	is.True(errors.Is(r.Flush(t.Context()), replicate.ErrV1Manifest))
	kill(t, r)
	_, err := replicate.Restore(t.Context(), dbName, store, dbPath(t), replicate.RestoreOptions{})
	is.True(errors.Is(err, replicate.ErrV1Manifest))
	put(`{"version":3}`)
	_, err = replicate.Restore(t.Context(), dbName, store, dbPath(t), replicate.RestoreOptions{})
	is.True(errors.Is(err, replicate.ErrVersion))

	is.NoErr(store.Delete(t.Context(), replicate.ManifestKey(dbName)))
	r = start(t, a, store, fast())
	flush(t, r)
	put(`{"dbName":"bank","latestSnapshotKey":null,"latestLogSequence":3}`) // an old client is still about
	a.insert(3, 3)
	is.True(errors.Is(r.Flush(t.Context()), replicate.ErrForeignManifest))
}
