// Package projections has a table to add up, group and choose columns of.
package projections

import "time"

//go:generate go tool driftgen

// Region is a table that sales refer to.
type Region struct {
	Code string `drift:"pk"`
	Name string
}

// Sale is one line of a ledger.
type Sale struct {
	ID       int64  `drift:"pk"`
	RegionID string `drift:"ref=Region,index"`
	Seller   *string
	Amount   int64
	Rate     float64
	Small    int8
	Weight   *float64
	Paid     bool
	At       time.Time `drift:"time=s"`
	Due      *time.Time
	Note     []byte `drift:"null"`
}
