package writes_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/drifttest"
	. "github.com/driftdb/driftdb/gen_test/writes"
	"github.com/driftdb/driftdb/orm"
)

func only[T any](_ T, err error) error { return err }

func last[T any](seq iter.Seq2[T, error]) (err error) {
	for _, e := range seq {
		err = e
	}
	return err
}

// verb is a call on a Page, of everything that takes a Reader or a Writer.
type verb struct {
	name   string
	writes bool
	call   func(ctx context.Context, w orm.Writer, p *Page) error
}

func verbs() []verb {
	P, C := Pages, Comments
	set := func() orm.Set[Page] { return P.Title.Set("new") }
	at := func(p *Page) orm.Query[Page] { return P.Where(P.ID.Eq(p.ID)) }
	return slices.Concat([]verb{
		{"Create", true, func(ctx context.Context, w orm.Writer, _ *Page) error { return P.Create(ctx, w, &Page{Slug: "new"}) }},
		{"CreateMany", true, func(ctx context.Context, w orm.Writer, _ *Page) error {
			return P.CreateMany(ctx, w, []Page{{Slug: "x", Public: true}, {Slug: "y"}, {Slug: "z", Public: true}})
		}},
		{"CreateSeq", true, func(ctx context.Context, w orm.Writer, p *Page) error {
			return only(C.CreateSeq(ctx, w, slices.Values([]*Comment{{PageID: p.ID}, {PageID: p.ID}})))
		}},
		{"Save", true, func(ctx context.Context, w orm.Writer, p *Page) error { return P.Save(ctx, w, p) }},
		{"Edit", true, func(ctx context.Context, w orm.Writer, p *Page) error {
			return only(P.Edit(ctx, w, p.ID, func(m *Page) error { m.Title = "edited"; return nil }))
		}},
		{"Update", true, func(ctx context.Context, w orm.Writer, p *Page) error { return P.Update(ctx, w, p.ID, set()) }},
		{"UpdateReturning", true, func(ctx context.Context, w orm.Writer, p *Page) error {
			return only(P.UpdateReturning(ctx, w, p.ID, set()))
		}},
		{"Upsert", true, func(ctx context.Context, w orm.Writer, p *Page) error { return P.Upsert(ctx, w, p) }},
		{"UpsertMany", true, func(ctx context.Context, w orm.Writer, p *Page) error {
			return P.UpsertMany(ctx, w, []Page{*p, {Slug: "other"}})
		}},
		{"Delete", true, func(ctx context.Context, w orm.Writer, p *Page) error { return only(P.Delete(ctx, w, p.ID)) }},
		{"DeleteRow", true, func(ctx context.Context, w orm.Writer, p *Page) error { return P.DeleteRow(ctx, w, p) }},
		{"Restore", true, func(ctx context.Context, w orm.Writer, p *Page) error { return only(P.Restore(ctx, w, p.ID)) }},
		{"Purge", true, func(ctx context.Context, w orm.Writer, p *Page) error { return only(P.Purge(ctx, w, p.ID)) }},
		{"Unique.Update", true, func(ctx context.Context, w orm.Writer, p *Page) error { return P.BySlug.Update(ctx, w, p.Slug, set()) }},
		{"Unique.UpdateReturning", true, func(ctx context.Context, w orm.Writer, p *Page) error {
			return only(P.BySlug.UpdateReturning(ctx, w, p.Slug, set()))
		}},
		{"Unique.Delete", true, func(ctx context.Context, w orm.Writer, p *Page) error { return only(P.BySlug.Delete(ctx, w, p.Slug)) }},
		{"Unique.Upsert", true, func(ctx context.Context, w orm.Writer, p *Page) error {
			return P.BySlug.Upsert(ctx, w, &Page{Slug: p.Slug})
		}},
		{"Unique.UpsertMany", true, func(ctx context.Context, w orm.Writer, p *Page) error {
			return P.BySlug.UpsertMany(ctx, w, []Page{{Slug: p.Slug}, {Slug: "q"}})
		}},
		{"FindOrCreate", true, func(ctx context.Context, w orm.Writer, _ *Page) error {
			return only(P.BySlug.FindOrCreate(ctx, w, &Page{Slug: "nobody"}))
		}},
		{"Query.Update", true, func(ctx context.Context, w orm.Writer, p *Page) error { return only(at(p).Update(ctx, w, set())) }},
		{"Query.UpdateReturning", true, func(ctx context.Context, w orm.Writer, p *Page) error {
			return only(at(p).UpdateReturning(ctx, w, set()))
		}},
		{"Query.Delete", true, func(ctx context.Context, w orm.Writer, p *Page) error { return only(at(p).Delete(ctx, w)) }},
		{"Query.DeleteReturning", true, func(ctx context.Context, w orm.Writer, p *Page) error { return only(at(p).DeleteReturning(ctx, w)) }},
		{"Query.Restore", true, func(ctx context.Context, w orm.Writer, p *Page) error {
			return only(at(p).OnlyDeleted().Restore(ctx, w))
		}},
		{"Query.Purge", true, func(ctx context.Context, w orm.Writer, p *Page) error { return only(at(p).Purge(ctx, w)) }},
		{"Exec", true, func(ctx context.Context, w orm.Writer, p *Page) error {
			return only(orm.Exec(ctx, w, "UPDATE pages SET title = 'raw' WHERE id = ?", p.ID))
		}},
		{"RawReturning", true, func(ctx context.Context, w orm.Writer, p *Page) error {
			return only(orm.RawReturning[string](ctx, w, "UPDATE pages SET title = 'raw' WHERE id = ? RETURNING title", p.ID))
		}},
		{"hooks", true, func(ctx context.Context, w orm.Writer, _ *Page) error {
			return Hookeds.Create(ctx, w, &Hooked{ID: "h", Name: "h"})
		}},
	}, reads())
}

func reads() []verb {
	P := Pages
	at := func(p *Page) orm.Query[Page] { return P.Where(P.ID.Eq(p.ID)) }
	return []verb{
		{"Find", false, func(ctx context.Context, w orm.Writer, p *Page) error { return only(P.Find(ctx, w, p.ID)) }},
		{"FindMany", false, func(ctx context.Context, w orm.Writer, p *Page) error { return only(P.FindMany(ctx, w, p.ID)) }},
		{"Exists", false, func(ctx context.Context, w orm.Writer, p *Page) error { return only(P.Exists(ctx, w, p.ID)) }},
		{"First", false, func(ctx context.Context, w orm.Writer, _ *Page) error { return only(P.First(ctx, w)) }},
		{"All", false, func(ctx context.Context, w orm.Writer, _ *Page) error { return only(P.All(ctx, w)) }},
		{"Each", false, func(ctx context.Context, w orm.Writer, _ *Page) error { return last(P.Each(ctx, w)) }},
		{"Each with relations", false, func(ctx context.Context, w orm.Writer, p *Page) error {
			return last(at(p).With(P.Comments).Each(ctx, w))
		}},
		{"Count", false, func(ctx context.Context, w orm.Writer, _ *Page) error { return only(P.Count(ctx, w)) }},
		{"Reload", false, func(ctx context.Context, w orm.Writer, p *Page) error { return P.Reload(ctx, w, p) }},
		{"Raw", false, func(ctx context.Context, w orm.Writer, _ *Page) error {
			return only(P.Raw(ctx, w, "SELECT * FROM pages"))
		}},
		{"Load", false, func(ctx context.Context, w orm.Writer, p *Page) error { return P.Load(ctx, w, []Page{*p}, P.Comments) }},
		{"LoadRow", false, func(ctx context.Context, w orm.Writer, p *Page) error { return P.LoadRow(ctx, w, p, P.Comments) }},
		{"Unique.Find", false, func(ctx context.Context, w orm.Writer, p *Page) error { return only(P.BySlug.Find(ctx, w, p.Slug)) }},
		{"Unique.Exists", false, func(ctx context.Context, w orm.Writer, p *Page) error { return only(P.BySlug.Exists(ctx, w, p.Slug)) }},
		{"One", false, func(ctx context.Context, w orm.Writer, p *Page) error { return only(at(p).One(ctx, w)) }},
		{"Query.Exists", false, func(ctx context.Context, w orm.Writer, p *Page) error { return only(at(p).Exists(ctx, w)) }},
		{"With", false, func(ctx context.Context, w orm.Writer, p *Page) error {
			return only(at(p).With(P.Comments).All(ctx, w))
		}},
		{"Page", false, func(ctx context.Context, w orm.Writer, p *Page) error { return only(at(p).Page(ctx, w, "", 1)) }},
		{"Batches", false, func(ctx context.Context, w orm.Writer, p *Page) error { return last(at(p).Batches(ctx, w, 1)) }},
		{"Explain", false, func(ctx context.Context, w orm.Writer, p *Page) error { return only(at(p).Explain(ctx, w)) }},
		{"Value", false, func(ctx context.Context, w orm.Writer, p *Page) error {
			return only(orm.Value(ctx, w, at(p), P.Rows()))
		}},
		{"Pluck", false, func(ctx context.Context, w orm.Writer, p *Page) error { return only(orm.Pluck(ctx, w, at(p), P.Slug)) }},
		{"Select2", false, func(ctx context.Context, w orm.Writer, p *Page) error {
			return only(orm.Select2(ctx, w, at(p), P.Slug, P.Title))
		}},
		{"Select3", false, func(ctx context.Context, w orm.Writer, p *Page) error {
			return only(orm.Select3(ctx, w, at(p), P.Slug, P.Title, P.Views))
		}},
		{"RawAll", false, func(ctx context.Context, w orm.Writer, _ *Page) error {
			return only(orm.RawAll[string](ctx, w, "SELECT slug FROM pages"))
		}},
		{"RawOne", false, func(ctx context.Context, w orm.Writer, _ *Page) error {
			return only(orm.RawOne[string](ctx, w, "SELECT slug FROM pages LIMIT 1"))
		}},
		{"RawEach", false, func(ctx context.Context, w orm.Writer, _ *Page) error {
			return last(orm.RawEach[string](ctx, w, "SELECT slug FROM pages"))
		}},
	}
}

// The DB inside its own Tx is an error in every verb, from whatever goroutine:
// it would wait for itself. With the Tx the same calls work.
func TestTheDatabaseInsideItsOwnTx(t *testing.T) {
	for _, v := range verbs() {
		t.Run(v.name, func(t *testing.T) {
			is := is.New(t)
			db := drifttest.Open(t, Schema)
			p := page(t, db)
			is.NoErr(Comments.Create(t.Context(), db, &Comment{PageID: p.ID}))
			stop := errors.New("stop")
			is.Equal(db.Tx(t.Context(), func(ctx context.Context, tx *orm.Tx) error {
				q := p
				is.True(errors.Is(v.call(ctx, db, &q), orm.ErrInTx))
				other := make(chan error)
				go func() { q := p; other <- v.call(ctx, db, &q) }()
				is.True(errors.Is(<-other, orm.ErrInTx))
				inner := tx.Tx(ctx, func(ctx context.Context, _ *orm.Tx) error { q := p; return v.call(ctx, db, &q) })
				is.True(errors.Is(inner, orm.ErrInTx))
				q = p
				is.NoErr(v.call(ctx, tx, &q))
				return stop
			}), stop)
		})
	}
	t.Run("changes", func(t *testing.T) {
		is := is.New(t)
		db := drifttest.Open(t, Schema)
		is.NoErr(db.Tx(t.Context(), func(ctx context.Context, _ *orm.Tx) error {
			is.True(errors.Is(last(Pages.Changes(ctx, db, orm.Position{})), orm.ErrInTx))
			is.True(errors.Is(last(Pages.Follow(ctx, db, orm.Position{})), orm.ErrInTx))
			is.True(errors.Is(last(Pages.History(ctx, db, "x")), orm.ErrInTx))
			is.True(errors.Is(last(Pages.Where().Watch(ctx, db)), orm.ErrInTx))
			is.True(errors.Is(db.IntegrityCheck(ctx), orm.ErrInTx))
			is.True(errors.Is(only(db.Position(ctx)), orm.ErrInTx))
			is.True(errors.Is(db.WaitChange(ctx, orm.Position{}), orm.ErrInTx))
			return nil
		}))
	})
}

// nth is a context that ends when it is asked for the nth time whether it has.
type nth struct {
	context.Context //nolint:containedctx // it is one
	left            *atomic.Int64
	cancel          context.CancelFunc
}

func (c nth) asked() {
	if c.left.Add(-1) == 0 {
		c.cancel()
	}
}

func (c nth) Done() <-chan struct{} { c.asked(); return c.Context.Done() }

func (c nth) Err() error { c.asked(); return c.Context.Err() }

// Whenever the context ends, a verb is done as a whole or not at all, no
// transaction stays open, and the row that was given is as it was.
func TestCancellationAtEveryStep(t *testing.T) {
	for _, v := range verbs() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			is := is.New(t)
			db := drifttest.Open(t, Schema)
			p := page(t, db)
			is.NoErr(Comments.Create(t.Context(), db, &Comment{PageID: p.ID}))
			for n := int64(1); ; n++ {
				if n > 500 {
					t.Fatal("it asks for ever")
				}
				before, err := db.Position(t.Context())
				is.NoErr(err)
				inner, cancel := context.WithCancel(t.Context())
				ctx := nth{inner, new(atomic.Int64), cancel}
				ctx.left.Store(n)
				q := p
				err = v.call(ctx, db, &q)
				ended := ctx.left.Load() <= 0
				cancel()
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Fatalf("step %d: %v", n, err)
				}
				free(t, db)
				after, perr := db.Position(t.Context())
				is.NoErr(perr)
				if err != nil && v.writes {
					same(t, after, before)
					same(t, q, p)
				}
				if !ended {
					is.NoErr(err)
					break
				}
				if err == nil && v.writes { // done although it was cancelled at its end
					break
				}
			}
		})
	}
}

// free says that nobody holds the write lock but for the moment that our own
// housekeeping takes.
func free(t *testing.T, db *orm.DB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := db.SQL().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // nothing was written
	for _, s := range []string{"PRAGMA busy_timeout = 30000", "BEGIN IMMEDIATE", "ROLLBACK"} {
		if _, err := c.ExecContext(ctx, s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// FindOrCreate is one step however many ask, in their own transactions too; a
// soft deleted row is no row where the key is unique among live ones, and in the
// way where it is not.
func TestFindOrCreateAndDeletedRows(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	old := Page{Slug: "a", Code: new("code")}
	is.NoErr(Pages.Create(ctx, db, &old))
	is.NoErr(Pages.DeleteRow(ctx, db, &old))
	p := Page{Slug: "a", Code: new("code")}
	created, err := Pages.BySlug.FindOrCreate(ctx, db, &p)
	is.True(!created && Pages.ByCode.Violated(err)) // the code is the deleted row's
	is.Equal(p.ID, "")
	p.Code = nil
	created, err = Pages.BySlug.FindOrCreate(ctx, db, &p)
	is.NoErr(err)
	is.True(created && p.ID != old.ID)
	q := Page{Slug: "b", Code: new("code")}
	created, err = Pages.ByCode.FindOrCreate(ctx, db, &q)
	is.True(!created && Pages.ByCode.Violated(err)) // hidden, and in the way: an error, never a second row

	path := t.TempDir() + "/x.sqlite"
	one, two := drifttest.OpenFile(t, path, Schema), drifttest.OpenFile(t, path, Schema)
	var made atomic.Int64
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			w := []*orm.DB{one, two}[i%2] // two connections of two handles, as two processes are
			err := w.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
				p := Page{Slug: "once"}
				created, err := Pages.BySlug.FindOrCreate(ctx, tx, &p)
				if created {
					made.Add(1)
				}
				return err
			})
			is.NoErr(err)
		})
	}
	wait.Wait()
	is.Equal(made.Load(), int64(1))
}
