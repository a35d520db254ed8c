package schema

import (
	"strings"
	"unicode"
)

// QuoteIdent writes a name as an SQL identifier: in double quotes, with double
// quotes inside doubled.
func QuoteIdent(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// QuoteText writes text as an SQL string literal. Text with a NUL cannot be
// one: it is cut there by SQLite, so callers refuse it first (see
// Table.Validate).
func QuoteText(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

func quoteIdents(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = QuoteIdent(n)
	}
	return strings.Join(quoted, ", ")
}

// SnakeCase turns a Go name into a column name: UserID → user_id, HTTPServer →
// http_server, Line2 → line2, IDs → ids. A run of capitals is one word up to
// the capital before a lower-case letter, so OAuthToken becomes o_auth_token:
// say column=… where that is not what you want.
func SnakeCase(goName string) string {
	runes := []rune(goName)
	var b strings.Builder
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 && startsWord(runes, i) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// startsWord says whether the upper-case rune at i begins a new word: after a
// lower-case letter or digit, or as the last capital before a lower-case
// letter. A plural s belongs to the initialism before it.
func startsWord(runes []rune, i int) bool {
	prev := runes[i-1]
	if prev == '_' {
		return false
	}
	if !unicode.IsUpper(prev) {
		return true
	}
	next := i + 1
	if next == len(runes) || !unicode.IsLower(runes[next]) {
		return false
	}
	pluralInitialism := runes[next] == 's' && (next+1 == len(runes) || unicode.IsUpper(runes[next+1]))
	return !pluralInitialism
}

// Plural is the regular English plural of a name: User → Users, Category →
// Categories, Box → Boxes, Key → Keys, Person → Persons. Irregular nouns are
// not known: name the table with //drift:table.
func Plural(name string) string {
	lower := strings.ToLower(name)
	switch {
	case name == "":
		return ""
	case hasAnySuffix(lower, "s", "x", "z", "ch", "sh"):
		return name + "es"
	case strings.HasSuffix(name, "y") && len(name) > 1 && !strings.ContainsRune("aeiou", rune(lower[len(lower)-2])):
		return name[:len(name)-1] + "ies"
	}
	return name + "s"
}

func hasAnySuffix(s string, suffixes ...string) bool {
	for _, x := range suffixes {
		if strings.HasSuffix(s, x) {
			return true
		}
	}
	return false
}

// Nearest returns the word of among that was probably meant by word: the one
// with the fewest edits, if those are at most a third of its letters; "" when
// none is near.
func Nearest(word string, among []string) string {
	word = strings.ToLower(word)
	best, bestEdits := "", 0
	for _, w := range among {
		most := max(1, max(len(w), len(word))/3)
		if len(w)-len(word) > most || len(word)-len(w) > most {
			continue
		}
		if n := edits(word, strings.ToLower(w)); n <= most && (best == "" || n < bestEdits) {
			best, bestEdits = w, n
		}
	}
	return best
}

// edits is the optimal string alignment distance: insertions, deletions,
// replacements and swaps of neighbours.
func edits(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			n := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				n = min(n, rows[i-2][j-2]+1)
			}
			rows[i][j] = n
		}
	}
	return rows[len(a)][len(b)]
}
