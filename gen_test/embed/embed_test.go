package embed_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb"
	. "github.com/driftdb/driftdb/gen_test/embed"
	"github.com/driftdb/driftdb/gen_test/embed/geo"
	"github.com/driftdb/driftdb/orm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFlattened(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db, err := driftdb.Open(ctx, filepath.Join(t.TempDir(), "test.sqlite"), Schema, driftdb.Options{})
	is.NoErr(err)
	defer func() { is.NoErr(db.Close()) }()

	s := Shop{
		Audit: Audit{By: "me", Reason: new("why")}, Point: geo.Point{Lat: 1.5, Lon: -2.5}, Name: "n",
		Home: Address{"home street", "home"}, Work: Address{"work street", "work"}, Area: geo.Area{Width: 3, Height: new(geo.Meters(4))},
	}
	is.NoErr(Shops.Create(ctx, db, &s))
	got, err := Shops.First(ctx, db, Shops.HomeCity.Eq("home"), Shops.WorkCity.Eq("work"), Shops.Lat.Gt(1), Shops.AreaWidth.Gt(geo.Meters(2)), Shops.By.Eq("me"))
	is.NoErr(err)
	if d := cmp.Diff(s, *got, cmpopts.IgnoreUnexported(geo.Point{})); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
	is.NoErr(Shops.Update(ctx, db, s.ID, Shops.WorkStreet.Set("new"), Shops.AreaHeight.SetNull(), Shops.Reason.SetPtr(nil)))
	got, err = Shops.ByName.Find(ctx, db, "n")
	is.NoErr(err)
	is.Equal(got.Home.Street, "home street")
	is.Equal(got.Work.Street, "new")
	is.Equal(got.Area.Height, nil)
	is.Equal(got.Reason, nil)

	var check *orm.CheckError
	bad := s
	bad.ID, bad.Name, bad.Area.Width = "", "bad", -1
	err = Shops.Create(ctx, db, &bad)
	is.True(errors.As(err, &check))
	is.Equal(check.Constraint, "shops_area_width_min_check")
}
