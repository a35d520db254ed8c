// Package model has the models on which random verbs are tried against a model
// of the database in memory: between them they have keys of every sort,
// cascades, a soft delete, a version, and columns of most kinds.
package model

import (
	"time"

	"github.com/google/uuid"
)

//go:generate go tool driftgen

// Level is text with constants.
type Level string

// The levels.
const (
	LevelLow  Level = "low"
	LevelHigh Level = "high"
)

// Account is what most others refer to.
type Account struct {
	ID        string   `drift:"pk,uuid7"`
	Name      string   `drift:"index,maxlen=6"`
	Email     string   `drift:"unique,nocase"`
	Age       *int     `drift:"check=(age >= 0)"`
	Score     float64  `drift:"index"`
	Active    bool     `drift:"default=true,omitzero"`
	Level     Level    `drift:"enum,default=low,omitzero"`
	Tags      []string `drift:"json,null"`
	Avatar    []byte
	Group     int16     `drift:"unique=group_nick"`
	Nick      *string   `drift:"unique=group_nick"`
	CreatedAt time.Time `drift:"created"`
	UpdatedAt time.Time `drift:"updated"`

	Items []Item `drift:"many=Item.AccountID"`
	Likes []Item `drift:"via=Link"`
}

// Item is soft deleted, has a version, and goes with its account.
type Item struct {
	Number    int64      `drift:"pk"`
	AccountID string     `drift:"ref=Account,ondelete=cascade,onupdate=cascade,uniquelive=title,index"`
	Title     string     `drift:"uniquelive=title"`
	OwnerID   *string    `drift:"ref=Account,ondelete=setnull,onupdate=cascade,index"`
	Size      uint8      `drift:"max=200"`
	At        time.Time  `drift:"time=us"`
	Version   int64      `drift:"version"`
	ChangedAt time.Time  `drift:"updated,time=s"`
	DeletedAt *time.Time `drift:"softdelete"`

	Account *Account `drift:"one=AccountID"`
	Owner   *Account `drift:"one=OwnerID"`
}

// Link has a key of two columns.
type Link struct {
	AccountID  string `drift:"pk,ref=Account,ondelete=cascade,onupdate=cascade"`
	ItemNumber int64  `drift:"pk,ref=Item,ondelete=cascade,index"`
	Weight     float32
	Note       string `drift:"createonly"`
}

// Node refers to another one, and SQLite numbers it.
type Node struct {
	ID       int64     `drift:"pk,auto"`
	ParentID *int64    `drift:"ref=Node,index"`
	Key      uuid.UUID `drift:"unique"`
	Data     []byte    `drift:"null"`
	Length   int64     `drift:"generated=(coalesce(length(data), 0))"`
	Twice    int32     `drift:"generated=(length * 2),stored"`

	Parent   *Node  `drift:"one=ParentID"`
	Children []Node `drift:"many=Node.ParentID"`
}
