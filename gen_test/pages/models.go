// Package pages has a table whose columns order rows in every way.
package pages

//go:generate go tool driftgen

// Item has a key of two columns, NULLs, and text of either case.
type Item struct {
	Shelf string `drift:"pk"`
	Place int64  `drift:"pk"`
	Name  string `drift:"nocase,index"`
	Rank  *int64
	Score float64
	Data  []byte `drift:"null"`
}
