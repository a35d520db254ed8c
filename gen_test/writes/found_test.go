package writes_test

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/drifttest"
	. "github.com/driftdb/driftdb/gen_test/writes"
	"github.com/driftdb/driftdb/orm"
)

// TestExecReadsToTheEnd: a statement that returns rows goes on running until all
// of them are read, and nothing could be committed any more.
func TestExecReadsToTheEnd(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	p := page(t, db)
	for range 3 {
		n, err := orm.Exec(ctx, db, "UPDATE pages SET views = views + 1 WHERE id = ? RETURNING id", p.ID)
		is.NoErr(err)
		is.Equal(n, int64(1))
	}
	n, err := orm.Exec(ctx, db, "UPDATE pages SET views = views + 10")
	is.NoErr(err)
	is.Equal(n, int64(1))
	_, err = orm.Exec(ctx, db, "CREATE TABLE once (a INTEGER) STRICT")
	is.NoErr(err)
	n, err = orm.Exec(ctx, db, "UPDATE pages SET views = 0 WHERE id = 'none' RETURNING id")
	is.NoErr(err)
	is.Equal(n, int64(0))
	n, err = orm.Exec(ctx, db, "SELECT id FROM pages")
	is.NoErr(err)
	is.Equal(n, int64(0))
	is.NoErr(Pages.Create(ctx, db, &Page{Slug: "b"}))
	is.NoErr(db.Vacuum(ctx))
	got, err := Pages.Find(ctx, db, p.ID)
	is.NoErr(err)
	is.Equal(got.Views, int64(13))
}

// TestAndOfOneOr: a list of one condition holds together like any other.
func TestAndOfOneOr(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	for _, slug := range []string{"a", "b", "c"} {
		is.NoErr(Pages.Create(ctx, db, &Page{Slug: slug, Title: slug}))
	}
	_, err := Pages.Where(Pages.Slug.Eq("c")).Delete(ctx, db)
	is.NoErr(err)
	or := orm.Or(Pages.Title.Eq("a"), Pages.Title.Eq("c"))
	for _, c := range []orm.Cond[Page]{orm.And(or), orm.Or(or), orm.And(orm.And(orm.Or(or)))} {
		all, err := Pages.All(ctx, db, c) // the deleted one is not among them
		is.NoErr(err)
		is.Equal(len(all), 1)
		n, err := Pages.Where(Pages.Slug.Eq("none"), c).Count(ctx, db)
		is.NoErr(err)
		is.Equal(n, int64(0))
		seen := 0
		for batch, err := range Pages.Where(c).Batches(ctx, db, 1) {
			is.NoErr(err)
			if seen += len(batch); seen > 3 {
				t.Fatal("it never ends")
			}
		}
		is.Equal(seen, 1)
	}
}

// TestEditOfWhatIsStoredOtherwise: JSON that encoding/json would write with other
// bytes is the same row all the same.
func TestEditOfWhatIsStoredOtherwise(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	p := page(t, db)
	_, err := orm.Exec(ctx, db, `UPDATE pages SET meta = '{ "z": 1, "a": 1.0 }', tags = '[ "x" ]' WHERE id = ?`, p.ID)
	is.NoErr(err)
	got, err := Pages.Edit(ctx, db, p.ID, func(p *Page) error { p.Title = "edited"; return nil })
	is.NoErr(err)
	is.Equal(got.Title, "edited")
	meta, err := orm.RawOne[string](ctx, db, "SELECT meta FROM pages")
	is.NoErr(err)
	is.Equal(meta, `{ "z": 1, "a": 1.0 }`) // what was not edited stays
	same, err := Pages.Edit(ctx, db, p.ID, func(p *Page) error { p.UpdatedAt = p.UpdatedAt.AddDate(1, 0, 0); return nil })
	is.NoErr(err)
	is.Equal(same.UpdatedAt, got.UpdatedAt) // nothing was written: the row is what stands there
}

// TestUpdateOnlyRefuses: what nothing but Create may write.
func TestUpdateOnlyRefuses(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	p := page(t, db)
	q := Page{Slug: p.Slug, Title: "q"}
	for _, c := range []orm.Column[Page]{Pages.ID, Pages.CreatedAt, Pages.Version} {
		is.True(Pages.BySlug.Upsert(ctx, db, &q, orm.UpdateOnly(c)) != nil)
	}
	is.NoErr(Pages.BySlug.Upsert(ctx, db, &q, orm.UpdateOnly(Pages.Title)))
	is.Equal(q.ID, p.ID)
}

// TestJSONNotEqual is the opposite of equal, wherever there is something.
func TestJSONNotEqual(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	p := page(t, db)
	_, err := orm.Exec(ctx, db, `UPDATE pages SET meta = '{"n": 1.0, "s": "1", "b": true, "z": null, "l": [1.0, "x"]}' WHERE id = ?`, p.ID)
	is.NoErr(err)
	for _, c := range []struct {
		path string
		v    any
		eq   bool
	}{
		{"$.n", 1, true}, {"$.n", 2, false}, {"$.n", "1", false}, {"$.s", "1", true}, {"$.s", 1, false}, {"$.b", true, true},
		{"$.b", false, false}, {"$.b", 1, false}, {"$.z", nil, true}, {"$.z", 1, false}, {"$.l", []any{1.0, "x"}, false},
	} {
		at := Pages.Meta.Path(c.path)
		eq, err := Pages.Count(ctx, db, at.Eq(c.v))
		is.NoErr(err)
		ne, err := Pages.Count(ctx, db, at.Ne(c.v))
		is.NoErr(err)
		if c.path != "$.l" && eq == 1 != c.eq || eq+ne != 1 {
			t.Errorf("%s %v: equal %d, not equal %d", c.path, c.v, eq, ne)
		}
	}
	n, err := Pages.Count(ctx, db, Pages.Meta.Path("$.none").Ne(1))
	is.NoErr(err)
	is.Equal(n, int64(0))
	n, err = Pages.Count(ctx, db, Pages.Meta.Path("$.l").Has(1), Pages.Meta.Path("$.l").Has("x"))
	is.NoErr(err)
	is.Equal(n, int64(1))
}

// TestCommentInSQL: the condition around ends where it should.
func TestCommentInSQL(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	p := page(t, db)
	n, err := Pages.Where(orm.SQL[Page]("slug = ? -- this one", p.Slug), Pages.Title.Eq(p.Title)).Update(ctx, db, Pages.Views.SetSQL("views + ? -- more", 2))
	is.NoErr(err)
	is.Equal(n, int64(1))
}

// TestTimesOfTwoUnits are no integers to be compared.
func TestTimesOfTwoUnits(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	for _, c := range []orm.Cond[Page]{
		Pages.CreatedAt.EqCol(Pages.UpdatedAt),
		Pages.CreatedAt.InQuery(orm.Sub1(Pages.Where(), Pages.UpdatedAt)),
		Pages.CreatedAt.NotInQuery(orm.Sub1(Pages.Where(), Pages.UpdatedAt)),
	} {
		_, err := Pages.All(ctx, db, c)
		is.True(err != nil)
	}
	_, err := Pages.All(ctx, db, Pages.CreatedAt.EqCol(Pages.DeletedAt))
	is.NoErr(err)
}

// TestWriteAfterClose: a writer that waited for its turn while the DB was closed
// does not get the closed connection.
func TestWriteAfterClose(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	begun, finish, closed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		closed <- db.Tx(ctx, func(context.Context, *orm.Tx) error {
			close(begun)
			<-finish
			return nil
		})
	}()
	<-begun
	var waiting []chan error
	for i := range 4 {
		done := make(chan error, 1)
		waiting = append(waiting, done)
		go func() { done <- Pages.Create(ctx, db, &Page{Slug: strconv.Itoa(i)}) }()
	}
	shut := make(chan error, 1)
	go func() { shut <- db.Close() }()
	close(finish)
	is.NoErr(<-closed)
	is.NoErr(<-shut)
	for _, done := range waiting {
		err := <-done
		if err != nil && !errors.Is(err, orm.ErrClosed) {
			t.Error(err)
		}
	}
}

// TestUpsertThatWritesNothing runs no hook after it, and leaves the row that was
// given as it was.
func TestUpsertThatWritesNothing(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	is.NoErr(Hookeds.Create(ctx, db, &Hooked{ID: "1", Name: "late?"}))
	committed := 0
	before := Committed
	Committed = func(string) { committed++ }
	defer func() { Committed = before }()
	for _, opt := range []orm.UpsertOption[Hooked]{orm.DoNothing[Hooked](), orm.UpdateIf(Hookeds.Trace.Eq("none"))} {
		h := Hooked{ID: "2", Name: "late?"}
		is.NoErr(Hookeds.ByName.Upsert(ctx, db, &h, opt))
		is.Equal(h, Hooked{ID: "2", Name: "late?"})
	}
	is.Equal(committed, 0)
}
