package changes_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/matryer/is"
	"pgregory.net/rapid"

	"github.com/driftdb/driftdb"
	. "github.com/driftdb/driftdb/gen_test/changes"
	"github.com/driftdb/driftdb/orm"
)

// foreign is a program that sets nothing on its connections: a row that REPLACE
// puts out of the way has no entry in the log.
func foreign(t testing.TB, path string) func(string, ...any) error {
	t.Helper()
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return func(q string, args ...any) error {
		_, err := db.ExecContext(context.Background(), q, args...)
		return err
	}
}

// Changes of another table do not keep a follower busy.
func TestFollowSleeps(t *testing.T) {
	is := is.New(t)
	db := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	is.NoErr(Items.Create(ctx, db, &Item{ID: "1", Name: "one"}))
	is.NoErr(Pairs.Create(ctx, db, &Pair{A: "newest"}))
	got := make(chan string)
	done := make(chan error, 1)
	go func() {
		for c, err := range Items.Follow(ctx, db, orm.Position{}) {
			if err != nil {
				done <- err
				return
			}
			got <- c.New.Name
		}
	}()
	is.Equal(<-got, "one")
	is.NoErr(Items.Create(ctx, db, &Item{ID: "2", Name: "two"}))
	is.Equal(<-got, "two")
	is.NoErr(Pairs.Create(ctx, db, &Pair{A: "newest", B: 2}))

	mallocs := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.Mallocs
	}
	<-time.After(300 * time.Millisecond)
	before := mallocs()
	<-time.After(time.Second) // one that does not sleep reads some 10,000 times
	is.True(mallocs()-before < 20_000)
	cancel()
	is.True(errors.Is(<-done, context.Canceled))
}

// After stop no further change comes, not even one of those that were read
// together.
func TestStopInTheMiddle(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	n := 0
	stopped := make(chan struct{})
	var stop func()
	ready := make(chan struct{})
	stop = Pairs.OnChange(db, func(context.Context, orm.Change[Pair]) error {
		<-ready
		if n++; n == 3 {
			stop()
			close(stopped)
		}
		return nil
	})
	is.NoErr(Pairs.CreateMany(ctx, db, []Pair{{A: "1"}, {A: "2"}, {A: "3"}, {A: "4"}, {A: "5"}}))
	close(ready)
	<-stopped
	is.NoErr(db.Close()) // waits for the listener
	is.Equal(n, 3)
}

// The number of a transaction is the same wherever reading begins and whenever.
func TestTxIsStable(t *testing.T) {
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "test.sqlite")
	ctx, db := t.Context(), openAt(t, path, driftdb.Options{LogTail: 1 << 40})
	exec := foreign(t, path)
	for i := range 3 { // transactions that no mark ends
		is.NoErr(exec(fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) INSERT INTO pairs SELECT 'f%d', i, '' FROM n`, i)))
		var many []Pair
		for j := range 2500 {
			many = append(many, Pair{A: fmt.Sprint("own", i), B: int64(j)})
		}
		is.NoErr(Pairs.CreateMany(ctx, db, many))
	}
	is.NoErr(exec(`INSERT INTO pairs VALUES ('last', 1, '')`))
	first := collect(t, Pairs.Changes(ctx, db, orm.Position{}))
	is.NoErr(Pairs.Create(ctx, db, &Pair{A: "more"}))
	for _, from := range []int{0, 1, 1999, 2000, 2001, 7000, len(first) - 1} {
		var at orm.Position
		if from > 0 {
			at = first[from-1].Seq
		}
		for i, c := range collect(t, Pairs.Changes(ctx, db, at)) {
			if from+i < len(first) && c.Tx != first[from+i].Tx {
				t.Fatalf("from %d: change %d has transaction %d, and had %d", from, i, c.Tx, first[from+i].Tx)
			}
		}
	}
	own := map[int64]string{}
	for _, c := range first {
		if c.New.A[0] == 'o' {
			if other, ok := own[c.Tx]; ok {
				is.Equal(other, c.New.A)
			}
			own[c.Tx] = c.New.A
		}
	}
	is.Equal(len(own), 3)
}

// Whatever another program replaces without a word, rows are whole or their
// change is not there: never zero where a value was.
func TestForeignReplace(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		path := filepath.Join(t.TempDir(), fmt.Sprint(time.Now().UnixNano(), ".sqlite"))
		ctx, db := context.Background(), openAt(t, path, driftdb.Options{})
		exec := foreign(t, path)
		id := func() string { return rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "id") }
		name := func() string { return rapid.SampledFrom([]string{"x", "y", "z"}).Draw(rt, "name") }
		n := int64(0)
		type state struct {
			at   orm.Position
			rows map[string]Item
		}
		var states []state
		note := func() {
			at, err := db.Position(ctx)
			if err != nil {
				rt.Fatal(err)
			}
			all, err := Items.All(ctx, db)
			if err != nil {
				rt.Fatal(err)
			}
			s := state{at, map[string]Item{}}
			for _, m := range all {
				m.Twice = 0
				s.rows[m.ID] = m
			}
			states = append(states, s)
		}
		note()
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			n++
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0:
				_ = Items.Create(ctx, db, &Item{ID: id(), Name: name(), N: n, F: 0.5})
			case 1:
				_ = exec(`REPLACE INTO items (id, name, n, f, data) VALUES (?, ?, ?, 0.25, x'01')`, id(), name(), n)
			case 2:
				_ = exec(`UPDATE OR REPLACE items SET name = ? WHERE id = ?`, name(), id())
			case 3:
				_ = exec(`UPDATE OR REPLACE items SET id = ? WHERE id = ?`, id(), id())
			case 4:
				_ = Items.Update(ctx, db, id(), Items.N.Set(n))
			case 5:
				_, _ = Items.Delete(ctx, db, id())
			}
			note()
		}
		for i, from := range states {
			next := i + 1
			for c, err := range Items.Changes(ctx, db, from.at) {
				if err != nil {
					rt.Fatal(err)
				}
				for next < len(states) && states[next].at.Sequence < c.Seq.Sequence {
					next++
				}
				if c.Old != nil {
					if d := cmp.Diff(states[next-1].rows[c.Old.ID], *c.Old, cmpopts.EquateEmpty()); d != "" && states[next-1].at.Sequence < c.Seq.Sequence && c.Op == orm.OpUpdate {
						rt.Fatalf("from %d: old row of %d %v:\n%s", from.at.Sequence, c.Seq.Sequence, c.Op, d)
					}
				}
				if c.New != nil && (c.New.Name == "" || c.New.N == 0 || c.New.F == 0) {
					rt.Fatalf("from %d: new row of %d %v has holes: %+v", from.at.Sequence, c.Seq.Sequence, c.Op, *c.New)
				}
				if c.Old != nil && (c.Old.Name == "" || c.Old.N == 0 || c.Old.F == 0) {
					rt.Fatalf("from %d: old row of %d %v has holes: %+v", from.at.Sequence, c.Seq.Sequence, c.Op, *c.Old)
				}
			}
		}
		if err := db.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

// Rows that had a key one after the other: the history of the key is that of
// those that were deleted under it, not of those that went on under another.
func TestHistoryOfAKeyThatWasUsedTwice(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	is.NoErr(Items.Create(ctx, db, &Item{ID: "a", Name: "first"}))
	_, err := Items.Delete(ctx, db, "a")
	is.NoErr(err)
	is.NoErr(Items.Create(ctx, db, &Item{ID: "a", Name: "second"}))
	is.NoErr(Items.Update(ctx, db, "a", Items.N.Set(1)))
	is.NoErr(Items.Update(ctx, db, "a", Items.ID.Set("b")))
	is.NoErr(Items.Create(ctx, db, &Item{ID: "a", Name: "third"}))
	is.NoErr(Items.Update(ctx, db, "a", Items.N.Set(3)))
	_, err = Items.Delete(ctx, db, "a")
	is.NoErr(err)
	is.NoErr(Items.Create(ctx, db, &Item{ID: "a", Name: "fourth"}))
	var got []string
	for _, c := range collect(t, Items.History(ctx, db, "a")) {
		got = append(got, describe(c))
	}
	same(t, got, []string{"+first", "-first", "+third", "third>third", "-third", "+fourth"})
	got = nil
	for _, c := range collect(t, Items.History(ctx, db, "b")) {
		got = append(got, describe(c))
	}
	same(t, got, []string{"+first", "-first", "+second", "second>second", "second>second"})
}

// A program that runs for a moment and writes little prunes, too.
func TestShortProgramsPrune(t *testing.T) {
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "test.sqlite")
	for i := range 60 {
		db, err := driftdb.Open(t.Context(), path, Schema, driftdb.Options{LogTail: 100})
		is.NoErr(err)
		var many []Pair
		for j := range 100 {
			many = append(many, Pair{A: fmt.Sprint(i), B: int64(j)})
		}
		is.NoErr(Pairs.CreateMany(t.Context(), db, many))
		is.NoErr(db.Close())
	}
	db := openAt(t, path, driftdb.Options{LogTail: 100})
	n, err := orm.RawOne[int64](t.Context(), db, `SELECT count(*) FROM _driftdb_log`)
	is.NoErr(err)
	is.True(n < 100+1000+200)
}

// A listener that takes long does not keep others from waiting for changes.
func TestSlowListener(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	hang, begun := make(chan struct{}), make(chan struct{}, 10)
	stop := Pairs.OnChange(db, func(context.Context, orm.Change[Pair]) error {
		begun <- struct{}{}
		<-hang
		return nil
	})
	defer stop()
	defer close(hang)
	is.NoErr(Pairs.Create(ctx, db, &Pair{A: "1"}))
	<-begun
	at, err := db.Position(ctx)
	is.NoErr(err)
	woken := make(chan error, 1)
	go func() { woken <- db.WaitChange(ctx, at) }()
	<-time.After(50 * time.Millisecond) // it waits by now; if not, the test is only weaker
	is.NoErr(Pairs.Create(ctx, db, &Pair{A: "2"}))
	select {
	case err := <-woken:
		is.NoErr(err)
	case <-time.After(10 * time.Second):
		t.Fatal("a slow listener kept WaitChange from returning")
	}
}

// Shutdown keeps its deadline while the log is pruned.
func TestShutdownWhilePruning(t *testing.T) {
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "test.sqlite")
	db, err := driftdb.Open(t.Context(), path, Schema, driftdb.Options{LogTail: 1})
	is.NoErr(err)
	var many []Pair
	for j := range 5000 {
		many = append(many, Pair{A: "a", B: int64(j)})
	}
	exec := foreign(t, path)
	is.NoErr(Pairs.CreateMany(t.Context(), db, many))
	for exec(`BEGIN IMMEDIATE`) != nil { // the pruner waits for the file's lock now, if it has not ended
		<-time.After(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	err = db.Shutdown(ctx)
	is.True(time.Since(began) < 5*time.Second)
	is.NoErr(exec(`ROLLBACK`))
	if err != nil {
		is.True(errors.Is(err, context.DeadlineExceeded))
		is.NoErr(db.Close())
	}
}

// A row that the model cannot hold, which only SQL of one's own can write, keeps
// nobody from the changes before and behind it.
func TestChangesThatCannotBeRead(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	begin, err := db.Position(ctx)
	is.NoErr(err)
	r := newRecorder()
	defer Items.OnChange(db, func(_ context.Context, c orm.Change[Item]) error {
		r.add(describe(c))
		return nil
	})()
	for _, id := range []string{"a", "b", "c"} {
		_, err := orm.Exec(ctx, db, `INSERT INTO items (id, name, n, f, meta) VALUES (?1, ?1, 1, 0, iif(?1 = 'b', '[1]', '{}'))`, id)
		is.NoErr(err)
	}
	_, err = orm.Exec(ctx, db, `UPDATE items SET meta = '{}' WHERE id = 'b'`)
	is.NoErr(err)
	is.NoErr(Items.Update(ctx, db, "b", Items.Name.Set("d")))
	same(t, r.wait(t, 3), []string{"+a", "+c", "b>d"})

	var got []string
	for c, err := range Items.Changes(ctx, db, begin) {
		is.True(c.Seq.Sequence > begin.Sequence)
		if err != nil {
			is.True(c.Old == nil && c.New == nil)
			got = append(got, c.Op.String())
			continue
		}
		got = append(got, describe(c))
	}
	same(t, got, []string{"+a", "insert", "+c", "update", "b>d"})
	got = nil
	for c, err := range Items.History(ctx, db, "b") {
		got = append(got, fmt.Sprint(c.Op, err != nil))
	}
	same(t, got, []string{"insert true", "update true", "update false"})
}

// VACUUM and migrations move tables within the file: a query that is watched is
// still run again when its own tables change.
func TestWatchAfterVacuum(t *testing.T) {
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "test.sqlite")
	exec := foreign(t, path)
	for i := range 3 {
		is.NoErr(exec(fmt.Sprintf(`CREATE TABLE junk%d (x)`, i)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	db := openAt(t, path, driftdb.Options{})
	n := 0
	for owners, err := range Owners.Where().Watch(ctx, db) {
		is.NoErr(err)
		is.Equal(len(owners), n)
		n++
		if n == 1 {
			for _, stmt := range []string{`DROP TABLE junk0`, `DROP TABLE junk1`, `DROP TABLE junk2`, `VACUUM`} {
				is.NoErr(exec(stmt))
			}
		}
		if n == 4 {
			break
		}
		is.NoErr(Owners.Create(ctx, db, &Owner{ID: fmt.Sprint(n), Name: "o"}))
	}
}
