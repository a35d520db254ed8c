package orm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

// unlike says which constraint of a stored table the pragmas do not tell and
// the model does not have, "" if there is none. Words are compared, not text:
// ALTER TABLE writes the text anew.
func unlike(t *schema.Table, storedSQL string, added []string) string {
	have := words(storedSQL)
	for _, stmt := range added {
		have = append(have, words(stmt)...)
	}
	want := words(t.Create)
	if n, m := count(have, "CHECK"), count(want, "CHECK"); n > m {
		return "the file has a CHECK that the model does not"
	}
	if n, m := count(have, "DEFERRABLE"), count(want, "DEFERRABLE"); n != m {
		return fmt.Sprintf("the file has %d deferred foreign keys, the model %d", n, m)
	}
	if h, w := collations(have), collations(want); !slices.Equal(h, w) {
		return "the collations of the columns are not those of the model: " + named(h) + " in the file, " + named(w) + " in the model"
	}
	return ""
}

func count(words []string, word string) (n int) {
	for _, w := range words {
		if w == word {
			n++
		}
	}
	return n
}

// collations returns every collation but the default one, sorted.
func collations(words []string) (all []string) {
	for i, w := range words {
		if w == "COLLATE" && i+1 < len(words) && words[i+1] != "BINARY" {
			all = append(all, words[i+1])
		}
	}
	slices.Sort(all)
	return all
}

func named(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// words returns the bare words of SQL in upper case: no names in quotes, no
// text, no comments.
func words(sql string) (all []string) {
	isWord := func(c byte) bool {
		return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
	}
	for sql != "" {
		if rest := skipComment(sql); len(rest) < len(sql) {
			sql = rest
			continue
		}
		c, n := sql[0], 1
		switch {
		case c == '\'' || c == '"' || c == '`':
			_, sql, _ = strings.Cut(sql[1:], string(c)) // a doubled quote is the next quote
			continue
		case c == '[':
			_, sql, _ = strings.Cut(sql[1:], "]")
			continue
		case isWord(c):
			for n < len(sql) && isWord(sql[n]) {
				n++
			}
			all = append(all, strings.ToUpper(sql[:n]))
		}
		sql = sql[n:]
	}
	return all
}
