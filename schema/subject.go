package schema

import "strings"

// Subject is what a statement of DDL makes, changes or drops.
type Subject struct {
	Verb  string // CREATE, ALTER or DROP
	Kind  string // TABLE, INDEX, VIEW or TRIGGER
	Name  string
	Table string // that an index or trigger belongs to, where the statement names it
	To    string // the new name of a table that is renamed
	Event string // INSERT, UPDATE or DELETE, for which a trigger waits
	// Renames says that a table or a column gets another name, and that SQLite
	// writes what mentions it anew.
	Renames bool
}

// SubjectOf reads the beginning of a statement. ok is false for what is no DDL
// of tables, indexes, views and triggers, virtual and temporary ones included.
func SubjectOf(sql string) (s Subject, ok bool) {
	all := tokens(sql)
	at := 0
	next := func(keywords ...string) bool {
		for i, k := range keywords {
			if at+i >= len(all) || !all[at+i].is(k) {
				return false
			}
		}
		at += len(keywords)
		return true
	}
	name := func() (n string) {
		if at < len(all) && all[at].kind != markToken {
			n = unquoted(all[at])
			at++
		}
		if at+1 < len(all) && all[at].mark(".") {
			if !strings.EqualFold(n, "main") {
				return "" // of another database
			}
			n = unquoted(all[at+1])
			at += 2
		}
		return n
	}
	for _, v := range []string{"CREATE", "ALTER", "DROP"} {
		if next(v) {
			s.Verb = v
			break
		}
	}
	unique := s.Verb == "CREATE" && next("UNIQUE")
	for _, k := range []string{"TABLE", "INDEX", "VIEW", "TRIGGER"} {
		if next(k) {
			s.Kind = k
			break
		}
	}
	if s.Verb == "" || s.Kind == "" || unique && s.Kind != "INDEX" || s.Verb == "ALTER" && s.Kind != "TABLE" {
		return Subject{}, false
	}
	_ = next("IF", "NOT", "EXISTS") || next("IF", "EXISTS")
	if s.Name = name(); s.Name == "" {
		return Subject{}, false
	}
	switch {
	case s.Verb == "ALTER" && next("RENAME"):
		s.Renames = true
		if next("TO") {
			s.To = name()
		}
	case s.Verb == "CREATE" && (s.Kind == "INDEX" || s.Kind == "TRIGGER"):
		for at < len(all) && !all[at].is("ON") {
			if t := all[at]; s.Event == "" && (t.is("INSERT") || t.is("UPDATE") || t.is("DELETE")) {
				s.Event = strings.ToUpper(t.text)
			}
			at++
		}
		if next("ON") {
			s.Table = name()
		}
	}
	return s, true
}

func unquoted(t token) string {
	if t.kind == textToken { // SQLite takes a text for a name where it needs one
		return strings.ReplaceAll(strings.Trim(t.text, "'"), "''", "'")
	}
	return t.text
}
