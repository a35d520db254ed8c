// Package embed flattens structs into tables.
package embed

import (
	"github.com/driftdb/driftdb/gen_test/embed/geo"
	"github.com/driftdb/driftdb/orm"
)

//go:generate go tool driftgen

// Address is a part of others; without a primary key it is no table.
type Address struct {
	Street string `drift:"maxlen=100"`
	City   string `drift:"index"`
}

// Audit is embedded without a tag.
type Audit struct {
	By     string
	Reason *string
}

// Shop has two addresses, an embedded struct and one of another package.
type Shop struct {
	orm.Base
	Audit
	geo.Point
	Name string   `drift:"unique"`
	Home Address  `drift:"embed"`
	Work Address  `drift:"embed,prefix=work_"`
	Area geo.Area `drift:"embed,prefix=area_"`
}
