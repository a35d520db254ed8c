package orm_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/gen_test/basic"
	"github.com/driftdb/driftdb/orm"
)

// TestZeroValues: what was not made by generated code is an error that says
// so, never a panic.
func TestZeroValues(t *testing.T) {
	ctx := t.Context()
	db := open(t)
	var q orm.Query[basic.User]
	var table orm.Table[basic.User, string]
	var unique orm.Unique[basic.User, string]
	var noDB *orm.DB
	var noTx *orm.Tx
	u := basic.User{Email: "x"}
	run := func(name, want string, fn func() error) {
		t.Run(name, func(t *testing.T) {
			if err := fn(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
		})
	}
	only := func(_ any, err error) error { return err }
	const zero = "zero value"
	run("query all", zero, func() error { return only(q.All(ctx, db)) })
	run("query first", zero, func() error { return only(q.First(ctx, db)) })
	run("query count", zero, func() error { return only(q.Count(ctx, db)) })
	run("query exists", zero, func() error { return only(q.Exists(ctx, db)) })
	run("query update", zero, func() error { return only(q.AllRows().Update(ctx, db, users.Name.Set("x"))) })
	run("query delete", zero, func() error { return only(q.AllRows().Delete(ctx, db)) })
	run("query each", zero, func() error {
		for _, err := range q.Each(ctx, db) {
			return err
		}
		return nil
	})
	run("table create", zero, func() error { return table.Create(ctx, db, &u) })
	run("table create many", zero, func() error { return table.CreateMany(ctx, db, []basic.User{u}) })
	run("table find", zero, func() error { return only(table.Find(ctx, db, "x")) })
	run("table exists", zero, func() error { return only(table.Exists(ctx, db, "x")) })
	run("table all", zero, func() error { return only(table.All(ctx, db)) })
	run("table update", zero, func() error { return table.Update(ctx, db, "x", users.Name.Set("x")) })
	run("table upsert", zero, func() error { return table.Upsert(ctx, db, &u) })
	run("table delete", zero, func() error { return only(table.Delete(ctx, db, "x")) })
	run("table raw", zero, func() error { return only(table.Raw(ctx, db, "SELECT 1")) })
	run("unique find", zero, func() error { return only(unique.Find(ctx, db, "x")) })
	run("unique upsert", zero, func() error { return unique.Upsert(ctx, db, &u) })
	run("unique violated", "false", func() error { return fmt.Errorf("%v", unique.Violated(&orm.UniqueError{})) })

	run("nil row", "nil", func() error { return users.Create(ctx, db, nil) })
	run("nil row upsert", "nil", func() error { return users.Upsert(ctx, db, nil) })
	run("nil row unique upsert", "nil", func() error { return users.ByEmail.Upsert(ctx, db, nil) })
	run("nil writer", "nil", func() error { return users.Create(ctx, nil, &u) })
	run("nil reader", "nil", func() error { return only(users.All(ctx, nil)) })
	run("nil writer update", "nil", func() error { return users.Update(ctx, nil, "x", users.Name.Set("x")) })
	run("nil reader raw", "nil", func() error { return only(orm.RawAll[int](ctx, nil, "SELECT 1")) })
	run("nil DB", "nil", func() error { return users.Create(ctx, noDB, &u) })
	run("nil DB read", "nil", func() error { return only(users.All(ctx, noDB)) })
	run("nil DB Tx", "nil", func() error { return noDB.Tx(ctx, nil) })
	run("nil DB ReadTx", "nil", func() error { return noDB.ReadTx(ctx, nil) })
	run("nil Tx", "nil", func() error { return users.Create(ctx, noTx, &u) })
	run("nil Tx update many", "nil", func() error { return users.CreateMany(ctx, noTx, []basic.User{u}) })
	run("nil Tx read", "nil", func() error { return only(users.All(ctx, noTx)) })

	run("zero order", zero, func() error { return only(users.Where().OrderBy(orm.Order[basic.User]{}).All(ctx, db)) })
	var noColumn orm.Str[basic.User, string] // a nil interface: it can be handed on, and is refused
	run("nil column only", zero, func() error { return only(users.Where().Only(noColumn).All(ctx, db)) })
	run("nil column group", zero, func() error { return only(users.Where().GroupBy(noColumn).Count(ctx, db)) })
	run("nil column equal", zero, func() error { return only(users.All(ctx, db, users.Name.EqCol(noColumn))) })
	run("nil column pluck", zero, func() error { return only(orm.Pluck(ctx, db, users.Where(), noColumn)) })
	run("nil column sub", zero, func() error {
		return only(users.All(ctx, db, users.Name.InQuery(orm.Sub1(users.Where(), noColumn))))
	})
	run("zero set", zero, func() error { return users.Update(ctx, db, "x", orm.Set[basic.User]{}) })
	run("nil column", zero, func() error { return users.Upsert(ctx, db, &u, orm.UpdateOnly[basic.User](nil)) })
	run("nil option", "nil", func() error { return users.Upsert(ctx, db, &u, nil) })
	run("twice", "users.name is set twice", func() error {
		return users.Update(ctx, db, "x", users.Name.Set("a"), users.Name.Set("b"))
	})
	if q.Where(users.Name.Eq("x")).Limit(1).Offset(1).OrderBy(users.Name.Asc()).AllRows(); u.ID != "" {
		t.Error("a failed create changed the row")
	}
	if s, _ := q.ToSQL(); s != "" {
		t.Error(s)
	}
}

// TestConditionsThatAreConstant: the same wherever they stand, and none that
// matches every row lets a delete through.
func TestConditionsThatAreConstant(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	addUser(t, db, "ann")
	addUser(t, db, "bob")
	type C = orm.Cond[basic.User]
	every := orm.Or(users.Name.Eq("ann"), users.Name.Ne("ann"))
	for name, c := range map[string]struct {
		cond C
		want int64
	}{
		"not zero": {orm.Not(C{}), 0}, "not and": {orm.Not(orm.And[basic.User]()), 0}, "not (not in)": {orm.Not(users.Name.NotIn()), 0},
		"not or": {orm.Not(orm.Or[basic.User]()), 2}, "not in": {orm.Not(users.Name.In()), 2},
		"not (in and x)": {orm.Not(orm.And(users.Name.In(), users.Name.Eq("ann"))), 2},
		"not (not zero)": {orm.Not(orm.Not(C{})), 2}, "or not in": {orm.Or(orm.Not(users.Name.In()), users.Name.Eq("ann")), 2},
		"and not zero": {orm.And(orm.Not(C{}), users.Name.Eq("ann")), 0},
	} {
		n, err := users.Count(ctx, db, c.cond)
		is.NoErr(err)
		both, err := users.Count(ctx, db, every, c.cond)
		is.NoErr(err)
		if n != c.want || both != c.want {
			t.Errorf("%s: %d rows alone, %d in company, want %d", name, n, both, c.want)
		}
		deleted, err := users.Where(c.cond).Delete(ctx, db)
		if deleted != 0 || c.want != 0 && !errors.Is(err, orm.ErrNoCondition) {
			t.Errorf("%s: deleted %d rows: %v", name, deleted, err)
		}
	}
}

func TestManyConditionsAndLists(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	addUser(t, db, "ann")
	addUser(t, db, "bob")
	var or, and []orm.Cond[basic.User]
	var floats []float64
	for i := range 5000 {
		or, and = append(or, users.Score.Eq(float64(i))), append(and, users.Score.Ne(float64(i+1)))
		floats = append(floats, float64(i))
	}
	for _, c := range []orm.Cond[basic.User]{orm.Or(or...), orm.And(and...), users.Score.In(floats...), users.Name.In("ann", "ann", "bob", "bob", "ann")} {
		n, err := users.Count(ctx, db, c)
		is.NoErr(err)
		is.Equal(n, int64(2))
	}
	shapes := map[string]bool{}
	for n := range 300 {
		list := make([]string, n+1)
		list[n] = "bob"
		q := users.Where(users.Name.In(list...))
		text, _ := q.ToSQL()
		shapes[text] = true
		got, err := q.Count(ctx, db)
		is.NoErr(err)
		is.Equal(got, int64(1))
		got, err = users.Count(ctx, db, users.Name.NotIn(list...))
		is.NoErr(err)
		is.Equal(got, int64(1))
	}
	is.True(len(shapes) < 20) // each is a statement to prepare and keep
	n, err := users.Count(ctx, db, users.Score.Between(2, 1))
	is.NoErr(err)
	is.Equal(n, int64(0))
	got, err := users.Where().Limit(math.MaxInt).Offset(math.MaxInt).All(ctx, db)
	is.NoErr(err)
	is.Equal(len(got), 0)
	got, err = users.Where().Limit(math.MaxInt).Offset(1).All(ctx, db)
	is.NoErr(err)
	is.Equal(len(got), 1)
}

func TestArgumentsOfSQL(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	addUser(t, db, "ann")
	for name, fn := range map[string]func() error{
		"too few": func() error {
			_, err := orm.RawAll[string](ctx, db, "SELECT name FROM users WHERE name = ?")
			return err
		},
		"too many": func() error { _, err := orm.RawAll[string](ctx, db, "SELECT name FROM users", 1); return err },
		"fragment": func() error {
			_, err := users.All(ctx, db, orm.SQL[basic.User]("name = ? OR nick = ?", "x"), users.Email.Eq("ann@example.com"))
			return err
		},
		"set": func() error { return users.Update(ctx, db, "x", users.Name.SetSQL("? || ?", "x")) },
	} {
		if err := fn(); err == nil || !strings.Contains(err.Error(), "argument") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, a := range []any{math.NaN(), new(math.NaN()), time.Time{}, new(time.Time), struct{}{}, uint64(math.MaxUint64), make(chan int)} {
		_, err := orm.RawAll[string](ctx, db, "SELECT name FROM users WHERE name = ?", a)
		is.True(err != nil && strings.Contains(err.Error(), "argument 1"))
	}
	var noID *uuid.UUID
	var noText *string
	for _, a := range []any{nil, noID, noText, sql.NullString{}, []byte(nil)} {
		null, err := orm.RawOne[bool](ctx, db, "SELECT ? IS NULL", a)
		is.NoErr(err)
		is.True(null)
	}
	for q, want := range map[string]string{
		"": "no statement", " \t\n": "no statement", "-- nothing": "no statement", ";": "no statement", "/* open": "no statement", "\ufeff": "no statement",
		"-- a\n;/* b */ -- c": "no statement", "\x00": "NUL", "SELECT 1\x00": "NUL",
		"SELECT 1; DELETE FROM users": "more than one statement", "SELECT 1;;x": "more than one statement",
		"SELECT 1; -- ;\n": "", " SELECT 1 ; /* ; */ ;": "", "SELECT 1 -- ; x": "", "SELECT length(';') -- '": "", "SELECT 1 AS \"a;b\"": "",
		"SELECT 1 AS [a;b]": "", "SELECT 1 AS `a;b`": "", "SELECT length('a''b;c') / 5": "", "/* ; */ SELECT 1": "", "SELECT 3-2/1": "",
	} {
		n, err := orm.RawOne[int](ctx, db, q)
		if want == "" && (err != nil || n != 1) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %d %v, want %q", q, n, err, want)
		}
	}
	is.NoErr(db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		_, err := orm.RawAll[int](ctx, tx, "CREATE TRIGGER IF NOT EXISTS mine AFTER INSERT ON users BEGIN SELECT 1; SELECT 2; END")
		return err
	}))
	is.Equal(count(t, db), int64(1))
}

type Inner struct{ Name string }

type hidden struct{ Deep string }

func TestRawTypes(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	null, err := orm.RawOne[sql.NullInt64](ctx, db, "SELECT max(age) FROM users")
	is.NoErr(err)
	is.True(!null.Valid)
	generic, err := orm.RawOne[sql.Null[string]](ctx, db, "SELECT 'x'")
	is.NoErr(err)
	is.Equal(generic.V, "x")
	blob, err := orm.RawOne[[]byte](ctx, db, "SELECT 'x'")
	is.NoErr(err)
	is.Equal(string(blob), "x")
	type row struct {
		*Inner
		Any any
	}
	_, err = orm.RawOne[struct{ *hidden }](ctx, db, "SELECT 'n' AS deep")
	is.True(err != nil && strings.Contains(err.Error(), "deep"))
	open, err := orm.RawOne[struct{ hidden }](ctx, db, "SELECT 'n' AS deep")
	is.NoErr(err)
	is.Equal(open.Deep, "n")
	got, err := orm.RawOne[row](ctx, db, "SELECT 'n' AS name, 7 AS any")
	is.NoErr(err)
	is.Equal(got.Name, "n")
	is.Equal(got.Any, int64(7))
	_, err = orm.RawOne[row](ctx, db, "SELECT 'n' AS name, 'm' AS name")
	is.True(err != nil && strings.Contains(err.Error(), "twice"))
	_, err = orm.RawAll[row](ctx, db, "SELECT 1 AS nonsense WHERE 0") // found before there is a row
	is.True(err != nil && strings.Contains(err.Error(), "nonsense"))
	_, err = users.Raw(ctx, db, "SELECT id FROM users WHERE 0")
	is.True(err != nil)
	_, err = db.SQL().Exec(`CREATE TABLE loose (b BOOLEAN, at DATETIME); INSERT INTO loose VALUES (1, '2026-01-02 03:04:05')`)
	is.NoErr(err)
	type loose struct {
		B  bool
		At time.Time
	}
	l, err := orm.RawOne[loose](ctx, db, "SELECT * FROM loose")
	is.NoErr(err)
	is.True(l.B && l.At.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
	_, err = orm.RawOne[struct{ CreatedAt time.Time }](ctx, db, "SELECT 1 AS created_at")
	is.True(err != nil && strings.Contains(err.Error(), "UnixMilli"))
}

func TestTimesAtTheEdge(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	for i, at := range []time.Time{{}, time.Date(1, 1, 1, 0, 0, 0, 1_000_000, time.UTC), time.Date(1969, 12, 31, 23, 59, 59, 999_999_999, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC)} {
		u := basic.User{Email: fmt.Sprint(i), Nick: fmt.Sprint(i), Seen: &at, Active: true}
		is.NoErr(users.Create(ctx, db, &u))
		got, err := users.Find(ctx, db, u.ID)
		is.NoErr(err)
		is.True(got.Seen.Equal(*u.Seen))
		n, err := users.Count(ctx, db, users.Seen.Eq(at))
		is.NoErr(err)
		is.Equal(n, int64(1))
	}
	far := time.Unix(math.MaxInt64/500, 0)
	err := users.Create(ctx, db, &basic.User{Email: "far", Seen: &far, Active: true})
	is.True(err != nil && strings.Contains(err.Error(), "users.seen"))
	_, err = users.Count(ctx, db, users.Seen.Lt(far))
	is.True(err != nil && strings.Contains(err.Error(), "users.seen"))
	u := basic.User{Email: "zero", Nick: "zero", Score: math.Copysign(0, -1), Age: new(math.MaxInt), Active: true}
	is.NoErr(users.Create(ctx, db, &u))
	got, err := users.Find(ctx, db, u.ID)
	is.NoErr(err)
	is.True(got.Score == 0 && *got.Age == math.MaxInt)
	is.True(users.Update(ctx, db, u.ID, users.Age.Add(1)) != nil) // no silent overflow
}

func TestUpsertChoices(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	team := basic.Team{Name: "red"}
	is.NoErr(teams.Create(ctx, db, &team))
	ann, bob := addUser(t, db, "ann"), addUser(t, db, "bob")
	_, err := users.Where().AllRows().Update(ctx, db, users.TeamID.Set(team.ID))
	is.NoErr(err)

	other := basic.User{Name: "x", Email: ann.Email, TeamID: &team.ID, Nick: "bob", Active: true}
	is.True(users.ByTeamNick.Violated(users.ByEmail.Upsert(ctx, db, &other))) // another key than the named one
	is.Equal(other.ID, "")
	taken := basic.User{Base: orm.Base{ID: bob.ID}, Name: "x", Email: "new", Nick: "n", Active: true}
	var unique *orm.UniqueError
	is.True(errors.As(users.ByEmail.Upsert(ctx, db, &taken), &unique))
	is.Equal(unique.Index, "")
	lost := basic.User{Email: ann.Email, Nick: "ann", TeamID: new("nobody"), Active: true}
	var foreign *orm.ForeignKeyError
	is.True(errors.As(users.ByEmail.Upsert(ctx, db, &lost), &foreign))

	nothing := basic.User{Name: "new name", Email: ann.Email, Active: true}
	is.NoErr(users.ByEmail.Upsert(ctx, db, &nothing, orm.UpdateOnly[basic.User]())) // a list built at run time may be empty
	is.Equal(nothing.Name, "ann")
	is.Equal(nothing.ID, ann.ID)
	is.NoErr(users.ByEmail.Upsert(ctx, db, &nothing, orm.UpdateSet[basic.User]()))
	is.Equal(nothing.Name, "ann")
}

func TestCreateManyNamesTheRow(t *testing.T) {
	is := is.New(t)
	db := open(t)
	all := make([]basic.User, 120)
	for i := range all {
		all[i] = basic.User{Email: fmt.Sprint(i), Nick: fmt.Sprint(i), Active: i%2 == 0}
	}
	all[101].Score = math.NaN()
	err := users.CreateMany(t.Context(), db, all)
	is.True(err != nil && strings.Contains(err.Error(), "row 101: users.score"))
	err = users.Create(t.Context(), db, &all[101])
	is.True(err != nil && !strings.Contains(err.Error(), "row"))
}

// TestSchemaChangedByAnother: statements that are kept are prepared anew.
func TestSchemaChangedByAnother(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "t.sqlite")
	db := openAt(t, path, driftdb.Options{})
	u := addUser(t, db, "ann")
	other, err := sql.Open("sqlite3", path)
	is.NoErr(err)
	t.Cleanup(func() { is.NoErr(other.Close()) })
	_, err = other.Exec(`ALTER TABLE users ADD COLUMN extra TEXT; CREATE INDEX more ON users (score)`)
	is.NoErr(err)
	got, err := users.Find(ctx, db, u.ID)
	is.NoErr(err)
	is.Equal(got.Name, "ann")
	is.NoErr(users.Update(ctx, db, u.ID, users.Name.Set("Ann")))
	addUser(t, db, "bob")
	_, err = other.Exec(`ALTER TABLE users DROP COLUMN extra; DROP TRIGGER _driftdb_users_insert; DROP TRIGGER _driftdb_users_update; DROP TRIGGER _driftdb_users_delete; ALTER TABLE users DROP COLUMN score`)
	t.Log(err)
	_, err = users.Find(ctx, db, u.ID)
	is.True(err == nil || strings.Contains(err.Error(), "score"))
}
