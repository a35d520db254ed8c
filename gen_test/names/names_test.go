package names

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb"
	drift "github.com/driftdb/driftdb/orm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) *drift.DB {
	t.Helper()
	is := is.New(t)
	db, err := driftdb.Open(t.Context(), filepath.Join(t.TempDir(), "test.sqlite"), Schema, driftdb.Options{})
	is.NoErr(err)
	t.Cleanup(func() { is.NoErr(db.Close()) })
	return db
}

// Keywords, quotes and spaces are names like others.
func TestOddNames(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	o := Order{Key: "k", Count: 2, Select: "Sel", Odd: "odd", Group: 3, Now: time.UnixMilli(5).UTC()}
	is.NoErr(Orders.Create(ctx, db, &o))
	got, err := Orders.First(ctx, db, Orders.Odd.Eq("odd"), Orders.Group.Gt(2), Orders.CountCol.Lt(3), Orders.Select.Eq("sEL"))
	is.NoErr(err)
	if d := cmp.Diff(o, *got); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
	got, err = Orders.BySelect.Find(ctx, db, "SEL") // nocase
	is.NoErr(err)
	is.Equal(got.Key, "k")
	is.NoErr(Orders.Update(ctx, db, "k", Orders.Odd.Set("x"), Orders.Group.Add(1)))
	is.NoErr(Orders.Upsert(ctx, db, &o))
	ok, err := Orders.Delete(ctx, db, "k")
	is.NoErr(err)
	is.True(ok)

	// Every change is in the log, under the names as they are.
	type entry struct{ Operation, Table, Data, Before string }
	log, err := drift.RawAll[entry](ctx, db, `SELECT operation AS Operation, "table" AS "Table", coalesce(data, '') AS Data, coalesce(before, '') AS Before
		FROM _driftdb_log WHERE "table" = 'order' ORDER BY sequence`)
	is.NoErr(err)
	want := []entry{
		{"insert", "order", "{\"primary\":\"k\",\"count\":2,\"select\":\"Sel\",\"a`b\\\"c\":\"odd\",\"total (net), group\":3,\"now\":5}", ""},
		{"update", "order", "{\"a`b\\\"c\":\"x\",\"total (net), group\":4}", "{\"a`b\\\"c\":\"odd\",\"total (net), group\":3}"},
		{"update", "order", "{\"a`b\\\"c\":\"odd\",\"total (net), group\":3}", "{\"a`b\\\"c\":\"x\",\"total (net), group\":4}"},
		{"delete", "order", "", "{\"primary\":\"k\",\"count\":2,\"select\":\"Sel\",\"a`b\\\"c\":\"odd\",\"total (net), group\":3,\"now\":5}"},
	}
	if d := cmp.Diff(want, log); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
}

// An unexported model has an unexported table.
func TestUnexportedModel(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	p := person{HTTPIp: "::1", gen: pair[string, *Order]{a: "kept"}}
	is.NoErr(persons.Create(ctx, db, &p))
	is.Equal(p.gen.a, "kept") // fields that are no columns stay as they are
	got, err := persons.Find(ctx, db, p.ID)
	is.NoErr(err)
	is.Equal(got.HTTPIp, "::1")
	is.Equal(persons.HTTPIp.Eq("a"), persons.HTTPIp.Eq("a"))
	is.Equal(len(Schema.Tables), 2) // aNote says that it is none
	_ = aNote{Text: ""}
	_, _ = orm, schema
}
