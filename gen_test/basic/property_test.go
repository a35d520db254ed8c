package basic_test

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/driftdb/driftdb"
	. "github.com/driftdb/driftdb/gen_test/basic"
	"github.com/driftdb/driftdb/orm"
)

// machine runs random verbs on a table and on a map, which must agree.
type machine struct {
	t     *testing.T
	db    *orm.DB
	clock time.Time
	rows  map[string]User // by ID
}

func (m *machine) now() time.Time { return m.clock.Truncate(time.Millisecond) }

func drawUser(t *rapid.T) User {
	return User{
		Name:  rapid.SampledFrom([]string{"", "a", "b", "ä'\"`"}).Draw(t, "name"),
		Email: rapid.SampledFrom([]string{"a@x", "b@x", "c@x", "d@x", "e@x", "f@x"}).Draw(t, "email"),
		Age:   rapid.Ptr(rapid.IntRange(-3, 3), true).Draw(t, "age"),
		Score: rapid.Float64().Draw(t, "score"), Active: rapid.Bool().Draw(t, "active"),
		Avatar: rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "avatar"),
		Nick:   rapid.StringN(0, 5, 20).Draw(t, "nick"),
	}
}

func (m *machine) drawID(t *rapid.T) string {
	ids := append(slices.Sorted(maps.Keys(m.rows)), "none")
	return rapid.SampledFrom(ids).Draw(t, "id")
}

func (m *machine) emailOwner(email string) (string, bool) {
	for id, u := range m.rows {
		if u.Email == email {
			return id, true
		}
	}
	return "", false
}

// stored is what Create makes of u.
func (m *machine) stored(u User) User {
	u.Active = true // false takes the default
	u.CreatedAt, u.UpdatedAt = m.now(), m.now()
	return u
}

func (m *machine) create(t *rapid.T) {
	u := drawUser(t)
	given := u
	err := Users.Create(m.t.Context(), m.db, &u)
	if _, taken := m.emailOwner(u.Email); taken {
		if !Users.ByEmail.Violated(err) || gocmp.Diff(given, u, gocmp.AllowUnexported(User{})) != "" {
			t.Fatalf("a second %s: %v, and the struct is %v", u.Email, err, u)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	m.same(t, "create", u, func() User { w := m.stored(given); w.ID = u.ID; return w }())
	m.rows[u.ID] = u
}

func (m *machine) createMany(t *rapid.T) {
	given := rapid.SliceOfNDistinct(rapid.Custom(drawUser), 0, 3, func(u User) string { return u.Email }).Draw(t, "many")
	taken := slices.ContainsFunc(given, func(u User) bool { _, ok := m.emailOwner(u.Email); return ok })
	err := Users.CreateMany(m.t.Context(), m.db, given)
	if taken != (err != nil) {
		t.Fatalf("taken is %v: %v", taken, err)
	}
	if err == nil {
		for _, u := range given {
			m.rows[u.ID] = u
		}
	}
}

func (m *machine) upsertByEmail(t *rapid.T) {
	given := drawUser(t)
	u := given
	if err := Users.ByEmail.Upsert(m.t.Context(), m.db, &u); err != nil {
		t.Fatal(err)
	}
	want := m.stored(given)
	want.ID = u.ID
	if id, taken := m.emailOwner(given.Email); taken {
		want.ID, want.CreatedAt = id, m.rows[id].CreatedAt
	}
	m.same(t, "upsert", u, want)
	m.rows[u.ID] = u
}

func (m *machine) update(t *rapid.T) {
	id, age := m.drawID(t), rapid.Ptr(rapid.Int(), true).Draw(t, "new age")
	err := Users.Update(m.t.Context(), m.db, id, Users.Age.SetPtr(age), Users.Nick.Set("n"))
	u, ok := m.rows[id]
	if !ok {
		if !errors.Is(err, orm.ErrNotFound) {
			t.Fatal(err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	u.Age, u.Nick, u.UpdatedAt = age, "n", m.now()
	m.rows[id] = u
}

func (m *machine) remove(t *rapid.T) {
	id := m.drawID(t)
	found, err := Users.Delete(m.t.Context(), m.db, id)
	if _, ok := m.rows[id]; err != nil || ok != found {
		t.Fatalf("delete %s: %v, %v", id, found, err)
	}
	delete(m.rows, id)
}

func (m *machine) query(t *rapid.T) {
	age := rapid.IntRange(-3, 3).Draw(t, "age")
	got, err := Users.Where(orm.Or(Users.Age.Gte(age), Users.Name.Eq("a")), orm.Not(Users.Email.In("a@x", "b@x"))).
		OrderBy(Users.ID.Asc()).All(m.t.Context(), m.db)
	if err != nil {
		t.Fatal(err)
	}
	want := []User{}
	for _, u := range m.rows {
		if (u.Age != nil && *u.Age >= age || u.Name == "a") && u.Email != "a@x" && u.Email != "b@x" {
			want = append(want, u)
		}
	}
	slices.SortFunc(want, func(a, b User) int { return cmp.Compare(a.ID, b.ID) })
	m.same(t, "query", got, want)
}

func (m *machine) check(t *rapid.T) {
	got := map[string]User{}
	for u, err := range Users.Each(m.t.Context(), m.db) {
		if err != nil {
			t.Fatal(err)
		}
		got[u.ID] = *u
	}
	m.same(t, "the table", got, m.rows)
	m.clock = m.clock.Add(time.Second + time.Microsecond)
}

// same compares, with nil and empty bytes as one: the column is NOT NULL.
func (m *machine) same(t *rapid.T, what string, got, want any) {
	bytes := gocmp.Comparer(func(a, b []byte) bool { return string(a) == string(b) })
	if d := gocmp.Diff(want, got, bytes, gocmp.AllowUnexported(User{})); d != "" {
		t.Fatalf("%s: want -, got +:\n%s", what, d)
	}
}

func TestVerbsAgreeWithAMap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &machine{t: t, clock: now, rows: map[string]User{}}
		db, err := driftdb.Open(t.Context(), driftdb.Memory, Schema, driftdb.Options{Now: func() time.Time { return m.clock }})
		if err != nil {
			rt.Fatal(err)
		}
		m.db = db
		defer func() {
			if err := db.Close(); err != nil {
				rt.Error(err)
			}
		}()
		rt.Repeat(map[string]func(*rapid.T){
			"": m.check, "create": m.create, "createMany": m.createMany, "upsertByEmail": m.upsertByEmail,
			"update": m.update, "delete": m.remove, "query": m.query,
		})
	})
}
