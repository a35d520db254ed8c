package kinds_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"math"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb"
	. "github.com/driftdb/driftdb/gen_test/kinds"
	"github.com/driftdb/driftdb/gen_test/kinds/other"
	"github.com/driftdb/driftdb/orm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) *orm.DB {
	t.Helper()
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "test.sqlite")
	db, err := driftdb.Open(t.Context(), path, Schema, driftdb.Options{})
	is.NoErr(err)
	is.NoErr(db.Close())
	db, err = driftdb.Open(t.Context(), path, Schema, driftdb.Options{}) // the file is what the models say
	is.NoErr(err)
	t.Cleanup(func() { is.NoErr(db.Close()) })
	return db
}

func same[T any](t *testing.T, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
}

func TestNumbers(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	big := Numbers{
		I: math.MaxInt, I8: math.MaxInt8, I16: math.MaxInt16, I32: math.MaxInt32, I64: math.MaxInt64,
		U8: math.MaxUint8, U16: math.MaxUint16, U32: math.MaxUint32, U64: math.MaxUint64, P64: new(uint64(1)),
		F32: math.MaxFloat32, F64: math.Inf(1), P8: new(int8(-1)), PF: new(math.SmallestNonzeroFloat64),
	}
	small := Numbers{I: math.MinInt, I8: math.MinInt8, I16: math.MinInt16, I32: math.MinInt32, I64: math.MinInt64, F32: -math.MaxFloat32, F64: math.Inf(-1)}
	all := []Numbers{big, small, {U64: 10}, {U64: 9}}
	is.NoErr(Numberses.CreateMany(ctx, db, all))
	for i := range all {
		is.True(all[i].ID != uuid.UUID{})
		is.Equal(all[i].ID.Version(), uuid.Version(7))
		got, err := Numberses.Find(ctx, db, all[i].ID)
		is.NoErr(err)
		same(t, *got, all[i])
	}
	// Digits sort as numbers do.
	n := Numberses
	order, err := orm.Pluck(ctx, db, n.Where().OrderBy(n.U64.Asc()), n.U64)
	is.NoErr(err)
	same(t, order, []uint64{0, 9, 10, math.MaxUint64})
	gt, err := n.Count(ctx, db, n.U64.Gt(9))
	is.NoErr(err)
	is.Equal(gt, int64(2))
	one, err := n.Where(n.P64.Eq(1)).One(ctx, db)
	is.NoErr(err)
	is.Equal(one.ID, all[0].ID)

	err = n.Create(ctx, db, &Numbers{F64: math.NaN()})
	is.True(err != nil && strings.Contains(err.Error(), "f64") && strings.Contains(err.Error(), "NaN"))
	_, err = n.Where(n.F32.Eq(float32(math.NaN()))).All(ctx, db)
	is.True(err != nil && strings.Contains(err.Error(), "f32"))
	is.True(n.Update(ctx, db, all[0].ID, n.PF.Set(math.NaN())) != nil)
	// A number that outgrew its field is an error that names it when it is read.
	_, err = orm.Exec(ctx, db, `UPDATE numberses SET i8 = i8 + 1 WHERE id = ?`, all[0].ID.String())
	is.NoErr(err)
	_, err = n.Find(ctx, db, all[0].ID)
	is.True(err != nil && strings.Contains(err.Error(), "i8") && strings.Contains(err.Error(), "int8"))
}

func TestTimesAndBytes(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	at := time.Date(1999, 12, 31, 23, 59, 59, 123456789, time.FixedZone("x", 3600))
	given := at
	m := Times{MS: at, S: at, US: at, NS: at, Text: at, PText: &given, Null: sql.NullTime{Time: at, Valid: true}, On: true, POn: new(Flag(false)), Blob: nil, NBlob: Blob{}}
	is.NoErr(Timeses.Create(ctx, db, &m))
	is.Equal(m.MS, at.UTC().Truncate(time.Millisecond))
	is.Equal(m.Text, at.UTC())
	is.Equal(*m.PText, at.UTC())
	is.True(given.Location() == at.Location()) // what the caller's pointer leads to stays
	is.True(!m.Made.IsZero())
	got, err := Timeses.Find(ctx, db, m.ID)
	is.NoErr(err)
	want := m
	want.Blob = Blob{} // nil is stored as empty
	same(t, *got, want)
	is.True(got.Blob != nil && got.NBlob != nil)

	// Text sorts as times do, across years and with and without a fraction.
	for _, d := range []time.Duration{time.Nanosecond, time.Second, 24 * 400 * time.Hour, -24 * 9000 * time.Hour} {
		is.NoErr(Timeses.Create(ctx, db, &Times{Text: at.Add(d), MS: at, S: at, US: at, NS: at}))
	}
	texts, err := orm.Pluck(ctx, db, Timeses.Where().OrderBy(Timeses.Text.Asc()), Timeses.Text)
	is.NoErr(err)
	for i := range texts[1:] {
		is.True(texts[i].Before(texts[i+1]))
	}
	n, err := Timeses.Count(ctx, db, Timeses.Text.Gt(at))
	is.NoErr(err)
	is.Equal(n, int64(3))
	null, err := Timeses.Where(Timeses.Null.IsNull()).Count(ctx, db)
	is.NoErr(err)
	is.Equal(null, int64(4))
	err = Timeses.Create(ctx, db, &Times{NS: at, Text: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)})
	is.True(err != nil && strings.Contains(err.Error(), "text"))
	is.NoErr(Timeses.Update(ctx, db, m.ID, Timeses.NBlob.SetNull(), Timeses.On.Set(false)))
	got, err = Timeses.Find(ctx, db, m.ID)
	is.NoErr(err)
	is.True(got.NBlob == nil && !bool(got.On))
}

func TestJSON(t *testing.T) {
	is := is.New(t)
	ctx, db, d := t.Context(), open(t), Docs
	m := Doc{
		Meta: map[string]any{"a": 1.0, "b": []any{"x", nil, true}, "q'\"": "<&>", "": map[string]any{}},
		Tags: []string{"x", "y\x00"}, Addr: Address{Street: "Ä", Geo: &Geo{1.5, -2}}, PAddr: &Address{}, Raw: json.RawMessage(`{"n":1}`), Any: "text",
	}
	is.NoErr(d.Create(ctx, db, &m))
	is.Equal(m.Pairs, [2]int{0, 0})
	got, err := d.Find(ctx, db, m.ID)
	is.NoErr(err)
	same(t, *got, m)
	zero := Doc{}
	is.NoErr(d.Create(ctx, db, &zero))
	got, err = d.Find(ctx, db, zero.ID)
	is.NoErr(err)
	same(t, *got, zero)
	n, err := d.Count(ctx, db, d.Meta.IsNull(), d.PAddr.IsNull(), d.RawCol.IsNull())
	is.NoErr(err)
	is.Equal(n, int64(1))

	match := map[string]orm.Cond[Doc]{
		"number":           d.Meta.Path("$.a").Eq(1),
		"float":            d.Meta.Path("$.a").Eq(1.0),
		"greater":          d.Meta.Path("$.a").Gt(0.5),
		"text":             d.Addr.Path("$.street").Eq("Ä"),
		"odd key":          d.Meta.Path(`$.b[0]`).Eq("x"),
		"null":             d.Meta.Path("$.b[1]").Eq(nil),
		"true":             d.Meta.Path("$.b[2]").Eq(true),
		"last":             d.Meta.Path("$.b[#-1]").Eq(true),
		"array":            d.Meta.Path("$.b").Eq([]any{"x", nil, true}),
		"has":              d.Tags.Path("$").Has("y\x00"),
		"has null":         d.Meta.Path("$.b").Has(nil),
		"has true":         d.Meta.Path("$.b").Has(true),
		"has number":       d.Addr.Path("$.geo").Has(1.5),
		"exists null":      d.Meta.Path("$.b[1]").Exists(),
		"ne":               d.Meta.Path("$.a").Ne(2),
		"inner":            d.Addr.Path("$.geo.Lat").Lte(1.5),
		"whole":            d.Any.Path("$").Eq("text"),
		"eq of the column": d.Tags.Eq([]string{"x", "y\x00"}),
	}
	miss := map[string]orm.Cond[Doc]{
		"type counts":      d.Meta.Path("$.a").Eq("1"),
		"true is not 1":    d.Meta.Path("$.a").Eq(true),
		"missing":          d.Meta.Path("$.zz").Eq(nil),
		"missing ne":       d.Meta.Path("$.zz").Ne(1),
		"hostile":          d.Meta.Path("$.a").Eq("1' OR '1'='1"),
		"has other":        d.Tags.Path("$").Has("Y"),
		"has text of true": d.Meta.Path("$.b").Has("true"),
		"not exists":       d.Meta.Path("$.zz").Exists(),
		"less":             d.Meta.Path("$.a").Lt(1),
	}
	for name, c := range match {
		ok, err := d.Where(d.ID.Eq(m.ID), c).Exists(ctx, db)
		if err != nil || !ok {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	for name, c := range miss {
		ok, err := d.Where(d.ID.Eq(m.ID), c).Exists(ctx, db)
		if err != nil || ok {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	for _, bad := range []string{"", "a", "$.", "$[", "$.a.", "$[x]", "$a", "$.a\x00", `$."a`, `$."\1"`, "$[1", "$[-1]"} {
		_, err := d.Where(d.Meta.Path(bad).Eq(1)).All(ctx, db)
		if err == nil || !strings.Contains(err.Error(), "docs.meta") {
			t.Errorf("path %q: %v", bad, err)
		}
	}
	_, err = d.Where(d.Any.Path("$").Eq(func() {})).All(ctx, db)
	is.True(err != nil)

	is.NoErr(d.Update(ctx, db, m.ID, d.Meta.SetPath("$.a", []int{1, 2}), d.Addr.SetPath("$.geo.Lat", 7), d.Tags.Set(nil)))
	got, err = d.Find(ctx, db, m.ID)
	is.NoErr(err)
	same(t, got.Meta["a"], any([]any{1.0, 2.0}))
	is.Equal(got.Addr.Geo.Lat, 7.0)
	is.True(got.Tags == nil)
	is.NoErr(d.Update(ctx, db, m.ID, d.Meta.RemovePath("$.a"), d.PAddr.SetNull()))
	got, err = d.Find(ctx, db, m.ID)
	is.NoErr(err)
	_, has := got.Meta["a"]
	is.True(!has && got.PAddr == nil)

	// What the row could not be read with any more is refused; the error says where and not what.
	for name, set := range map[string]orm.Set[Doc]{
		"whole":   d.Meta.SetPath("$", "canary"),
		"member":  d.Addr.SetPath("$.geo.Lat", "canary"),
		"object":  d.Addr.SetPath("$.geo", 67_890),
		"pointer": d.PAddr.SetPath("$.street", 67_890),
		"element": d.Tags.SetPath("$[0]", 67_890),
		"last":    d.Tags.SetPath("$[#-1]", []string{"canary"}),
		"array":   d.Pairs.SetPath("$[1]", 1.5),
		"quoted":  d.Addr.SetPath(`$."lines"`, "canary"),
		"escaped": d.Addr.SetPath(`$."\u006cines"`, "canary"),
	} {
		err := d.Update(ctx, db, m.ID, set)
		if err == nil || !strings.Contains(err.Error(), "the field cannot hold a") || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "67890") || strings.Contains(err.Error(), "1.5") {
			t.Errorf("%s: %v", name, err)
		}
	}
	is.NoErr(d.Update(ctx, db, m.ID, d.Meta.SetPath("$", map[string]int{"a": 1}), d.PAddr.SetPath("$.unknown", 5),
		d.Addr.SetPath("$.lines[#]", "a line"), d.Any.SetPath("$", []int{3}), d.Pairs.SetPath("$[1]", 9), d.RawCol.SetPath("$", "raw")))
	got, err = d.Find(ctx, db, m.ID)
	is.NoErr(err)
	same(t, got.Meta["a"], any(1.0))
	is.Equal(got.Pairs[1], 9)
	is.Equal(string(got.Raw), `"raw"`)

	// Raw JSON that is none is refused before anything is written.
	is.True(d.Create(ctx, db, &Doc{Raw: json.RawMessage(`{`)}) != nil)
	// What another program stored may not fit the field: the error says where and not what.
	_, err = orm.Exec(ctx, db, `UPDATE docs SET addr = '{"street": 12345}' WHERE id = ?`, m.ID)
	is.NoErr(err)
	_, err = d.Find(ctx, db, m.ID)
	is.True(err != nil && strings.Contains(err.Error(), "docs.addr") && !strings.Contains(err.Error(), "12345"))
	_, err = orm.Exec(ctx, db, `UPDATE docs SET addr = 'no json' WHERE id = ?`, m.ID)
	var check *orm.CheckError
	is.True(errors.As(err, &check))

	// A clone shares nothing.
	c := d.Clone(&m)
	c.Meta["new"], c.Tags[0], c.Addr.Geo.Lat, c.PAddr.Street = 1, "changed", 9, "changed"
	is.Equal(m.Tags[0], "x")
	is.Equal(m.Addr.Geo.Lat, 1.5)
	is.Equal(m.PAddr.Street, "")
	is.Equal(len(m.Meta), 4)
}

func TestEnums(t *testing.T) {
	is := is.New(t)
	ctx, db, p := t.Context(), open(t), Persons
	same(t, RoleValues(), []Role{RoleLead, RoleMember, RoleIt})
	same(t, GradeValues(), []Grade{GradeA, GradeB})
	one := Person{Grade: GradeA}
	is.NoErr(p.Create(ctx, db, &one))
	is.Equal(one.ID, int64(1)) // SQLite's choice
	is.Equal(one.Role, RoleMember)
	is.Equal(one.Level, other.Mid)
	two := Person{Role: RoleIt, Grade: GradeB, Other: new(RoleLead), Level: other.High}
	is.NoErr(p.Create(ctx, db, &two))
	is.Equal(two.ID, int64(2))
	many := []Person{{Grade: GradeA}, {ID: 77, Grade: GradeA, Role: RoleLead}, {Grade: GradeB}}
	is.NoErr(p.CreateMany(ctx, db, many))
	is.True(many[0].ID > 2 && many[1].ID == 77 && many[2].ID > 2 && many[0].ID != many[2].ID)
	n, err := p.Count(ctx, db, p.Role.In(RoleIt, RoleLead))
	is.NoErr(err)
	is.Equal(n, int64(2))

	for _, wrong := range []Person{{Grade: 3}, {Grade: GradeA, Role: "boss"}, {Grade: GradeA, Other: new(Role(""))}, {Grade: GradeA, Level: 4}} {
		err := p.Create(ctx, db, &wrong)
		var check *orm.CheckError
		is.True(errors.As(err, &check))
		is.True(strings.Contains(check.Constraint, "enum"))
	}
}

func TestTypesOfTheApplication(t *testing.T) {
	is := is.New(t)
	ctx, db, c := t.Context(), open(t), Customs
	m := Custom{
		Price: Money{999}, Sale: &Money{1}, Name: "x'y", Addr: netip.MustParseAddr("2001:db8::1"), From: new(netip.MustParseAddr("10.0.0.1")),
		Owner: uuid.New(), Boss: new(uuid.New()), Key: [16]byte{1, 0, 255},
		NStr: sql.NullString{String: "", Valid: true}, NInt: sql.NullInt64{Int64: -1, Valid: true}, NGen: sql.Null[int16]{V: 7, Valid: true},
		NBool: sql.NullBool{Bool: true, Valid: true}, NF: sql.NullFloat64{Float64: 0.5, Valid: true},
	}
	is.NoErr(c.Create(ctx, db, &m))
	got, err := c.Find(ctx, db, m.ID)
	is.NoErr(err)
	same(t, *got, m)
	empty := Custom{Name: "y", Addr: netip.IPv4Unspecified(), NStr: sql.NullString{String: "ignored"}}
	is.NoErr(c.Create(ctx, db, &empty))
	got, err = c.Find(ctx, db, empty.ID)
	is.NoErr(err)
	is.Equal(got.NStr, sql.NullString{})
	is.True(got.Sale == nil && got.From == nil && got.Boss == nil)

	found, err := c.Where(c.Price.Gt(Money{998}), c.Addr.Eq(m.Addr), c.Owner.Eq(m.Owner), c.Key.Eq(m.Key), c.NGen.Eq(7), c.NBool.IsTrue(), c.NStr.Eq("")).One(ctx, db)
	is.NoErr(err)
	is.Equal(found.ID, m.ID)
	by, err := c.ByName.Find(ctx, db, "x'y")
	is.NoErr(err)
	is.Equal(by.ID, m.ID)
	by, err = c.ByNStr.Find(ctx, db, "")
	is.NoErr(err)
	is.Equal(by.ID, m.ID)
	is.True(errors.Is(c.ByNStr.Upsert(ctx, db, &empty), nil) == false) // NULL is no key

	most, err := orm.Value(ctx, db, c.Where(), c.Price.Max())
	is.NoErr(err)
	is.Equal(most.V, Money{999})
	err = c.Create(ctx, db, &Custom{Name: "z", Addr: netip.IPv4Unspecified(), Price: Money{-1}})
	is.True(err != nil && strings.Contains(err.Error(), "customs.price") && strings.Contains(err.Error(), "not negative"))
	_, err = orm.Exec(ctx, db, `UPDATE customs SET addr = 'nowhere' WHERE id = ?`, m.ID)
	is.NoErr(err)
	_, err = c.Find(ctx, db, m.ID)
	is.True(err != nil && strings.Contains(err.Error(), "customs.addr"))
	is.NoErr(c.Update(ctx, db, m.ID, c.Addr.Set(netip.IPv6LinkLocalAllNodes()), c.Sale.SetNull(), c.Boss.SetPtr(nil), c.NInt.SetPtr(new(int64(3)))))
}

// Only leaves fields of every kind as they are.
func TestOnlyOfEveryKind(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	is.NoErr(Docs.Create(ctx, db, &Doc{ID: "a", Tags: []string{"x"}, Any: 1}))
	d, err := Docs.Where().Only().One(ctx, db)
	is.NoErr(err)
	_ = d
	d, err = Docs.Where().Only(Docs.Any).One(ctx, db)
	is.NoErr(err)
	same(t, *d, Doc{ID: "a", Any: 1.0})
	c := Custom{Name: "n", Addr: netip.IPv4Unspecified()}
	is.NoErr(Customs.Create(ctx, db, &c))
	got, err := Customs.Where().Only(Customs.Name).One(ctx, db)
	is.NoErr(err)
	same(t, *got, Custom{ID: c.ID, Name: "n"})
	is.NoErr(Timeses.Create(ctx, db, &Times{NS: time.Unix(0, 0), Blob: Blob{1}}))
	tm, err := Timeses.Where().Only(Timeses.Blob).One(ctx, db)
	is.NoErr(err)
	same(t, *tm, Times{ID: tm.ID, Blob: Blob{1}})
}
