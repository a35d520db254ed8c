package orm_test

import (
	"database/sql"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/gen_test/basic"
	"github.com/driftdb/driftdb/orm"
)

var sameUser = cmpopts.IgnoreUnexported(basic.User{})

func TestCreateFindRoundTrip(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	now := time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, time.FixedZone("x", 3600))
	db := openAt(t, filepath.Join(t.TempDir(), "t.sqlite"), driftdb.Options{Now: fixed(now)})
	seen := now.Add(-time.Hour)
	u := basic.User{
		Name: "Zoë \x00 \xff\xfe '\"\\", Email: "z@example.com", Age: new(math.MinInt), Score: math.Inf(-1),
		Active: true, Avatar: []byte{0, 1, 255}, Seen: &seen, Nick: "z",
	}
	is.NoErr(users.Create(ctx, db, &u))
	is.Equal(len(u.ID), 36)
	is.Equal(u.CreatedAt, time.Date(2026, 1, 2, 2, 4, 5, 678_000_000, time.UTC))
	got, err := users.Find(ctx, db, u.ID)
	is.NoErr(err)
	if diff := cmp.Diff(&u, got, sameUser); diff != "" {
		t.Error(diff)
	}
	empty := basic.User{Email: "e", Nick: "e"}
	is.NoErr(users.Create(ctx, db, &empty))
	is.Equal(empty.Active, true) // omitzero: the column's default
	got, err = users.ByEmail.Find(ctx, db, "e")
	is.NoErr(err)
	is.True(got.Avatar != nil && len(got.Avatar) == 0) // nil on NOT NULL is empty
	is.True(got.Age == nil && got.Seen == nil && got.TeamID == nil)
}

func TestCreateRefusesNaNAndKeepsTheStruct(t *testing.T) {
	is := is.New(t)
	db := open(t)
	u := basic.User{Email: "a", Score: math.NaN()}
	err := users.Create(t.Context(), db, &u)
	is.True(err != nil && strings.Contains(err.Error(), "users.score"))
	is.Equal(u.ID, "")
	addUser(t, db, "ann")
	dup := basic.User{Email: "ann@example.com", Active: true}
	is.True(users.Create(t.Context(), db, &dup) != nil)
	is.Equal(dup.ID, "")
}

func TestConstraintErrorsNameTheConstraint(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	ann := addUser(t, db, "ann")

	dup := ann
	dup.ID, dup.Nick = "", "other"
	err := users.Create(ctx, db, &dup)
	is.True(users.ByEmail.Violated(err))
	is.True(!users.ByTeamNick.Violated(err))
	var unique *orm.UniqueError
	is.True(errors.As(err, &unique))
	is.Equal(unique.Index, "users_email_key")
	is.Equal(unique.Columns, []string{"email"})

	dup = ann
	dup.Email = "new"
	err = users.Create(ctx, db, &dup)
	is.True(errors.As(err, &unique))
	is.Equal(unique.Index, "") // the primary key
	is.Equal(unique.Columns, []string{"id"})

	lost := basic.User{Email: "lost", TeamID: new("nobody")}
	var foreign *orm.ForeignKeyError
	is.True(errors.As(users.Create(ctx, db, &lost), &foreign))
	is.Equal(foreign.Keys, []string{"team_id → teams (id)"})

	var check *orm.CheckError
	_, err = users.Where(users.ID.Eq(ann.ID)).Update(ctx, db, users.Active.SetSQL("2"))
	is.True(errors.As(err, &check))
	is.Equal(check.Constraint, "users_active_check")

	var null *orm.NotNullError
	_, err = users.Where(users.ID.Eq(ann.ID)).Update(ctx, db, users.Name.SetSQL("NULL"))
	is.True(errors.As(err, &null))
	is.Equal(null.Column, "name")
}

func TestNotFound(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	_, err := users.Find(ctx, db, "x")
	is.True(errors.Is(err, orm.ErrNotFound))
	is.True(errors.Is(err, sql.ErrNoRows))
	_, err = users.First(ctx, db, users.Name.Eq("x"))
	is.True(errors.Is(err, orm.ErrNotFound))
	is.True(errors.Is(users.Update(ctx, db, "x", users.Name.Set("y")), orm.ErrNotFound))
	is.True(errors.Is(users.ByEmail.Update(ctx, db, "x", users.Name.Set("y")), orm.ErrNotFound))
	ok, err := users.Delete(ctx, db, "x")
	is.NoErr(err)
	is.True(!ok)
	addUser(t, db, "a")
	addUser(t, db, "b")
	_, err = users.Where().One(ctx, db)
	is.True(errors.Is(err, orm.ErrNotUnique))
}

func TestCreateManyGroupsByOmittedColumns(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	all := make([]basic.User, 501)
	for i := range all {
		all[i] = basic.User{Name: fmt.Sprint(i), Email: fmt.Sprint(i), Nick: fmt.Sprint(i), Active: i%3 == 0, Age: new(i)}
	}
	is.NoErr(users.CreateMany(ctx, db, all))
	for i, u := range all {
		is.True(u.Active) // set, or the default read back
		got, err := users.Find(ctx, db, u.ID)
		is.NoErr(err)
		is.Equal(got.Name, fmt.Sprint(i))
		is.Equal(*got.Age, i)
	}
	is.Equal(logRows(t, db, "insert"), int64(501))
	is.Equal(logRows(t, db, "mark"), int64(2)) // Open and CreateMany

	again := []basic.User{{Email: "new", Nick: "new"}, {Email: "7"}}
	err := users.CreateMany(ctx, db, again)
	is.True(users.ByEmail.Violated(err))
	is.Equal(again[0].ID, "")
	n, err := users.Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(501))
	is.NoErr(users.CreateMany(ctx, db, nil))
}

func TestUpdateSetsUpdated(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	at := time.UnixMilli(1000).UTC()
	db := openAt(t, filepath.Join(t.TempDir(), "t.sqlite"), driftdb.Options{Now: func() time.Time { return at }})
	u := addUser(t, db, "ann")
	at = at.Add(time.Second)
	is.NoErr(users.Update(ctx, db, u.ID, users.Name.Set("Ann"), users.Age.Set(3), users.Score.Add(1.5)))
	got, err := users.Find(ctx, db, u.ID)
	is.NoErr(err)
	is.Equal(got.UpdatedAt, at)
	is.Equal(got.CreatedAt, u.CreatedAt)
	is.Equal(*got.Age, 3)
	is.Equal(got.Score, 1.5)
	is.NoErr(users.Update(ctx, db, u.ID, users.Age.Add(4), users.UpdatedAt.Set(u.UpdatedAt)))
	got, err = users.Find(ctx, db, u.ID)
	is.NoErr(err)
	is.Equal(got.UpdatedAt, u.UpdatedAt)
	is.Equal(*got.Age, 7)
	is.NoErr(users.Update(ctx, db, u.ID, users.Age.SetNull(), users.Seen.SetPtr(&at)))
	got, err = users.Find(ctx, db, u.ID)
	is.NoErr(err)
	is.True(got.Age == nil)
	is.Equal(*got.Seen, at)
	is.True(users.Update(ctx, db, u.ID) != nil) // nothing to set
	is.True(users.Update(ctx, db, u.ID, orm.Set[basic.User]{}) != nil)
}

func TestUpsert(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	at := time.UnixMilli(1000).UTC()
	db := openAt(t, filepath.Join(t.TempDir(), "t.sqlite"), driftdb.Options{Now: func() time.Time { return at }})
	first := addUser(t, db, "ann")
	at = at.Add(time.Second)

	u := basic.User{Name: "Ann B.", Email: first.Email, Nick: "ab", Age: new(9)}
	is.NoErr(users.ByEmail.Upsert(ctx, db, &u))
	is.Equal(u.ID, first.ID) // the row that was there
	is.Equal(u.CreatedAt, first.CreatedAt)
	is.Equal(u.UpdatedAt, at)
	is.Equal(u.Active, true)

	only := basic.User{Name: "only", Email: first.Email, Age: new(10)}
	is.NoErr(users.ByEmail.Upsert(ctx, db, &only, orm.UpdateOnly[basic.User](users.Age)))
	is.Equal(only.Name, "Ann B.")
	is.Equal(*only.Age, 10)

	set := basic.User{Email: first.Email}
	is.NoErr(users.ByEmail.Upsert(ctx, db, &set, orm.UpdateSet(users.Age.Add(5))))
	is.Equal(*set.Age, 15)

	none := basic.User{Name: "none", Email: first.Email}
	is.NoErr(users.ByEmail.Upsert(ctx, db, &none, orm.DoNothing[basic.User]()))
	is.Equal(none.ID, "")
	got, err := users.Find(ctx, db, first.ID)
	is.NoErr(err)
	is.Equal(got.Name, "Ann B.")

	fresh := basic.User{Email: "new", Nick: "n", Name: "fresh"}
	is.NoErr(users.Upsert(ctx, db, &fresh)) // by primary key
	fresh.Name = "fresher"
	is.NoErr(users.Upsert(ctx, db, &fresh))
	n, err := users.Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(2))

	noTeam := basic.User{Email: "x", Nick: "n"}
	is.True(users.ByTeamNick.Upsert(ctx, db, &noTeam) != nil) // NULL is no key
}

func TestDeleteAndCascade(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	u := addUser(t, db, "ann")
	for i := range 3 {
		is.NoErr(posts.Create(ctx, db, &basic.Post{Number: int64(i + 1), AuthorID: u.ID, Title: "t", Role: "r"}))
	}
	ok, err := users.Delete(ctx, db, u.ID)
	is.NoErr(err)
	is.True(ok)
	n, err := posts.Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(0))
	is.Equal(logRows(t, db, "delete"), int64(4)) // cascades are in the log
	ok, err = users.ByEmail.Delete(ctx, db, "nobody")
	is.NoErr(err)
	is.True(!ok)
}

func TestUnconditionedWritesAreRefused(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	addUser(t, db, "ann")
	type C = orm.Cond[basic.User]
	for name, c := range map[string][]C{
		"none": {}, "zero": {C{}}, "and": {orm.And[basic.User]()}, "not in": {users.Name.NotIn()}, "not zero": {orm.Not(C{})},
		"or zero": {orm.Or(users.Name.Eq("x"), C{})}, "empty SQL": {orm.SQL[basic.User](" ")}, "not in not": {orm.Not(users.Name.NotIn())},
	} {
		_, err := users.Where(c...).Delete(ctx, db)
		if !errors.Is(err, orm.ErrNoCondition) {
			t.Errorf("%s: delete: %v", name, err)
		}
		_, err = users.Where(c...).Update(ctx, db, users.Name.Set("y"))
		if !errors.Is(err, orm.ErrNoCondition) {
			t.Errorf("%s: update: %v", name, err)
		}
	}
	for name, q := range map[string]orm.Query[basic.User]{
		"limit": users.Where(users.Name.Eq("ann")).Limit(1), "order": users.Where(users.Name.Eq("ann")).OrderBy(users.Name.Asc()), "offset": users.Where().AllRows().Offset(1),
	} {
		if _, err := q.Delete(ctx, db); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	n, err := users.Where(users.Name.In()).Delete(ctx, db) // matches nothing, harmless
	is.NoErr(err)
	is.Equal(n, int64(0))
	n, err = users.Where().AllRows().Delete(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(1))
}

func TestNumbersThatDoNotFit(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	u := addUser(t, db, "ann")
	is.NoErr(posts.Create(ctx, db, &basic.Post{Number: 1, AuthorID: u.ID, Rating: new(float32(0.1))}))
	for set, column := range map[*orm.Set[basic.Post]]string{
		new(posts.Rating.SetSQL("1e300")): "posts.rating", new(posts.Year.SetSQL("40000")): "posts.year", new(posts.Level.SetSQL("-1")): "posts.level",
	} {
		is.NoErr(posts.Update(ctx, db, 1, posts.Year.Set(1), posts.Level.Set(1), posts.Rating.Set(1)))
		is.NoErr(posts.Update(ctx, db, 1, *set))
		_, err := posts.Find(ctx, db, 1)
		if err == nil || !strings.Contains(err.Error(), column) {
			t.Errorf("%s: %v", column, err)
		}
	}
}
