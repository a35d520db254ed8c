// Package tags has a model that relations of other packages lead to.
package tags

//go:generate go tool driftgen

// Tag is a word.
type Tag struct {
	ID   int64  `drift:"pk"`
	Word string `drift:"unique"`
}
