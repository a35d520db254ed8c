package changelog

import "strings"

// Fold returns one text for all names, and all texts of the collation NOCASE, that
// SQLite does not tell apart: for it only the letters A to Z have a case.
func Fold(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}
