package replicate_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// An hour of writes is at most a batch a second and a manifest every ten. Neither
// the look at the file every five seconds nor the manifest's turn begins an upload
// before its time, and no commit waits for longer than the second.
// DRIFTDB_PACE_MINUTES sets how many minutes are simulated: 60 for the hour.
func TestRequestsOfAnHour(t *testing.T) {
	t.Parallel()
	minutes := env("DRIFTDB_PACE_MINUTES", 10)
	for name, every := range map[string]time.Duration{"a transaction a second": time.Second, "three a second": 331 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { requestsOfAnHour(t, every, minutes) })
		})
	}
}

// upload is when everything up to a sequence was stored, or committed.
type upload struct {
	at time.Time
	to int64
}

func requestsOfAnHour(t *testing.T, every time.Duration, minutes int) {
	is := is.New(t)
	store := faultstore.New(memstore.New(), faultstore.Rule{Op: faultstore.Put, Times: -1, Kind: faultstore.Slow, Delay: 30 * time.Millisecond})
	a := openApp(t, dbPath(t))
	var uploads []upload // of the engine's goroutine, which sleeps when it is read
	r := start(t, a, store, replicate.Options{Snapshot: replicate.SnapshotRule{Disabled: true}, Events: func(e replicate.Event) {
		if e.Kind == replicate.EventUploaded {
			uploads = append(uploads, upload{time.Now(), e.To})
		}
	}})
	a.insert(1, 1)
	flush(t, r)
	store.Forget()
	jitter := rand.New(rand.NewPCG(1, 2))
	began, next := time.Now(), len(uploads)
	var commits []upload
	for i := 2; time.Since(began) < time.Duration(minutes)*time.Minute; i++ {
		a.insert(i, i)
		r.Notify()
		commits = append(commits, upload{time.Now(), int64(2*i + 2)}) // a row and a mark each, after the schema
		pass(every/2 + time.Duration(jitter.Int64N(int64(every))))
	}
	calls := store.Calls()
	flush(t, r)
	is.Equal(r.Status().Captured, r.Status().Acknowledged)
	is.Equal(commits[len(commits)-1].to, r.Status().Captured)
	var longest time.Duration
	for _, c := range commits {
		for uploads[next].to < c.to {
			next++
		}
		longest = max(longest, uploads[next].at.Sub(c.at))
	}
	kinds := map[string]int{}
	for _, c := range calls {
		is.Equal(c.Op, faultstore.Put)
		switch {
		case c.Key == replicate.ManifestKey(dbName):
			kinds["manifest"]++
		case strings.Contains(c.Key, "/packs/"):
			kinds["pack"]++
		default:
			kinds["batch"]++
		}
	}
	t.Logf("%d minutes: %d batches, %d manifests, %d packs; stored at most %v after the commit", minutes, kinds["batch"], kinds["manifest"], kinds["pack"], longest)
	is.True(kinds["batch"] > 40*minutes)
	is.True(kinds["batch"] <= 60*minutes)
	is.True(kinds["manifest"] >= 5*minutes)
	is.True(kinds["manifest"] <= 6*minutes)
	is.True(longest <= 1200*time.Millisecond)
	shutdown(t, r)
	sameAsRestored(t, a, store)
}
