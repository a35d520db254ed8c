package gen

import (
	"slices"
	"strings"
	"unicode"
)

// stripSQL is SQL without what stands in quotes and comments.
func stripSQL(s string) string {
	var b strings.Builder
	for s != "" {
		i := strings.IndexAny(s, "'\"`[-/")
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		s = s[i:]
		end, skip := s[:1], 1
		switch {
		case strings.HasPrefix(s, "--"):
			end, skip = "\n", 2
		case strings.HasPrefix(s, "/*"):
			end, skip = "*/", 2
		case s[0] == '-' || s[0] == '/':
			b.WriteByte(s[0])
			s = s[1:]
			continue
		case s[0] == '[':
			end = "]"
		}
		_, s, _ = strings.Cut(s[skip:], end)
		b.WriteByte(' ')
	}
	return b.String()
}

// mainVerb returns what a statement does, behind its common table expressions,
// and whether it has RETURNING.
func mainVerb(sql string) (verb string, returning bool) {
	depth, name := 0, false // name: the next word is that of a table expression
	for rest := stripSQL(sql); rest != ""; {
		n := strings.IndexFunc(rest, func(r rune) bool { return !isSQLWord(r) })
		if n == 0 {
			switch rest[0] {
			case '(':
				depth++
				name = false
			case ')':
				depth--
			case ',':
				name = verb == "WITH" && depth == 0
			}
			rest = rest[1:]
			continue
		}
		if n < 0 {
			n = len(rest)
		}
		word := strings.ToUpper(rest[:n])
		rest = rest[n:]
		switch {
		case depth > 0 || name && word == "RECURSIVE":
		case name:
			name = false
		case verb == "":
			verb, name = word, word == "WITH"
		case verb == "WITH" && slices.Contains([]string{"SELECT", "VALUES", "INSERT", "UPDATE", "DELETE", "REPLACE"}, word):
			verb = word
		case word == "RETURNING":
			returning = true
		}
	}
	return verb, returning
}

func isSQLWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }
