// Package names has names that need care: chosen ones, SQL keywords, quotes,
// methods of the generated table, and the names of packages.
package names

import (
	"context"
	tm "time"
)

//go:generate go tool driftgen

// orm and schema are names that the generated code imports something by.
const orm, schema = 1, 2

// Order is an SQL keyword, and so are its columns.
//
//drift:table order
type Order struct {
	Key    string `drift:"pk,column=primary"`
	Count  int    `drift:"name=CountCol"`
	Select string `drift:"column=select,nocase,unique"`
	Odd    string "drift:\"column='a`b\\\"c'\""
	Group  int    `drift:"column='total (net), group',index"`
	Now    tm.Time
}

// person is a model of this package alone.
//
//drift:table people
type person struct {
	ID     string `drift:"pk,uuid7"`
	HTTPIp string
	Fn     func(context.Context, ...int) (<-chan map[string][2]tm.Time, error) `drift:"-"`
	Any    interface{ Do(x int) error }                                        `drift:"-"`
	Part   struct {
		A, B int "xml:\"-\""
	} `drift:"-"`
	Arr [3 * size]*tm.Duration `drift:"-"`
	gen pair[string, *Order]
}

const size = 2

type pair[A any, B any] struct {
	a A
	_ B
}

// aNote is drift-tagged, but says that it is no table.
//
//drift:skip
type aNote struct {
	Text string `drift:"column=x"`
}
