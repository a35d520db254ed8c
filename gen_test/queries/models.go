// Package queries has queries of one's own, as interfaces with SQL.
package queries

import (
	"context"
	"iter"
	"time"

	"github.com/driftdb/driftdb/orm"
)

//go:generate go tool driftgen

// City is a table.
type City struct {
	ID      string `drift:"pk,uuid7"`
	Name    string `drift:"index"`
	Country string
	People  int64
	Founded time.Time `drift:"time=s"`
	Tags    []string  `drift:"json"`
}

// CountrySize is a row of a query.
//
//drift:row
type CountrySize struct {
	Country string
	Cities  int64
	People  *int64
	Oldest  time.Time `drift:"time=s"`
	Tags    []string  `drift:"json,column=all_tags"`
}

// CityQueries are statements of one's own.
//
//drift:query
type CityQueries interface {
	// SELECT country, count(*) AS cities, sum(people) AS people, min(founded) AS oldest, '["x"]' AS all_tags
	// FROM cities WHERE people >= ? AND name <> '?' GROUP BY country ORDER BY country
	Countries(ctx context.Context, r orm.Reader, people int64) ([]CountrySize, error)
	// SELECT name FROM cities WHERE id = ?
	NameOf(ctx context.Context, r orm.Reader, id string) (string, error)
	// SELECT country, 1 AS cities, NULL AS people, founded AS oldest, tags AS all_tags FROM cities WHERE name = ?
	One(ctx context.Context, r orm.Reader, name string) (*CountrySize, error)
	// SELECT name FROM cities ORDER BY name
	Names(ctx context.Context, r orm.Reader) iter.Seq2[string, error]
	// UPDATE cities SET people = people + ? WHERE country = ?
	Grow(ctx context.Context, w orm.Writer, by int64, country string) (int64, error)
	// DELETE FROM cities WHERE country = ? RETURNING name
	Drop(ctx context.Context, w orm.Writer, country string) ([]string, error)
}
