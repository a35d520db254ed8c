// Package rules has columns and tables with rules of every sort.
package rules

import "time"

//go:generate go tool driftgen

// Account has columns that are written once, never, or by SQLite.
//
//drift:unique (owner, lower(name))
//drift:unique (owner, number)
//drift:index big (balance DESC, name) where=(balance > 1000)
//drift:check rich (balance >= 0 OR owner = 'bank')
//drift:defaults time=us
type Account struct {
	ID      string     `drift:"pk,uuid7"`
	Owner   string     `drift:"createonly,minlen=1,maxlen=20"`
	Name    string     `drift:"nocase,unique=name_number,index=a,index=b"`
	Number  int64      `drift:"min=1,unique=name_number,index=b"`
	Balance int64      `drift:"default=0"`
	Twice   int64      `drift:"generated=(balance * 2)"`
	Label   string     `drift:"generated=(upper(name) || '#' || number),stored,unique"`
	Serial  int64      `drift:"readonly,default=(abs(random()) % 100 + 1)"`
	Note    *string    `drift:"readonly"`
	Hash    string     `drift:"secret,createonly"`
	Cache   string     `drift:"nolog,default='',omitzero"`
	Seen    *time.Time `drift:"nolog"`
	At      time.Time
}

// Node refers to another of its kind, checked when the transaction ends.
type Node struct {
	ID   string  `drift:"pk"`
	Next *string `drift:"ref=Node,deferred,index"`
}

// Left and Right refer to each other.
type Left struct {
	ID      string  `drift:"pk"`
	RightID *string `drift:"ref=Right,index,ondelete=setnull"`
}

// Right refers to Left.
type Right struct {
	ID     string `drift:"pk"`
	LeftID string `drift:"ref=Left,index,ondelete=cascade"`
}
