package relations_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/matryer/is"
	"pgregory.net/rapid"

	. "github.com/driftdb/driftdb/gen_test/relations"
	"github.com/driftdb/driftdb/orm"
)

// world is the rows of a database, in the order of their keys.
type world struct {
	users    []User
	posts    []Post
	comments []Comment
}

func drawWorld(t *rapid.T) (w world) {
	gone := func(name string) *time.Time {
		if rapid.IntRange(0, 3).Draw(t, name) == 0 {
			return new(time.UnixMilli(1).UTC())
		}
		return nil
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "users") {
		id := fmt.Sprint("u", i)
		w.users = append(w.users, User{ID: id, Nick: id, DeletedAt: gone("user")})
	}
	for i := range rapid.IntRange(0, 12).Draw(t, "posts") {
		if len(w.users) == 0 {
			break
		}
		by := rapid.SampledFrom(w.users).Draw(t, "author")
		w.posts = append(w.posts, Post{ID: int64(i), AuthorID: by.ID, Views: rapid.Int64Range(0, 3).Draw(t, "views"), DeletedAt: gone("post")})
	}
	for i := range rapid.IntRange(0, 12).Draw(t, "comments") {
		if len(w.posts) == 0 {
			break
		}
		c := Comment{ID: int64(i), PostID: rapid.SampledFrom(w.posts).Draw(t, "post").ID, Text: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "text")}
		if i > 0 && rapid.Bool().Draw(t, "answer") {
			c.ParentID = new(rapid.SampledFrom(w.comments).Draw(t, "parent").ID)
		}
		w.comments = append(w.comments, c)
	}
	return w
}

// choice is a random setting of relations, three deep.
type choice struct {
	views      int64 // at least
	descending bool
	limit      int // negative for none
	deleted    bool
	text       string // of comments, "" for any
}

func pick[M any](all []M, keep func(M) bool) []M {
	out := []M{}
	for _, m := range all {
		if keep(m) {
			out = append(out, m)
		}
	}
	return out
}

// loaded is what a query of live users with their posts, their comments and the
// answers to them is, worked out from the rows.
func (w world) loaded(c choice) []User {
	users := pick(w.users, func(u User) bool { return u.DeletedAt == nil })
	for i := range users {
		posts := pick(w.posts, func(p Post) bool {
			return p.AuthorID == users[i].ID && p.Views >= c.views && (c.deleted || p.DeletedAt == nil)
		})
		slices.SortStableFunc(posts, func(a, b Post) int { // equal ones by key, as they are
			if c.descending {
				return cmp.Compare(b.Views, a.Views)
			}
			return cmp.Compare(a.Views, b.Views)
		})
		if c.limit >= 0 {
			posts = posts[:min(c.limit, len(posts))]
		}
		for j := range posts {
			posts[j].Comments = pick(w.comments, func(k Comment) bool { return k.PostID == posts[j].ID && (c.text == "" || k.Text == c.text) })
			for k := range posts[j].Comments {
				at := &posts[j].Comments[k]
				at.Answers = pick(w.comments, func(a Comment) bool { return a.ParentID != nil && *a.ParentID == at.ID })
				for _, p := range w.comments {
					if at.ParentID != nil && p.ID == *at.ParentID {
						at.Parent = &p
					}
				}
			}
		}
		users[i].Posts = posts
	}
	return users
}

// Whatever the rows and the settings are, what is loaded, matched and counted is
// what the rows say.
func TestRelationsAgreeWithRows(t *testing.T) {
	db := open(t)
	ctx, U, P, C := t.Context(), Users, Posts, Comments
	rapid.Check(t, func(t *rapid.T) {
		is := is.New(t)
		_, err := U.Where().WithDeleted().AllRows().Purge(ctx, db)
		is.NoErr(err)
		w := drawWorld(t)
		is.NoErr(U.CreateMany(ctx, db, slices.Clone(w.users)))
		is.NoErr(P.CreateMany(ctx, db, slices.Clone(w.posts)))
		is.NoErr(C.CreateMany(ctx, db, slices.Clone(w.comments)))
		c := choice{
			views: rapid.Int64Range(0, 3).Draw(t, "min"), descending: rapid.Bool().Draw(t, "desc"), limit: rapid.IntRange(-1, 3).Draw(t, "limit"),
			deleted: rapid.Bool().Draw(t, "deleted"), text: rapid.SampledFrom([]string{"", "x"}).Draw(t, "only"),
		}
		rel := U.Posts.Where(P.Views.Gte(c.views))
		matched := rel
		if c.descending {
			rel = rel.OrderBy(P.Views.Desc())
		} else {
			rel = rel.OrderBy(P.Views.Asc())
		}
		if c.limit >= 0 {
			rel = rel.LimitEach(c.limit)
		}
		if c.deleted {
			rel, matched = rel.WithDeleted(), matched.WithDeleted()
		}
		inner := P.Comments.With(C.Answers, C.Parent)
		some := P.Comments
		if c.text != "" {
			inner, some = inner.Where(C.Text.Eq(c.text)), some.Where(C.Text.Eq(c.text))
		}
		got, err := U.Where().OrderBy(U.ID.Asc()).With(rel.With(inner)).All(ctx, db)
		is.NoErr(err)
		want := w.loaded(c)
		if d := gocmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}

		all := c
		all.limit = -1
		var counts []int64
		var having, lacking, every []string
		for _, u := range w.loaded(all) {
			with := pick(u.Posts, func(p Post) bool { return len(p.Comments) > 0 })
			counts = append(counts, int64(len(with)))
			if len(with) > 0 {
				having = append(having, u.ID)
			} else {
				lacking = append(lacking, u.ID)
			}
			if len(with) == len(u.Posts) {
				every = append(every, u.ID)
			}
		}
		n, err := orm.Pluck(ctx, db, U.Where().OrderBy(U.ID.Asc()), matched.Count(some.Some()))
		is.NoErr(err)
		is.True(slices.Equal(n, counts))
		for _, q := range []struct {
			c    orm.Cond[User]
			want []string
		}{{matched.Some(some.Some()), having}, {matched.None(some.Some()), lacking}, {matched.Every(some.Some()), every}} {
			ids, err := orm.Pluck(ctx, db, U.Where(q.c).OrderBy(U.ID.Asc()), U.ID)
			is.NoErr(err)
			is.True(slices.Equal(ids, q.want))
		}
	})
}
