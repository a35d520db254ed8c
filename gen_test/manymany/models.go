// Package manymany has relations by way of a table between two others.
package manymany

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"

	"github.com/driftdb/driftdb/orm"
)

//go:generate go tool driftgen

// PostID is a key with a type of its own.
type PostID string

// Post has tags, by a table whose key is both.
type Post struct {
	ID    PostID `drift:"pk"`
	Title string

	Tags []Tag `drift:"via=PostTag"`
}

// Tag is named by its unique name, too.
type Tag struct {
	ID   int64   `drift:"pk"`
	Name *string `drift:"unique,nocase"`

	Posts  []Post  `drift:"via=PostTag"`
	Places []Place `drift:"via=PlaceTag"`
}

// PostTag relates posts to tags. Its columns have types of their own.
type PostTag struct {
	PostID  string    `drift:"pk,ref=Post,ondelete=cascade"`
	TagID   int64     `drift:"pk,ref=Tag,ondelete=cascade,index"`
	AddedAt time.Time `drift:"created"`
}

// User follows users.
type User struct {
	ID   int64 `drift:"pk"`
	Name string

	Following []User `drift:"via=Follow.FollowerID"`
	Followers []User `drift:"via=Follow.FolloweeID"`
	Likes     []Tag  `drift:"via=Like"`
}

// Follow relates users to users. It has a key of its own, a count of how often
// its hooks have run, and is soft deleted.
type Follow struct {
	ID         uuid.UUID  `drift:"pk,uuid7"`
	FollowerID int64      `drift:"ref=User,ondelete=cascade,unique=pair"`
	FolloweeID int64      `drift:"ref=User,ondelete=cascade,unique=pair,index"`
	DeletedAt  *time.Time `drift:"softdelete"`
}

// Like is unique among those that are not soft deleted.
type Like struct {
	ID        int64      `drift:"pk,auto"`
	UserID    int64      `drift:"ref=User,ondelete=cascade,uniquelive=pair"`
	TagID     int64      `drift:"ref=Tag,ondelete=cascade,uniquelive=pair,index"`
	DeletedAt *time.Time `drift:"softdelete"`
}

// Place has a key of two columns, and nothing that keeps its pairs apart.
type Place struct {
	Country string `drift:"pk"`
	Number  int64  `drift:"pk"`

	Tags []Tag `drift:"via=PlaceTag"`
}

// PlaceTag refers to tags by a name that may be NULL.
type PlaceTag struct {
	ID      int64            `drift:"pk,auto"`
	Country sql.Null[string] `drift:"ref=Place.Country,ondelete=cascade,index=place"`
	Number  *int64           `drift:"ref=Place.Number,index=place"`
	Tag     *string          `drift:"ref=Tag.Name,ondelete=cascade,onupdate=cascade,index"`
}

// Removal is a pair whose hook has run.
type Removal struct {
	ID  int64 `drift:"pk,auto"`
	Tag *string
}

// BeforeDelete notes the pair.
func (p *PlaceTag) BeforeDelete(ctx context.Context, tx *orm.Tx) error {
	return Removals.Create(ctx, tx, &Removal{Tag: p.Tag})
}
