// Package models has the tables of the notes.
package models

import (
	"time"

	"github.com/driftdb/driftdb/orm"
)

//go:generate go tool driftgen

// Note is a note.
type Note struct {
	orm.Base
	Title string     `drift:"minlen=1,maxlen=200"`
	Body  string     `drift:"default='',omitzero"`
	Gone  *time.Time `drift:"softdelete,index"`
	Tags  []Tag      `drift:"via=NoteTag"`
}

// Tag is a word that notes are found by.
type Tag struct {
	ID   string `drift:"pk,uuid7"`
	Name string `drift:"unique,nocase"`

	Notes []Note `drift:"via=NoteTag"`
}

// NoteTag gives a note a tag.
type NoteTag struct {
	NoteID string `drift:"pk,ref=Note,ondelete=cascade"`
	TagID  string `drift:"pk,ref=Tag,ondelete=cascade,index"`
}

// Found is a note that a search has found.
//
//drift:row
type Found struct {
	ID      string
	Title   string
	Snippet string
}
