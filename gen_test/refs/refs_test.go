package refs_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb"
	. "github.com/driftdb/driftdb/gen_test/refs"
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

func TestActions(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	owners := []Owner{{1, "one"}, {2, "two"}, {3, "three"}, {4, "four"}, {5, "five"}, {6, "six"}}
	is.NoErr(Owners.CreateMany(ctx, db, owners))
	pet := Pet{OwnerID: 2, FriendID: new(int64(3)), VetID: 4, Keeper: new(int64(5)), Slug: new("six")}
	is.NoErr(Pets.Create(ctx, db, &pet))
	young := Pet{OwnerID: 2, VetID: 1, MotherID: &pet.ID}
	is.NoErr(Pets.Create(ctx, db, &young))

	// restrict
	_, err := Owners.Delete(ctx, db, 5)
	var fk *orm.ForeignKeyError
	is.True(errors.As(err, &fk))

	for _, id := range []int64{3, 4} { // setnull, setdefault
		ok, err := Owners.Delete(ctx, db, id)
		is.NoErr(err)
		is.True(ok)
	}
	is.NoErr(Owners.Update(ctx, db, 6, Owners.Slug.Set("SIX"))) // onupdate=cascade
	got, err := Pets.Find(ctx, db, pet.ID)
	is.NoErr(err)
	want := pet
	want.FriendID, want.VetID, want.Slug = nil, 1, new("SIX")
	if d := cmp.Diff(want, *got); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
	_, err = Owners.Delete(ctx, db, 6)
	is.NoErr(err)
	got, err = Pets.Find(ctx, db, pet.ID)
	is.NoErr(err)
	is.Equal(got.Slug, nil)

	// A reference without an action keeps its parent.
	_, err = Pets.Delete(ctx, db, pet.ID)
	is.True(errors.As(err, &fk))

	// cascade, over both levels
	is.NoErr(Visits.Create(ctx, db, &Visit{PetID: young.ID, Number: 1, Reason: "shots", Weight: 3}))
	_, err = Owners.Delete(ctx, db, 2)
	is.NoErr(err)
	n, err := Pets.Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(0))
	n, err = Visits.Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(0))
}

// The key of several columns is one Go value.
func TestCompositeKey(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	is.NoErr(Owners.Create(ctx, db, &Owner{1, "one"}))
	pet := Pet{OwnerID: 1, VetID: 1}
	is.NoErr(Pets.Create(ctx, db, &pet))
	visits := []Visit{{pet.ID, 1, "first", 11}, {pet.ID, 2, "second", 13}}
	is.NoErr(Visits.CreateMany(ctx, db, visits))
	key := VisitKey{PetID: pet.ID, Number: 2}

	got, err := Visits.Find(ctx, db, key)
	is.NoErr(err)
	is.Equal(*got, visits[1])
	ok, err := Visits.Exists(ctx, db, VisitKey{PetID: pet.ID, Number: 3})
	is.NoErr(err)
	is.True(!ok)
	is.NoErr(Visits.Update(ctx, db, key, Visits.Reason.Set("other")))
	again := Visit{pet.ID, 2, "again", 15}
	is.NoErr(Visits.Upsert(ctx, db, &again))
	all, err := Visits.Where().OrderBy(Visits.Number.Asc()).All(ctx, db)
	is.NoErr(err)
	is.Equal(all, []Visit{visits[0], again})
	err = Visits.Create(ctx, db, &Visit{pet.ID, 1, "twice", 1})
	var unique *orm.UniqueError
	is.True(errors.As(err, &unique))
	is.Equal(unique.Columns, []string{"pet_id", "number"})
	ok, err = Visits.Delete(ctx, db, key)
	is.NoErr(err)
	is.True(ok)
}

// Checks have names that tell the column and the rule.
func TestChecks(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	is.NoErr(Owners.Create(ctx, db, &Owner{1, "one"}))
	pet := Pet{OwnerID: 1, VetID: 1}
	is.NoErr(Pets.Create(ctx, db, &pet))
	for want, v := range map[string]Visit{
		"visits_reason_minlen_check": {Reason: "äö", Weight: 1},
		"visits_reason_maxlen_check": {Reason: "12345678901234567890123456789012345678901", Weight: 1},
		"visits_weight_min_check":    {Reason: "fine", Weight: -1},
		"visits_weight_max_check":    {Reason: "fine", Weight: 5001},
		"visits_weight_check":        {Reason: "fine", Weight: 2},
	} {
		v.PetID = pet.ID
		err := Visits.Create(ctx, db, &v)
		var check *orm.CheckError
		if !errors.As(err, &check) || check.Constraint != want {
			t.Errorf("%s: %v", want, err)
		}
	}
}
