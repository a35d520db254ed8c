package projections_test

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
	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb"
	. "github.com/driftdb/driftdb/gen_test/projections"
	"github.com/driftdb/driftdb/orm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func open(t *testing.T) *orm.DB {
	t.Helper()
	is := is.New(t)
	db, err := driftdb.Open(t.Context(), filepath.Join(t.TempDir(), "test.sqlite"), Schema, driftdb.Options{})
	is.NoErr(err)
	t.Cleanup(func() { is.NoErr(db.Close()) })
	regions := []Region{{"n", "North"}, {"s", "South"}, {"e", "East"}}
	is.NoErr(Regions.CreateMany(t.Context(), db, regions))
	sales := []Sale{
		{ID: 1, RegionID: "n", Seller: new("ann"), Amount: 10, Rate: 0.5, Small: 100, Weight: new(1.5), Paid: true, At: noon},
		{ID: 2, RegionID: "n", Seller: new("bob"), Amount: 20, Rate: 1.5, Small: 100, At: noon.Add(time.Hour), Due: new(noon)},
		{ID: 3, RegionID: "n", Amount: -5, Rate: 2.5, Paid: true, At: noon.Add(2 * time.Hour), Note: []byte{0, 1}},
		{ID: 4, RegionID: "s", Seller: new("ann"), Amount: 7, Rate: 0.25, Weight: new(2.5), At: noon.Add(-time.Hour)},
		{ID: 5, RegionID: "s", Seller: new(""), Amount: 0, Rate: 0, Paid: true, At: noon},
	}
	is.NoErr(Sales.CreateMany(t.Context(), db, sales))
	return db
}

func same[T any](t *testing.T, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
}

func TestAggregates(t *testing.T) {
	is := is.New(t)
	ctx, db, s := t.Context(), open(t), Sales

	n, err := orm.Value(ctx, db, s.Where(), s.Rows())
	is.NoErr(err)
	is.Equal(n, int64(5))
	sum, err := orm.Value(ctx, db, s.Where(s.RegionID.Eq("n")), s.Amount.Sum())
	is.NoErr(err)
	is.Equal(sum, int64(25))
	none, err := orm.Value(ctx, db, s.Where(s.RegionID.Eq("e")), s.Amount.Sum())
	is.NoErr(err)
	is.Equal(none, int64(0)) // no row: 0, not NULL
	rate, err := orm.Value(ctx, db, s.Where(), s.Rate.Sum())
	is.NoErr(err)
	is.Equal(rate, 4.75)
	avg, err := orm.Value(ctx, db, s.Where(), s.Weight.Avg())
	is.NoErr(err)
	is.Equal(avg, sql.Null[float64]{V: 2, Valid: true}) // NULL left out
	avg, err = orm.Value(ctx, db, s.Where(s.RegionID.Eq("e")), s.Weight.Avg())
	is.NoErr(err)
	is.Equal(avg.Valid, false)
	first, err := orm.Value(ctx, db, s.Where(), s.At.Min())
	is.NoErr(err)
	is.Equal(first, sql.Null[time.Time]{V: noon.Add(-time.Hour), Valid: true})
	last, err := orm.Value(ctx, db, s.Where(), s.Due.Max())
	is.NoErr(err)
	is.Equal(last.V, noon)
	name, err := orm.Value(ctx, db, s.Where(), s.Seller.Max())
	is.NoErr(err)
	is.Equal(name.V, "bob")
	sellers, err := orm.Value(ctx, db, s.Where(), s.Seller.CountDistinct())
	is.NoErr(err)
	is.Equal(sellers, int64(3)) // NULL is no seller

	// A sum beyond the column's type is an error that names it, not a wrong number.
	_, err = orm.Value(ctx, db, s.Where(), s.Small.Sum())
	is.True(err != nil)
	is.True(strings.Contains(err.Error(), "sales.small"))
	is.True(strings.Contains(err.Error(), "int8"))
	// And so is one beyond 64 bits.
	is.NoErr(s.Update(ctx, db, 1, s.Amount.Set(math.MaxInt64)))
	_, err = orm.Value(ctx, db, s.Where(), s.Amount.Sum())
	is.True(err != nil)
}

func TestGroups(t *testing.T) {
	is := is.New(t)
	ctx, db, s := t.Context(), open(t), Sales

	byRegion, err := orm.Select3(ctx, db, s.Where().GroupBy(s.RegionID).OrderBy(s.Amount.Sum().Desc()), s.RegionID, s.Rows(), s.Amount.Sum())
	is.NoErr(err)
	same(t, byRegion, []orm.T3[string, int64, int64]{{A: "n", B: 3, C: 25}, {A: "s", B: 2, C: 7}})

	many, err := orm.Pluck(ctx, db, s.Where().GroupBy(s.RegionID).Having(s.Rows().Gt(2)), s.RegionID)
	is.NoErr(err)
	same(t, many, []string{"n"})

	four, err := orm.Select4(ctx, db, s.Where(s.Paid.IsTrue()).GroupBy(s.RegionID).OrderBy(s.RegionID.Asc()), s.RegionID, s.Rows(), s.Rate.Avg(), s.At.Max())
	is.NoErr(err)
	is.Equal(len(four), 2)
	is.Equal(four[0].C.V, 1.5)
	is.Equal(four[1].D.V, noon)

	groups, err := s.Where().GroupBy(s.RegionID).Count(ctx, db)
	is.NoErr(err)
	is.Equal(groups, int64(2))
	n, err := s.Where().GroupBy(s.RegionID).Having(s.Amount.Sum().Lt(10)).Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(1))

	for what, err := range map[string]error{
		"All": func() error { _, err := s.Where().GroupBy(s.RegionID).All(ctx, db); return err }(),
		"Update": func() error {
			_, err := s.Where(s.ID.Gt(0)).GroupBy(s.RegionID).Update(ctx, db, s.Amount.Set(1))
			return err
		}(),
		"Delete": func() error { _, err := s.Where(s.ID.Gt(0)).Having(s.Rows().Gt(1)).Delete(ctx, db); return err }(),
	} {
		if err == nil || !strings.Contains(err.Error(), "GroupBy") {
			t.Errorf("%s of groups: %v", what, err)
		}
	}
}

func TestPluckAndSelect(t *testing.T) {
	is := is.New(t)
	ctx, db, s := t.Context(), open(t), Sales
	ids, err := orm.Pluck(ctx, db, s.Where(s.Paid.IsTrue()).OrderBy(s.ID.Desc()).Limit(2), s.ID)
	is.NoErr(err)
	same(t, ids, []int64{5, 3})
	paid, err := orm.Pluck(ctx, db, s.Where().OrderBy(s.ID.Asc()), s.Paid)
	is.NoErr(err)
	same(t, paid, []bool{true, false, true, false, true})
	at, err := orm.Pluck(ctx, db, s.Where(s.ID.Eq(2)), s.At)
	is.NoErr(err)
	same(t, at, []time.Time{noon.Add(time.Hour)})

	// NULL: an error that names the column, or no value where that is asked for.
	_, err = orm.Pluck(ctx, db, s.Where(), s.Seller)
	is.True(err != nil && strings.Contains(err.Error(), "sales.seller"))
	sellers, err := orm.Pluck(ctx, db, s.Where(s.RegionID.Eq("n")).OrderBy(s.ID.Asc()), s.Seller.Null())
	is.NoErr(err)
	same(t, sellers, []sql.Null[string]{{V: "ann", Valid: true}, {V: "bob", Valid: true}, {}})
	notes, err := orm.Select2(ctx, db, s.Where(s.ID.In(2, 3)).OrderBy(s.ID.Asc()), s.ID, s.Note.Null())
	is.NoErr(err)
	is.Equal(notes[0].B.Valid, false)
	is.Equal(notes[1].B.V, []byte{0, 1})

	empty, err := orm.Pluck(ctx, db, s.Where(s.ID.Lt(0)), s.ID)
	is.NoErr(err)
	is.True(empty != nil && len(empty) == 0)
	_, err = orm.Value(ctx, db, s.Where(s.ID.Lt(0)), s.ID)
	is.True(errors.Is(err, orm.ErrNotFound))
	_, err = orm.Value(ctx, db, s.Where(), s.ID)
	is.True(errors.Is(err, orm.ErrNotUnique))
}

func TestSubQueries(t *testing.T) {
	is := is.New(t)
	ctx, db, s, r := t.Context(), open(t), Sales, Regions
	names, err := orm.Pluck(ctx, db, r.Where(r.Code.InQuery(orm.Sub1(s.Where(s.Amount.Gt(15)), s.RegionID))), r.Name)
	is.NoErr(err)
	same(t, names, []string{"North"})
	without, err := orm.Pluck(ctx, db, r.Where(r.Code.NotInQuery(orm.Sub1(s.Where(), s.RegionID))), r.Name)
	is.NoErr(err)
	same(t, without, []string{"East"})
	// Limit, order and groups of the inner query count.
	best, err := orm.Pluck(ctx, db, s.Where(s.ID.InQuery(orm.Sub1(s.Where().OrderBy(s.Amount.Desc()).Limit(2), s.ID))).OrderBy(s.ID.Asc()), s.ID)
	is.NoErr(err)
	same(t, best, []int64{1, 2})
	big, err := orm.Pluck(ctx, db, r.Where(r.Code.InQuery(orm.Sub1(s.Where().GroupBy(s.RegionID).Having(s.Rows().Gt(2)), s.RegionID))), r.Code)
	is.NoErr(err)
	same(t, big, []string{"n"})
	// A NULL inside does not empty NOT IN.
	ann, err := s.Where(s.Seller.NotInQuery(orm.Sub1(s.Where(s.RegionID.Eq("n")), s.Seller))).Count(ctx, db)
	is.NoErr(err)
	is.Equal(ann, int64(1)) // the seller ""
	// In writes too.
	n, err := s.Where(s.RegionID.InQuery(orm.Sub1(r.Where(r.Name.Eq("South")), r.Code))).Update(ctx, db, s.Amount.Add(1))
	is.NoErr(err)
	is.Equal(n, int64(2))
	same2, err := s.Where(s.Amount.EqCol(s.ID)).Count(ctx, db)
	is.NoErr(err)
	is.Equal(same2, int64(0))

	_, err = r.Where(r.Code.InQuery(orm.Sub[string]{})).All(ctx, db)
	is.True(err != nil)
}

// Only leaves the other fields zero and always reads the key.
func TestOnly(t *testing.T) {
	is := is.New(t)
	ctx, db, s := t.Context(), open(t), Sales
	all, err := s.Where(s.RegionID.Eq("n")).OrderBy(s.ID.Asc()).Only(s.Amount, s.Seller).All(ctx, db)
	is.NoErr(err)
	same(t, all, []Sale{{ID: 1, Amount: 10, Seller: new("ann")}, {ID: 2, Amount: 20, Seller: new("bob")}, {ID: 3, Amount: -5}})
	one, err := s.Where(s.ID.Eq(3)).Only(s.Note).One(ctx, db)
	is.NoErr(err)
	same(t, *one, Sale{ID: 3, Note: []byte{0, 1}})
	query, _ := s.Where().Only(s.At).ToSQL()
	is.Equal(query, `SELECT "sales"."id", "sales"."at" FROM "sales"`)
	for m, err := range s.Where(s.ID.Eq(1)).Only(s.Rate).Each(ctx, db) {
		is.NoErr(err)
		same(t, *m, Sale{ID: 1, Rate: 0.5})
	}
	_, err = s.Where().Only(nil).All(ctx, db)
	is.True(err != nil)
}

func TestExplain(t *testing.T) {
	is := is.New(t)
	ctx, db, s := t.Context(), open(t), Sales
	plan, err := s.Where(s.RegionID.Eq("n")).Explain(ctx, db)
	is.NoErr(err)
	is.True(strings.Contains(plan, "SEARCH sales USING INDEX sales_region_id_idx"))
	plan, err = s.Where(s.Amount.Gt(3)).OrderBy(s.Rate.Asc()).Explain(ctx, db)
	is.NoErr(err)
	is.True(strings.Contains(plan, "SCAN sales"))
	is.True(strings.Contains(plan, "TEMP B-TREE"))
}

// TestExplainIsCurrent: a plan is of the indexes that are there, whichever connection
// has made or dropped one since it was asked for last.
func TestExplainIsCurrent(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	q := Sales.Where(Sales.Amount.Gt(3))
	uses := func(index bool) {
		t.Helper()
		plan, err := q.Explain(ctx, db)
		is.NoErr(err)
		is.Equal(strings.Contains(plan, "amounts"), index)
	}
	uses(false)
	_, err := orm.Exec(ctx, db, "CREATE INDEX amounts ON sales (amount)")
	is.NoErr(err)
	uses(true)
	_, err = db.SQL().ExecContext(ctx, "DROP INDEX amounts")
	is.NoErr(err)
	uses(false)
	_, err = db.SQL().ExecContext(ctx, "CREATE INDEX amounts ON sales (amount)")
	is.NoErr(err)
	uses(true)
	_, err = orm.Exec(ctx, db, "DROP INDEX amounts")
	is.NoErr(err)
	uses(false)
}

func TestConditionsOnNothing(t *testing.T) {
	is := is.New(t)
	ctx, db, s := t.Context(), open(t), Sales
	var zero orm.Agg[Sale, int64]
	_, err := orm.Pluck(ctx, db, s.Where(), zero)
	is.True(err != nil)
	_, err = orm.Pluck(ctx, db, s.Where().GroupBy(s.RegionID).Having(s.At.Max().Gt(sql.Null[time.Time]{})), s.RegionID)
	is.True(err != nil && strings.Contains(err.Error(), "NULL"))
	_, err = orm.Pluck[Sale, int64](ctx, db, s.Where(), nil)
	is.True(err != nil)
	var q orm.Query[Sale]
	_, err = orm.Pluck(ctx, db, q, s.ID)
	is.True(err != nil)
	_ = fmt.Sprint(err)
}
