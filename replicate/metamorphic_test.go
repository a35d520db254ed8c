package replicate_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// config is one way to run the same script.
type config struct {
	gzip, key, snapshots, kills bool
	batch                       int // entries
}

func configs() (all []config) {
	for i := range 16 {
		for _, batch := range []int{1, 100, 10_000} {
			all = append(all, config{gzip: i&1 > 0, key: i&2 > 0, snapshots: i&4 > 0, kills: i&8 > 0, batch: batch})
		}
	}
	return all
}

// One script of random changes, shipped in every configuration: whatever the
// size of batches, with gzip, a key, snapshots and crashes or without, the same
// rows come back. Every run tries a third of the configurations, each of them
// after three runs; DRIFTDB_METAMORPHIC=1 tries all.
func TestMetamorphic(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	var want rows
	for i, c := range configs() {
		if os.Getenv("DRIFTDB_METAMORPHIC") == "" && (uint64(i)%3 != (seed+uint64(i)/3)%3 || raceDetector && i%4 != 0) {
			continue
		}
		got := follow(t, seed, c)
		if want == nil {
			want = got
		}
		if !maps.Equal(got, want) {
			t.Fatalf("seed %d, %+v: %d rows are restored, %d in the first configuration", seed, c, len(got), len(want))
		}
	}
	if len(want) < 20 {
		t.Fatalf("seed %d: the script leaves %d rows", seed, len(want))
	}
}

// follow runs the script of a seed and returns what a restore gives.
func follow(t *testing.T, seed uint64, c config) rows {
	t.Helper()
	is := is.New(t)
	store, path := memstore.New(), dbPath(t)
	o := fast()
	o.DisableCompression = !c.gzip
	if c.key {
		o.Encryption.Keys = []replicate.Key{replicate.NewKey()}
	}
	a := openApp(t, path)
	begin := func() *replicate.Replica {
		r := newReplica(t, store, o)
		r.SetCut(c.batch, 7)
		is.NoErr(r.Start(t.Context(), path))
		return r
	}
	r := begin()
	script := rand.New(rand.NewPCG(seed, 1))
	model := rows{}
	w := &week{t: t, rng: script, a: a, r: r, model: model}
	for range 60 {
		what := script.IntN(10) // drawn alike in every configuration
		w.r = r
		w.write()
		switch {
		case what < 3:
			flush(t, r)
		case what == 3 && c.snapshots:
			is.NoErr(r.Snapshot(t.Context()))
		case what == 4 && c.kills:
			kill(t, r)
			r = begin()
		case what == 5:
			id := 1000 + script.IntN(1000)*20
			a.exec(`DELETE FROM items WHERE id >= 1000`)
			a.bulk(id, id+12)
			maps.DeleteFunc(model, func(k, _ string) bool { return k >= "item 01000" && k < "item 99999" })
			for n := id; n <= id+12; n++ {
				model[fmt.Sprintf("item %05d", n)] = fmt.Sprintf("'item %d' %d "+strings.Repeat("NULL ", 2)[:9], n, n)
			}
		}
	}
	shutdown(t, r)
	restored := filepath.Join(t.TempDir(), "restored.sqlite")
	_, err := replicate.Restore(t.Context(), dbName, store, restored, replicate.RestoreOptions{Retry: o.Retry, Encryption: o.Encryption})
	is.NoErr(err)
	got := readRows(t, restored)
	if !maps.Equal(got, model) {
		t.Fatalf("seed %d, %+v: restored %d rows, the script wrote %d", seed, c, len(got), len(model))
	}
	a.close()
	return got
}
