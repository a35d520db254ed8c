package replicate_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate/filestore"
)

// A transaction of a million rows is shipped and comes back whole, in little
// memory. DRIFTDB_HUGE_ROWS sets how many rows.
func TestHugeTransaction(t *testing.T) {
	is := is.New(t) // not beside other tests, which would add to the heap
	rows := 60_000
	if s := os.Getenv("DRIFTDB_HUGE_ROWS"); s != "" {
		var err error
		rows, err = strconv.Atoi(s)
		is.NoErr(err)
	}
	store, err := filestore.New(t.TempDir(), filestore.Options{})
	is.NoErr(err)
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.in(func(x changelog.Execer) error {
		return x.Exec(t.Context(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
INSERT INTO items (id, name, n, x) SELECT i, 'a row of ordinary length, number '||i, i * 7, i / 3.0 FROM n`, int64(rows))
	})
	began := time.Now()
	peak := heap(t, func() { flush(t, r) })
	shipped := time.Since(began)
	shutdown(t, r)
	began = time.Now()
	var entries int64
	back := heap(t, func() { _, result := restore(t, store); entries = result.Entries })
	t.Logf("%d rows: shipped in %v, heap %d MiB; %d entries restored in %v, heap %d MiB", rows, shipped, peak>>20, entries, time.Since(began), back>>20)
	is.True(entries >= int64(rows))
	is.True(peak < 64<<20)
	is.True(back < 64<<20)
}

// heap returns by how much the heap grew at most while f ran. Garbage is collected
// early meanwhile: how much of it waits otherwise depends on the tests before.
func heap(t *testing.T, f func()) (grown uint64) {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc
	stop, done := make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				done <- most
				return
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				if m.HeapAlloc > before {
					most = max(most, m.HeapAlloc-before)
				}
			}
		}
	}()
	f()
	close(stop)
	return <-done
}

// A pack of tens of MiB is put together in a file, one batch in memory at a time, and
// what breaks off while its members are read is read again.
func TestPacksOfLargeBatches(t *testing.T) {
	is := is.New(t) // not beside other tests, which would add to the heap
	inner, err := filestore.New(t.TempDir(), filestore.Options{})
	is.NoErr(err)
	store := faultstore.New(inner)
	a := openApp(t, dbPath(t))
	r := newReplica(t, store, fast())
	r.SetFan(8)
	is.NoErr(r.Start(t.Context(), a.path))
	batches, bytes := 64, amount(400_000) // a pack of eight packs
	for i := range batches - 1 {
		a.exec(fmt.Sprintf(`INSERT INTO items (id, name, data) VALUES (%d, 'row %d', randomblob(%d))`, i, i, bytes))
		flush(t, r)
		r.WaitForPack()
	}
	store.Set(faultstore.Rule{Op: faultstore.Get, Key: "/packs/", Nth: 3, Kind: faultstore.Reset, Err: io.ErrUnexpectedEOF})
	peak := heap(t, func() {
		a.exec(fmt.Sprintf(`INSERT INTO items (id, name, data) VALUES (999, 'the last', randomblob(%d))`, bytes))
		for range 3 { // the batches, their pack, the pack of packs
			flush(t, r)
			r.WaitForPack()
		}
	})
	flush(t, r)
	shutdown(t, r)
	var largest int64
	for info, err := range inner.List(t.Context(), "databases/"+dbName+"/", "") {
		is.NoErr(err)
		if strings.Contains(info.Key, "/packs/") && info.Size > largest {
			largest = info.Size
		}
	}
	t.Logf("a pack of %d MiB: heap %d MiB", largest>>20, peak>>20)
	is.True(largest > int64(batches*bytes))
	is.True(peak < 20<<20) // not even the pack once; two copies of it were 60 to 75
	is.Equal(store.Fired(), 1)
	left, err := filepath.Glob(a.path + "*/pack-*")
	is.NoErr(err)
	is.Equal(len(left), 0)
	sameAsRestored(t, a, store)
}
