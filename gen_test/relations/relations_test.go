package relations_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb"
	. "github.com/driftdb/driftdb/gen_test/relations"
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

// fill makes a small world: team red of ann and bob, whom ann owns, team blue of
// nobody, and cid without a team.
func fill(t *testing.T, db *orm.DB) {
	t.Helper()
	is, ctx := is.New(t), t.Context()
	is.NoErr(db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		return errors.Join(
			Teams.CreateMany(ctx, tx, []Team{{ID: "red", Name: "Red"}, {ID: "blue", Name: "Blue"}}),
			Users.CreateMany(ctx, tx, []User{
				{ID: "ann", Name: "Ann", Nick: "ANN", TeamID: new("red")},
				{ID: "bob", Name: "Bob", Nick: "bob", TeamID: new("red")},
				{ID: "cid", Name: "Cid", Nick: "Cid"},
			}),
			Teams.Update(ctx, tx, "red", Teams.OwnerID.Set("ann")),
			Profiles.CreateMany(ctx, tx, []Profile{{UserID: "ann", Bio: "first"}}),
			Posts.CreateMany(ctx, tx, []Post{
				{ID: 1, AuthorID: "ann", Title: "one", Views: 5, Published: true},
				{ID: 2, AuthorID: "ann", Title: "two", Views: 9, Stamped: Stamped{ByID: new("bob")}},
				{ID: 3, AuthorID: "ann", Title: "three", Views: 7, Published: true},
				{ID: 4, AuthorID: "bob", Title: "four", Views: 1},
			}),
			Comments.CreateMany(ctx, tx, []Comment{
				{ID: 1, PostID: 1, Text: "a"}, {ID: 2, PostID: 1, ParentID: new(int64(1)), Text: "b"},
				{ID: 3, PostID: 1, ParentID: new(int64(2)), Text: "c"}, {ID: 4, PostID: 3, Text: "d"},
			}),
			Notes.CreateMany(ctx, tx, []Note{{ID: 1, UserNick: new("ann")}, {ID: 2, UserNick: new("BOB")}, {ID: 3}, {ID: 4, UserNick: new("Ann")}}),
		)
	}))
}

func ids[M any](ms []M, id func(M) any) string {
	if ms == nil {
		return "nil"
	}
	s := make([]string, len(ms))
	for i, m := range ms {
		s[i] = fmt.Sprint(id(m))
	}
	return strings.Join(s, " ")
}

func postIDs(ps []Post) string                  { return ids(ps, func(p Post) any { return p.ID }) }
func userIDs(us []User) string                  { return ids(us, func(u User) any { return u.ID }) }
func noteIDs(ns []Note) string                  { return ids(ns, func(n Note) any { return n.ID }) }
func texts(cs []Comment) string                 { return ids(cs, func(c Comment) any { return c.Text }) }
func where(c ...orm.Cond[User]) orm.Query[User] { return Users.Where(c...).OrderBy(Users.ID.Asc()) }

// A relation that was not asked for is nil; one that was and has no rows is
// empty; a single one is nil both ways.
func TestNilAndEmpty(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	fill(t, db)
	us, err := where().All(ctx, db)
	is.NoErr(err)
	for _, u := range us {
		is.True(u.Posts == nil && u.Notes == nil && u.Team == nil && u.Profile == nil)
	}
	us, err = where().With(Users.Posts, Users.Team, Users.Profile, Users.Notes).All(ctx, db)
	is.NoErr(err)
	is.Equal(postIDs(us[0].Posts), "1 2 3")
	is.Equal(postIDs(us[1].Posts), "4")
	is.True(us[2].Posts != nil && len(us[2].Posts) == 0)
	is.Equal(us[0].Team.Name, "Red")
	is.Equal(us[1].Team, us[0].Team) // one row, one value
	is.Equal(us[2].Team, nil)
	is.Equal(us[0].Profile.Bio, "first")
	is.Equal(us[1].Profile, nil)
	is.Equal(us[0].Posts[0].Comments == nil && us[0].Posts[0].Author == nil, true) // what is nested was not asked for
	none, err := Users.Where(Users.ID.Eq("x")).With(Users.Posts).All(ctx, db)
	is.NoErr(err)
	is.True(none != nil && len(none) == 0)
}

// Text compares as the column does that is referred to, whatever the case of the
// one that refers.
func TestCollationOfTheKey(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	fill(t, db)
	us, err := where().With(Users.Notes).All(ctx, db)
	is.NoErr(err)
	is.Equal(noteIDs(us[0].Notes), "1 4")
	is.Equal(noteIDs(us[1].Notes), "2")
	ns, err := Notes.Where().OrderBy(Notes.ID.Asc()).With(Notes.User).All(ctx, db)
	is.NoErr(err)
	is.Equal(ns[0].User.ID, "ann")
	is.Equal(ns[1].User.ID, "bob")
	is.Equal(ns[2].User, nil)
	got, err := orm.Pluck(ctx, db, where(), Users.Notes.Count())
	is.NoErr(err)
	is.Equal(got, []int64{2, 1, 0})
	some, err := Notes.Where(Notes.User.Some(Users.Name.Eq("Bob"))).All(ctx, db)
	is.NoErr(err)
	is.Equal(noteIDs(some), "2")
}

func TestNested(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	fill(t, db)
	U, P, C := Users, Posts, Comments
	team, err := Teams.Where(Teams.ID.Eq("red")).With(
		Teams.Owner.With(U.Profile, U.Team),
		Teams.Users.OrderBy(U.Name.Desc()).With(
			U.Posts.Where(P.Published.IsTrue()).OrderBy(P.Views.Desc()).With(
				P.Comments.With(C.Parent, C.Answers.With(C.Answers)), P.Author),
		)).First(ctx, db)
	is.NoErr(err)
	is.Equal(team.Owner.Profile.Bio, "first")
	is.Equal(team.Owner.Team.ID, "red")
	is.Equal(userIDs(team.Users), "bob ann")
	is.Equal(postIDs(team.Users[0].Posts), "")
	posts := team.Users[1].Posts
	is.Equal(postIDs(posts), "3 1")
	is.Equal(posts[0].Author.ID, "ann")
	cs := posts[1].Comments
	is.Equal(texts(cs), "a b c")
	is.Equal(cs[0].Parent, nil)
	is.Equal(cs[2].Parent.Text, "b")
	is.Equal(texts(cs[0].Answers), "b")
	is.Equal(texts(cs[0].Answers[0].Answers), "c")
	is.True(cs[2].Answers != nil && len(cs[2].Answers) == 0)
}

// A relation within a struct that is part of the model.
func TestEmbeddedRelation(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	fill(t, db)
	ps, err := Posts.Where().OrderBy(Posts.ID.Asc()).With(Posts.By).All(ctx, db)
	is.NoErr(err)
	is.Equal(ps[0].By, nil)
	is.Equal(ps[1].By.ID, "bob")
}

// The limit is for each row, after the conditions and in the order.
func TestLimitEach(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	fill(t, db)
	P := Posts
	load := func(posts orm.Many[User, Post]) string {
		us, err := where().With(posts).All(ctx, db)
		is.NoErr(err)
		return postIDs(us[0].Posts) + "|" + postIDs(us[1].Posts) + "|" + postIDs(us[2].Posts)
	}
	is.Equal(load(Users.Posts.LimitEach(2)), "1 2|4|")
	is.Equal(load(Users.Posts.OrderBy(P.Views.Desc()).LimitEach(2)), "2 3|4|")
	is.Equal(load(Users.Posts.OrderBy(P.Views.Desc()).Where(P.Published.IsTrue()).LimitEach(1)), "3||")
	is.Equal(load(Users.Posts.OrderBy(P.Comments.Count().Desc()).LimitEach(2)), "1 3|4|")
	is.Equal(load(Users.Posts.OrderBy(P.Comments.Count(Comments.Text.Eq("d")).Desc(), P.Views.Desc()).LimitEach(2)), "3 2|4|")
	is.Equal(load(Users.Posts.OrderBy(P.Published.Asc(), P.ID.Desc())), "2 3 1|4|")
	is.Equal(load(Users.Posts.LimitEach(0)), "||")
	us, err := where().With(Users.Posts.LimitEach(1).With(P.Comments.LimitEach(2).OrderBy(Comments.ID.Desc()))).All(ctx, db)
	is.NoErr(err)
	is.Equal(texts(us[0].Posts[0].Comments), "c b")
}

func TestSomeNoneEvery(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	fill(t, db)
	U, P, C := Users, Posts, Comments
	for _, tc := range []struct {
		name string
		c    orm.Cond[User]
		want string
	}{
		{"some", U.Posts.Some(), "ann bob"},
		{"some that", U.Posts.Some(P.Published.IsTrue(), P.Views.Gt(6)), "ann"},
		{"some after where", U.Posts.Where(P.Published.IsTrue()).Some(), "ann"},
		{"none", U.Posts.None(), "cid"},
		{"none that", U.Posts.None(P.Published.IsTrue()), "bob cid"},
		{"every", U.Posts.Every(P.Published.IsFalse()), "bob cid"},
		{"every after where", U.Posts.Where(P.Views.Gte(5), P.Views.Lte(7)).Every(P.Published.IsTrue()), "ann bob cid"},
		{"every without a condition", U.Posts.Every(), "ann bob cid"},
		{"every where NULL is", U.Posts.Every(P.ByID.Ne("x")), "cid"},
		{"one", U.Team.Some(Teams.Name.Eq("Red")), "ann bob"},
		{"no one", U.Team.None(), "cid"},
		{"inverse one", U.Profile.Some(Profiles.Bio.Like("f%")), "ann"},
		{"nested", U.Posts.Some(P.Comments.Some(C.Answers.Some(C.Answers.Some()))), "ann"},
		{"around a ring", U.Team.Some(Teams.Users.Some(U.Name.Eq("Bob"))), "ann bob"},
		{"not", orm.Not(U.Posts.Some()), "cid"},
		{"or", orm.Or(U.Profile.Some(), U.Team.None()), "ann cid"},
		{"count", U.Posts.Count().Gt(1), "ann"},
		{"count that", U.Posts.Count(P.Published.IsTrue()).Eq(0), "bob cid"},
		{"raw", U.Posts.Some(orm.SQL[Post]("posts.views + ? > 13", 5)), "ann"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			us, err := where(tc.c).All(ctx, db)
			if err != nil || userIDs(us) != tc.want {
				t.Errorf("got %q, %v; want %q", userIDs(us), err, tc.want)
			}
			n, err := where(tc.c).Count(ctx, db)
			is.NoErr(err)
			is.Equal(int(n), len(us))
		})
	}
}

// Inside a condition on related rows of the same table its columns are theirs.
func TestSelfRelations(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	fill(t, db)
	C := Comments
	for _, tc := range []struct {
		c    orm.Cond[Comment]
		want string
	}{
		{C.Parent.Some(), "b c"},
		{C.Parent.None(), "a d"},
		{C.Parent.Some(C.Text.Eq("a")), "b"},
		{C.Answers.Some(C.Text.Eq("c")), "b"},
		{C.Answers.Some(C.Answers.Some()), "a"},
		{C.Parent.Some(C.Parent.Some(C.Text.Eq("a"))), "c"},
		{C.Answers.Some(orm.SQL[Comment]("comments.text = 'b'")), "a"},
		{C.Answers.Count().Eq(0), "c d"},
		{C.Answers.Every(C.Text.Eq("b")), "a c d"},
	} {
		cs, err := C.Where(tc.c).OrderBy(C.ID.Asc()).All(ctx, db)
		is.NoErr(err)
		is.Equal(texts(cs), tc.want)
	}
	n, err := C.Where(C.Answers.None(), C.Parent.None()).Update(ctx, db, C.Text.Set("leaf"))
	is.NoErr(err)
	is.Equal(n, int64(1))
	n, err = C.Where(C.Parent.Some(C.Parent.Some())).Delete(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(1))
	cs, err := C.Where().OrderBy(C.ID.Asc()).All(ctx, db)
	is.NoErr(err)
	is.Equal(texts(cs), "a b leaf")
}

func TestWritesByRelation(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	fill(t, db)
	U, P := Users, Posts
	n, err := U.Where(U.Posts.None()).Update(ctx, db, U.Name.Set("lazy"))
	is.NoErr(err)
	is.Equal(n, int64(1))
	_, err = U.Where(U.Posts.Every()).Update(ctx, db, U.Name.Set("x")) // every row
	is.True(errors.Is(err, orm.ErrNoCondition))
	_, err = P.Where(orm.Not(P.Comments.Every())).Purge(ctx, db)
	is.True(errors.Is(err, orm.ErrNoCondition))
	gone, err := P.Where(P.Comments.None(), P.Author.Some(U.ID.Eq("ann"))).DeleteReturning(ctx, db)
	is.NoErr(err)
	is.Equal(postIDs(gone), "2")
}

// Rows that are soft deleted are related to nothing, unless they are asked for.
func TestSoftDeleted(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	fill(t, db)
	for _, id := range []int64{2, 4} {
		_, err := Posts.Delete(ctx, db, id)
		is.NoErr(err)
	}
	_, err := Users.Delete(ctx, db, "bob")
	is.NoErr(err)
	U := Users
	us, err := where().WithDeleted().With(U.Posts).All(ctx, db)
	is.NoErr(err)
	is.Equal(userIDs(us), "ann bob cid")
	is.Equal(postIDs(us[0].Posts), "1 3")
	is.Equal(postIDs(us[1].Posts), "")
	us, err = where().WithDeleted().With(U.Posts.WithDeleted()).All(ctx, db)
	is.NoErr(err)
	is.Equal(postIDs(us[0].Posts), "1 2 3")
	is.Equal(postIDs(us[1].Posts), "4")
	n, err := orm.Pluck(ctx, db, where(), U.Posts.Count())
	is.NoErr(err)
	is.Equal(n, []int64{2, 0})
	n, err = orm.Pluck(ctx, db, where(), U.Posts.WithDeleted().Count())
	is.NoErr(err)
	is.Equal(n, []int64{3, 0})
	ps, err := Posts.Where(Posts.ID.Eq(4)).WithDeleted().With(Posts.Author).All(ctx, db)
	is.NoErr(err)
	is.Equal(ps[0].Author, nil)
	ps, err = Posts.Where(Posts.ID.Eq(4)).WithDeleted().With(Posts.Author.WithDeleted()).All(ctx, db)
	is.NoErr(err)
	is.Equal(ps[0].Author.ID, "bob")
	some, err := Teams.Where(Teams.Users.Some(U.ID.Eq("bob"))).All(ctx, db)
	is.NoErr(err)
	is.Equal(len(some), 0)
}

// One row is live, and comes before those that are not any more.
func TestOneAmongLive(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	fill(t, db)
	for _, id := range []int64{1, 3, 2} {
		_, err := Badges.Where(Badges.UserID.Eq("ann")).Delete(ctx, db)
		is.NoErr(err)
		is.NoErr(Badges.Create(ctx, db, &Badge{ID: id, UserID: "ann"}))
	}
	load := func(r orm.Rel[User]) *Badge {
		u := User{ID: "ann"}
		is.NoErr(Users.LoadRow(ctx, db, &u, r))
		return u.Badge
	}
	is.Equal(load(Users.Badge).ID, int64(2))
	is.Equal(load(Users.Badge.WithDeleted()).ID, int64(2))
	_, err := Badges.Delete(ctx, db, 2)
	is.NoErr(err)
	is.Equal(load(Users.Badge), nil)
	is.True(load(Users.Badge.WithDeleted()) != nil)
}

func TestKeysOfSeveralColumns(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	V, T := Visits, Treatments
	is.NoErr(V.CreateMany(ctx, db, []Visit{{Place: "a", Number: 1}, {Place: "a", Number: 2}, {Place: "b", Number: 1}, {Place: "1:a", Number: 1}}))
	is.NoErr(T.CreateMany(ctx, db, []Treatment{
		{ID: 1, Place: "a", Number: 1}, {ID: 2, Place: "b", Number: 1, AfterPlace: new("a"), AfterNumber: new(int64(1))},
		{ID: 3, Place: "a", Number: 1, AfterPlace: new("a")}, // half a reference is none
	}))
	err := T.Create(ctx, db, &Treatment{ID: 4, Place: "b", Number: 2})
	var fk *orm.ForeignKeyError
	is.True(errors.As(err, &fk))
	vs, err := V.Where().OrderBy(V.Place.Asc(), V.Number.Asc()).With(V.Treatments.With(T.Visit, T.After), V.Follows).All(ctx, db)
	is.NoErr(err)
	got := func(ts []Treatment) string { return ids(ts, func(t Treatment) any { return t.ID }) }
	is.Equal(got(vs[1].Treatments), "1 3")
	is.Equal(got(vs[1].Follows), "2")
	is.Equal(got(vs[3].Treatments), "2")
	is.Equal(got(vs[0].Treatments)+got(vs[2].Treatments), "")
	is.Equal(vs[3].Treatments[0].Visit.Place, "b")
	is.Equal(vs[3].Treatments[0].After.Place, "a")
	is.Equal(vs[1].Treatments[1].After, nil)
	n, err := orm.Pluck(ctx, db, V.Where().OrderBy(V.Place.Asc(), V.Number.Asc()), V.Treatments.Count(T.After.None()))
	is.NoErr(err)
	is.Equal(n, []int64{0, 2, 0, 0})
	_, err = V.Delete(ctx, db, VisitKey{Place: "a", Number: 1}) // cascade of one key, setnull of the other
	is.NoErr(err)
	ts, err := T.All(ctx, db)
	is.NoErr(err)
	if d := cmp.Diff([]Treatment{{ID: 2, Place: "b", Number: 1}}, ts); d != "" {
		t.Error(d)
	}
}

// No two keys are taken for one, whatever text is in them.
func TestHostileKeys(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	parts := []string{"", ",", "a", "a,", ",a", "1:a", "a,1:a", "1:a,1:a", "a\x00", "\x00a", "'", `"`, "\xff", "ä"}
	var boxes []Box
	var books []Book
	for _, room := range parts {
		for _, name := range parts {
			boxes = append(boxes, Box{Room: room, Name: name})
			books = append(books, Book{ID: int64(len(books)), Room: room, Name: name})
		}
	}
	is.NoErr(Boxes.CreateMany(ctx, db, boxes))
	is.NoErr(Books.CreateMany(ctx, db, books))
	is.NoErr(Boxes.Load(ctx, db, boxes, Boxes.Books))
	for i, s := range boxes {
		if len(s.Books) != 1 || s.Books[0] != books[i] {
			t.Errorf("%q, %q: %v", s.Room, s.Name, s.Books)
		}
	}
}

// Every way to read rows loads their relations.
func TestEveryWayToRead(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	fill(t, db)
	q := where().With(Users.Posts)
	const want = "ann:1 2 3 bob:4 cid:"
	say := func(us []User) string {
		return ids(us, func(u User) any { return u.ID + ":" + postIDs(u.Posts) })
	}
	run := func(t *testing.T, r orm.Reader) {
		t.Helper()
		is := is.New(t)
		us, err := q.All(ctx, r)
		is.NoErr(err)
		is.Equal(say(us), want)
		first, err := q.First(ctx, r)
		is.NoErr(err)
		is.Equal(postIDs(first.Posts), "1 2 3")
		one, err := q.Where(Users.ID.Eq("bob")).One(ctx, r)
		is.NoErr(err)
		is.Equal(postIDs(one.Posts), "4")
		us = nil
		for u, err := range q.Each(ctx, r) {
			is.NoErr(err)
			us = append(us, *u)
		}
		is.Equal(say(us), want)
		p, err := q.Page(ctx, r, "", 2)
		is.NoErr(err)
		us = p.Items
		p, err = q.Page(ctx, r, p.Next, 2)
		is.NoErr(err)
		is.Equal(say(append(us, p.Items...)), want)
		us = nil
		for b, err := range q.Batches(ctx, r, 2) {
			is.NoErr(err)
			us = append(us, b...)
		}
		is.Equal(say(us), want)
		us, err = Users.Where().OrderBy(Users.ID.Asc()).All(ctx, r)
		is.NoErr(err)
		is.NoErr(Users.Load(ctx, r, us, Users.Posts))
		is.Equal(say(us), want)
		is.NoErr(Users.Load(ctx, r, us, Users.Posts.LimitEach(1))) // instead of what was there
		is.Equal(postIDs(us[0].Posts), "1")
		is.NoErr(Users.LoadRow(ctx, r, &us[0], Users.Posts, Users.Team))
		is.Equal(postIDs(us[0].Posts)+us[0].Team.ID, "1 2 3red")
	}
	run(t, db)
	is.NoErr(db.Tx(ctx, func(_ context.Context, tx *orm.Tx) error { run(t, tx); return nil }))
	is.NoErr(db.ReadTx(ctx, func(_ context.Context, tx *orm.ReadTx) error { run(t, tx); return nil }))
}

// Only reads what its relations need, too.
func TestOnlyWithRelations(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	fill(t, db)
	us, err := where().Only(Users.Name).With(Users.Team, Users.Notes).All(ctx, db)
	is.NoErr(err)
	is.Equal(us[0].Team.ID, "red")
	is.Equal(noteIDs(us[0].Notes), "1 4")
	for u, err := range where().Only(Users.Name).With(Users.Team).Each(ctx, db) {
		is.NoErr(err)
		is.True(u.ID == "cid" || u.Team.ID == "red")
	}
	p, err := where().Only(Users.Name).With(Users.Team).Page(ctx, db, "", 1)
	is.NoErr(err)
	is.Equal(p.Items[0].Team.ID, "red")
	us, err = where().With(Users.Team).Only(Users.Name).All(ctx, db)
	is.NoErr(err)
	is.Equal(us[0].Team.ID, "red")
	is.Equal(us[0].Nick, "")
}

// Of two settings of one relation the last counts.
func TestTheLastSettingCounts(t *testing.T) {
	is, ctx := is.New(t), t.Context()
	db, n := openCounting(t, func(int64) error { return nil })
	fill(t, db)
	n.Store(0)
	us, err := where().With(Users.Posts).With(Users.Posts.Where(Posts.Published.IsTrue())).All(ctx, db)
	is.NoErr(err)
	is.Equal(postIDs(us[0].Posts), "1 3")
	is.Equal(n.Load(), int64(2)) // the other one is not read
}

// Rows that stand twice have slices of their own.
func TestRowsTwice(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	fill(t, db)
	us := []User{{ID: "ann"}, {ID: "ann"}, {ID: "nobody"}}
	is.NoErr(Users.Load(ctx, db, us, Users.Posts))
	us[0].Posts[0].Title = "changed"
	is.Equal(us[1].Posts[0].Title, "one")
	us[0].Posts = append(us[0].Posts, Post{})
	is.Equal(len(us[1].Posts), 3)
	is.Equal(postIDs(us[2].Posts), "")
}

func TestMistakes(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	fill(t, db)
	U, P := Users, Posts
	var none orm.Many[User, Post]
	var noOne orm.One[User, Team]
	var noPost orm.Many[Post, Comment]
	for want, q := range map[string]orm.Query[User]{
		"a relation is a zero value":                where().With(none),
		"relation is a zero value: use":             where().With(noOne),
		"is a zero value":                           where(none.Some()),
		"users: a relation is a":                    where(none.None()),
		"read users: a relation":                    where(none.Every(P.ID.Eq(1))),
		"a relation is":                             where(none.Every()),
		"zero value: use those of the table":        where(none.Count().Eq(1)),
		"read users: Posts: a relation is a zero":   where().With(U.Posts.With(noPost)),
		"users: a relation is a zero value: use th": where().With(nil),
		"LimitEach is for With and Load":            where(U.Posts.LimitEach(1).Some()),
		"Some, None, Every and Count look":          where(U.Posts.LimitEach(1).Count().Eq(1)),
		"Posts: a limit is negative":                where().With(U.Posts.LimitEach(-1)),
		"Posts: an aggregate over rows":             where().With(U.Posts.OrderBy(P.Views.Sum().Asc())),
		"over rows has no value for each":           where().With(U.Posts.OrderBy(P.Rows().Asc())),
		"Posts: argument 1: a time has no one":      where().With(U.Posts.Where(orm.SQL[Post]("? > 1", time.Now()))),
		"users: argument 1: a time has no":          where(U.Posts.Some(orm.SQL[Post]("? > 1", time.Now()))),
		"Posts: a column, order or setter":          where().With(U.Posts.OrderBy(orm.Order[Post]{})),
	} {
		us, err := q.All(ctx, db)
		if err == nil || !strings.Contains(err.Error(), want) || us != nil {
			t.Errorf("got %v, %v; want %q", us, err, want)
		}
		for _, err := range q.Each(ctx, db) {
			is.True(err != nil && strings.Contains(err.Error(), want))
		}
		p, err := q.Page(ctx, db, "", 5)
		is.True(err != nil && p.Items == nil)
		if strings.HasPrefix(want, "Posts: ") { // wrong without a row, too
			_, err = q.Where(U.ID.Eq("nobody")).All(ctx, db)
			is.True(err != nil && strings.Contains(err.Error(), want))
		}
	}
	us := []User{{ID: "ann", Posts: []Post{{ID: 77}}}}
	err := U.Load(ctx, db, us, U.Posts, U.Team, U.Notes.LimitEach(-1))
	is.True(err != nil)
	is.Equal(postIDs(us[0].Posts), "77") // as it was
	is.True(U.LoadRow(ctx, db, nil, U.Posts) != nil)
	is.True(U.Load(ctx, nil, us, U.Posts) != nil)
	var zero orm.Table[User, string]
	is.True(zero.Load(ctx, db, us) != nil)
	_, err = P.Where().OrderBy(P.Comments.Count().Desc()).Page(ctx, db, "", 2)
	is.True(err != nil && strings.Contains(err.Error(), "order by a relation's count"))
	is.NoErr(U.Load(ctx, db, nil, U.Posts))
	q := U.Where(U.ID.Eq("ann")).With(U.Posts)
	_, err = q.UpdateReturning(ctx, db, U.Name.Set("x"))
	is.True(err != nil && strings.Contains(err.Error(), "update users: With is for reads"))
	_, err = q.DeleteReturning(ctx, db)
	is.True(err != nil && strings.Contains(err.Error(), "delete users: With is for reads"))
	n, err := q.Count(ctx, db) // counts them, as it would without
	is.NoErr(err)
	is.Equal(n, int64(1))
}
