// Package defaults has every way to say what a zero value means in a column
// with a default.
package defaults

import "time"

//go:generate go tool driftgen

// Status is text with a type of its own.
type Status string

// Setting has one column for each way.
type Setting struct {
	ID      string     `drift:"pk,uuid4"`
	Retries int64      `drift:"default=0"`              // the zero value itself: nothing to choose
	Active  bool       `drift:"default=true,omitzero"`  // false takes the default
	Visible bool       `drift:"default=true,writezero"` // false is stored
	Limit   *int       `drift:"default=100"`            // nil takes the default
	Status  Status     `drift:"default=new,omitzero"`
	Quote   string     `drift:"default='it''s, (a) test',omitzero"`
	Ratio   float64    `drift:"default=0.5,omitzero"`
	Offset  int32      `drift:"default=-7,omitzero"`
	Token   string     `drift:"default=(lower(hex(randomblob(8)))),omitzero"`
	Since   time.Time  `drift:"default=(1700000000000),omitzero"`
	Note    *string    `drift:"default=none,writezero"` // nil is stored as NULL
	Icon    []byte     `drift:"default=(x'00ff'),omitzero"`
	Until   *time.Time `drift:"default=(1800000000000)"`
}

// Tick has nothing but defaults.
type Tick struct {
	ID   int64  `drift:"pk,auto"`
	Kind string `drift:"default=tick,omitzero"`
}
