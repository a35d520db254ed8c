package drifttest

import (
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/gen_test/queries"
)

func TestUnindexed(t *testing.T) {
	db := Open(t, queries.Schema)
	const all = "every row of cities is read"
	for _, tt := range []struct {
		sql  string
		want []string
	}{
		{"SELECT * FROM cities WHERE country = ?", []string{all}},
		{`UPDATE "cities" SET people = 0 WHERE "country" = ?`, []string{all}},
		{"SELECT c.name FROM cities AS c WHERE c.people > ? -- LIMIT ?", []string{all}},
		{"SELECT name FROM cities WHERE country = ? ORDER BY name", []string{all}}, // by the index of name
		{"SELECT count(*) FROM cities a JOIN cities b ON b.country = a.country", []string{"SQLite makes one of cities for each run, for country=?"}},
		{"SELECT * FROM (SELECT country AS k FROM cities LIMIT 10) WHERE k = ?", nil},
		{"WITH few AS MATERIALIZED (SELECT name FROM cities LIMIT 5) SELECT * FROM few WHERE name = ?", nil},

		{"SELECT * FROM cities WHERE id = ?", nil},
		{"SELECT * FROM cities WHERE name = ?", nil},
		{"SELECT * FROM cities ORDER BY name LIMIT ?", nil},
		{"SELECT * FROM cities WHERE country IS NOT NULL LIMIT ?", nil},
		{"SELECT * FROM cities WHERE country = 'where x = ?' /* ? */", nil},
		{"SELECT value FROM json_each(?) WHERE value > ?", nil},
		{"INSERT INTO cities (id, name, country, people, founded, tags) VALUES (?, ?, ?, ?, ?, ?)", nil},
	} {
		t.Run(tt.sql, func(t *testing.T) {
			is := is.New(t)
			steps, err := plan(t, db, tt.sql)
			is.NoErr(err)
			is.Equal(unindexed(queries.Schema, tt.sql, steps), tt.want)
		})
	}
}
