package replicate_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// plainStore is a server that does not know conditions.
type plainStore struct{ replicate.Store }

func (s plainStore) Put(ctx context.Context, key string, body replicate.Body, cond replicate.Condition) (string, error) {
	if cond != (replicate.Condition{}) {
		return "", replicate.Permanent(errors.New("501 NotImplemented"), "use another server")
	}
	return s.Store.Put(ctx, key, body, cond)
}

// A store without conditional writes is refused, and used if told to, which is
// said in the Status and in the log.
func TestUnfenced(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := plainStore{memstore.New()}
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 3)
	err := r.Flush(t.Context())
	is.True(err != nil && strings.Contains(err.Error(), "501"))
	is.True(!r.Status().Unfenced)
	kill(t, r)

	var log bytes.Buffer
	o := fast()
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	loose := replicate.Unfenced(store)
	r = start(t, a, loose, o)
	flush(t, r)
	is.True(r.Status().Unfenced)
	is.True(strings.Contains(log.String(), "level=WARN") && strings.Contains(log.String(), "no conditional writes"))
	is.NoErr(r.Snapshot(t.Context()))
	a.insert(4, 6)
	flush(t, r)
	sameAsRestored(t, a, loose)

	// One after the other, owners are told apart all the same.
	other := start(t, openApp(t, dbPath(t)), loose, fast())
	is.True(errors.Is(other.Flush(t.Context()), replicate.ErrOwned))
	kill(t, other)
	o.TakeOver = true
	taker := newReplica(t, loose, o)
	is.NoErr(taker.Prepare(t.Context(), dbPath(t)))
	a.insert(7, 7)
	is.True(errors.Is(r.Flush(t.Context()), replicate.ErrFenced))
}

// Options stay few: what belongs together is a group.
func TestOptionsAreFew(t *testing.T) {
	t.Parallel()
	if n := reflect.TypeFor[replicate.Options]().NumField(); n > 15 {
		t.Errorf("%d fields", n)
	}
}
