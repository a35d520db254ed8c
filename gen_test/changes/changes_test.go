package changes_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/matryer/is"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/driftdb/driftdb"
	. "github.com/driftdb/driftdb/gen_test/changes"
	"github.com/driftdb/driftdb/orm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openAt(t testing.TB, path string, o driftdb.Options) *orm.DB {
	t.Helper()
	db, err := driftdb.Open(t.Context(), path, Schema, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func open(t testing.TB) *orm.DB {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "test.sqlite"), driftdb.Options{})
}

// collect returns what since yields.
func collect[M any](t testing.TB, all func(func(orm.Change[M], error) bool)) (out []orm.Change[M]) {
	t.Helper()
	for c, err := range all {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

func same[T any](t testing.TB, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(orm.Change[Item]{})); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
}

func TestChangesHaveWholeRows(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	is.NoErr(Owners.Create(ctx, db, &Owner{"o", "owner"}))
	at := time.UnixMilli(1700000000123).UTC()
	a := Item{ID: "a", OwnerID: new("o"), Name: "Ä\x00'", N: math.MaxInt64, F: math.Inf(-1), Data: []byte{0, 255}, At: &at, Meta: map[string]any{"k": "v"}, Cache: "c"}
	a.N = 21
	is.NoErr(Items.Create(ctx, db, &a))
	begin, err := db.Position(ctx)
	is.NoErr(err)
	is.NoErr(db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		return errors.Join(
			Items.Update(ctx, tx, "a", Items.N.Set(1), Items.Data.SetNull()),
			Items.Update(ctx, tx, "a", Items.N.Set(2)),
			Items.Create(ctx, tx, &Item{ID: "b", Name: "b"}))
	}))
	is.NoErr(Items.Update(ctx, db, "a", Items.ID.Set("z")))
	_, err = Owners.Delete(ctx, db, "o") // and z by cascade
	is.NoErr(err)
	_, err = orm.Exec(ctx, db, `UPDATE items SET name = 'raw' WHERE id = 'b'`)
	is.NoErr(err)

	logged := a
	logged.Cache, logged.Twice = "", 0 // the log leaves them out
	at1 := func(m Item, f func(*Item)) *Item { f(&m); return &m }
	after1 := at1(logged, func(m *Item) { m.N, m.Data = 1, nil })
	after2 := at1(*after1, func(m *Item) { m.N = 2 })
	z := at1(*after2, func(m *Item) { m.ID = "z" })
	b := &Item{ID: "b", Name: "b"}
	type step struct {
		Op       orm.Op
		Old, New *Item
	}
	want := []step{
		{orm.OpUpdate, &logged, after1}, {orm.OpUpdate, after1, after2}, {orm.OpInsert, nil, b},
		{orm.OpUpdate, after2, z}, {orm.OpDelete, z, nil}, {orm.OpUpdate, b, at1(*b, func(m *Item) { m.Name = "raw" })},
	}
	got := collect(t, Items.Changes(ctx, db, begin))
	var steps []step
	for _, c := range got {
		steps = append(steps, step{c.Op, c.Old, c.New})
	}
	same(t, steps, want)
	is.True(got[0].Tx == got[2].Tx && got[2].Tx != got[3].Tx)
	is.True(got[0].Has(Items.N) && got[0].Has(Items.Data) && !got[0].Has(Items.Name))
	is.True(got[2].Has(Items.Name) && got[4].Has(Items.Name))
	is.True(time.Since(got[0].At) < time.Minute && got[0].At.Location() == time.UTC)

	// Read from the middle, it is the rest.
	for i, c := range got {
		if rest := collect(t, Items.Changes(ctx, db, c.Seq)); len(rest) > 0 || i+1 < len(got) {
			same(t, rest, got[i+1:])
		}
	}
	all := collect(t, Items.Changes(ctx, db, orm.Position{}))
	is.Equal(len(all), len(got)+1)
	same(t, all[0].New, &logged)

	// The history of a row follows it through its names.
	h := collect(t, Items.History(ctx, db, "z"))
	is.Equal(len(h), 5)
	same(t, h[0].New, &logged)
	same(t, h[4].Old, z)
	is.Equal(len(collect(t, Items.History(ctx, db, "nobody"))), 0)
	is.Equal(len(collect(t, Items.History(ctx, db, "b"))), 2)
}

// Against a model: whatever is written in whatever way, the changes between two
// positions lead from the rows at the one to those at the other, each whole.
func TestChangesReplayToTheTable(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		db := openAt(t, driftdb.Memory, driftdb.Options{})
		ctx := context.Background()
		var seen []orm.Position
		snap := map[orm.Position]map[string]Item{}
		note := func() {
			p, err := db.Position(ctx)
			if err != nil {
				rt.Fatal(err)
			}
			rows := map[string]Item{}
			all, err := Items.All(ctx, db)
			if err != nil {
				rt.Fatal(err)
			}
			for _, m := range all {
				m.Cache, m.Twice = "", 0
				rows[m.ID] = m
			}
			seen, snap[p] = append(seen, p), rows
		}
		note()
		id := func() string { return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "id") }
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch rapid.IntRange(0, 6).Draw(rt, "step") {
			case 0, 1:
				_ = Items.Create(ctx, db, &Item{ID: id(), Name: rapid.SampledFrom([]string{"x", "y", "X", "z"}).Draw(rt, "name"), N: rapid.Int64().Draw(rt, "n") / 2})
			case 2:
				_ = Items.Update(ctx, db, id(), Items.N.Set(rapid.Int64Range(-5, 5).Draw(rt, "n")), Items.Data.Set([]byte{1}))
			case 3:
				_ = Items.Update(ctx, db, id(), Items.ID.Set(id()))
			case 4:
				_, _ = Items.Delete(ctx, db, id())
			case 5:
				_, _ = orm.Exec(ctx, db, `REPLACE INTO items (id, name, n, f) VALUES (?, ?, 7, 0.5)`, id(), rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "name"))
			case 6:
				_, _ = orm.Exec(ctx, db, `UPDATE OR REPLACE items SET name = 'x', cache = 'c' WHERE id = ?`, id())
			}
			note()
		}
		for i := range seen {
			state := maps.Clone(snap[seen[i]])
			for c, err := range Items.Changes(ctx, db, seen[i]) {
				if err != nil {
					rt.Fatal(err)
				}
				if c.Old != nil {
					if d := cmp.Diff(state[c.Old.ID], *c.Old); d != "" {
						rt.Fatalf("from %d: old row of %d %v:\n%s", seen[i].Sequence, c.Seq.Sequence, c.Op, d)
					}
					delete(state, c.Old.ID)
				}
				if c.New != nil {
					state[c.New.ID] = *c.New
				}
			}
			if d := cmp.Diff(snap[seen[len(seen)-1]], state, cmpopts.EquateEmpty()); d != "" {
				rt.Fatalf("from %d:\n%s", seen[i].Sequence, d)
			}
		}
		if err := db.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

func TestManyChanges(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), openAt(t, filepath.Join(t.TempDir(), "x.sqlite"), driftdb.Options{LogTail: 100_000})
	var all []Pair
	for i := range 5001 {
		all = append(all, Pair{A: "a", B: int64(i), V: "0"})
	}
	is.NoErr(Pairs.CreateMany(ctx, db, all))
	_, err := Pairs.Where(Pairs.B.Gte(0)).Update(ctx, db, Pairs.V.Set("1"))
	is.NoErr(err)
	got := collect(t, Pairs.Changes(ctx, db, orm.Position{}))
	is.Equal(len(got), 10002)
	is.Equal(got[0].Tx, got[5000].Tx)
	is.True(got[5000].Tx < got[5001].Tx)
	same(t, got[6000].Old, &Pair{"a", 999, "0"})
	same(t, got[6000].New, &Pair{"a", 999, "1"})
	h := collect(t, Pairs.History(ctx, db, PairKey{"a", 5000}))
	is.Equal(len(h), 2)
	n := 0
	for _, err := range Pairs.Changes(ctx, db, orm.Position{}) {
		is.NoErr(err)
		if n++; n == 10 {
			break
		}
	}
}

// recorder is a listener.
type recorder struct {
	mu  sync.Mutex
	got []string
	ch  chan struct{}
}

func newRecorder() *recorder { return &recorder{ch: make(chan struct{}, 1000)} }

func (r *recorder) add(s string) {
	r.mu.Lock()
	r.got = append(r.got, s)
	r.mu.Unlock()
	r.ch <- struct{}{}
}

func (r *recorder) wait(t testing.TB, n int) []string {
	t.Helper()
	for {
		r.mu.Lock()
		got := append([]string{}, r.got...)
		r.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-r.ch:
		case <-time.After(20 * time.Second):
			t.Fatalf("%d of %d changes came: %v", len(got), n, got)
		}
	}
}

func describe(c orm.Change[Item]) string {
	switch c.Op {
	case orm.OpInsert:
		return "+" + c.New.Name
	case orm.OpDelete:
		return "-" + c.Old.Name
	}
	return c.Old.Name + ">" + c.New.Name
}

func TestOnChange(t *testing.T) {
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "test.sqlite")
	ctx, db := t.Context(), openAt(t, path, driftdb.Options{})
	is.NoErr(Items.Create(ctx, db, &Item{ID: "0", Name: "before"}))
	r := newRecorder()
	stop := Items.OnChange(db, func(ctx context.Context, c orm.Change[Item]) error {
		r.add(describe(c))
		if c.Op == orm.OpInsert && c.New.Name == "one" { // a listener may write
			return Items.Update(ctx, db, c.New.ID, Items.Name.Set("two"))
		}
		return nil
	})
	is.NoErr(Items.Create(ctx, db, &Item{ID: "1", Name: "one"}))
	err := db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error { // rolled back: nobody hears of it
		is.NoErr(Items.Create(ctx, tx, &Item{ID: "2", Name: "never"}))
		return errors.New("no")
	})
	is.True(err != nil)
	same(t, r.wait(t, 2), []string{"+one", "one>two"})

	// database/sql on the same file, and another process.
	_, err = db.SQL().ExecContext(ctx, `UPDATE items SET name = 'three' WHERE id = '1'`)
	is.NoErr(err)
	same(t, r.wait(t, 3)[2:], []string{"two>three"})
	if shell, err := exec.LookPath("sqlite3"); err == nil && newShell(t, shell) {
		out, err := exec.CommandContext(ctx, shell, path, `UPDATE items SET name = 'four' WHERE id = '1'`).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
	} else {
		other := openAt(t, path, driftdb.Options{})
		is.NoErr(Items.Update(ctx, other, "1", Items.Name.Set("four")))
	}
	same(t, r.wait(t, 4)[3:], []string{"three>four"})

	stop()
	is.NoErr(Items.Create(ctx, db, &Item{ID: "3", Name: "after"}))
	stop() // again
	is.NoErr(db.WaitChange(ctx, orm.Position{}))
	r.mu.Lock()
	is.Equal(len(r.got), 4)
	r.mu.Unlock()
}

// newShell says whether the shell's SQLite is new enough for our triggers.
func newShell(t testing.TB, shell string) bool {
	out, err := exec.CommandContext(t.Context(), shell, ":memory:", "SELECT unixepoch('subsec') IS NOT NULL").Output()
	return err == nil && strings.TrimSpace(string(out)) == "1"
}

// A listener that fails gets the same change again, and the rest in order.
func TestListenerFails(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	r := newRecorder()
	failures := 2
	defer Items.OnChange(db, func(_ context.Context, c orm.Change[Item]) error {
		r.add(describe(c))
		if c.New.Name == "b" && failures > 0 {
			failures--
			return errors.New("not now")
		}
		return nil
	})()
	for _, n := range []string{"a", "b", "c"} {
		is.NoErr(Items.Create(ctx, db, &Item{ID: n, Name: n}))
	}
	same(t, r.wait(t, 5), []string{"+a", "+b", "+b", "+b", "+c"})
}

// Close waits for the listener that is running, and calls none afterwards.
func TestCloseWaitsForListeners(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	begun, end := make(chan struct{}), false
	Items.OnChange(db, func(ctx context.Context, _ orm.Change[Item]) error {
		close(begun)
		<-ctx.Done()
		end = true
		return ctx.Err()
	})
	is.NoErr(Items.Create(ctx, db, &Item{ID: "a", Name: "a"}))
	<-begun
	is.NoErr(db.Close())
	is.True(end)
	stop := Items.OnChange(db, func(context.Context, orm.Change[Item]) error { return nil })
	stop()
	for _, err := range Items.Changes(ctx, db, orm.Position{}) {
		is.True(errors.Is(err, orm.ErrClosed))
	}
	for _, err := range Items.Where().Watch(ctx, db) {
		is.True(errors.Is(err, orm.ErrClosed))
	}
	is.True(errors.Is(db.WaitChange(ctx, orm.Position{}), orm.ErrClosed))
}

func TestCursorLost(t *testing.T) {
	is := is.New(t)
	dir := t.TempDir()
	ctx, db := t.Context(), openAt(t, filepath.Join(dir, "a.sqlite"), driftdb.Options{LogTail: 50})
	begin, err := db.Position(ctx)
	is.NoErr(err)
	var last orm.Position
	for i := range 3000 {
		is.NoErr(Pairs.Create(ctx, db, &Pair{A: "x", B: int64(i)}))
		if i == 2998 {
			last, err = db.Position(ctx)
			is.NoErr(err)
		}
	}
	rows := func() int64 {
		n, err := orm.RawOne[int64](ctx, db, `SELECT count(*) FROM _driftdb_log`)
		is.NoErr(err)
		return n
	}
	for deadline := time.Now().Add(10 * time.Second); rows() > 1100; { // bounded without a replica
		if time.Now().After(deadline) {
			t.Fatalf("the log has %d entries", rows())
		}
	}
	lost := func(p orm.Position) bool {
		for _, err := range Pairs.Changes(ctx, db, p) {
			return errors.Is(err, orm.ErrCursorLost)
		}
		return false
	}
	is.True(lost(begin))                                                                        // pruned
	is.True(lost(orm.Position{Generation: strings.Repeat("0", 32), Sequence: last.Sequence}))   // another history
	is.True(lost(orm.Position{Generation: last.Generation, Sequence: last.Sequence + 1000000})) // the file was put back
	is.Equal(len(collect(t, Pairs.Changes(ctx, db, last))), 1)
	is.True(len(collect(t, Pairs.Changes(ctx, db, orm.Position{}))) > 0) // the oldest there is
}

func TestWatch(t *testing.T) {
	is := is.New(t)
	db := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	is.NoErr(Items.Create(ctx, db, &Item{ID: "1", Name: "one", N: 1}))
	var got [][]string
	var last error
	for rows, err := range Items.Where(Items.N.Gt(0)).OrderBy(Items.ID.Asc()).Watch(ctx, db) {
		if err != nil {
			last = err
			continue
		}
		var names []string
		for _, m := range rows {
			names = append(names, m.Name)
		}
		got = append(got, names)
		switch len(got) {
		case 1:
			is.NoErr(Pairs.Create(ctx, db, &Pair{A: "other table"})) // does not run it again
			is.NoErr(Items.CreateMany(ctx, db, []Item{{ID: "2", Name: "two", N: 1}, {ID: "3", Name: "three"}}))
		case 2:
			_, err := Items.Where(Items.N.Gt(0)).Delete(ctx, db)
			is.NoErr(err)
		case 3:
			cancel()
		}
	}
	same(t, got, [][]string{{"one"}, {"one", "two"}, nil})
	is.True(errors.Is(last, context.Canceled))
	for _, err := range Items.Where().Watch(t.Context(), db) {
		is.NoErr(err)
		break
	}
}

// A reader that follows: changes, then the next ones.
func TestFollow(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	at, err := db.Position(ctx)
	is.NoErr(err)
	go func() {
		for i := range 50 {
			_ = Pairs.Create(ctx, db, &Pair{A: "a", B: int64(i)})
		}
	}()
	for n := 0; n < 50; {
		is.NoErr(db.WaitChange(ctx, at))
		for c, err := range Pairs.Changes(ctx, db, at) {
			is.NoErr(err)
			is.Equal(c.New.B, int64(n))
			n, at = n+1, c.Seq
		}
	}
}

// Inside a transaction the DB is refused, never waited for.
func TestInsideATransaction(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	is.NoErr(db.Tx(ctx, func(ctx context.Context, _ *orm.Tx) error {
		for _, err := range Items.Changes(ctx, db, orm.Position{}) {
			is.True(errors.Is(err, orm.ErrInTx))
		}
		for _, err := range Items.History(ctx, db, "a") {
			is.True(errors.Is(err, orm.ErrInTx))
		}
		for _, err := range Items.Where().Watch(ctx, db) {
			is.True(errors.Is(err, orm.ErrInTx))
		}
		is.True(errors.Is(db.WaitChange(ctx, orm.Position{}), orm.ErrInTx))
		stop := Items.OnChange(db, func(context.Context, orm.Change[Item]) error { return nil })
		stop()
		return nil
	}))
	var none *orm.DB
	for _, err := range Items.Changes(ctx, none, orm.Position{}) {
		is.True(err != nil)
	}
	Items.OnChange(none, nil)()
	_ = sql.ErrNoRows
	_ = fmt.Sprint()
}
