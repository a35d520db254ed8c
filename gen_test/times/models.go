// Package times has a time of every precision.
package times

import "time"

//go:generate go tool driftgen

// Event has one column for each unit, as a value and as a pointer.
type Event struct {
	ID       int64      `drift:"pk"`
	Second   time.Time  `drift:"time=s"`
	Milli    time.Time  `drift:"time=ms"`
	Micro    time.Time  `drift:"time=us"`
	Nano     time.Time  `drift:"time=ns"`
	MaybeS   *time.Time `drift:"time=s"`
	MaybeUS  *time.Time `drift:"time=us,unique"`
	Made     time.Time  `drift:"created,time=us"`
	Modified time.Time  `drift:"updated,time=us"`
}
