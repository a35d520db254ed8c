package orm

import (
	"errors"
	"strings"
)

// oneStatement refuses SQL that the driver would not run as it stands: without
// a statement the driver has none to step and the process ends, and what comes
// after the first statement is ignored without a word. The bodies of triggers
// hold semicolons, so CREATE is believed.
func oneStatement(query string) error {
	if strings.IndexByte(query, 0) >= 0 {
		return errors.New("the SQL holds a NUL byte: pass it as an argument")
	}
	first := skipBlank(query)
	if first == "" {
		return errors.New("the SQL has no statement")
	}
	if len(first) > 6 && strings.EqualFold(first[:6], "CREATE") {
		return nil
	}
	if rest := skipBlank(skipStatement(first)); rest != "" {
		return errors.New("the SQL has more than one statement, and only the first would run: run them one by one")
	}
	return nil
}

// skipBlank cuts spaces, comments and semicolons off the beginning.
func skipBlank(s string) string {
	for s != "" {
		rest := strings.TrimLeft(s, " \t\n\v\f\r;\ufeff")
		rest = skipComment(rest)
		if len(rest) == len(s) {
			break
		}
		s = rest
	}
	return s
}

// skipComment cuts off the comment that s begins with, if it does.
func skipComment(s string) string {
	var end string
	switch {
	case strings.HasPrefix(s, "--"):
		end = "\n"
	case strings.HasPrefix(s, "/*"):
		end = "*/"
	default:
		return s
	}
	_, rest, _ := strings.Cut(s[2:], end)
	return rest
}

// skipStatement cuts off everything before the first semicolon that stands
// outside of quotes and comments.
func skipStatement(s string) string {
	for s != "" {
		switch c := s[0]; c {
		case ';':
			return s
		case '\'', '"', '`', '[':
			if c == '[' {
				c = ']'
			}
			_, s, _ = strings.Cut(s[1:], string(c)) // a doubled quote is the next quote
			continue
		}
		if rest := skipComment(s); len(rest) < len(s) {
			s = rest
			continue
		}
		s = s[1:]
	}
	return ""
}
