// Package basic has one column of every kind, keys of one and of two columns,
// and the base columns.
package basic

import (
	"time"

	"github.com/driftdb/driftdb/orm"
)

//go:generate go tool driftgen

// Team is a table without orm.Base.
type Team struct {
	ID   string `drift:"pk,uuid7"`
	Name string `drift:"unique"`
}

// User has a column of every kind, as a value and as a pointer.
type User struct {
	orm.Base        // ID, CreatedAt, UpdatedAt
	Name     string `drift:"index"`
	Email    string `drift:"unique" json:"email"`
	Age      *int
	Score    float64
	Active   bool `drift:"default=true,omitzero"`
	Avatar   []byte
	Seen     *time.Time
	TeamID   *string `drift:"ref=Team,ondelete=setnull,unique=team_nick"`
	Nick     string  `drift:"unique=team_nick"`
	cache    int     // unexported: never a column
}

// Role is text with a Go type of its own.
type Role string

// Post has a key of its own choosing and integers of several widths.
type Post struct {
	Number   int64  `drift:"pk"`
	AuthorID string `drift:"ref=User,ondelete=cascade,index"`
	Title    string `drift:"index=title_year"`
	Year     int16  `drift:"index=title_year"`
	Role     Role
	Draft    *bool
	Rating   *float32
	Extra    []byte `drift:"null"`
	Subtitle *string
	Level    uint8
	At       time.Time
}

// Cached is the value of a field that is not a column.
func (u *User) Cached() int { return u.cache }
