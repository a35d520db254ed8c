package schema

import "strings"

// isLiteral says whether text is a constant that may stand after DEFAULT
// without parentheses: a number, a blob, or one of SQLite's words. (A pattern
// would do; regexp is a sixth of what a program with models weighs.)
func isLiteral(text string) bool {
	text = strings.ToLower(text)
	switch text {
	case "null", "true", "false", "current_time", "current_date", "current_timestamp":
		return true
	}
	if digits, ok := strings.CutPrefix(text, "x'"); ok {
		digits, ok = strings.CutSuffix(digits, "'")
		return ok && len(digits)%2 == 0 && only(digits, hexDigits)
	}
	text = unsigned(text)
	if digits, ok := strings.CutPrefix(text, "0x"); ok {
		return digits != "" && only(digits, hexDigits)
	}
	number, exponent, hasExponent := strings.Cut(text, "e")
	whole, fraction, _ := strings.Cut(number, ".")
	if whole+fraction == "" || !only(whole+fraction, decimalDigits) {
		return false
	}
	if !hasExponent {
		return true
	}
	exponent = unsigned(exponent)
	return exponent != "" && only(exponent, decimalDigits)
}

// unsigned returns s without one sign before it.
func unsigned(s string) string {
	if s != "" && (s[0] == '+' || s[0] == '-') {
		return s[1:]
	}
	return s
}

const (
	decimalDigits = "0123456789"
	hexDigits     = decimalDigits + "abcdef"
)

// only says whether s has no other characters than these.
func only(s, characters string) bool { return strings.Trim(s, characters) == "" }

// badDefault says why text cannot stand after DEFAULT, "" when it can: only a
// literal or one expression in parentheses can, so that it cannot end the
// statement it is put in.
func badDefault(text string) string {
	switch {
	case isLiteral(text), isText(text):
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
