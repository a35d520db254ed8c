package schema

import (
	"regexp"
	"strings"
)

// literal is a constant that may stand after DEFAULT without parentheses.
// Compiled patterns are values that never change.
var literal = regexp.MustCompile(`^(?i:` +
	`[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?` + // 1, -1.5, .5e3
	`|[+-]?0x[0-9a-f]+` +
	`|x'([0-9a-f]{2})*'` +
	`|null|true|false|current_(time|date|timestamp)` +
	`)$`)

// badDefault says why text cannot stand after DEFAULT, "" when it can: only a
// literal or one expression in parentheses can, so that it cannot end the
// statement it is put in.
func badDefault(text string) string {
	switch {
	case literal.MatchString(text), isText(text):
		return ""
	case !strings.HasPrefix(text, "("):
		return "is neither a literal nor an expression in parentheses"
	}
	return badExpr(text)
}

// isText says whether text is one SQL string literal.
func isText(text string) bool {
	if len(text) < 2 || text[0] != '\'' || text[len(text)-1] != '\'' || strings.Contains(text, "\x00") {
		return false
	}
	return !strings.Contains(strings.ReplaceAll(text[1:len(text)-1], "''", ""), "'")
}

// badExpr says why text is not one expression in parentheses, "" when it is.
func badExpr(text string) string {
	end, err := balanced(text, 0)
	switch {
	case err != nil:
		return "is not one expression: " + err.Error()
	case end != len(text)-1:
		return "is not one expression: something follows the closing parenthesis"
	case strings.TrimSpace(text[1:end]) == "":
		return "is empty"
	}
	return ""
}
