package replicate_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

func logOptions() replicate.LogOptions { return replicate.LogOptions{Retry: fast().Retry} }

func readLog(t testing.TB, store replicate.Store, o replicate.LogOptions) (all []*replicate.LogEntry) {
	t.Helper()
	for e, err := range replicate.ReadLog(t.Context(), dbName, store, o) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// plainRows are the rows of items, by id, as JSON of name and n.
func plainRows(t testing.TB, path string) map[string]string {
	t.Helper()
	db := sql.OpenDB(sqlite.Connector(path, sqlite.Plain))
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	rows, err := db.QueryContext(t.Context(), `SELECT id, json_object('name', name, 'n', n) FROM items`)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for rows.Next() {
		var id, row string
		if err := rows.Scan(&id, &row); err != nil {
			t.Fatal(err)
		}
		all[id] = row
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		t.Fatal(err)
	}
	return all
}

// picked is what a diff says of name and n.
func picked(t testing.TB, object json.RawMessage) map[string]any {
	t.Helper()
	var m map[string]any
	if len(object) == 0 {
		return nil
	}
	if err := json.Unmarshal(object, &m); err != nil {
		t.Fatal(err)
	}
	for k := range m {
		if k != "name" && k != "n" {
			delete(m, k)
		}
	}
	return m
}

// What is read between any two moments is whole transactions, leads from the rows
// at the one to those at the other, and Diff says in what they differ.
func TestReadLogAndDiff(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		is := is.New(t)
		rng := rand.New(rand.NewPCG(seed, 1))
		store := memstore.New()
		o := fast()
		a := openApp(t, dbPath(t))
		r := newReplica(t, store, o)
		r.SetCut(5, 4) // many batches, and parts
		is.NoErr(r.Start(t.Context(), a.path))
		for i := range 60 {
			switch rng.IntN(6) {
			case 0:
				a.exec(`DELETE FROM items WHERE id % 7 = ?`, int64(rng.IntN(7)))
			case 1:
				a.exec(`UPDATE items SET n = n + 1 WHERE id % 3 = ?`, int64(rng.IntN(3)))
			case 2:
				a.exec(`UPDATE items SET n = n - 1, name = name || '!' WHERE id = (SELECT max(id) FROM items)`)
			case 3:
				a.exec(`UPDATE OR IGNORE items SET id = id + 1000 WHERE id = (SELECT min(id) FROM items)`)
			default:
				a.exec(`INSERT OR REPLACE INTO items (id, name, n) VALUES (?, ?, ?)`, int64(rng.IntN(30)), fmt.Sprint("item ", i), int64(i))
			}
			if rng.IntN(4) == 0 {
				flush(t, r)
			}
			if rng.IntN(20) == 0 {
				is.NoErr(r.Snapshot(t.Context()))
			}
		}
		shutdown(t, r)
		all := readLog(t, store, logOptions())
		is.True(len(all) > 20)
		is.Equal(all[0].Operation, "schema")
		head := manifest(t, store).Head
		for range 12 {
			from, to := 1+rng.Int64N(head), 1+rng.Int64N(head)
			if from > to {
				from, to = to, from
			}
			lo := logOptions()
			lo.From.Sequence, lo.To.Sequence = from, to
			at := func(sequence int64) map[string]string {
				path := filepath.Join(t.TempDir(), "r.sqlite")
				_, err := replicate.Restore(t.Context(), dbName, store, path, replicate.RestoreOptions{Sequence: sequence, Retry: o.Retry})
				is.NoErr(err)
				if sequence < 3 {
					return map[string]string{}
				}
				return plainRows(t, path)
			}
			before, after := at(from), at(to)
			got := readLog(t, store, lo)
			for i, e := range got {
				is.True(e.Sequence <= to)
				j := slices.IndexFunc(all, func(o *replicate.LogEntry) bool { return o.Sequence == e.Sequence })
				is.Equal(cmp.Diff(all[j], e), "")
				if i == 0 && j > 0 {
					is.True(all[j-1].Tx != e.Tx) // begins with a transaction
				}
				if i == len(got)-1 && j+1 < len(all) {
					is.True(all[j+1].Tx != e.Tx) // and ends with one
				}
			}
			diff, err := replicate.Diff(t.Context(), dbName, store, lo)
			is.NoErr(err)
			for _, d := range diff {
				var key struct{ ID int64 }
				if d.Operation != "insert" {
					is.NoErr(json.Unmarshal(d.Key, &key))
				}
				id := fmt.Sprint(key.ID)
				row := map[string]any{}
				if d.Operation != "insert" {
					is.NoErr(json.Unmarshal([]byte(before[id]), &row))
				}
				for k, v := range picked(t, d.Old) {
					is.Equal(row[k], v)
				}
				if d.Operation != "insert" {
					delete(before, id)
				}
				if d.Operation == "delete" {
					continue
				}
				maps.Copy(row, picked(t, d.New))
				var now struct{ ID int64 }
				is.NoErr(json.Unmarshal(d.New, &now))
				if now.ID != 0 || d.Operation == "insert" {
					id = fmt.Sprint(now.ID)
				}
				b, err := json.Marshal(map[string]any{"name": row["name"], "n": row["n"]})
				is.NoErr(err)
				before["new "+id] = string(b)
			}
			same := map[string]any{}
			for id, row := range before {
				var v any
				is.NoErr(json.Unmarshal([]byte(row), &v))
				same[strings.TrimPrefix(id, "new ")] = v
			}
			want := map[string]any{}
			for id, row := range after {
				var v any
				is.NoErr(json.Unmarshal([]byte(row), &v))
				want[id] = v
			}
			if d := cmp.Diff(want, same); d != "" {
				t.Fatalf("seed %d, from %d to %d:\n%s", seed, from, to, d)
			}
		}
	}
}

// Moments are times and marked points as well, and those that are not there are
// named.
func TestLogMoments(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 3)
	is.NoErr(r.Mark(t.Context(), "three"))
	<-time.After(5 * time.Millisecond) // the next ones have a later time
	between := time.Now()
	<-time.After(5 * time.Millisecond)
	a.insert(4, 6)
	shutdown(t, r)
	for _, from := range []replicate.Moment{{Point: "three"}, {At: between}} {
		o := logOptions()
		o.From = from
		got := readLog(t, store, o)
		is.Equal(len(got), 3)
		is.True(strings.HasPrefix(string(got[0].Data), `{"id":4,"name":"item 4","n":28,`))
		o.From, o.To = o.To, from
		got = readLog(t, store, o)
		is.Equal(len(got), 1+3)
	}
	for _, bad := range []replicate.Moment{{Point: "four"}, {Sequence: 1 << 40}, {Sequence: 1, Point: "three"}, {Sequence: -1}} {
		o := logOptions()
		o.To = bad
		var last error
		for _, err := range replicate.ReadLog(t.Context(), dbName, store, o) {
			last = err
		}
		is.True(last != nil)
	}
	for _, err := range replicate.ReadLog(t.Context(), dbName, store, logOptions()) {
		is.NoErr(err)
		break
	}
	_, err := replicate.Diff(t.Context(), "nobody", store, logOptions())
	is.True(errors.Is(err, replicate.ErrNoBackup))
}

// A row is followed by the key, and its deletion says what it was.
func TestRowHistory(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.exec(`INSERT INTO pairs VALUES ('é "x"', 'b', 1.5), ('other', 'b', 2)`)
	a.exec(`UPDATE pairs SET v = x'00ff' WHERE b = 'b'`)
	a.exec(`UPDATE pairs SET b = 'c' WHERE a = 'é "x"'`)
	a.exec(`DELETE FROM pairs`)
	shutdown(t, r)
	history := func(key string) (ops []string) {
		for e, err := range replicate.History(t.Context(), dbName, store, "pairs", key, logOptions()) {
			is.NoErr(err)
			ops = append(ops, e.Operation+" "+string(e.Before))
		}
		return ops
	}
	is.Equal(history(`{"b": "b", "a": "\u00e9 \"x\""}`), []string{`insert `, `update {"v":1.5}`, `update {"b":"b"}`})
	is.Equal(history(`{"a":"é \"x\"","b":"c"}`), []string{`update {"b":"b"}`, `delete {"a":"é \"x\"","b":"c","v":{"x":"00FF"}}`})
	is.Equal(len(history(`{"a":"nobody","b":"c"}`)), 0)
	for _, err := range replicate.History(t.Context(), dbName, store, "pairs", "a=1", logOptions()) {
		is.True(err != nil)
	}
}

// A log that was tampered with is an error, not wrong entries.
func TestReadLogChecksTheChain(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	for i := range 5 {
		a.insert(i+1, i+1)
		flush(t, r)
	}
	shutdown(t, r)
	for _, k := range keys(t, store) {
		if !strings.Contains(k, "/logs/") {
			continue
		}
		whole := get(t, store, k)
		put(t, store, k, flip(whole, len(whole)/2))
		var last error
		for _, err := range replicate.ReadLog(t.Context(), dbName, store, logOptions()) {
			last = err
		}
		is.True(last != nil)
		put(t, store, k, whole)
	}
}
