// Package fromv1 has models of tables that the original DriftDB has made: its
// names of columns, its times in milliseconds.
package fromv1

import "time"

//go:generate go tool driftgen

// Post is a row of what was db.define("posts", …).
//
//drift:table posts
type Post struct {
	ID        string    `drift:"pk,uuid7"`
	CreatedAt time.Time `drift:"created,column=createdAt"`
	UpdatedAt time.Time `drift:"updated,column=updatedAt"`
	Title     string    `drift:"index"`
	Views     *int64    `drift:"default=7"`
	Rank      *float64
	Body      []byte
	Published *bool
}
