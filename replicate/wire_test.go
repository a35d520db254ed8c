package replicate_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// Any gunzip reads a batch, and any JSON parser what comes out.
func TestBatchIsReadable(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	a.insert(1, 3)
	r := start(t, a, store, fast())
	flush(t, r)
	n := 0
	for _, key := range keys(t, store) {
		node, epoch, from, to, ok := replicate.BatchRange(key)
		if !ok {
			continue
		}
		n++
		body, _, err := store.Get(t.Context(), key)
		is.NoErr(err)
		zip, err := gzip.NewReader(body)
		is.NoErr(err)
		text, err := io.ReadAll(zip)
		is.NoErr(err)
		is.NoErr(body.Close())
		var doc struct {
			DBName       string
			NodeID       string
			Epoch        uint32
			Version      int
			FromSequence int64
			ToSequence   int64
			Entries      [][]any
		}
		is.NoErr(json.Unmarshal(text, &doc))
		is.Equal(doc.DBName, dbName)
		is.Equal(doc.NodeID, node)
		is.Equal(doc.Epoch, epoch)
		is.Equal(doc.Version, 2)
		is.Equal(doc.FromSequence, from)
		is.Equal(doc.ToSequence, to)
		is.Equal(int64(len(doc.Entries)), to-from+1)
	}
	is.True(n > 0)
}

// A snapshot is a SQLite file for anyone who unpacks it, with nothing in it
// that was deleted from the log.
func TestSnapshotIsReadable(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	a.exec(`INSERT INTO items (id, name) VALUES (1, 'once a canary')`)
	a.exec(`UPDATE items SET name = 'another bird'`)
	r := start(t, a, store, fast())
	is.NoErr(r.Snapshot(t.Context()))
	key := manifest(t, store).Snapshots[0]
	body, _, err := store.Get(t.Context(), key)
	is.NoErr(err)
	zip, err := gzip.NewReader(body)
	is.NoErr(err)
	file, err := io.ReadAll(zip)
	is.NoErr(err)
	is.NoErr(body.Close())
	is.True(bytes.HasPrefix(file, []byte("SQLite format 3\x00")))
	is.True(bytes.Contains(file, []byte("another bird")))
	is.True(!bytes.Contains(file, []byte("canary"))) // the pruned log is overwritten
}

// No log line, event or error tells a value of a row.
func TestNoRowValuesAreTold(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	const canary = "canary-7f3a"
	var out syncBuffer
	o := fast()
	o.Logger = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.Events = func(e replicate.Event) { fmt.Fprintf(&out, "%+v\n", e) }
	inner := memstore.New()
	for nth := 1; nth < 30; nth++ {
		store := faultstore.New(inner, faultstore.Rule{Nth: nth, Times: 6, Kind: faultstore.Error})
		a := openApp(t, dbPath(t))
		a.exec(`INSERT INTO items (id, name, data) VALUES (1, ?, ?)`, canary, []byte(canary))
		r := start(t, a, store, o)
		fmt.Fprintln(&out, r.Flush(t.Context()), r.Snapshot(t.Context()), r.Shutdown(t.Context()))
		fmt.Fprintf(&out, "%+v %+v\n", r.Status(), r.Metrics())
		path := dbPath(t)
		result, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{Retry: fast().Retry, Logger: o.Logger})
		fmt.Fprintf(&out, "%+v %v\n", result, err)
		for _, k := range keys(t, inner) {
			is.NoErr(inner.Delete(t.Context(), k))
		}
	}
	// And of a log that was tampered with.
	a := openApp(t, dbPath(t))
	a.exec(`INSERT INTO items (id, name) VALUES (1, ?)`, canary)
	a.exec(`UPDATE _driftdb_log SET data = data || 'x', "table" = "table" || ?`, canary)
	r := start(t, a, inner, o)
	fmt.Fprintln(&out, r.Flush(t.Context()))
	is.True(len(out.String()) > 10_000)
	is.True(!strings.Contains(out.String(), canary))
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
