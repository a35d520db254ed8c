// Package changes has tables whose changes are listened to.
package changes

import "time"

//go:generate go tool driftgen

// Owner is referred to.
type Owner struct {
	ID   string `drift:"pk"`
	Name string
}

// Item has columns of many kinds, and some that the log leaves out.
type Item struct {
	ID      string  `drift:"pk"`
	OwnerID *string `drift:"ref=Owner,ondelete=cascade,index"`
	Name    string  `drift:"unique,nocase"`
	N       int64
	F       float64
	Data    []byte `drift:"null"`
	At      *time.Time
	Meta    map[string]any `drift:"json,null"`
	Twice   int64          `drift:"generated=(n * 2)"`
	Cache   string         `drift:"nolog,default='',omitzero"`
}

// Pair has a key of two columns.
type Pair struct {
	A string `drift:"pk"`
	B int64  `drift:"pk"`
	V string
}
