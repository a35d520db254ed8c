package basic_test

import (
	"database/sql"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb"
	. "github.com/driftdb/driftdb/gen_test/basic"
	"github.com/driftdb/driftdb/orm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// now is the clock of the tests, finer than what is stored.
var now = time.Date(2026, 2, 3, 4, 5, 6, 789_123_456, time.UTC)

func open(t *testing.T) *orm.DB {
	t.Helper()
	is := is.New(t)
	db, err := driftdb.Open(t.Context(), filepath.Join(t.TempDir(), "test.sqlite"), Schema, driftdb.Options{Now: func() time.Time { return now }})
	is.NoErr(err)
	t.Cleanup(func() { is.NoErr(db.Close()) })
	return db
}

func equal(t *testing.T, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmp.AllowUnexported(User{})); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
}

// What Create leaves in the struct is what Find returns, for every column kind
// and its extreme values.
func TestRoundTrip(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	team := Team{Name: "Ada"}
	is.NoErr(Teams.Create(ctx, db, &team))
	is.Equal(len(team.ID), 36)

	users := []User{
		{Name: "zero"},
		{
			Name: "all", Email: "a@example.com", Age: new(30), Score: -0.1, Active: true, Avatar: []byte{0, 255},
			Seen: new(now.Add(time.Hour)), TeamID: &team.ID, Nick: "a\x00b",
		},
		{Name: "low", Email: "l", Age: new(math.MinInt), Score: math.Inf(-1), Seen: new(time.Unix(-62_135_596_800, 0)), Nick: "\xff"},
		{Name: "high", Email: "h", Age: new(math.MaxInt), Score: math.MaxFloat64, Seen: new(time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)), Nick: "☃'\"`"},
	}
	for i := range users {
		u := &users[i]
		is.NoErr(Users.Create(ctx, db, u))
		is.Equal(len(u.ID), 36)
		is.Equal(u.CreatedAt, now.Truncate(time.Millisecond))
		is.Equal(u.UpdatedAt, u.CreatedAt)
		is.True(u.Active) // false takes the default, true
		got, err := Users.Find(ctx, db, u.ID)
		is.NoErr(err)
		if u.Avatar == nil { // stored as empty: the column is NOT NULL
			is.True(got.Avatar != nil && len(got.Avatar) == 0)
			got.Avatar = nil
		}
		equal(t, *got, *u)
	}

	posts := []Post{
		{Number: math.MinInt64, AuthorID: users[0].ID},
		{
			Number: math.MaxInt64, AuthorID: users[0].ID, Title: "t", Year: math.MinInt16, Role: "lead", Draft: new(false),
			Rating: new(float32(0.1)), Extra: []byte{}, Subtitle: new(""), Level: 255, At: time.UnixMilli(1).UTC(),
		},
	}
	for i := range posts {
		is.NoErr(Posts.Create(ctx, db, &posts[i]))
		got, err := Posts.Find(ctx, db, posts[i].Number)
		is.NoErr(err)
		equal(t, *got, posts[i])
	}
	all, err := Posts.Where().OrderBy(Posts.Number.Asc()).All(ctx, db)
	is.NoErr(err)
	equal(t, all, posts)
}

// NaN is not a value of SQLite: it would become NULL.
func TestNaN(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	err := Users.Create(ctx, db, &User{Score: math.NaN()})
	is.True(err != nil)
	is.True(strings.Contains(err.Error(), "users.score"))
	n, err := Users.Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(0))
}

// A value that the Go type cannot hold is an error that names the column, not
// another value.
func TestNarrowing(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	u := User{Name: "a"}
	is.NoErr(Users.Create(ctx, db, &u))
	raw := db.SQL()
	for column, value := range map[string]any{"year": 40000, "level": -1, "level ": 256} {
		column = strings.TrimSpace(column)
		_, err := raw.ExecContext(ctx, `INSERT INTO posts (number, author_id, title, year, role, level, at) VALUES (1, ?, '', 0, '', 0, 0)`, u.ID)
		is.NoErr(err)
		_, err = raw.ExecContext(ctx, `UPDATE posts SET "`+column+`" = ?`, value)
		is.NoErr(err)
		_, err = Posts.Find(ctx, db, 1)
		if err == nil || !strings.Contains(err.Error(), "posts."+column) {
			t.Errorf("%s = %v: %v", column, value, err)
		}
		_, err = raw.ExecContext(ctx, `DELETE FROM posts`)
		is.NoErr(err)
	}
	is.NoErr(raw.Close())
}

func TestKeys(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	team := Team{Name: "Ada"}
	is.NoErr(Teams.Create(ctx, db, &team))
	err := Teams.Create(ctx, db, &Team{Name: "Ada"})
	is.True(Teams.ByName.Violated(err))

	u := User{Email: "a", Nick: "n", TeamID: &team.ID}
	is.NoErr(Users.Create(ctx, db, &u))
	err = Users.Create(ctx, db, &User{Email: "a"})
	is.True(Users.ByEmail.Violated(err))
	is.True(!Users.ByTeamNick.Violated(err))
	err = Users.Create(ctx, db, &User{Email: "b", Nick: "n", TeamID: &team.ID})
	is.True(Users.ByTeamNick.Violated(err))
	var unique *orm.UniqueError
	is.True(errors.As(err, &unique))
	is.Equal(unique.Columns, []string{"team_id", "nick"})

	// A row with a NULL in the key has none.
	is.NoErr(Users.Create(ctx, db, &User{Email: "c", Nick: "n"}))
	is.NoErr(Users.Create(ctx, db, &User{Email: "d", Nick: "n"}))

	got, err := Users.ByEmail.Find(ctx, db, "a")
	is.NoErr(err)
	is.Equal(got.ID, u.ID)
	got, err = Users.ByTeamNick.Find(ctx, db, UserTeamNickKey{TeamID: team.ID, Nick: "n"})
	is.NoErr(err)
	is.Equal(got.ID, u.ID)
	_, err = Users.ByTeamNick.Find(ctx, db, UserTeamNickKey{Nick: "n"})
	is.True(errors.Is(err, orm.ErrNotFound))
	is.True(errors.Is(err, sql.ErrNoRows))

	other := User{Email: "a", Name: "new", Active: true}
	is.NoErr(Users.ByEmail.Upsert(ctx, db, &other))
	is.Equal(other.ID, u.ID) // the row that was there
	is.Equal(other.CreatedAt, u.CreatedAt)
	got, err = Users.Find(ctx, db, u.ID)
	is.NoErr(err)
	is.Equal(got.Name, "new")

	// A chosen key stays.
	fixed := Team{ID: "fixed", Name: "x"}
	is.NoErr(Teams.Create(ctx, db, &fixed))
	is.Equal(fixed.ID, "fixed")
	ok, err := Teams.Exists(ctx, db, "fixed")
	is.NoErr(err)
	is.True(ok)
}

func TestReferences(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	err := Posts.Create(ctx, db, &Post{AuthorID: "nobody"})
	var fk *orm.ForeignKeyError
	is.True(errors.As(err, &fk))

	team := Team{Name: "Ada"}
	is.NoErr(Teams.Create(ctx, db, &team))
	u := User{TeamID: &team.ID}
	is.NoErr(Users.Create(ctx, db, &u))
	is.NoErr(Posts.CreateMany(ctx, db, []Post{{Number: 1, AuthorID: u.ID}, {Number: 2, AuthorID: u.ID}}))

	ok, err := Teams.Delete(ctx, db, team.ID)
	is.NoErr(err)
	is.True(ok)
	got, err := Users.Find(ctx, db, u.ID)
	is.NoErr(err)
	is.True(got.TeamID == nil) // ondelete=setnull

	ok, err = Users.Delete(ctx, db, u.ID)
	is.NoErr(err)
	is.True(ok)
	n, err := Posts.Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(0)) // ondelete=cascade
	ok, err = Users.Delete(ctx, db, u.ID)
	is.NoErr(err)
	is.True(!ok)
}

func TestVerbs(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	teams := []Team{{Name: "c"}, {Name: "a"}, {Name: "b"}}
	is.NoErr(Teams.CreateMany(ctx, db, teams))
	is.True(teams[0].ID < teams[1].ID && teams[1].ID < teams[2].ID) // UUIDv7 in order

	// All of them or none, and the slice is as it was.
	more := []Team{{Name: "d"}, {Name: "a"}}
	is.True(Teams.ByName.Violated(Teams.CreateMany(ctx, db, more)))
	equal(t, more, []Team{{Name: "d"}, {Name: "a"}})
	n, err := Teams.Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(3))

	first, err := Teams.First(ctx, db, Teams.Name.Gt("b"))
	is.NoErr(err)
	is.Equal(first.Name, "c")
	all, err := Teams.All(ctx, db, Teams.Name.In("a", "c"))
	is.NoErr(err)
	is.Equal(len(all), 2)
	var names []string
	for team, err := range Teams.Where().OrderBy(Teams.Name.Desc()).Each(ctx, db) {
		is.NoErr(err)
		names = append(names, team.Name)
	}
	is.Equal(names, []string{"c", "b", "a"})
	count := 0
	for _, err := range Teams.Each(ctx, db, Teams.Name.Ne("a")) {
		is.NoErr(err)
		count++
	}
	is.Equal(count, 2)

	is.NoErr(Teams.Update(ctx, db, teams[0].ID, Teams.Name.Set("C")))
	is.True(errors.Is(Teams.Update(ctx, db, "none", Teams.Name.Set("C")), orm.ErrNotFound))
	up := Team{ID: teams[0].ID, Name: "again"}
	is.NoErr(Teams.Upsert(ctx, db, &up))
	fresh := Team{Name: "fresh"}
	is.NoErr(Teams.Upsert(ctx, db, &fresh))
	all, err = Teams.Where().OrderBy(Teams.Name.Asc()).All(ctx, db)
	is.NoErr(err)
	is.Equal(slices.Collect(func(yield func(string) bool) {
		for _, team := range all {
			if !yield(team.Name) {
				return
			}
		}
	}), []string{"a", "again", "b", "fresh"})

	changed, err := Teams.Where(Teams.Name.Like("a%")).Update(ctx, db, Teams.Name.SetSQL("name || '!'"))
	is.NoErr(err)
	is.Equal(changed, int64(2))
	gone, err := Teams.Where(Teams.Name.Like("%!")).Delete(ctx, db)
	is.NoErr(err)
	is.Equal(gone, int64(2))
}

// Update sets UpdatedAt, and nothing else sets CreatedAt again.
func TestUpdatedAt(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	clock := now
	db, err := driftdb.Open(ctx, driftdb.Memory, Schema, driftdb.Options{Now: func() time.Time { return clock }})
	is.NoErr(err)
	defer func() { is.NoErr(db.Close()) }()
	u := User{Name: "a"}
	is.NoErr(Users.Create(ctx, db, &u))
	clock = clock.Add(time.Minute)
	is.NoErr(Users.Update(ctx, db, u.ID, Users.Name.Set("b"), Users.Age.Set(5), Users.Seen.SetNull()))
	got, err := Users.Find(ctx, db, u.ID)
	is.NoErr(err)
	is.Equal(got.CreatedAt, u.CreatedAt)
	is.Equal(got.UpdatedAt, clock.Truncate(time.Millisecond))
	clock = clock.Add(time.Minute)
	is.NoErr(Users.Upsert(ctx, db, got))
	is.Equal(got.CreatedAt, u.CreatedAt)
	is.Equal(got.UpdatedAt, clock.Truncate(time.Millisecond))
}

// The statements that generated code carries are those that the database has.
func TestSchemaIsWhatIsStored(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	type row struct{ Name, SQL string }
	rows, err := orm.RawAll[row](ctx, db, `SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL`)
	is.NoErr(err)
	stored := map[string]string{}
	for _, r := range rows {
		stored[r.Name] = r.SQL
	}
	for i := range Schema.Tables {
		table := &Schema.Tables[i]
		is.NoErr(table.Validate())
		is.Equal(stored[table.Name], table.Create)
		is.True(table.Create == table.CreateSQL())                // or run go generate
		is.True(slices.Equal(table.Triggers, table.TriggerSQL())) // or run go generate
		for _, tr := range table.Triggers {
			is.Equal(stored[tr.Name], tr.SQL)
		}
		for _, ix := range table.Indexes {
			is.Equal(stored[ix.Name], ix.SQL(table.Name))
		}
	}
	is.NoErr(Schema.Validate())
}
