package driftdb_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/gen_test/relations"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
	"github.com/driftdb/driftdb/schema"
)

// everyRead asks a database with each verb that reads, and returns the answers.
func everyRead(ctx context.Context, r orm.Reader) (answers []string, err error) {
	U, P := relations.Users, relations.Posts
	note := func(v any, e error) {
		b, jsonErr := json.Marshal(v)
		if err == nil && e != nil {
			err = fmt.Errorf("read %d: %w", len(answers), e)
		}
		if err == nil {
			err = jsonErr
		}
		answers = append(answers, string(b))
	}
	find, e := U.Find(ctx, r, "ada")
	note(find, e)
	there, e := U.Exists(ctx, r, "ada")
	note(there, e)
	nick, e := U.ByNick.Find(ctx, r, "ADA")
	note(nick, e)
	several, e := U.FindMany(ctx, r, "bob", "ada")
	note(several, e)
	first, e := P.First(ctx, r, P.Views.Gt(1))
	note(first, e)
	all, e := P.All(ctx, r)
	note(all, e)
	for p, e := range P.Each(ctx, r) {
		note(p, e)
	}
	n, e := P.Count(ctx, r)
	note(n, e)
	some, e := P.Where(P.Title.Contains("o")).OrderBy(P.Views.Desc()).Limit(2).Offset(1).Only(P.ID, P.Title).All(ctx, r)
	note(some, e)
	gone, e := P.Where().OnlyDeleted().Count(ctx, r)
	note(gone, e)
	page, e := P.Where().OrderBy(P.Views.Asc()).Page(ctx, r, "", 2)
	note(page, e)
	next, e := P.Where().OrderBy(P.Views.Asc()).Page(ctx, r, page.Next, 2)
	note(next, e)
	for batch, e := range P.Where().Batches(ctx, r, 2) {
		note(batch, e)
	}
	loaded, e := U.Where(U.Posts.Some(P.Views.Gt(1))).With(U.Team, U.Posts.LimitEach(2).With(P.Comments, P.Author)).OrderBy(U.ID.Asc()).All(ctx, r)
	note(loaded, e)
	e = U.Load(ctx, r, several, U.Posts)
	note(several, e)
	e = U.Reload(ctx, r, find)
	note(find, e)
	counts, e := orm.Select2(ctx, r, U.Where().OrderBy(U.ID.Asc()), U.ID, U.Posts.Count())
	note(counts, e)
	sums, e := orm.Select2(ctx, r, P.Where().GroupBy(P.AuthorID).Having(P.Rows().Gt(0)).OrderBy(P.AuthorID.Asc()), P.AuthorID, P.Views.Sum())
	note(sums, e)
	top, e := orm.Value(ctx, r, P.Where(), P.Views.Max())
	note(top, e)
	titles, e := orm.Pluck(ctx, r, P.Where().OrderBy(P.ID.Asc()), P.Title)
	note(titles, e)
	within, e := U.Where(U.ID.InQuery(orm.Sub1(P.Where(), P.AuthorID))).Count(ctx, r)
	note(within, e)
	raw, e := P.Raw(ctx, r, `SELECT * FROM posts ORDER BY id DESC`)
	note(raw, e)
	one, e := orm.RawOne[int64](ctx, r, `SELECT sum(views) FROM posts WHERE id > ?`, 0)
	note(one, e)
	for title, e := range orm.RawEach[string](ctx, r, `SELECT title FROM posts ORDER BY id`) {
		note(title, e)
	}
	plan, e := P.Where(P.AuthorID.Eq("ada")).Explain(ctx, r)
	note(plan, e)
	return answers, err
}

// Whatever can be asked of a database can be asked of a past state of it, which
// gives the answers of then, and takes no change.
func TestOpenAtEveryRead(t *testing.T) {
	is := is.New(t)
	ctx, store := t.Context(), memstore.New()
	r, err := replicate.New("blog", store, replicate.Options{Sync: replicate.Sync{Manual: true}})
	is.NoErr(err)
	db, err := driftdb.Open(ctx, filepath.Join(t.TempDir(), "blog.sqlite"), relations.Schema, driftdb.Options{Replica: r})
	is.NoErr(err)
	defer func() { is.NoErr(db.Close()) }()
	U, P := relations.Users, relations.Posts
	is.NoErr(relations.Teams.Create(ctx, db, &relations.Team{ID: "red", Name: "Red"}))
	is.NoErr(U.Create(ctx, db, &relations.User{ID: "ada", Name: "Ada", Nick: "ada", TeamID: new("red")}))
	is.NoErr(U.Create(ctx, db, &relations.User{ID: "bob", Name: "Bob", Nick: "bob"}))
	for i, author := range []string{"ada", "bob", "ada", "ada", "bob"} {
		p := relations.Post{ID: int64(i + 1), AuthorID: author, Title: fmt.Sprintf("on %d", i), Views: int64(i)}
		is.NoErr(P.Create(ctx, db, &p))
		is.NoErr(relations.Comments.Create(ctx, db, &relations.Comment{ID: p.ID, PostID: p.ID, Text: "yes"}))
	}
	_, err = P.Delete(ctx, db, 5) // softly
	is.NoErr(err)
	want, err := everyRead(ctx, db)
	is.NoErr(err)
	is.NoErr(r.Mark(ctx, "then"))
	is.NoErr(r.Snapshot(ctx))
	_, err = P.Where().AllRows().Update(ctx, db, P.Views.Set(1000))
	is.NoErr(err)
	_, err = U.Delete(ctx, db, "bob")
	is.NoErr(err)
	is.NoErr(r.Flush(ctx))

	source := replicate.Source{Name: "blog", Store: store, Options: replicate.RestoreOptions{Point: "then"}}
	past, err := driftdb.OpenAt(ctx, source, relations.Schema, driftdb.AtOptions{})
	is.NoErr(err)
	defer func() { is.NoErr(past.Close()) }()
	got, err := everyRead(ctx, past)
	is.NoErr(err)
	is.Equal(got, want)
	is.NoErr(past.ReadTx(ctx, func(ctx context.Context, tx *orm.ReadTx) error {
		got, err := everyRead(ctx, tx)
		is.Equal(got, want)
		return err
	}))
	_, err = orm.RawAll[int64](ctx, past, `DELETE FROM posts RETURNING id`)
	is.True(err != nil)
	after, err := everyRead(ctx, past)
	is.NoErr(err)
	is.Equal(after, want)

	// A copy to write to, that nobody else sees.
	mine, err := driftdb.Open(ctx, driftdb.Memory, relations.Schema, driftdb.Options{From: source})
	is.NoErr(err)
	got, err = everyRead(ctx, mine)
	is.NoErr(err)
	is.Equal(got, want)
	_, err = P.Where().AllRows().Purge(ctx, mine)
	is.NoErr(err)
	is.NoErr(mine.Close())
	after, err = everyRead(ctx, past)
	is.NoErr(err)
	is.Equal(after, want)
	_, err = driftdb.Open(ctx, filepath.Join(t.TempDir(), "x.sqlite"), relations.Schema, driftdb.Options{From: source})
	is.True(err != nil && strings.Contains(err.Error(), "driftdb.Memory"))
}

// Models that know more than the past did are made to fit; those that know less
// are refused as Open refuses them, by name.
func TestOpenAtOtherModels(t *testing.T) {
	is := is.New(t)
	ctx, store := t.Context(), memstore.New()
	r, err := replicate.New("blog", store, replicate.Options{})
	is.NoErr(err)
	db, err := driftdb.Open(ctx, filepath.Join(t.TempDir(), "blog.sqlite"), relations.Schema, driftdb.Options{Replica: r})
	is.NoErr(err)
	is.NoErr(relations.Teams.Create(ctx, db, &relations.Team{ID: "red", Name: "Red"}))
	is.NoErr(db.Close())
	source := replicate.Source{Name: "blog", Store: store, Options: replicate.RestoreOptions{At: time.Now().Add(time.Hour)}}
	more, less := edited(relations.Schema, func(t schema.Table) schema.Table {
		if t.Name == "teams" {
			t.Columns = append(slices.Clip(t.Columns), schema.Column{Name: "motto", Type: schema.Text})
		}
		return t
	}), edited(relations.Schema, func(t schema.Table) schema.Table {
		if t.Name == "teams" {
			t.Columns = t.Columns[:2]
			t.Indexes, t.ForeignKeys = nil, nil
		}
		return t
	})
	past, err := driftdb.OpenAt(ctx, source, more, driftdb.AtOptions{})
	is.NoErr(err)
	n, err := orm.RawOne[int64](ctx, past, `SELECT count(*) FROM teams WHERE motto IS NULL`)
	is.NoErr(err)
	is.Equal(n, int64(1))
	is.NoErr(past.Close())
	_, err = driftdb.OpenAt(ctx, source, less, driftdb.AtOptions{})
	is.True(err != nil && strings.Contains(err.Error(), "teams"))
}

// edited is a copy of s with other tables.
func edited(s schema.Schema, edit func(schema.Table) schema.Table) schema.Schema {
	var tables []schema.Table
	for _, t := range s.Tables {
		t = edit(t)
		t.Create, t.Triggers = "", nil
		t.Create = t.CreateSQL()
		t.Triggers = t.TriggerSQL()
		tables = append(tables, t)
	}
	return schema.Schema{Tables: tables}
}
