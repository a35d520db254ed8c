package changelog_test

import (
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/changelog"
)

// Fold tells texts apart as SQLite does.
func TestFold(t *testing.T) {
	is := is.New(t)
	f := newFile(t, numbersTable())
	all := []string{"", "Users", "USERS", "users", "Äpfel", "äpfel", "ſ", "s", "İ", "i", "K", "k", "[", "{", "@", "`"}
	for _, a := range all {
		for _, b := range all {
			same := f.value(`SELECT '`+a+`' = '`+b+`' COLLATE NOCASE`) == "1"
			is.Equal(changelog.Fold(a) == changelog.Fold(b), same)
		}
	}
}
