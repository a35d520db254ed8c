package changelog

import "strings"

// member is one member of an object of the log.
type member struct {
	name    string
	token   string
	invalid bool // a text that is not valid UTF-8
}

// appendMembers reads an object of the log, {"column":value,…}, into dst.
func appendMembers(dst []member, s string) ([]member, bool) {
	if !strings.HasPrefix(s, `{"`) {
		return dst, false
	}
	begin := len(dst)
	i := 1
	for {
		if i >= len(s) || s[i] != '"' {
			return dst, false
		}
		end, invalid, err := scanString(s, i)
		if err != nil || invalid || end >= len(s) || s[end] != ':' {
			return dst, false
		}
		name := unquote(s[i:end])
		i = end + 1
		end, k, invalid, err := scanToken(s, i)
		if err != nil || k == kindHexText || end >= len(s) {
			return dst, false
		}
		dst = append(dst, member{name: name, token: s[i:end], invalid: invalid})
		switch s[end] {
		case ',':
			i = end + 1
		case '}':
			return dst, end+1 == len(s) && distinct(dst[begin:])
		default:
			return dst, false
		}
	}
}

// distinct says that no two members have one name. Objects are small, or come
// in the order of the table's columns, so that comparing neighbours would do;
// comparing all is quadratic only in the number of columns.
func distinct(m []member) bool {
	if len(m) > 64 {
		seen := make(map[string]bool, len(m))
		for i := range m {
			if seen[m[i].name] {
				return false
			}
			seen[m[i].name] = true
		}
		return true
	}
	for i := range m {
		for j := range i {
			if m[i].name == m[j].name {
				return false
			}
		}
	}
	return true
}
