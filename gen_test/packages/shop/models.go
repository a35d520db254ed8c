// Package shop has the migrations of a database whose other tables are models of other
// packages, one of which it reaches only through another.
package shop

import (
	"github.com/driftdb/driftdb/gen_test/packages/docs"
)

//go:generate go tool driftgen

// Sale is of a doc, whose owner is a user of a third package.
type Sale struct {
	ID    string `drift:"pk,uuid7"`
	DocID string `drift:"ref=docs.Doc,ondelete=restrict,index"`
	Price int64  `drift:"check=(price >= 0)"`
	Note  *string

	Doc *docs.Doc `drift:"one=DocID"`
}
