package replicate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

func verifyOptions(t *testing.T) replicate.VerifyOptions {
	return replicate.VerifyOptions{Dir: t.TempDir(), Retry: fast().Retry}
}

// sound makes a backup that has everything: two epochs, snapshots, packs, parts,
// a point, and a tail that no snapshot holds.
func sound(t *testing.T, store replicate.Store, o replicate.Options) {
	t.Helper()
	is := is.New(t)
	a := openApp(t, dbPath(t))
	r := start(t, a, store, o)
	for i := 1; i <= 40; i++ {
		a.insert(i, i)
		flush(t, r)
		r.WaitForPack()
	}
	is.NoErr(r.Snapshot(t.Context()))
	shutdown(t, r)
	r = newReplica(t, store, o)
	r.SetCut(100, 100)
	is.NoErr(r.Start(t.Context(), a.path))
	a.bulk(1000, 1400)
	flush(t, r)
	is.NoErr(r.Mark(t.Context(), "here"))
	is.NoErr(r.Snapshot(t.Context()))
	a.insert(50, 60)
	shutdown(t, r)
}

// A sound backup has no problem, whatever it is written with, and the report
// says what was read.
func TestVerify(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"plain", "gzip", "sealed"} {
		t.Run(mode, func(t *testing.T) {
			is := is.New(t)
			store := memstore.New()
			o, vo := fast(), verifyOptions(t)
			o.DisableCompression = mode == "plain"
			if mode == "sealed" {
				o.Encryption.Keys = []replicate.Key{replicate.NewKey()}
			}
			sound(t, store, o)
			vo.Encryption = o.Encryption
			before := keys(t, store)
			var last replicate.VerifyProgress
			vo.Progress = func(p replicate.VerifyProgress) { last = p }
			report, err := replicate.Verify(t.Context(), dbName, store, vo)
			is.NoErr(err)
			is.True(report.OK())
			is.Equal(keys(t, store), before) // only read
			is.Equal(report.Snapshots, 2)
			b, err := replicate.ReadBackup(t.Context(), dbName, store, replicate.ReadOptions{Encryption: o.Encryption})
			is.NoErr(err)
			is.Equal(report.Head, b.Head.Sequence)
			is.True(report.Batches >= 40+5+1)
			is.Equal(report.Entries, report.Head-report.From)
			is.Equal(last.Sequence, report.Head)
			is.Equal(report.Trial.Sequence, report.Head)
			is.True(report.Trial.Time != "")
			is.True(report.Bytes > 0 && report.Seconds > 0)
			text, err := json.Marshal(report)
			is.NoErr(err)
			is.True(bytes.Contains(text, []byte(`"problems":[]`)))

			vo.Quick, vo.NoTrial = true, true
			quick, err := replicate.Verify(t.Context(), dbName, store, vo)
			is.NoErr(err)
			is.Equal(quick.Snapshots, 1)
			is.True(quick.From > report.From && quick.Batches < report.Batches && quick.Bytes < report.Bytes)
			is.Equal(quick.Trial, nil)

			if mode == "sealed" {
				vo.Encryption.Keys = []replicate.Key{replicate.NewKey()}
				_, err = replicate.Verify(t.Context(), dbName, store, vo)
				is.True(errors.Is(err, replicate.ErrNoKey))
			}
		})
	}
}

// Any object that a restore to some point needs is missed when it is damaged,
// cut off, too long, replaced by another or gone, and the report names what is
// wrong without keeping it from looking further.
func TestVerifyFindsEveryDamage(t *testing.T) {
	for _, mode := range []string{"plain", "gzip", "sealed"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			is := is.New(t)
			store := memstore.New()
			o, vo := fast(), verifyOptions(t)
			o.DisableCompression = mode == "plain"
			if mode == "sealed" {
				o.Encryption.Keys = []replicate.Key{replicate.NewKey()}
			}
			sound(t, store, o)
			vo.Encryption, vo.NoTrial = o.Encryption, true
			all := keys(t, store)
			var needed []string
			for i, key := range all {
				if key == replicate.ManifestKey(dbName) {
					continue
				}
				whole := get(t, store, key)
				is.NoErr(store.Delete(t.Context(), key))
				report, err := replicate.Verify(t.Context(), dbName, store, vo)
				if err == nil { // a batch that a pack holds as well
					is.True(report.OK())
					is.True(strings.Contains(key, "/logs/"))
				} else {
					needed = append(needed, key)
					is.True(errors.Is(err, replicate.ErrMissing) || errors.Is(err, replicate.ErrCorrupt))
					is.True(!report.OK())
				}
				for _, bad := range [][]byte{whole[:len(whole)-1], flip(whole, len(whole)/3+i*37%(len(whole)/2)), append(slices.Clone(whole), 0), get(t, store, all[(i+1)%len(all)])} {
					put(t, store, key, bad)
					report, err := replicate.Verify(t.Context(), dbName, store, vo)
					if slices.Contains(needed, key) && err == nil {
						t.Errorf("%s is damaged, nothing was found: %+v", key, report)
					}
					if err != nil && (report == nil || report.OK()) {
						t.Errorf("%s is damaged: %v", key, err)
					}
				}
				put(t, store, key, whole)
			}
			is.True(len(needed) >= 3+5+1) // snapshots, parts, the tail
			_, err := replicate.Verify(t.Context(), dbName, store, vo)
			is.NoErr(err)
		})
	}
}

func flip(b []byte, at int) []byte {
	b = slices.Clone(b)
	b[at] ^= 0x10
	return b
}

// Two things that are wrong are both in the report.
func TestVerifyGoesOn(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	sound(t, store, fast())
	var snapshots []string
	for _, k := range keys(t, store) {
		if strings.Contains(k, "/snapshots/") {
			snapshots = append(snapshots, k)
		}
	}
	put(t, store, snapshots[0], flip(get(t, store, snapshots[0]), 500))
	is.NoErr(store.Delete(t.Context(), snapshots[1]))
	report, err := replicate.Verify(t.Context(), dbName, store, verifyOptions(t))
	is.True(errors.Is(err, replicate.ErrCorrupt))
	is.True(errors.Is(err, replicate.ErrMissing))
	is.Equal(len(report.Problems), 2)
	is.Equal(report.Problems[0].Key, snapshots[0])
	is.Equal(report.Problems[1].Key, snapshots[1])
	is.Equal(report.Trial.Sequence, report.Head) // the newest snapshot is whole
}

// What says nothing about the backup is an error, not a problem of it.
func TestVerifyErrors(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := faultstore.New(memstore.New())
	_, err := replicate.Verify(t.Context(), dbName, store, verifyOptions(t))
	is.True(errors.Is(err, replicate.ErrNoBackup))
	sound(t, store, fast())
	for nth := 1; ; nth++ {
		store.Set(faultstore.Rule{Key: "databases/", Nth: nth, Times: -1, Kind: faultstore.Error})
		report, err := replicate.Verify(t.Context(), dbName, store, verifyOptions(t))
		store.Set()
		if err == nil {
			is.True(nth > 10)
			break
		}
		if report != nil {
			is.True(report.OK())
		}
		is.True(!errors.Is(err, replicate.ErrCorrupt) && !errors.Is(err, replicate.ErrMissing))
	}
}

// The names of what a bucket holds, each once, in order.
func TestDatabases(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	want := []string{"a", "a-x", "a.b", "a0", "a_c", "aa", "b"}
	for _, name := range want {
		for _, key := range []string{"manifest.json", "nodes/n/00000001/logs/x", "nodes/n/00000002/logs/y"} {
			put(t, store, "databases/"+name+"/"+key, []byte("x"))
		}
	}
	put(t, store, "databases/Not A Name/manifest.json", []byte("x"))
	put(t, store, "other/b/manifest.json", []byte("x"))
	var got []string
	for name, err := range replicate.Databases(t.Context(), store) {
		is.NoErr(err)
		got = append(got, name)
	}
	slices.Sort(got)
	is.Equal(got, want)
	for name, err := range replicate.Databases(t.Context(), store) {
		is.NoErr(err)
		is.True(name != "")
		break
	}
}

// What the manifest says can be read by anyone who has the key.
func TestReadBackup(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	_, err := replicate.ReadBackup(t.Context(), dbName, store, replicate.ReadOptions{Retry: fast().Retry})
	is.True(errors.Is(err, replicate.ErrNoBackup))
	sound(t, store, fast())
	b, err := replicate.ReadBackup(t.Context(), dbName, store, replicate.ReadOptions{})
	is.NoErr(err)
	m := manifest(t, store)
	is.Equal(b.Name, dbName)
	is.Equal(b.Head.Sequence, m.Head)
	is.Equal(b.Floor.Sequence, m.Floor)
	is.Equal(b.NodeID, m.Node)
	is.Equal(b.Epoch, m.Epoch)
	is.Equal(b.Released, true)
	is.Equal(len(b.Snapshots), len(m.Snapshots))
	is.Equal(b.Snapshots[len(b.Snapshots)-1].Key, m.Snapshots[len(m.Snapshots)-1])
	is.Equal(len(b.Points), 1)
	is.Equal(b.Points[0].Name, "here")
	is.Equal(len(b.Epochs), 1)
	is.Equal(b.Epochs[0].End > 0, true)
	is.True(b.Packs > 0)
	_, err = replicate.ReadBackup(t.Context(), "No Name", store, replicate.ReadOptions{})
	is.True(err != nil)
}
