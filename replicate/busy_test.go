package replicate_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// Where a chain begins, and that its first snapshot is stored, is written when the
// application lets go of the write lock: it is waited for, and nothing fails for it.
func TestFloorWaitsForTheLock(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	a := openApp(t, dbPath(t))
	o := fast()
	o.LogTail = -1 // the log alone does not make the file
	r := start(t, a, memstore.New(), o)
	a.insert(1, 5)
	flush(t, r)
	kill(t, r)

	// A bucket that is new to the file: the chain begins anew, with a snapshot.
	busy := sql.OpenDB(sqlite.Connector(a.path, sqlite.Writer))
	held, released := 0, make(chan error, 100)
	hold := func() error { // for longer than a statement of ours waits by itself
		conn, err := busy.Conn(context.Background())
		if err == nil {
			_, err = conn.ExecContext(context.Background(), "BEGIN IMMEDIATE")
		}
		if err != nil {
			return err
		}
		held++
		time.AfterFunc(400*time.Millisecond, func() {
			_, err := conn.ExecContext(context.Background(), "ROLLBACK")
			released <- err
			_ = conn.Close()
		})
		return nil
	}
	store, events := memstore.New(), &recorder{}
	o = fast()
	o.Events = events.add
	r = newReplica(t, store, o)
	named := false
	r.SetHook(func(point string) error {
		switch {
		case point == "claiming":
			return hold() // the chain is dropped behind this point
		case point == "snapshot-uploaded":
			named = true
		case point == "settled" && named:
			named = false
			return hold() // the floor is written behind this one
		}
		return nil
	})
	is.NoErr(r.Start(t.Context(), a.path))
	flush(t, r)
	is.Equal(held, 2)
	for range held {
		is.NoErr(<-released)
	}
	is.Equal(len(events.of(replicate.EventRetry)), 0)
	is.Equal(len(events.of(replicate.EventRebased)), 1)
	is.Equal(len(events.of(replicate.EventSnapshot)), 1)
	is.NoErr(busy.Close())
	sameAsRestored(t, a, store)
	shutdown(t, r)
}
