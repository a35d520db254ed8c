package replicate_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// BenchmarkRestore replays 100,000 changes, and unpacks the same database from
// a snapshot.
func BenchmarkRestore(b *testing.B) {
	const rows = 100_000
	for _, snapshot := range []bool{false, true} {
		name := map[bool]string{false: "log", true: "snapshot"}[snapshot]
		b.Run(name, func(b *testing.B) {
			store := memstore.New()
			a := openApp(b, filepath.Join(b.TempDir(), "app.sqlite"))
			r := start(b, a, store, fast())
			for i := 0; i < rows; i += 1000 {
				a.bulk(i+1, i+1000)
			}
			flush(b, r)
			if snapshot {
				if err := r.Snapshot(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			var spent time.Duration
			for b.Loop() {
				path := filepath.Join(b.TempDir(), "restored.sqlite")
				result, err := replicate.Restore(b.Context(), dbName, store, path, replicate.RestoreOptions{})
				if err != nil {
					b.Fatal(err)
				}
				spent += result.Duration
			}
			b.ReportMetric(float64(rows*b.N)/spent.Seconds(), "rows/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkShip seals, encodes and uploads 10,000 changes.
func BenchmarkShip(b *testing.B) {
	store := memstore.New()
	a := openApp(b, filepath.Join(b.TempDir(), "app.sqlite"))
	r := start(b, a, store, fast())
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		a.bulk(n+1, n+10_000)
		n += 10_000
		b.StartTimer()
		flush(b, r)
	}
	m := r.Metrics()
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "changes/s")
	b.ReportMetric(float64(m.BatchBytes)/float64(n), "B/change")
}
