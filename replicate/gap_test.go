package replicate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// gapped is a backup of two packs with loose batches between and behind them, as
// a crash leaves it: the batches in memory that were to be packed are forgotten.
// The batches that the packs hold are gone, as a day later.
func gapped(t *testing.T) (store *memstore.Store, a *app, gone map[string][]byte) {
	t.Helper()
	store, gone = memstore.New(), map[string][]byte{}
	a = openApp(t, dbPath(t))
	ship := func(from, to int) *replicate.Replica {
		r := start(t, a, store, fast())
		for i := from; i <= to; i++ {
			a.insert(i, i)
			flush(t, r)
			r.WaitForPack()
		}
		flush(t, r)
		return r
	}
	kill(t, ship(1, 20))
	kill(t, ship(21, 40))
	packs := packed(t, store)
	if len(packs) != 2 {
		t.Fatalf("packs: %v", packs)
	}
	for _, key := range keys(t, store) {
		_, _, from, to, ok := replicate.BatchRange(key)
		if ok && strings.Contains(key, "/logs/") && slices.ContainsFunc(packs, func(p [2]int64) bool { return p[0] <= from && to <= p[1] }) {
			gone[key] = get(t, store, key)
			if err := store.Delete(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(gone) != 32 {
		t.Fatalf("%d batches are in packs", len(gone))
	}
	return store, a, gone
}

// packed returns the ranges of the packs.
func packed(t *testing.T, store replicate.Store) (ranges [][2]int64) {
	t.Helper()
	for _, key := range keys(t, store) {
		if _, _, from, to, ok := replicate.BatchRange(key); ok && strings.Contains(key, "/packs/") {
			ranges = append(ranges, [2]int64{from, to})
		}
	}
	return ranges
}

// A way leads over packs and the loose batches between them.
func TestGapBetweenPacks(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store, a, _ := gapped(t)
	counted := faultstore.New(store)
	result := sameAsRestored(t, a, counted)
	is.True(counted.Count(faultstore.List) <= 3) // one for each gap in each epoch
	report, err := replicate.Verify(t.Context(), dbName, store, replicate.VerifyOptions{Retry: fast().Retry})
	is.NoErr(err)
	is.True(report.OK())
	last := int64(0)
	for entry, err := range replicate.ReadLog(t.Context(), dbName, store, replicate.LogOptions{Retry: fast().Retry}) {
		is.NoErr(err)
		last = entry.Sequence
	}
	is.True(last >= result.Position.Sequence-1)
}

// A damaged pack is passed over alone: of the others the batches may be gone.
func TestOneDamagedPack(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store, a, gone := gapped(t)
	packs := packed(t, store)
	for key, batch := range gone { // those of the second pack are still there
		if _, _, from, _, _ := replicate.BatchRange(key); from >= packs[1][0] {
			put(t, store, key, batch)
		}
	}
	for _, key := range keys(t, store) {
		if _, _, from, _, ok := replicate.BatchRange(key); ok && strings.Contains(key, "/packs/") && from == packs[1][0] {
			whole := get(t, store, key)
			whole[len(whole)/2] ^= 1
			put(t, store, key, whole)
		}
	}
	sameAsRestored(t, a, store)
	report, err := replicate.Verify(t.Context(), dbName, store, replicate.VerifyOptions{Retry: fast().Retry})
	is.True(errors.Is(err, replicate.ErrCorrupt))
	is.Equal(len(report.Problems), 1)
}

// Batches that are acknowledged twenty at a time leave none alone.
func TestNoBatchStaysAlone(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := newReplica(t, store, fast())
	r.SetCut(1, 1000)
	is.NoErr(r.Start(t.Context(), a.path))
	for i := range 8 {
		a.insert(20*i+1, 20*i+20)
		flush(t, r)
		r.WaitForPack()
	}
	for range 10 { // naming one pack begins the next
		a.insert(1000, 1000)
		a.exec(`DELETE FROM items WHERE id = 1000`)
		flush(t, r)
		r.WaitForPack()
	}
	packs := packed(t, store)
	is.True(len(packs) >= 9)
	for i := 1; i < len(packs); i++ {
		is.Equal(packs[i][0], packs[i-1][1]+1) // no gap
	}
	sameAsRestored(t, a, store)
}

// Packs are put together from memory: nothing is read back while it is small.
func TestPackingReadsNothing(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := faultstore.New(memstore.New())
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	flush(t, r)
	store.Set(faultstore.Always(faultstore.Get, "", faultstore.Permanent))
	pack(t, a, r, 16*16+20)
	large := 0
	for _, p := range packed(t, store) {
		if p[1]-p[0] > 256 {
			large++
		}
	}
	is.True(large >= 1)
	is.Equal(store.Fired(), 0)
	shutdown(t, r)
}
