// Package geo has structs that models of another package flatten.
package geo

// Meters is a length.
type Meters float64

// Point is a place.
type Point struct {
	Lat, Lon float64
	seen     bool
}

// Area is a part of a map.
//
//drift:skip
type Area struct {
	Width  Meters `drift:"min=0"`
	Height *Meters
}

// Seen says whether somebody looked.
func (p *Point) Seen() bool { return p.seen }
