package defaults_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb"
	. "github.com/driftdb/driftdb/gen_test/defaults"
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

// A zero value means what its tag says: the default, or itself.
func TestZeroTakesTheDefault(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	var s Setting
	is.NoErr(Settings.Create(ctx, db, &s))
	is.Equal(len(s.Token), 16) // chosen by the database
	want := Setting{
		ID: s.ID, Token: s.Token,
		Active: true, Limit: new(100), Status: "new", Quote: "it's, (a) test", Ratio: 0.5, Offset: -7,
		Since: time.UnixMilli(1700000000000).UTC(), Icon: []byte{0, 255}, Until: new(time.UnixMilli(1800000000000).UTC()),
	}
	if d := cmp.Diff(want, s); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
	got, err := Settings.Find(ctx, db, s.ID)
	is.NoErr(err)
	if d := cmp.Diff(s, *got); d != "" {
		t.Errorf("the struct and the row differ:\n%s", d)
	}
}

// Any other value is stored.
func TestOthersAreStored(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	s := Setting{
		Retries: 1, Active: true, Visible: true, Limit: new(0), Status: "x", Quote: "q", Ratio: -1, Offset: 1, Token: "t",
		Since: time.UnixMilli(0).UTC(), Note: new("n"), Icon: []byte{}, Until: new(time.UnixMilli(0).UTC()),
	}
	is.NoErr(Settings.Create(ctx, db, &s))
	got, err := Settings.Find(ctx, db, s.ID)
	is.NoErr(err)
	if d := cmp.Diff(s, *got); d != "" {
		t.Errorf("the struct and the row differ:\n%s", d)
	}
	// Update has no rule for zero values: a setter sets what it says.
	is.NoErr(Settings.Update(ctx, db, s.ID, Settings.Active.Set(false), Settings.Status.Set(""), Settings.Limit.SetNull()))
	got, err = Settings.Find(ctx, db, s.ID)
	is.NoErr(err)
	is.Equal(got.Active, false)
	is.Equal(got.Status, Status(""))
	is.Equal(got.Limit, nil)
}

// Rows with and without defaults go in together and no value is lost.
func TestManyWithDifferentDefaults(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	many := make([]Setting, 300)
	for i := range many {
		many[i] = Setting{Retries: int64(i), Active: i%2 == 0, Visible: i%5 == 0}
		if i%3 == 0 {
			many[i].Status = "given"
		}
		if i%7 == 0 {
			many[i].Limit = new(i)
		}
	}
	is.NoErr(Settings.CreateMany(ctx, db, many))
	all, err := Settings.Where().OrderBy(Settings.Retries.Asc()).All(ctx, db)
	is.NoErr(err)
	if d := cmp.Diff(many, all); d != "" {
		t.Errorf("what CreateMany left in the slice and the rows differ:\n%s", d)
	}
	for i, s := range all {
		is.Equal(s.Active, true)
		is.Equal(s.Visible, i%5 == 0)
		if i%3 == 0 {
			is.Equal(s.Status, Status("given"))
		} else {
			is.Equal(s.Status, Status("new"))
		}
		if i%7 == 0 {
			is.Equal(*s.Limit, i)
		} else {
			is.Equal(*s.Limit, 100)
		}
	}
}
