package shapes_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb/drifttest"
	. "github.com/driftdb/driftdb/gen_test/shapes"
	"github.com/driftdb/driftdb/orm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func same[T any](t *testing.T, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
}

func TestNamesOfTheOutput(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	g := Gadget{Sets: 1, Photo: sql.Null[[]byte]{V: []byte("abc"), Valid: true}}
	is.NoErr(Gadgets.Create(ctx, db, &g))
	is.True(bool(g.On)) // the default
	var patch GadgetPatch
	is.NoErr(json.Unmarshal([]byte(`{"sets": 7, "on": false}`), &patch))
	is.NoErr(Gadgets.Update(ctx, db, g.ID, patch.Sets()...))
	got, err := Gadgets.Find(ctx, db, g.ID)
	is.NoErr(err)
	is.Equal(got.Sets, 7)
	is.Equal(got.On, Flag(false))
	c := Gadgets.Clone(got)
	c.Photo.V[0] = 'X'
	is.Equal(string(got.Photo.V), "abc")
	is.Equal(fmt.Sprint(Shown{ID: "1", Token: "t"}), "shown 1")                  // its own Format
	is.Equal(fmt.Sprint(Shown{Token: "t"}.LogValue()), "[ID= Token=[redacted]]") // and the output's LogValue
	is.Equal(fmt.Sprintf("%+v", Logged{ID: "1", Token: []byte("t")}), "Logged[ID=1 Token=[redacted]]")
	p := Paired{Pair: Pair[string]{"v", 1}, X: Pair[map[string]int]{map[string]int{"a": 1}, 2}}
	is.NoErr(Paireds.Create(ctx, db, &p))
	row, err := Paireds.Find(ctx, db, p.ID)
	is.NoErr(err)
	same(t, *row, p)
}

// A client sets neither what the author keeps out of JSON nor one of two
// flattened structs for the other.
func TestPatchInJSON(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	a := Account{Hash: "secret", Home: Address{"h", "hc", "1"}, Work: Address{"w", "wc", "2"}, Old: Address{"o", "oc", "3"}}
	is.NoErr(Accounts.Create(ctx, db, &a))
	var patch AccountPatch
	is.NoErr(json.Unmarshal([]byte(`{"home_street": "H", "work_street": "W", "workCity": "WC", "-": "d",
		"hash": "x", "Hash": "x", "homeCode": "x", "HomeCode": "x", "home_code": "x", "oldCity": "x", "OldStreet": "x", "old_street": "x", "street": "x"}`), &patch))
	is.Equal(len(patch.Sets()), 4)
	is.NoErr(Accounts.Update(ctx, db, a.ID, patch.Sets()...))
	got, err := Accounts.Find(ctx, db, a.ID)
	is.NoErr(err)
	a.Home.Street, a.Work, a.Dash = "H", Address{"W", "WC", "2"}, "d"
	same(t, *got, a)
	b, err := json.Marshal(AccountPatch{HomeStreet: orm.Some("1"), WorkStreet: orm.Some("2"), Hash: orm.Some("no")})
	is.NoErr(err)
	is.Equal(string(b), `{"home_street":"1","work_street":"2"}`)
	is.Equal(len(AccountPatch{Hash: orm.Some("x")}.Sets()), 1) // Go can
}

func deep(t *testing.T) *Deep {
	t.Helper()
	d := &Deep{
		ID: "1", Tags: Tags{"a", "b"}, PTags: &Tags{"c"}, NTags: sql.Null[Tags]{V: Tags{"d"}, Valid: true}, Counts: Counts{"a": 1},
		Box: NewBox("box"), PBox: new(NewBox("pbox")), Big: *big.NewInt(99), List: []Plain{{1, 2}}, One: Plain{3, 4},
		Nested: [][]int{{1}, {2}}, Any: map[string]any{"n": []any{1.5, json.Number("9007199254740993")}},
	}
	return d
}

// Nothing that the copy changes in place shows in the original.
func TestCloneIsDeep(t *testing.T) {
	is := is.New(t)
	m := deep(t)
	c := Deeps.Clone(m)
	compare := cmp.Options{cmp.Comparer(func(a, b Box) bool { return a.String() == b.String() }), cmp.Comparer(func(a, b big.Int) bool { return a.Cmp(&b) == 0 })}
	is.Equal(cmp.Diff(m, c, compare), "")
	c.Tags[0], (*c.PTags)[0], c.NTags.V[0], c.Counts["a"] = "x", "x", "x", 9
	c.Box.Set("BOX")
	c.PBox.Set("PBOX")
	c.Big.Bits()[0] = 1
	c.List[0].A, c.Nested[0][0] = 9, 9
	c.Any.(map[string]any)["n"].([]any)[0] = 9.0 //nolint:errcheck // it panics
	is.Equal(cmp.Diff(deep(t), m, compare), "")
	// What is nil stays nil, and what has no value yet can be copied.
	c = Deeps.Clone(&Deep{})
	is.True(c.Tags == nil && c.PTags == nil && c.NTags.V == nil && c.Counts == nil && c.PBox == nil && c.List == nil && c.Nested == nil && c.Any == nil)
}

// A change in place is a change: Edit tells the row from its copy.
func TestEditInPlace(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	is.NoErr(Deeps.Create(ctx, db, deep(t)))
	_, err := Deeps.Edit(ctx, db, "1", func(d *Deep) error {
		d.Tags[0], d.Counts["a"] = "x", 9
		d.Box.Set("BOX")
		return nil
	})
	is.NoErr(err)
	got, err := Deeps.Find(ctx, db, "1")
	is.NoErr(err)
	same(t, got.Tags, Tags{"x", "b"})
	same(t, got.Counts, Counts{"a": 9})
	is.Equal(got.Box.String(), "BOX")
}

func TestQueriesWithNamesOfTheOutput(t *testing.T) {
	is := is.New(t)
	ctx, db, q := t.Context(), drifttest.Open(t, Schema), NewDeepQueries()
	is.NoErr(Showns.CreateMany(ctx, db, []Shown{{Token: "a"}, {Token: "b"}}))
	one, err := q.Ptr(ctx, db, "a")
	is.NoErr(err)
	same(t, *one, Line{"a", 1})
	n := 0
	for line, err := range q.Each(ctx, db, "b") {
		is.NoErr(err)
		same(t, line, Line{"b", 1})
		n++
	}
	is.Equal(n, 1)
	all, err := q.All(ctx, db, 5, "a")
	is.NoErr(err)
	same(t, all, []Line{{"b", 5}})
	rows, err := q.Renew(ctx, db, "a")
	is.NoErr(err)
	is.Equal(rows, int64(1))
	all, err = q.Again(ctx, db, "it's new")
	is.NoErr(err)
	same(t, all, []Line{{"newer", 1}})
	count, err := q.Count(ctx, db, 4)
	is.NoErr(err)
	is.Equal(count, 4)
}
