package orm_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/gen_test/basic"
	"github.com/driftdb/driftdb/orm"
)

// names runs a query and returns the names of its rows.
func names(t *testing.T, db orm.Reader, q orm.Query[basic.User]) string {
	t.Helper()
	all, err := q.All(t.Context(), db)
	is.New(t).NoErr(err)
	var s []string
	for _, u := range all {
		s = append(s, u.Name)
	}
	return strings.Join(s, " ")
}

func TestConditions(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	team := basic.Team{Name: "red"}
	is.NoErr(teams.Create(ctx, db, &team))
	for i, name := range []string{"ann", "Bob", "c%d", "d_d"} {
		u := basic.User{Name: name, Email: name, Nick: name, Score: float64(i), Active: i%2 == 0}
		if i < 2 {
			u.Age = new(20 + i)
		}
		if i == 3 {
			u.TeamID, u.Avatar = &team.ID, []byte{1}
		}
		is.NoErr(users.Create(ctx, db, &u))
	}
	_, err := users.Where(users.Name.In("Bob", "d_d")).Update(ctx, db, users.Active.Set(false))
	is.NoErr(err)
	or, and, not := orm.Or[basic.User], orm.And[basic.User], orm.Not[basic.User]
	for _, c := range []struct {
		cond orm.Cond[basic.User]
		want string
	}{
		{orm.Cond[basic.User]{}, "ann Bob c%d d_d"},
		{users.Name.Eq("ann"), "ann"},
		{users.Name.Ne("ann"), "Bob c%d d_d"},
		{users.Age.Ne(20), "Bob"}, // NULL is no value
		{users.Score.Gt(1), "c%d d_d"},
		{users.Score.Gte(1), "Bob c%d d_d"},
		{users.Score.Lt(1), "ann"},
		{users.Score.Lte(1), "ann Bob"},
		{users.Score.Between(1, 2), "Bob c%d"},
		{users.Name.In("ann", "c%d", "nobody"), "ann c%d"},
		{users.Name.In(), ""},
		{users.Name.NotIn("ann"), "Bob c%d d_d"},
		{users.Name.NotIn(), "ann Bob c%d d_d"},
		{users.Name.Like("B%"), "Bob"},
		{users.Name.Like("b_b"), "Bob"},
		{users.Name.Glob("[a-c]*"), "ann c%d"},
		{users.Name.Contains("%"), "c%d"},
		{users.Name.HasPrefix("b"), ""},
		{users.Name.HasPrefix("d_"), "d_d"},
		{users.Name.HasPrefix(""), "ann Bob c%d d_d"},
		{users.Name.EqualFold("BOB"), "Bob"},
		{users.Age.IsNull(), "c%d d_d"},
		{users.Age.NotNull(), "ann Bob"},
		{users.Age.EqPtr(nil), "c%d d_d"},
		{users.Age.EqPtr(new(21)), "Bob"},
		{users.TeamID.Eq(team.ID), "d_d"},
		{users.Active.IsTrue(), "ann c%d"},
		{users.Active.IsFalse(), "Bob d_d"},
		{users.Avatar.Eq([]byte{1}), "d_d"},
		{users.Avatar.Eq(nil), "ann Bob c%d"},
		{users.CreatedAt.Gt(time.Unix(0, 0)), "ann Bob c%d d_d"},
		{or(), ""},
		{and(), "ann Bob c%d d_d"},
		{or(users.Name.Eq("ann"), and(users.Name.Eq("Bob"), users.Score.Gt(5))), "ann"},
		{and(or(users.Name.Eq("ann"), users.Name.Eq("Bob")), or(users.Score.Eq(1), users.Score.Eq(2))), "Bob"},
		{not(or(users.Name.Eq("ann"), users.Score.Gt(1))), "Bob"},
		{not(users.Age.Eq(20)), "Bob"},
		{orm.SQL[basic.User]("length(name) = ? OR name = ?", 3, "x"), "ann Bob c%d d_d"},
	} {
		q := users.Where(c.cond).OrderBy(users.Score.Asc())
		sql, _ := q.ToSQL()
		if diff := cmp.Diff(c.want, names(t, db, q)); diff != "" {
			t.Errorf("%s: %s", sql, diff)
		}
		n, err := q.Count(ctx, db)
		is.NoErr(err)
		is.Equal(n, int64(len(strings.Fields(c.want))))
		ok, err := q.Exists(ctx, db)
		is.NoErr(err)
		is.Equal(ok, c.want != "")
	}
}

func TestOrderLimitOffset(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	for _, n := range []string{"a", "b", "c", "d"} {
		addUser(t, db, n)
	}
	q := users.Where().OrderBy(users.Name.Desc())
	is.Equal(names(t, db, q), "d c b a")
	is.Equal(names(t, db, q.Limit(2)), "d c")
	is.Equal(names(t, db, q.Limit(0)), "")
	is.Equal(names(t, db, q.Offset(3)), "a")
	is.Equal(names(t, db, q.Limit(1).Offset(1)), "c")
	is.Equal(names(t, db, users.Where().OrderBy(users.Active.Desc(), users.Name.Asc())), "a b c d")
	n, err := q.Limit(3).Offset(2).Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(2))
	_, err = q.Limit(-1).All(ctx, db)
	is.True(err != nil)
	_, err = q.Offset(-1).Count(ctx, db)
	is.True(err != nil)
	first, err := q.First(ctx, db)
	is.NoErr(err)
	is.Equal(first.Name, "d")
}

// TestQueriesAreValues: what is built from a query does not change it, also
// when both grow from the same one.
func TestQueriesAreValues(t *testing.T) {
	is := is.New(t)
	base := users.Where(users.Name.Eq("a")).Where(users.Score.Gt(1)).Where(users.Score.Lt(9))
	one, _ := base.Where(users.Nick.Eq("one")).ToSQL()
	two, _ := base.Where(users.Email.Eq("two")).ToSQL()
	again, _ := base.ToSQL()
	is.True(strings.Contains(one, `"nick"`) && !strings.Contains(one, `"email" =`))
	is.True(strings.Contains(two, `"email" = ?`) && !strings.Contains(two, `"nick" =`))
	is.True(!strings.Contains(again, `"nick" =`) && !strings.Contains(again, `"email" =`))
}

func TestInWithManyValues(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	odd := "q'\"\\ \x00 é \xff"
	u := basic.User{Name: odd, Email: "e", Age: new(-5), Avatar: []byte{0, 255}}
	is.NoErr(users.Create(ctx, db, &u))
	texts, ages, blobs := []string{odd}, []int{-5}, [][]byte{{0, 255}}
	for i := range 40_000 {
		texts, ages, blobs = append(texts, fmt.Sprint("x", i)), append(ages, i), append(blobs, fmt.Append(nil, i))
	}
	for _, c := range []orm.Cond[basic.User]{users.Name.In(texts...), users.Age.In(ages...), users.Avatar.In(blobs...)} {
		n, err := users.Count(ctx, db, c)
		is.NoErr(err)
		is.Equal(n, int64(1))
	}
	n, err := users.Count(ctx, db, users.Name.NotIn(texts...))
	is.NoErr(err)
	is.Equal(n, int64(0))
}

func TestHostileTextNeverChangesTheStatement(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	addUser(t, db, "ann")
	want, _ := users.Where(users.Name.Eq("x"), users.Nick.Like("x"), users.Email.Contains("x")).ToSQL()
	for _, bad := range []string{`" OR 1=1 --`, `'; DROP TABLE users; --`, "\x00", "%", `\`, "?", "?1", ":a"} {
		q := users.Where(users.Name.Eq(bad), users.Nick.Like(bad), users.Email.Contains(bad))
		got, _ := q.ToSQL()
		is.Equal(got, want)
		n, err := q.Count(ctx, db)
		is.NoErr(err)
		is.Equal(n, int64(0))
	}
}

func TestRaw(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	addUser(t, db, "ann")
	addUser(t, db, "bob")
	type row struct {
		Name  string
		Count int64 `drift:"column=n"`
		Age   *int
	}
	rows, err := orm.RawAll[row](ctx, db, `SELECT name, count(*) AS n, NULL AS age FROM users GROUP BY name ORDER BY name`)
	is.NoErr(err)
	if diff := cmp.Diff([]row{{"ann", 1, nil}, {"bob", 1, nil}}, rows); diff != "" {
		t.Error(diff)
	}
	_, err = orm.RawAll[row](ctx, db, `SELECT name AS nom FROM users`)
	is.True(err != nil && strings.Contains(err.Error(), "nom"))
	_, err = orm.RawAll[string](ctx, db, `SELECT NULL`)
	is.True(err != nil && strings.Contains(err.Error(), "pointer"))
	_, err = orm.RawAll[int8](ctx, db, `SELECT 300`)
	is.True(err != nil)
	_, err = orm.RawAll[string](ctx, db, `SELECT ?`, time.Now())
	is.True(err != nil && strings.Contains(err.Error(), "UnixMilli"))
	n, err := orm.RawOne[int](ctx, db, `SELECT count(*) FROM users WHERE name = ?`, "ann")
	is.NoErr(err)
	is.Equal(n, 1)
	all, err := users.Raw(ctx, db, `SELECT * FROM users WHERE name > ?`, "ann")
	is.NoErr(err)
	is.Equal(len(all), 1)
	is.Equal(all[0].Name, "bob")
	_, err = users.Raw(ctx, db, `SELECT id FROM users`)
	is.True(err != nil)
	_, err = orm.RawAll[int](ctx, db, `DELETE FROM users RETURNING 1`) // a reader cannot write
	is.True(err != nil)
}
