package manymany_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb"
	. "github.com/driftdb/driftdb/gen_test/manymany"
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

func ids[M any](ms []M, id func(M) any) string {
	s := make([]string, len(ms))
	for i, m := range ms {
		s[i] = fmt.Sprint(id(m))
	}
	return strings.Join(s, " ")
}

func tagIDs(ts []Tag) string   { return ids(ts, func(t Tag) any { return t.ID }) }
func postIDs(ps []Post) string { return ids(ps, func(p Post) any { return p.ID }) }
func userIDs(us []User) string { return ids(us, func(u User) any { return u.ID }) }

func posts(t *testing.T, db *orm.DB) ([]Post, []Tag) {
	t.Helper()
	is, ctx := is.New(t), t.Context()
	ps := []Post{{ID: "a", Title: "A"}, {ID: "b", Title: "B"}, {ID: "c", Title: "C"}}
	ts := []Tag{{ID: 1, Name: new("one")}, {ID: 2, Name: new("two")}, {ID: 3}, {ID: 4, Name: new("four")}}
	is.NoErr(Posts.CreateMany(ctx, db, ps))
	is.NoErr(Tags.CreateMany(ctx, db, ts))
	return ps, ts
}

func TestAddRemoveReplace(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	ps, ts := posts(t, db)
	tags := func(p *Post) string {
		is.NoErr(Posts.LoadRow(ctx, db, p, Posts.Tags))
		return tagIDs(p.Tags)
	}
	is.NoErr(Posts.Tags.Add(ctx, db, &ps[0]))
	is.Equal(tags(&ps[0]), "")
	is.NoErr(Posts.Tags.Add(ctx, db, &ps[0], &ts[0], &ts[2], &ts[0]))
	is.True(len(ps[0].Tags) == 0) // the field is not touched
	is.Equal(tags(&ps[0]), "1 3")
	before, err := PostTags.Find(ctx, db, PostTagKey{PostID: "a", TagID: 1})
	is.NoErr(err)
	is.True(!before.AddedAt.IsZero())
	is.NoErr(Posts.Tags.Add(ctx, db, &ps[0], &ts[0], &ts[1])) // what is there stays as it is
	is.NoErr(Tags.Posts.Add(ctx, db, &ts[1], &ps[1], &ps[2])) // from the other side
	is.Equal(tags(&ps[0])+"|"+tags(&ps[1])+"|"+tags(&ps[2]), "1 2 3|2|2")
	is.NoErr(Posts.Tags.Remove(ctx, db, &ps[0], &ts[1], &ts[3], &ts[1])) // 4 was not related
	is.Equal(tags(&ps[0])+"|"+tags(&ps[1]), "1 3|2")
	is.NoErr(Posts.Tags.Replace(ctx, db, &ps[0], &ts[3], &ts[0]))
	is.Equal(tags(&ps[0])+"|"+tags(&ps[1]), "1 4|2")
	after, err := PostTags.Find(ctx, db, PostTagKey{PostID: "a", TagID: 1})
	is.NoErr(err)
	is.Equal(after.AddedAt, before.AddedAt)
	is.NoErr(Posts.Tags.Replace(ctx, db, &ps[0]))
	is.Equal(tags(&ps[0])+"|"+tags(&ps[1]), "|2")
	n, err := Tags.Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(4)) // the rows themselves stay

	ts[1].Posts = nil
	is.NoErr(Tags.LoadRow(ctx, db, &ts[1], Tags.Posts.OrderBy(Posts.Title.Desc()).With(Posts.Tags)))
	is.Equal(postIDs(ts[1].Posts), "c b")
	is.Equal(tagIDs(ts[1].Posts[0].Tags), "2")
}

// Nothing of a change stays when a part of it fails.
func TestChangesAreWhole(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	ps, ts := posts(t, db)
	is.NoErr(Posts.Tags.Add(ctx, db, &ps[0], &ts[0]))
	links := func() int64 {
		n, err := PostTags.Count(ctx, db)
		is.NoErr(err)
		return n
	}
	var fk *orm.ForeignKeyError
	err := Posts.Tags.Add(ctx, db, &ps[0], &ts[1], &Tag{ID: 99})
	is.True(errors.As(err, &fk))
	is.True(strings.HasPrefix(err.Error(), "add to posts.Tags: create post_tags: "))
	is.Equal(links(), int64(1))
	err = Posts.Tags.Replace(ctx, db, &ps[0], &ts[1], &Tag{ID: 99})
	is.True(errors.As(err, &fk))
	is.Equal(links(), int64(1))
	err = Posts.Tags.Add(ctx, db, &Post{ID: "nobody"}, &ts[1])
	is.True(errors.As(err, &fk))
	// In a transaction that goes on, too.
	is.NoErr(db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		is.True(Posts.Tags.Replace(ctx, tx, &ps[0], &ts[1], &Tag{ID: 99}) != nil)
		return Posts.Tags.Add(ctx, tx, &ps[0], &ts[2])
	}))
	is.NoErr(Posts.LoadRow(ctx, db, &ps[0], Posts.Tags))
	is.Equal(tagIDs(ps[0].Tags), "1 3")

	for want, err := range map[string]error{
		"add to posts.Tags: the row is a nil pointer":                 Posts.Tags.Add(ctx, db, nil, &ts[0]),
		"remove from posts.Tags: row 1: the row is a nil":             Posts.Tags.Remove(ctx, db, &ps[0], &ts[0], nil),
		"replace posts.Tags: the reader or writer is nil":             Posts.Tags.Replace(ctx, nil, &ps[0], &ts[0]),
		"add to tags.Places: tags.name is NULL: no row can refer":     Tags.Places.Add(ctx, db, &ts[2]),
		"add to places.Tags: row 0: tags.name is NULL: no row can re": Places.Tags.Add(ctx, db, &Place{}, &ts[2]),
		"a relation is a zero value":                                  orm.ManyMany[Post, Tag]{}.Add(ctx, db, &ps[0]),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	is.True(errors.Is(Posts.Tags.Add(ended, db, &ps[0], &ts[1]), context.Canceled))
}

func TestConditions(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	ps, ts := posts(t, db)
	is.NoErr(Posts.Tags.Add(ctx, db, &ps[0], &ts[0], &ts[1]))
	is.NoErr(Posts.Tags.Add(ctx, db, &ps[1], &ts[1], &ts[2]))
	P, T := Posts, Tags
	for _, tc := range []struct {
		c    orm.Cond[Post]
		want string
	}{
		{P.Tags.Some(), "a b"},
		{P.Tags.Some(T.Name.Eq("ONE")), "a"}, // nocase
		{P.Tags.None(), "c"},
		{P.Tags.None(T.ID.Eq(1)), "b c"},
		{P.Tags.Every(T.Name.NotNull()), "a c"},
		{P.Tags.Some(T.Posts.Some(P.ID.Eq("b"))), "a b"},
		{P.Tags.Where(T.ID.Gt(1)).Count().Eq(1), "a"},
		{P.Tags.Count().Lt(2), "c"},
	} {
		got, err := P.Where(tc.c).OrderBy(P.ID.Asc()).All(ctx, db)
		is.NoErr(err)
		is.Equal(postIDs(got), tc.want)
	}
	top, err := orm.Select2(ctx, db, T.Where().OrderBy(T.Posts.Count().Desc(), T.ID.Asc()), T.ID, T.Posts.Count(P.Title.Eq("B")))
	is.NoErr(err)
	is.Equal(top, []orm.T2[int64, int64]{{A: 2, B: 1}, {A: 1}, {A: 3, B: 1}, {A: 4}})
	got, err := P.Where().OrderBy(P.ID.Asc()).With(P.Tags.OrderBy(T.ID.Desc()).LimitEach(1)).All(ctx, db)
	is.NoErr(err)
	is.Equal(tagIDs(got[0].Tags)+"|"+tagIDs(got[1].Tags)+"|"+tagIDs(got[2].Tags), "2|3|")
	is.True(got[2].Tags != nil)
	plan, err := P.Where(P.Tags.Some(T.ID.Gt(5))).Explain(ctx, db)
	is.NoErr(err)
	is.True(!strings.Contains(plan, "SCAN tags") && !strings.Contains(plan, "SCAN post_tags"))
}

// A model may be related to itself, and the table between may be soft deleted.
func TestFollows(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	us := []User{{ID: 1, Name: "a"}, {ID: 2, Name: "b"}, {ID: 3, Name: "c"}}
	is.NoErr(Users.CreateMany(ctx, db, us))
	U := Users
	is.NoErr(U.Following.Add(ctx, db, &us[0], &us[1], &us[2], &us[0]))
	is.NoErr(U.Followers.Add(ctx, db, &us[0], &us[2]))
	say := func() string {
		is.NoErr(U.Load(ctx, db, us, U.Following, U.Followers))
		s := ""
		for _, u := range us {
			s += fmt.Sprintf("%d→%s←%s;", u.ID, userIDs(u.Following), userIDs(u.Followers))
		}
		return s
	}
	is.Equal(say(), "1→1 2 3←1 3;2→←1;3→1←1;")
	got, err := U.Where(U.Following.Some(U.Following.Some(U.Name.Eq("b")))).OrderBy(U.ID.Asc()).All(ctx, db)
	is.NoErr(err)
	is.Equal(userIDs(got), "1 3") // through themselves, and through 1
	n, err := orm.Pluck(ctx, db, U.Where().OrderBy(U.ID.Asc()), U.Followers.Count(U.Name.Ne("a")))
	is.NoErr(err)
	is.Equal(n, []int64{1, 0, 0})

	old, err := Follows.First(ctx, db, Follows.FollowerID.Eq(1), Follows.FolloweeID.Eq(2))
	is.NoErr(err)
	is.NoErr(U.Following.Remove(ctx, db, &us[0], &us[1]))
	is.Equal(say(), "1→1 3←1 3;2→←;3→1←1;")
	all, err := Follows.Where().WithDeleted().Count(ctx, db)
	is.NoErr(err)
	is.Equal(all, int64(4))
	is.NoErr(U.Following.Add(ctx, db, &us[0], &us[1])) // brings the row back: its key is in the way of a new one
	is.Equal(say(), "1→1 2 3←1 3;2→←1;3→1←1;")
	again, err := Follows.First(ctx, db, Follows.FollowerID.Eq(1), Follows.FolloweeID.Eq(2))
	is.NoErr(err)
	is.Equal(again.ID, old.ID)
	is.NoErr(U.Following.Replace(ctx, db, &us[0], &us[2]))
	is.Equal(say(), "1→3←3;2→←;3→1←1;")
}

// A pair that was soft deleted and is in nobody's way stays so: another is made.
func TestUniqueAmongLive(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	_, ts := posts(t, db)
	u := User{ID: 1}
	is.NoErr(Users.Create(ctx, db, &u))
	for range 3 {
		is.NoErr(Users.Likes.Replace(ctx, db, &u, &ts[0], &ts[1]))
		is.NoErr(Users.Likes.Remove(ctx, db, &u, &ts[0]))
	}
	is.NoErr(Users.LoadRow(ctx, db, &u, Users.Likes))
	is.Equal(tagIDs(u.Likes), "2")
	gone, err := Likes.Where().OnlyDeleted().Count(ctx, db)
	is.NoErr(err)
	is.Equal(gone, int64(3))
}

// Nothing keeps the pairs of places and tags apart: a tag counts once all the
// same. Hooks of the table between run, and text compares without case.
func TestPairsThatStandTwice(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	_, ts := posts(t, db)
	places := []Place{{Country: "de", Number: 1}, {Country: "de", Number: 2}, {Country: "fr", Number: 1}}
	is.NoErr(Places.CreateMany(ctx, db, places))
	pair := func(country string, n int64, tag string) PlaceTag {
		return PlaceTag{Country: sql.Null[string]{V: country, Valid: true}, Number: &n, Tag: &tag}
	}
	is.NoErr(PlaceTags.CreateMany(ctx, db, []PlaceTag{
		pair("de", 1, "ONE"), pair("de", 1, "one"), pair("de", 2, "Two"), pair("de", 1, "two"),
		{Country: sql.Null[string]{V: "de", Valid: true}, Tag: new("four")},
	}))
	say := func() string {
		is.NoErr(Places.Load(ctx, db, places, Places.Tags))
		return tagIDs(places[0].Tags) + "|" + tagIDs(places[1].Tags) + "|" + tagIDs(places[2].Tags)
	}
	is.Equal(say(), "1 2|2|")
	removals := func() int64 {
		n, err := Removals.Count(ctx, db)
		is.NoErr(err)
		return n
	}
	n, err := orm.Pluck(ctx, db, Places.Where().OrderBy(Places.Country.Asc(), Places.Number.Asc()), Places.Tags.Count())
	is.NoErr(err)
	is.Equal(n, []int64{2, 1, 0})
	is.NoErr(Tags.Load(ctx, db, ts, Tags.Places))
	is.Equal(ids(ts[1].Places, func(p Place) any { return p.Number }), "1 2")
	is.True(ts[2].Places != nil && len(ts[2].Places) == 0) // NULL is related to nothing
	is.NoErr(Places.Tags.Add(ctx, db, &places[0], &ts[0])) // there, in another case
	count, err := PlaceTags.Count(ctx, db)
	is.NoErr(err)
	is.Equal(count, int64(5))
	is.NoErr(Places.Tags.Remove(ctx, db, &places[0], &ts[0])) // both rows
	is.Equal(removals(), int64(2))
	is.Equal(say(), "2|2|")
	is.NoErr(Tags.Places.Replace(ctx, db, &ts[1], &places[2], &places[1]))
	is.Equal(say(), "|2|2")
	is.Equal(removals(), int64(3))
}
