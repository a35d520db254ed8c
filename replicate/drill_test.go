package replicate_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// A running replica restores its backup on trial now and then, and says when that
// fails.
func TestDrill(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	o := fast()
	o.Drill = replicate.Drill{Every: 20 * time.Millisecond, Full: true, Dir: t.TempDir()}
	drilled := make(chan replicate.Event, 1000)
	o.Events = func(e replicate.Event) {
		if e.Kind == replicate.EventDrilled {
			select {
			case drilled <- e:
			default:
			}
		}
	}
	a := openApp(t, dbPath(t))
	r := start(t, a, store, o)
	a.insert(1, 5)
	flush(t, r)
	next := func() replicate.Event {
		t.Helper()
		select {
		case e := <-drilled:
			return e
		case <-time.After(20 * time.Second):
			t.Fatal("no drill")
			return replicate.Event{}
		}
	}
	e := next()
	is.NoErr(e.Err)
	is.True(e.To > 0 && e.Bytes > 0)
	is.True(!r.Metrics().LastDrillAt.IsZero())
	is.NoErr(r.Metrics().LastDrillError)
	for _, k := range keys(t, store) {
		if strings.Contains(k, "/logs/") {
			is.NoErr(store.Delete(t.Context(), k))
		}
	}
	for e.Err == nil {
		e = next()
	}
	is.True(errors.Is(e.Err, replicate.ErrMissing))
	is.True(errors.Is(r.Metrics().LastDrillError, replicate.ErrMissing))
	kill(t, r) // also in the middle of one
	left, err := os.ReadDir(o.Drill.Dir)
	is.NoErr(err)
	is.Equal(len(left), 0)
}
