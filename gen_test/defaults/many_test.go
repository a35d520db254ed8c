package defaults_test

import (
	"testing"

	"github.com/matryer/is"

	. "github.com/driftdb/driftdb/gen_test/defaults"
)

// Rows that say nothing at all can come many at a time: SQLite's DEFAULT VALUES
// is one row.
func TestManyRowsOfDefaults(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	all := []Tick{{}, {Kind: "tock"}, {}, {}, {ID: 9}, {}}
	is.NoErr(Ticks.CreateMany(ctx, db, all))
	seen := map[int64]bool{}
	for i, k := range all {
		seen[k.ID] = true
		is.Equal(k.Kind, map[bool]string{true: "tock", false: "tick"}[i == 1])
	}
	is.Equal(len(seen), 6)
	stored, err := Ticks.All(ctx, db)
	is.NoErr(err)
	is.Equal(len(stored), 6)
	one := Tick{}
	is.NoErr(Ticks.Create(ctx, db, &one))
	is.True(one.ID != 0 && one.Kind == "tick")
	is.NoErr(Ticks.Upsert(ctx, db, &Tick{}))
}
