package replicate_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// pack ships n batches of one transaction each, and lets what can be packed be
// packed.
func pack(t *testing.T, a *app, r *replicate.Replica, n int) {
	t.Helper()
	for i := 1; i <= n; i++ {
		a.insert(i, i)
		flush(t, r)
		r.WaitForPack()
	}
	flush(t, r)
}

// Many small batches become few objects, of which a restore reads few, and which
// hold the same bytes.
func TestPacks(t *testing.T) {
	for _, mode := range []string{"plain", "gzip", "sealed"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			is := is.New(t)
			store := faultstore.New(memstore.New())
			o := fast()
			o.DisableCompression = mode == "plain"
			if mode == "sealed" {
				o.Encryption.Keys = []replicate.Key{replicate.NewKey()}
			}
			var seen recorder
			o.Events = seen.add
			a := openApp(t, dbPath(t))
			r := start(t, a, store, o)
			const n = 16*16 + 40
			pack(t, a, r, n)
			shutdown(t, r)
			is.True(len(seen.of(replicate.EventPacked)) >= 16+1+2)
			before := store.Count(faultstore.Get)
			lists := store.Count(faultstore.List)
			path := filepath.Join(t.TempDir(), "r.sqlite")
			result, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{Retry: o.Retry, Encryption: o.Encryption})
			is.NoErr(err)
			is.Equal(dump(t, path), dump(t, a.path))
			is.True(result.Batches >= n)
			is.True(store.Count(faultstore.Get)-before <= 1+1+2+16+2)
			is.True(store.Count(faultstore.List)-lists <= 2)

			// Every point inside of packs can be restored.
			for _, at := range []int64{2, 31, 32, 33, 300, result.Position.Sequence - 1} {
				path := filepath.Join(t.TempDir(), "r.sqlite")
				got, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{Sequence: at, Encryption: o.Encryption})
				is.NoErr(err)
				is.True(got.Position.Sequence == at || got.Position.Sequence == at-1) // a row and its mark
			}
		})
	}
}

// A restart leaves batches behind that are too few for a pack, and the packs of
// the next epoch follow them: a restore comes to those packs from batches, also when
// what they hold was deleted.
func TestPacksBehindBatches(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	c := newCalendar()
	store := memstore.NewWithOptions(memstore.Options{Now: c.time})
	o, po := c.options()
	a := openApp(t, dbPath(t))
	row := 0
	for _, n := range []int{5, 20, 3, 40, 2} {
		if n == 2 {
			c.pass(48 * time.Hour)
		}
		r := start(t, a, store, o)
		for range n {
			row++
			a.insert(row, row)
			flush(t, r)
			r.WaitForPack()
		}
		shutdown(t, r)
	}
	before := len(keys(t, store))
	report, err := replicate.Prune(t.Context(), dbName, store, po)
	is.NoErr(err)
	is.Equal(report.Floor, int64(0)) // every point is kept
	is.Equal(report.Objects, 16+2*16)
	is.Equal(len(keys(t, store)), before-report.Objects)
	sameAsRestored(t, a, store)
	for _, at := range []int64{3, 20, 40, 100} {
		path := dbPath(t)
		_, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{Sequence: at})
		is.NoErr(err)
	}
	verified, err := replicate.Verify(t.Context(), dbName, store, replicate.VerifyOptions{})
	is.NoErr(err)
	is.Equal(len(verified.Problems), 0)
}

// A pack that is damaged or missing is no loss while its batches are there, and
// an error that names it when they are not.
func TestDamagedPack(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	pack(t, a, r, 40)
	shutdown(t, r)
	var packs, logs []string
	for _, k := range keys(t, store) {
		if strings.Contains(k, "/packs/") {
			packs = append(packs, k)
		} else if strings.Contains(k, "/logs/") {
			logs = append(logs, k)
		}
	}
	is.Equal(len(packs), 2)
	body, _, err := store.Get(t.Context(), packs[1])
	is.NoErr(err)
	whole := readAll(t, body)
	for i := range 60 {
		b := append([]byte(nil), whole...)
		switch at := i * len(b) / 60; i % 3 {
		case 0:
			b[at] ^= 1
		case 1:
			b = b[:at]
		case 2:
			b = append(b, b[:at+1]...)
		}
		put(t, store, packs[1], b)
		sameAsRestored(t, a, store)
	}
	is.NoErr(store.Delete(t.Context(), packs[1]))
	sameAsRestored(t, a, store)
	var from, to int64
	_, err = fmt.Sscanf(filepath.Base(packs[1]), "%d-%d.pack", &from, &to)
	is.NoErr(err)
	for _, k := range logs { // those that the packs hold
		if _, _, _, end, ok := replicate.BatchRange(k); ok && end <= to {
			is.NoErr(store.Delete(t.Context(), k))
		}
	}
	_, err = replicate.Restore(t.Context(), dbName, store, dbPath(t), replicate.RestoreOptions{Retry: fast().Retry})
	is.True(err != nil && strings.Contains(err.Error(), "packs/"))
	put(t, store, packs[1], whole)
	sameAsRestored(t, a, store)
}

// Whatever call fails, once or in between, every change arrives and a restore
// gives it back.
func TestPackingUnderFaults(t *testing.T) {
	for _, kind := range []faultstore.Kind{faultstore.Error, faultstore.LostReply} {
		for nth := 1; nth < 12; nth++ {
			t.Run(fmt.Sprint(kind, nth), func(t *testing.T) {
				t.Parallel()
				store := faultstore.New(memstore.New())
				a := openApp(t, dbPath(t))
				r := start(t, a, store, fast())
				store.Set(faultstore.Rule{Key: "/packs/", Nth: nth, Kind: kind})
				pack(t, a, r, 60)
				shutdown(t, r)
				store.Set()
				sameAsRestored(t, a, store)
			})
		}
	}
}
