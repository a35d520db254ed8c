// Package other has types that models of another package use.
package other

// Level is an enum of another package.
type Level int8

// Levels, not in order.
const (
	High Level = 3
	Low  Level = 1
	Mid  Level = 2
)
