package schema

import (
	"slices"
	"strings"
)

// Stored is what the CREATE TABLE of a file says that no pragma tells.
type Stored struct {
	Checks    []string          // the expressions, without their parentheses
	Collate   map[string]string // by column in lower case: not BINARY
	Generated map[string]string // the expressions, by column in lower case
	Kept      map[string]bool   // generated columns that are STORED, in lower case
	Deferred  map[string]bool   // columns of deferred foreign keys in lower case, with commas between
}

// ReadStored reads the CREATE TABLE of a table as sqlite_schema has it, also
// after ALTER TABLE has written it anew.
func ReadStored(sql string) Stored {
	s := Stored{Collate: map[string]string{}, Generated: map[string]string{}, Kept: map[string]bool{}, Deferred: map[string]bool{}}
	all := tokens(sql)
	open := slices.IndexFunc(all, func(t token) bool { return t.mark("(") })
	if open < 0 {
		return s
	}
	var part []token
	depth := 0
	for _, t := range all[open+1:] {
		switch {
		case t.mark("("):
			depth++
		case t.mark(")"):
			depth--
		}
		if depth < 0 || depth == 0 && t.mark(",") {
			s.part(sql, part)
			if part = nil; depth < 0 {
				break
			}
			continue
		}
		part = append(part, t)
	}
	return s
}

// part reads the definition of a column, or a constraint of the table.
func (s *Stored) part(sql string, part []token) {
	if len(part) == 0 {
		return
	}
	column := ""
	if !slices.ContainsFunc([]string{"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"}, part[0].is) {
		column = strings.ToLower(unquoted(part[0]))
	}
	columns := column // of its foreign key
	for i := 0; i < len(part); i++ {
		end := i + 1 // of the parenthesis behind
		if i+1 < len(part) && part[i+1].mark("(") {
			end = closing(part, i+1)
		}
		inside := func() string { return sql[part[i+1].end:part[end].start] }
		switch t := part[i]; {
		case i == 0 && column != "":
			continue
		case end >= len(part) || end == i+1 && t.is("CHECK"):
		case t.is("CHECK"):
			s.Checks = append(s.Checks, inside())
		case t.is("AS") && end > i+1:
			s.Generated[column] = inside()
		case t.is("KEY") && i > 0 && part[i-1].is("FOREIGN") && end > i+1:
			var names []string
			for _, n := range part[i+2 : end] {
				if n.kind != markToken {
					names = append(names, strings.ToLower(unquoted(n)))
				}
			}
			columns = strings.Join(names, ",")
		}
		switch t := part[i]; {
		case t.is("STORED"):
			s.Kept[column] = true
		case t.is("COLLATE") && i+1 < len(part) && !strings.EqualFold(unquoted(part[i+1]), "BINARY"):
			s.Collate[column] = strings.ToUpper(unquoted(part[i+1]))
		case t.is("DEFERRED"):
			s.Deferred[columns] = true
		}
		if end > i+1 {
			i = end // what stands in parentheses belongs to what was read
		}
	}
}

// closing returns the place of the parenthesis that closes the one at open.
func closing(all []token, open int) int {
	depth := 0
	for i := open; i < len(all); i++ {
		switch {
		case all[i].mark("("):
			depth++
		case all[i].mark(")"):
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(all) - 1
}
