package replicate_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

func rebuildWith(t testing.TB, store replicate.Store, o replicate.RebuildOptions) (*replicate.RebuildReport, error) {
	t.Helper()
	o.Retry, o.Dir = fast().Retry, t.TempDir()
	return replicate.RebuildManifest(t.Context(), dbName, store, o)
}

// restored returns the rows that a restore gives back.
func restored(t testing.TB, store replicate.Store, o replicate.RestoreOptions) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "r.sqlite")
	o.Retry = fast().Retry
	if _, err := replicate.Restore(t.Context(), dbName, store, path, o); err != nil {
		t.Fatal(err)
	}
	return dump(t, path)
}

// A manifest that is gone, damaged or overwritten is made anew from what is
// stored: plain, compressed and sealed, with packs, parts and snapshots, over
// two epochs. Everything that could be restored can be again.
func TestRebuildManifest(t *testing.T) {
	for _, mode := range []string{"plain", "gzip", "sealed"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			is := is.New(t)
			store, o := memstore.New(), fast()
			o.DisableCompression = mode == "plain"
			if mode == "sealed" {
				o.Encryption.Keys = []replicate.Key{replicate.NewKey()}
			}
			sound(t, store, o)
			ro := replicate.RestoreOptions{Encryption: o.Encryption}
			early := replicate.RestoreOptions{Encryption: o.Encryption, Sequence: 20}
			want, wantEarly := restored(t, store, ro), restored(t, store, early)
			rebuild := replicate.RebuildOptions{Encryption: o.Encryption}
			_, err := rebuildWith(t, store, rebuild)
			is.True(err != nil && strings.Contains(err.Error(), "sound")) // nothing is done without need

			old := get(t, store, replicate.ManifestKey(dbName))
			for what, damage := range map[string]func(){
				"deleted": func() { is.NoErr(store.Delete(t.Context(), replicate.ManifestKey(dbName))) },
				"damaged": func() { put(t, store, replicate.ManifestKey(dbName), old[:len(old)/2]) },
				"v1":      func() { put(t, store, replicate.ManifestKey(dbName), []byte(`{"snapshots":[],"logs":[]}`)) },
			} {
				damage()
				before := len(keys(t, store))
				dry := rebuild
				dry.DryRun = true
				planned, err := rebuildWith(t, store, dry)
				is.NoErr(err)
				is.True(!planned.Written)
				is.Equal(len(keys(t, store)), before)
				report, err := rebuildWith(t, store, rebuild)
				if err != nil {
					t.Fatal(what, err)
				}
				is.True(report.Written && len(report.LeftOut) == 0 && len(report.Damaged) == 0)
				is.Equal(report.Head, planned.Head)
				is.True(report.Snapshots == 2 && report.Packs > 0 && report.Floor == 0)
				is.Equal(cmp.Diff(want, restored(t, store, ro)), "")
				is.Equal(cmp.Diff(wantEarly, restored(t, store, early)), "")
				verified, err := replicate.Verify(t.Context(), dbName, store, replicate.VerifyOptions{Encryption: o.Encryption, Dir: t.TempDir()})
				is.NoErr(err)
				is.True(verified.OK())
			}
		})
	}
}

// The owner goes on after a rebuild, and what it says while the manifest is gone
// is by name.
func TestRebuildUnderARunningOwner(t *testing.T) {
	t.Parallel()
	for _, change := range []string{"deleted", "v1"} {
		t.Run(change, func(t *testing.T) {
			is := is.New(t)
			store := memstore.New()
			a := openApp(t, dbPath(t))
			r := start(t, a, store, fast())
			a.insert(1, 5)
			flush(t, r)
			is.NoErr(r.Snapshot(t.Context()))
			a.insert(6, 8)
			if change == "deleted" {
				is.NoErr(store.Delete(t.Context(), replicate.ManifestKey(dbName)))
			} else {
				put(t, store, replicate.ManifestKey(dbName), []byte(`{"snapshots":[]}`))
			}
			is.True(errors.Is(r.Flush(t.Context()), replicate.ErrForeignManifest)) // 6 to 8 were uploaded
			kill(t, r)
			report, err := rebuildWith(t, store, replicate.RebuildOptions{})
			is.NoErr(err)
			is.Equal(report.Head, r.Status().Uploaded)
			r = start(t, a, store, fast())
			a.insert(9, 9)
			flush(t, r)
			sameAsRestored(t, a, store)

			// One that runs meanwhile is fenced, not overwritten.
			_, err = rebuildWith(t, store, replicate.RebuildOptions{Replace: true})
			is.NoErr(err)
			a.insert(10, 10)
			is.True(errors.Is(r.Flush(t.Context()), replicate.ErrFenced))
			kill(t, r)
			r = start(t, a, store, fast())
			flush(t, r)
			sameAsRestored(t, a, store)
		})
	}
}

// What an owner uploads after it was taken over from is left out, and said.
func TestRebuildLeavesOutFencedUploads(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	ra := start(t, a, store, fast())
	a.insert(1, 5)
	flush(t, ra)
	o := fast()
	o.TakeOver = true
	path := dbPath(t)
	rb := newReplica(t, store, o)
	is.NoErr(rb.Prepare(t.Context(), path))
	b := openApp(t, path)
	is.NoErr(rb.Start(t.Context(), path))
	b.insert(20, 25)
	flush(t, rb)
	a.insert(6, 7)
	is.True(errors.Is(ra.Flush(t.Context()), replicate.ErrFenced)) // uploaded, and does not count
	shutdown(t, rb)

	is.NoErr(store.Delete(t.Context(), replicate.ManifestKey(dbName)))
	report, err := rebuildWith(t, store, replicate.RebuildOptions{})
	is.NoErr(err)
	is.Equal(report.NodeID, rb.NodeID())
	is.Equal(len(report.LeftOut), 1)
	is.Equal(report.LeftOut[0].Node, ra.NodeID())
	sameAsRestored(t, b, store)
}

// Two histories of which nothing tells which one counts are never chosen from
// silently.
func TestRebuildIsAmbiguous(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	var nodes []string
	var apps []*app
	for i := range 2 { // as if two buckets had been copied into one
		a, bucket := openApp(t, dbPath(t)), memstore.New()
		r := start(t, a, bucket, fast())
		a.insert(10*i+1, 10*i+5)
		shutdown(t, r)
		nodes, apps = append(nodes, r.NodeID()), append(apps, a)
		a.close()
		is.NoErr(bucket.Delete(t.Context(), replicate.ManifestKey(dbName)))
		for key, stored := range contents(t, bucket) {
			put(t, store, key, []byte(stored))
		}
	}
	_, err := rebuildWith(t, store, replicate.RebuildOptions{})
	is.True(errors.Is(err, replicate.ErrAmbiguous))
	found, ok := errors.AsType[*replicate.AmbiguousError](err)
	is.True(ok)
	is.Equal(len(found.Choices), 2)
	is.True(strings.Contains(err.Error(), nodes[0]+"/1") && strings.Contains(err.Error(), nodes[1]+"/1"))
	_, err = rebuildWith(t, store, replicate.RebuildOptions{Choose: "nobody/1"})
	is.True(errors.Is(err, replicate.ErrAmbiguous))
	for i, node := range nodes {
		report, err := rebuildWith(t, store, replicate.RebuildOptions{Choose: node + "/1", Replace: true})
		is.NoErr(err)
		is.Equal(len(report.LeftOut), 1)
		sameAsRestored(t, apps[i], store)
	}
}

// After pruning the chain begins at a snapshot; a damaged snapshot is passed over;
// a hole that hides newer changes is never passed over silently.
func TestRebuildFromWhatIsLeft(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	o := fast()
	o.Retention.DisablePacks = true
	r := start(t, a, store, o)
	for i := range 4 {
		a.insert(10*i+1, 10*i+5)
		flush(t, r)
		if i == 1 || i == 2 {
			is.NoErr(r.Snapshot(t.Context()))
		}
	}
	shutdown(t, r)
	var logs, snapshots []string
	for _, k := range keys(t, store) {
		if strings.Contains(k, "/logs/") {
			logs = append(logs, k)
		} else if strings.Contains(k, "/snapshots/") {
			snapshots = append(snapshots, k)
		}
	}
	is.True(len(logs) == 4 && len(snapshots) == 2)
	is.NoErr(store.Delete(t.Context(), replicate.ManifestKey(dbName), logs[0])) // as below a floor
	report, err := rebuildWith(t, store, replicate.RebuildOptions{})
	is.NoErr(err)
	is.True(report.Floor > 0 && report.Snapshots == 2)
	sameAsRestored(t, a, store)

	b := get(t, store, snapshots[0])
	b[len(b)/2] ^= 1
	put(t, store, snapshots[0], b)
	report, err = rebuildWith(t, store, replicate.RebuildOptions{Replace: true})
	is.NoErr(err)
	is.Equal(report.Damaged, []string{snapshots[0]})
	is.Equal(report.Snapshots, 1)
	sameAsRestored(t, a, store)

	last := get(t, store, logs[3])
	is.NoErr(store.Delete(t.Context(), logs[3]))
	report, err = rebuildWith(t, store, replicate.RebuildOptions{Replace: true})
	is.NoErr(err) // it ends earlier: nothing tells of more
	is.Equal(report.Head, manifest(t, store).Head)
	put(t, store, logs[3], last)
	is.NoErr(store.Delete(t.Context(), snapshots[1]))
	_, err = rebuildWith(t, store, replicate.RebuildOptions{Replace: true})
	is.True(errors.Is(err, replicate.ErrMissing)) // batches alone, which begin nowhere

	is.NoErr(store.Delete(t.Context(), keys(t, store)...))
	_, err = rebuildWith(t, store, replicate.RebuildOptions{})
	is.True(errors.Is(err, replicate.ErrNoBackup))
}

// In a sealed backup nothing counts that somebody without the key has put there,
// and a key that is wanted is named.
func TestRebuildSealed(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store, key := memstore.New(), replicate.NewKey()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, sealedOptions(key))
	a.insert(1, 5)
	flush(t, r)
	is.NoErr(r.Snapshot(t.Context()))
	a.insert(6, 7)
	kill(t, r)
	want := manifest2(t, store, key)
	is.NoErr(store.Delete(t.Context(), replicate.ManifestKey(dbName)))
	for _, e := range []replicate.Encryption{{}, {Keys: []replicate.Key{replicate.NewKey()}}} {
		_, err := rebuildWith(t, store, replicate.RebuildOptions{Encryption: e})
		is.True(errors.Is(err, replicate.ErrNoKey) && strings.Contains(err.Error(), key.ID().String()))
	}

	report, err := rebuildWith(t, store, replicate.RebuildOptions{Encryption: replicate.Encryption{Keys: []replicate.Key{key}}})
	is.NoErr(err)
	is.Equal(report.Head, want)
	stored := get(t, store, replicate.ManifestKey(dbName))
	is.True(!strings.Contains(string(stored), "snapshots")) // sealed
}

// What is in the clear counts as far as something sealed follows it, whose hash
// vouches for it, and no further.
func TestRebuildPartlySealed(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store, key := memstore.New(), replicate.NewKey()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 5)
	shutdown(t, r)
	o := sealedOptions(key)
	o.Encryption.AcceptPlain = true
	r = start(t, a, store, o)
	a.insert(6, 7)
	shutdown(t, r)
	is.NoErr(store.Delete(t.Context(), replicate.ManifestKey(dbName)))
	sealed := replicate.Encryption{Keys: []replicate.Key{key}}
	_, err := rebuildWith(t, store, replicate.RebuildOptions{Encryption: sealed})
	is.NoErr(err)
	sameWith(t, a, store, key)

	for _, k := range keys(t, store) {
		if strings.HasSuffix(k, ".enc") || strings.HasSuffix(k, "manifest.json") {
			is.NoErr(store.Delete(t.Context(), k))
		}
	}
	_, err = rebuildWith(t, store, replicate.RebuildOptions{Encryption: sealed})
	is.True(errors.Is(err, replicate.ErrNotSealed))
	_, err = rebuildWith(t, store, replicate.RebuildOptions{Encryption: o.Encryption}) // told to
	is.NoErr(err)
}

// manifest2 returns the head of a sealed manifest.
func manifest2(t testing.TB, store replicate.Store, key replicate.Key) int64 {
	t.Helper()
	b, err := replicate.ReadBackup(t.Context(), dbName, store, replicate.ReadOptions{Encryption: replicate.Encryption{Keys: []replicate.Key{key}}})
	if err != nil {
		t.Fatal(err)
	}
	return b.Head.Sequence
}

// A manifest that is gone is no backup that never was: nothing begins an empty
// database in its place.
func TestManifestLost(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	a.insert(1, 20)
	r := start(t, a, store, fast())
	flush(t, r)
	shutdown(t, r)
	a.close()
	is.NoErr(store.Delete(t.Context(), replicate.ManifestKey(dbName)))
	for _, s := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(a.path + s)
	}
	o := fast()
	o.AutoRestore = true
	r = newReplica(t, store, o)
	is.True(errors.Is(r.Prepare(t.Context(), a.path), replicate.ErrManifestLost))
	_, err := replicate.Restore(t.Context(), dbName, store, filepath.Join(t.TempDir(), "x"), replicate.RestoreOptions{Retry: fast().Retry})
	is.True(errors.Is(err, replicate.ErrManifestLost) && !errors.Is(err, replicate.ErrNoBackup))

	_, err = replicate.RebuildManifest(t.Context(), dbName, store, replicate.RebuildOptions{Retry: fast().Retry})
	is.NoErr(err)
	r = newReplica(t, store, o)
	is.NoErr(r.Prepare(t.Context(), a.path))
}
