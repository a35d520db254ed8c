package pages_test

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/driftdb/driftdb"
	. "github.com/driftdb/driftdb/gen_test/pages"
	"github.com/driftdb/driftdb/orm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) *orm.DB {
	t.Helper()
	is := is.New(t)
	db, err := driftdb.Open(t.Context(), filepath.Join(t.TempDir(), "test.sqlite"), Schema, driftdb.Options{})
	is.NoErr(err)
	t.Cleanup(func() { is.NoErr(db.Close()) })
	return db
}

func fill(t *testing.T, db *orm.DB) {
	t.Helper()
	names := []string{"a", "A", "b", "", "Ä", "a\x00b", "z", "'; DROP TABLE items; --"}
	scores := []float64{0, -1, 1, math.Inf(1), math.Inf(-1), 0.1, 1e300, math.SmallestNonzeroFloat64}
	var all []Item
	for i := range int64(64) {
		it := Item{Shelf: fmt.Sprint("s", i%4), Place: i, Name: names[i%8], Score: scores[(i*3)%8]}
		if i%3 != 0 {
			it.Rank = new(i % 5)
			it.Data = []byte{byte(i % 2), 0xff}
		}
		all = append(all, it)
	}
	is := is.New(t)
	is.NoErr(Items.CreateMany(t.Context(), db, all))
}

// However rows are ordered and however large the pages are, all pages together
// are the whole query in its order, each row once.
func TestPagesAreTheWholeQuery(t *testing.T) {
	db := open(t)
	fill(t, db)
	ctx, c := t.Context(), Items
	terms := []orm.Order[Item]{
		c.Shelf.Asc(), c.Shelf.Desc(), c.Place.Asc(), c.Place.Desc(), c.Name.Asc(), c.Name.Desc(),
		c.Rank.Asc(), c.Rank.Desc(), c.Score.Asc(), c.Score.Desc(), c.Data.Asc(), c.Data.Desc(),
	}
	rapid.Check(t, func(t *rapid.T) {
		q := c.Where()
		if rapid.Bool().Draw(t, "filtered") {
			q = q.Where(orm.Or(c.Rank.Gt(1), c.Rank.IsNull()))
		}
		var order []orm.Order[Item]
		for range rapid.IntRange(0, 4).Draw(t, "terms") {
			order = append(order, rapid.SampledFrom(terms).Draw(t, "term"))
		}
		q = q.OrderBy(order...)
		n := rapid.IntRange(1, 70).Draw(t, "page size")
		want, err := q.OrderBy(c.Shelf.Asc(), c.Place.Asc()).All(ctx, db)
		if err != nil {
			t.Fatal(err)
		}
		got := []Item{}
		for batch, err := range q.Batches(ctx, db, n) {
			if err != nil {
				t.Fatal(err)
			}
			if len(batch) > n || len(batch) == 0 {
				t.Fatalf("a batch of %d", len(batch))
			}
			got = append(got, batch...)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("want -, got +:\n%s", d)
		}
	})
}

// Rows that come and go between two pages shift nothing.
func TestPagesWhileRowsComeAndGo(t *testing.T) {
	is := is.New(t)
	db := open(t)
	fill(t, db)
	ctx, c := t.Context(), Items
	seen := map[string]int{}
	var next orm.Cursor
	for i := 0; ; i++ {
		p, err := c.Where(c.Shelf.Like("s%")).OrderBy(c.Score.Desc()).Page(ctx, db, next, 5)
		is.NoErr(err)
		for _, it := range p.Items {
			seen[fmt.Sprint(it.Shelf, it.Place)]++
			_, err := c.Delete(ctx, db, ItemKey{Shelf: it.Shelf, Place: it.Place}) // the row that the cursor stands at too
			is.NoErr(err)
		}
		is.NoErr(c.Create(ctx, db, &Item{Shelf: "new", Place: int64(i), Score: math.Inf(1)})) // before the cursor
		if next = p.Next; next == "" {
			break
		}
	}
	is.Equal(len(seen), 64)
	for k, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", k, n)
		}
	}
}

func TestCursorsFitTheirOrder(t *testing.T) {
	is := is.New(t)
	db := open(t)
	fill(t, db)
	ctx, c := t.Context(), Items
	q := c.Where().OrderBy(c.Name.Asc())
	p, err := q.Page(ctx, db, "", 10)
	is.NoErr(err)
	is.True(p.Next != "" && !strings.ContainsAny(string(p.Next), "+/= \""))
	for name, other := range map[string]orm.Query[Item]{
		"other direction": c.Where().OrderBy(c.Name.Desc()),
		"other column":    c.Where().OrderBy(c.Shelf.Asc()),
		"more columns":    c.Where().OrderBy(c.Name.Asc(), c.Rank.Asc()),
		"no order":        c.Where(),
	} {
		_, err := other.Page(ctx, db, p.Next, 10)
		if !errors.Is(err, orm.ErrBadCursor) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range p.Next { // every character counts
		for _, ch := range []byte("A_9") {
			b := []byte(p.Next)
			if b[i] == ch {
				continue
			}
			b[i] = ch
			_, err := q.Page(ctx, db, orm.Cursor(b), 10)
			is.True(errors.Is(err, orm.ErrBadCursor))
		}
		_, err := q.Page(ctx, db, p.Next[:i]+"", 10)
		is.True(i == 0 || errors.Is(err, orm.ErrBadCursor))
	}
	// Other conditions are allowed: they narrow what follows.
	_, err = q.Where(c.Rank.NotNull()).Page(ctx, db, p.Next, 10)
	is.NoErr(err)

	_, err = q.Page(ctx, db, "", 0)
	is.True(err != nil)
	_, err = q.Limit(3).Page(ctx, db, "", 10)
	is.True(err != nil)
	_, err = c.Where().OrderBy(c.Rows().Asc()).Page(ctx, db, "", 10)
	is.True(err != nil)
	for _, err := range q.Batches(ctx, db, -1) {
		is.True(err != nil)
	}
	only, err := q.Only(c.Score).Page(ctx, db, p.Next, 3)
	is.NoErr(err)
	is.Equal(len(only.Items), 3)
	is.Equal(only.Items[0].Rank, nil)
}

// A batch's loop may write, stop early, and be cancelled.
func TestBatchesAreIndependent(t *testing.T) {
	is := is.New(t)
	db := open(t)
	fill(t, db)
	n := 0
	for batch, err := range Items.Where().Batches(t.Context(), db, 10) {
		is.NoErr(err)
		for i := range batch {
			is.NoErr(Items.Update(t.Context(), db, ItemKey{batch[i].Shelf, batch[i].Place}, Items.Rank.Set(9)))
		}
		if n++; n == 3 {
			break
		}
	}
	changed, err := Items.Count(t.Context(), db, Items.Rank.Eq(9))
	is.NoErr(err)
	is.Equal(changed, int64(30))
}

// FuzzCursor: whatever comes as a cursor is a cursor of this order or
// ErrBadCursor, and never changes the statement.
func FuzzCursor(f *testing.F) {
	db, err := driftdb.Open(f.Context(), driftdb.Memory, Schema, driftdb.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = db.Close() })
	ctx, c := f.Context(), Items
	if err := c.CreateMany(ctx, db, []Item{{Shelf: "a", Place: 1}, {Shelf: "b", Place: 2}, {Shelf: "c", Place: 3, Name: "'"}}); err != nil {
		f.Fatal(err)
	}
	q := c.Where().OrderBy(c.Name.Desc(), c.Rank.Asc())
	p, err := q.Page(ctx, db, "", 1)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(p.Next))
	f.Add("")
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := q.Page(t.Context(), db, orm.Cursor(s), 10)
		if err != nil && !errors.Is(err, orm.ErrBadCursor) {
			t.Fatal(err)
		}
		if len(p.Items) > 3 {
			t.Fatalf("%d rows of 3", len(p.Items))
		}
	})
}
