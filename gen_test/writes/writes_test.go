package writes_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/drifttest"
	. "github.com/driftdb/driftdb/gen_test/writes"
	"github.com/driftdb/driftdb/orm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func same[T any](t *testing.T, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
}

func page(t *testing.T, w orm.Writer) Page {
	t.Helper()
	p := Page{Slug: "a", Title: "Title", Tags: []string{"a"}}
	if err := Pages.Create(t.Context(), w, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSave(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	p := page(t, db)
	is.Equal(p.Version, int64(1))
	is.True(p.Public)
	p.Title, p.Score, p.Public, p.Tags[0] = "", new(0.5), false, "b"
	created := p.CreatedAt
	p.CreatedAt = time.Unix(0, 0)
	p.Comments = []Comment{{Text: "stays as it is"}}
	is.NoErr(Pages.Save(ctx, db, &p))
	is.Equal(p.Version, int64(2))
	is.Equal(p.CreatedAt, created) // only Create writes it
	is.Equal(len(p.Comments), 1)
	got, err := Pages.Find(ctx, db, p.ID)
	is.NoErr(err)
	want := p
	want.Comments = nil
	same(t, *got, want)
	is.True(!got.Public && got.Title == "" && *got.Score == 0.5)

	stale := *got
	stale.Version = 1
	is.True(errors.Is(Pages.Save(ctx, db, &stale), orm.ErrStale))
	is.Equal(stale.Version, int64(1))
	missing := Page{ID: "nobody", Version: 1}
	is.True(errors.Is(Pages.Save(ctx, db, &missing), orm.ErrNotFound))
	is.NoErr(Pages.Update(ctx, db, p.ID, Pages.Views.Add(3)))
	is.True(errors.Is(Pages.DeleteRow(ctx, db, &p), orm.ErrStale)) // the update counted
	is.NoErr(Pages.Reload(ctx, db, &p))
	is.Equal(p.Views, int64(3))
	is.Equal(p.Version, int64(3))
	is.Equal(len(p.Comments), 1)
	is.NoErr(Pages.DeleteRow(ctx, db, &p))
	is.True(p.DeletedAt != nil)
	is.True(errors.Is(Pages.DeleteRow(ctx, db, &p), orm.ErrNotFound))
	is.NoErr(Pages.Reload(ctx, db, &p)) // deleted rows too
	is.True(errors.Is(Pages.Save(ctx, db, nil), nil) == false)
}

func TestEdit(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	p := page(t, db)
	before, err := db.Position(ctx)
	is.NoErr(err)
	got, err := Pages.Edit(ctx, db, p.ID, func(m *Page) error { m.Tags[0] = "changed"; m.Meta = map[string]any{"k": 1.0}; return nil })
	is.NoErr(err)
	is.Equal(got.Tags, []string{"changed"})
	is.Equal(got.Version, int64(2))
	for c, err := range Pages.Changes(ctx, db, before) { // only what changed is written
		is.NoErr(err)
		is.True(c.Has(Pages.Tags) && c.Has(Pages.Meta) && c.Has(Pages.Version) && !c.Has(Pages.Title) && !c.Has(Pages.Slug))
	}
	at, err := db.Position(ctx)
	is.NoErr(err)
	_, err = Pages.Edit(ctx, db, p.ID, func(*Page) error { return nil }) // nothing to write
	is.NoErr(err)
	now, err := db.Position(ctx)
	is.NoErr(err)
	is.Equal(at, now)
	no := errors.New("no")
	_, err = Pages.Edit(ctx, db, p.ID, func(m *Page) error { m.Title = "x"; return no })
	is.True(errors.Is(err, no))
	_, err = Pages.Edit(ctx, db, "nobody", func(*Page) error { return nil })
	is.True(errors.Is(err, orm.ErrNotFound))
	_, err = Pages.Edit(ctx, db, p.ID, func(m *Page) error { m.CreatedAt = time.Now().Add(time.Hour); return nil })
	is.True(err != nil && strings.Contains(err.Error(), "created_at"))
	// The function may use the database; the row may change under it.
	tries := 0
	got, err = Pages.Edit(ctx, db, p.ID, func(m *Page) error {
		if tries++; tries == 1 {
			is.NoErr(Pages.Update(ctx, db, p.ID, Pages.Views.Set(7)))
		}
		m.Title = "edited"
		return nil
	})
	is.NoErr(err)
	is.Equal(tries, 2)
	is.Equal(got.Views, int64(7))
	is.NoErr(db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		_, err := Pages.Edit(ctx, tx, p.ID, func(m *Page) error { m.Title = "in tx"; return nil })
		return err
	}))
	// Many at once lose nothing.
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, err := Pages.Edit(ctx, db, p.ID, func(m *Page) error { m.Views++; return nil })
			is.NoErr(err)
		})
	}
	all.Wait()
	got, err = Pages.Find(ctx, db, p.ID)
	is.NoErr(err)
	is.Equal(got.Views, int64(15))
}

func TestSoftDelete(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	p := page(t, db)
	is.NoErr(Comments.Create(ctx, db, &Comment{PageID: p.ID, Text: "x"}))
	ok, err := Pages.Delete(ctx, db, p.ID)
	is.NoErr(err)
	is.True(ok)
	ok, err = Pages.Delete(ctx, db, p.ID) // again: it is not there
	is.NoErr(err)
	is.True(!ok)
	_, err = Pages.Find(ctx, db, p.ID)
	is.True(errors.Is(err, orm.ErrNotFound))
	for what, n := range map[string]func() (int64, error){
		"count":  func() (int64, error) { return Pages.Count(ctx, db) },
		"where":  func() (int64, error) { return Pages.Where(Pages.Slug.Eq("a")).Count(ctx, db) },
		"update": func() (int64, error) { return Pages.Where(Pages.Slug.Eq("a")).Update(ctx, db, Pages.Views.Set(1)) },
		"delete": func() (int64, error) { return Pages.Where(Pages.Slug.Eq("a")).Delete(ctx, db) },
		"sub": func() (int64, error) {
			return Comments.Where(Comments.PageID.InQuery(orm.Sub1(Pages.Where(), Pages.ID))).Count(ctx, db)
		},
		"exists": func() (int64, error) { ok, err := Pages.Exists(ctx, db, p.ID); return map[bool]int64{true: 1}[ok], err },
		"by slug": func() (int64, error) {
			ok, err := Pages.BySlug.Exists(ctx, db, "a")
			return map[bool]int64{true: 1}[ok], err
		},
	} {
		if got, err := n(); err != nil || got != 0 {
			t.Errorf("%s sees a deleted row: %d, %v", what, got, err)
		}
	}
	is.True(errors.Is(Pages.Update(ctx, db, p.ID, Pages.Views.Set(1)), orm.ErrNotFound))
	many, err := Pages.FindMany(ctx, db, p.ID)
	is.NoErr(err)
	is.Equal(len(many), 0)
	n, err := Comments.Count(ctx, db) // the row is there, so nothing cascades
	is.NoErr(err)
	is.Equal(n, int64(1))
	gone, err := Pages.Where().OnlyDeleted().All(ctx, db)
	is.NoErr(err)
	is.Equal(len(gone), 1)
	with, err := Pages.Where().WithDeleted().Count(ctx, db)
	is.NoErr(err)
	is.Equal(with, int64(1))

	// Unique among live rows: another may take the slug, and then the first
	// cannot come back.
	q := page(t, db)
	_, err = Pages.Restore(ctx, db, p.ID)
	is.True(Pages.BySlug.Violated(err))
	ok, err = Pages.Purge(ctx, db, q.ID)
	is.NoErr(err)
	is.True(ok)
	ok, err = Pages.Restore(ctx, db, p.ID)
	is.NoErr(err)
	is.True(ok)
	ok, err = Pages.Restore(ctx, db, p.ID)
	is.NoErr(err)
	is.True(!ok)
	got, err := Pages.BySlug.Find(ctx, db, "a")
	is.NoErr(err)
	is.Equal(got.ID, p.ID)
	up := Page{Slug: "a", Title: "upserted"}
	is.NoErr(Pages.BySlug.Upsert(ctx, db, &up))
	is.Equal(up.ID, p.ID)

	n, err = Pages.Where(Pages.Slug.Eq("a")).Delete(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(1))
	_, err = Pages.Where().OnlyDeleted().Purge(ctx, db)
	is.True(errors.Is(err, orm.ErrNoCondition))
	n, err = Pages.Where().OnlyDeleted().AllRows().Purge(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(1))
	n, err = Comments.Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(0)) // now it cascades
	_, err = Comments.Restore(ctx, db, 1)
	is.True(err != nil && strings.Contains(err.Error(), "softdelete"))
}

func TestUpsertsOfMany(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	a := page(t, db)
	all := []Page{{Slug: "a", Title: "new a"}, {Slug: "b", Title: "b"}, {Slug: "a", Title: "newer a"}}
	is.NoErr(Pages.BySlug.UpsertMany(ctx, db, all))
	is.Equal(all[0].ID, a.ID)
	is.Equal(all[2].Version, int64(3))
	bad := []Page{{Slug: "c"}, {Slug: "d", Code: new("x")}, {Slug: "e", Code: new("x")}}
	err := Pages.UpsertMany(ctx, db, bad)
	is.True(Pages.ByCode.Violated(err) && strings.Contains(err.Error(), "row 2"))
	is.Equal(bad[0].ID, "") // nothing was written, nothing was changed
	n, err := Pages.Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(2))

	// UpdateIf looks at the row that is there.
	up := Page{Slug: "b", Title: "again", Views: 5}
	is.NoErr(Pages.BySlug.Upsert(ctx, db, &up, orm.UpdateIf(Pages.Views.Gt(100))))
	is.Equal(up.ID, "")
	got, err := Pages.BySlug.Find(ctx, db, "b")
	is.NoErr(err)
	is.Equal(got.Title, "b")
	is.NoErr(Pages.BySlug.Upsert(ctx, db, &up, orm.UpdateIf(Pages.Views.Lt(100)), orm.UpdateOnly(Pages.Title)))
	is.Equal(up.Title, "again")
	is.Equal(up.Views, int64(0))

	p := Page{Slug: "b", Title: "ignored"}
	created, err := Pages.BySlug.FindOrCreate(ctx, db, &p)
	is.NoErr(err)
	is.True(!created && p.Title == "again" && p.ID == got.ID)
	var made sync.Map
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			p := Page{Slug: "once"}
			created, err := Pages.BySlug.FindOrCreate(ctx, db, &p)
			is.NoErr(err)
			if created {
				made.Store(p.ID, true)
			}
		})
	}
	wait.Wait()
	n = 0
	made.Range(func(any, any) bool { n++; return true })
	is.Equal(n, int64(1))
	_, err = Pages.ByCode.FindOrCreate(ctx, db, &Page{Slug: "x"})
	is.True(err != nil) // NULL is no key
}

func TestManyRows(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	p := page(t, db)
	seq := func(n int, bad int) iter.Seq[*Comment] {
		return func(yield func(*Comment) bool) {
			for i := range n {
				c := &Comment{PageID: p.ID, Text: "x"}
				if i == bad {
					c.PageID = "nowhere"
				}
				if !yield(c) {
					return
				}
			}
		}
	}
	n, err := Comments.CreateSeq(ctx, db, seq(1234, -1))
	is.NoErr(err)
	is.Equal(n, int64(1234))
	_, err = Comments.CreateSeq(ctx, db, seq(1234, 1100))
	var fk *orm.ForeignKeyError
	is.True(errors.As(err, &fk))
	n, err = Comments.Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(1234)) // all or none
	some, err := Comments.FindMany(ctx, db, 7, 99999, 3, 7)
	is.NoErr(err)
	is.Equal(len(some), 2)
	is.True(some[0].ID == 7 && some[1].ID == 3)
	keys := make([]int64, 1200)
	for i := range keys {
		keys[i] = int64(1200 - i)
	}
	some, err = Comments.FindMany(ctx, db, keys...)
	is.NoErr(err)
	is.Equal(len(some), 1200)
	is.Equal(some[0].ID, int64(1200))

	up, err := Comments.UpdateReturning(ctx, db, 7, Comments.Text.Set("new"))
	is.NoErr(err)
	is.Equal(*up, Comment{7, p.ID, "new"})
	_, err = Comments.UpdateReturning(ctx, db, 99999, Comments.Text.Set("new"))
	is.True(errors.Is(err, orm.ErrNotFound))
	rows, err := Comments.Where(Comments.ID.Lte(3)).UpdateReturning(ctx, db, Comments.Text.Set("low"))
	is.NoErr(err)
	is.Equal(len(rows), 3)
	gone, err := Comments.Where(Comments.Text.Eq("low")).DeleteReturning(ctx, db)
	is.NoErr(err)
	is.Equal(len(gone), 3)
	soft, err := Pages.Where(Pages.Slug.Eq("a")).DeleteReturning(ctx, db)
	is.NoErr(err)
	is.True(len(soft) == 1 && soft[0].DeletedAt != nil)
	_, err = Comments.Where().DeleteReturning(ctx, db)
	is.True(errors.Is(err, orm.ErrNoCondition))

	cancelled, cancel := context.WithCancel(ctx)
	i := 0
	_, err = Comments.CreateSeq(cancelled, db, func(yield func(*Comment) bool) {
		for {
			if i++; i == 700 {
				cancel()
			}
			if !yield(&Comment{PageID: p.ID}) {
				return
			}
		}
	})
	is.True(errors.Is(err, context.Canceled))
	after, err := Comments.Count(ctx, db) // and no transaction is open
	is.NoErr(err)
	is.Equal(after, int64(1231))
}

func TestPatch(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	p := page(t, db)
	p.Score, p.Views, p.Meta = new(1.5), 9, map[string]any{"a": "b"}
	is.NoErr(Pages.Save(ctx, db, &p))
	var patch PagePatch
	is.NoErr(json.Unmarshal([]byte(`{"title":"","score":null,"public":false,"tags":["x"],"unknown":1}`), &patch))
	is.Equal(len(patch.Sets()), 4)
	is.NoErr(Pages.Update(ctx, db, p.ID, patch.Sets()...))
	got, err := Pages.Find(ctx, db, p.ID)
	is.NoErr(err)
	is.True(got.Title == "" && got.Score == nil && !got.Public && got.Views == 9 && got.Tags[0] == "x" && got.Meta["a"] == "b")

	for _, bad := range []string{`{"title":null}`, `{"views":"x"}`, `{"views":1.5}`, `{"public":null}`} {
		var patch PagePatch
		if err := json.Unmarshal([]byte(bad), &patch); err == nil {
			t.Errorf("%s: accepted", bad)
		}
	}
	var empty PagePatch
	is.NoErr(json.Unmarshal([]byte(`{}`), &empty))
	is.Equal(len(empty.Sets()), 0)
	b, err := json.Marshal(PagePatch{Title: orm.Some("t"), Score: orm.Some[*float64](nil)})
	is.NoErr(err)
	is.Equal(string(b), `{"title":"t","score":null}`)
	before, after := *got, *got
	after.Title, after.Tags, after.Version, after.ID = "changed", []string{"x"}, 99, "other"
	sets := PageChanges(&before, &after)
	is.Equal(len(sets), 1) // not the key, not what every update sets, not what is equal
	is.NoErr(Pages.Update(ctx, db, p.ID, sets...))
}

// FuzzPatch: whatever JSON comes, a patch never sets a column that the JSON does
// not name.
func FuzzPatch(f *testing.F) {
	f.Add([]byte(`{"title":"x","score":null}`))
	f.Add([]byte(`{"tags":[1]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var patch PagePatch
		if json.Unmarshal(b, &patch) != nil {
			return
		}
		var members map[string]any
		if json.Unmarshal(b, &members) != nil {
			members = nil // null: nothing is present
		}
		if n := len(patch.Sets()); n > len(members) {
			t.Fatalf("%d setters of %d members", n, len(members))
		}
		again, err := json.Marshal(patch)
		if err != nil {
			t.Fatal(err)
		}
		var second PagePatch
		if err := json.Unmarshal(again, &second); err != nil || len(second.Sets()) != len(patch.Sets()) {
			t.Fatalf("%s came back as %s: %v", b, again, err)
		}
	})
}

func TestHooks(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	var committed []string
	Committed = func(name string) { committed = append(committed, name) }
	t.Cleanup(func() { Committed = func(string) {} })
	h := Hooked{ID: "1", Name: "one"}
	is.NoErr(Hookeds.Create(ctx, db, &h))
	is.Equal(h.Trace, "bc")
	is.Equal(committed, []string{"one"})
	for _, name := range []string{"bad", "late"} {
		x := Hooked{ID: "x", Name: name}
		is.True(Hookeds.Create(ctx, db, &x) != nil)
		is.Equal(x.Trace, "") // as it was
	}
	many := []Hooked{{ID: "2", Name: "two"}, {ID: "3", Name: "late"}}
	is.True(Hookeds.CreateMany(ctx, db, many) != nil)
	n, err := Hookeds.Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(1)) // none of them
	is.Equal(len(committed), 1)

	h.Name = "uno"
	is.NoErr(Hookeds.Save(ctx, db, &h))
	is.Equal(h.Trace, "bc,bu")
	is.NoErr(Hookeds.Update(ctx, db, "1", Hookeds.Name.Set("eins")))
	got, err := Hookeds.Find(ctx, db, "1")
	is.NoErr(err)
	is.Equal(got.Trace, "bc,bu,bu")
	_, err = Hookeds.Edit(ctx, db, "1", func(m *Hooked) error { m.Name = "un"; return nil })
	is.NoErr(err)
	is.True(Hookeds.Update(ctx, db, "1", Hookeds.Name.Set("bad")) != nil)
	is.True(Hookeds.Update(ctx, db, "1", Hookeds.Name.Set("late")) != nil)
	is.True(errors.Is(Hookeds.Update(ctx, db, "9", Hookeds.Name.Set("x")), orm.ErrNotFound))
	up := Hooked{ID: "1", Name: "upserted"}
	is.NoErr(Hookeds.Upsert(ctx, db, &up))
	is.Equal(up.Trace, "bu")
	up = Hooked{ID: "5", Name: "five"}
	is.NoErr(Hookeds.Upsert(ctx, db, &up))
	is.Equal(up.Trace, "bc")
	same(t, committed, []string{"one", "uno", "eins", "un", "upserted", "five"})

	// In a transaction of the caller: told after the outermost commit, and not of
	// what a savepoint took back.
	committed = nil
	is.NoErr(db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		is.NoErr(Hookeds.Create(ctx, tx, &Hooked{ID: "6", Name: "six"}))
		_ = tx.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
			is.NoErr(Hookeds.Create(ctx, tx, &Hooked{ID: "7", Name: "seven"}))
			return errors.New("back")
		})
		is.True(Hookeds.Create(ctx, tx, &Hooked{ID: "8", Name: "late"}) != nil) // takes only itself back
		is.Equal(len(committed), 0)
		return nil
	}))
	same(t, committed, []string{"six"})

	is.NoErr(Hookeds.Update(ctx, db, "5", Hookeds.Name.Set("keep")))
	_, err = Hookeds.Delete(ctx, db, "5")
	is.True(err != nil)
	ok, err := Hookeds.Delete(ctx, db, "6")
	is.NoErr(err)
	is.True(ok)
	ok, err = Hookeds.Delete(ctx, db, "6")
	is.NoErr(err)
	is.True(!ok)
	_, err = Hookeds.Where(Hookeds.ID.Eq("1")).Update(ctx, db, Hookeds.Name.Set("lately")) // many rows: no hooks
	is.NoErr(err)
	row, err := Hookeds.Find(ctx, db, "1")
	is.NoErr(err)
	is.True(Hookeds.DeleteRow(ctx, db, row) != nil)
	n, err = Hookeds.Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(2))
}

// Two processes on one file: versions tell who was second.
func TestVersionsAcrossConnections(t *testing.T) {
	is := is.New(t)
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "x.sqlite")
	one, two := drifttest.OpenFile(t, path, Schema), drifttest.OpenFile(t, path, Schema)
	p := page(t, one)
	q, err := Pages.Find(ctx, two, p.ID)
	is.NoErr(err)
	p.Title = "one"
	is.NoErr(Pages.Save(ctx, one, &p))
	q.Title = "two"
	is.True(errors.Is(Pages.Save(ctx, two, q), orm.ErrStale))
	is.NoErr(Pages.Reload(ctx, two, q))
	is.Equal(q.Title, "one")
	_ = driftdb.Memory
}
