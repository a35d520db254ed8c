package queries_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb/drifttest"
	. "github.com/driftdb/driftdb/gen_test/queries"
	"github.com/driftdb/driftdb/orm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func same[T any](t *testing.T, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
}

func TestQueriesOfOnesOwn(t *testing.T) {
	is := is.New(t)
	ctx, db, q := t.Context(), drifttest.Open(t, Schema), NewCityQueries()
	old, young := time.Unix(-1_000_000_000, 0).UTC(), time.Unix(1_000_000_000, 0).UTC()
	is.NoErr(Cities.CreateMany(ctx, db, []City{
		{ID: "1", Name: "Bonn", Country: "DE", People: 300, Founded: old, Tags: []string{"a"}},
		{ID: "2", Name: "Köln", Country: "DE", People: 1000, Founded: young},
		{ID: "3", Name: "Nice", Country: "FR", People: 350, Founded: young},
		{ID: "4", Name: "Tiny", Country: "FR", People: 1, Founded: old},
	}))
	got, err := q.Countries(ctx, db, 100)
	is.NoErr(err)
	same(t, got, []CountrySize{{"DE", 2, new(int64(1300)), old, []string{"x"}}, {"FR", 1, new(int64(350)), young, []string{"x"}}})
	name, err := q.NameOf(ctx, db, "2")
	is.NoErr(err)
	is.Equal(name, "Köln")
	_, err = q.NameOf(ctx, db, "'; DROP TABLE cities; --")
	is.True(errors.Is(err, orm.ErrNotFound))
	one, err := q.One(ctx, db, "Bonn")
	is.NoErr(err)
	same(t, *one, CountrySize{Country: "DE", Cities: 1, Oldest: old, Tags: []string{"a"}})
	_, err = q.One(ctx, db, "nowhere")
	is.True(errors.Is(err, orm.ErrNotFound))
	n := 0
	for name, err := range q.Names(ctx, db) {
		is.NoErr(err)
		is.Equal(name, "Bonn")
		n++
		break
	}
	is.Equal(n, 1)
	is.NoErr(db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		n, err := q.Grow(ctx, tx, 5, "DE")
		is.Equal(n, int64(2))
		return err
	}))
	dropped, err := orm.RawAll[string](ctx, db, "SELECT name FROM cities WHERE country = ?", "FR")
	is.NoErr(err)
	is.Equal(len(dropped), 2)
	var gone []string
	is.NoErr(db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) (err error) { gone, err = q.Drop(ctx, tx, "FR"); return err }))
	is.Equal(len(gone), 2)
	gone, err = q.Drop(ctx, db, "DE") // and outside of a transaction
	is.NoErr(err)
	is.Equal(len(gone), 2)
}

// The columns of a query and the fields of its row are the same ones.
func TestRowsFitTheirQuery(t *testing.T) {
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	for query, want := range map[string]string{
		"SELECT 1 AS country": "cities",
		"SELECT '' AS country, 1 AS cities, 1 AS people, 0 AS oldest, '[]' AS all_tags, 1 AS more":      "more",
		"SELECT '' AS country, 1 AS cities, 1 AS people, 0 AS oldest, '[]' AS all_tags, 'x' AS COUNTRY": "twice",
		"SELECT 1 AS country, 1 AS cities, 1 AS people, 0 AS oldest, '[]' AS all_tags":                  "country",
		"SELECT '' AS country, NULL AS cities, 1 AS people, 0 AS oldest, '[]' AS all_tags":              "cities",
		"SELECT '' AS country, 1 AS cities, 1 AS people, 0 AS oldest, 'no json' AS all_tags":            "all_tags",
	} {
		_, err := orm.RawAll[CountrySize](ctx, db, query)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", query, err)
		}
	}
}
