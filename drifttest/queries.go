package drifttest

import (
	"iter"
	"regexp"
	"strings"
	"testing"

	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/schema"
)

// Queries prepares queries against the tables of s, and fails the test with
// what SQLite says of those that are wrong. Each has a name and its SQL. driftgen
// writes a test that calls it for the methods of //drift:query. A query that is
// right and has to read every row, though it has conditions with arguments, is
// logged: go test -v shows it, and so does driftgen vet -plans.
func Queries(t *testing.T, s schema.Schema, queries [][2]string) {
	db := Open(t, s)
	for _, q := range queries {
		t.Run(q[0], func(t *testing.T) {
			if err := prepare(t, db, q[1]); err != nil {
				t.Fatalf("%v\n%s", err, q[1])
			}
			steps, err := plan(t, db, q[1])
			if err != nil {
				t.Fatal(err)
			}
			for _, why := range unindexed(s, q[1], steps) {
				t.Log("no index: " + why) // internal/gen reads it
			}
		})
	}
}

// prepare lets SQLite prepare sql, which runs nothing of it. Arguments that are not
// given are NULL.
func prepare(t *testing.T, db *orm.DB, sql string) error {
	rows, err := db.SQL().QueryContext(t.Context(), "EXPLAIN "+sql, nulls(sql)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	return rows.Err()
}

// plan returns the steps in which SQLite would run sql, but for those that make a
// sub-query's rows first: the conditions around it are not theirs.
func plan(t *testing.T, db *orm.DB, sql string) (steps []string, err error) {
	rows, err := db.SQL().QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+sql, nulls(sql)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	inside := map[int64]bool{}
	for rows.Next() {
		var id, parent, unused int64
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			return nil, err
		}
		inside[id] = inside[parent] || strings.HasPrefix(step, "CO-ROUTINE ") || strings.HasPrefix(step, "MATERIALIZE ")
		if !inside[id] {
			steps = append(steps, step)
		}
	}
	return steps, rows.Err()
}

var (
	scanStep = regexp.MustCompile(`^SCAN (\S+)(?: USING (?:COVERING )?INDEX \S+)?$`)
	autoStep = regexp.MustCompile(`^SEARCH (\S+) USING AUTOMATIC (?:PARTIAL )?(?:COVERING )?INDEX \((.*)\)`)
)

// unindexed says what of a plan's steps an index would save: rows that are all read, to
// find those that fit an argument, and indexes that SQLite makes for one run.
func unindexed(s schema.Schema, sql string, steps []string) (why []string) {
	for _, step := range steps {
		if m := autoStep.FindStringSubmatch(step); m != nil {
			if table, ok := tableOf(s, sql, m[1]); ok {
				why = append(why, "SQLite makes one of "+table+" for each run, for "+m[2])
			}
		}
		if m := scanStep.FindStringSubmatch(step); m != nil && asksFor(sql) {
			if table, ok := tableOf(s, sql, m[1]); ok {
				why = append(why, "every row of "+table+" is read")
			}
		}
	}
	return why
}

// tableOf returns the table that name stands for in sql: its own, or what follows it.
func tableOf(s schema.Schema, sql, name string) (string, bool) {
	for i := range s.Tables {
		table := s.Tables[i].Name
		if strings.EqualFold(table, name) {
			return table, true
		}
		as := regexp.MustCompile(`(?is)\b` + regexp.QuoteMeta(table) + `["\x60\]]?\s+(as\s+)?["\x60\[]?` + regexp.QuoteMeta(name) + `\b`)
		if as.MatchString(sql) {
			return table, true
		}
	}
	return "", false
}

// asksFor says whether sql has a condition with an argument. One without, as
// deleted_at IS NULL, is no reason for an index.
func asksFor(sql string) bool {
	condition := false
	for w := range words(sql) {
		switch strings.ToUpper(w) {
		case "WHERE", "ON":
			condition = true
		case "SELECT", "SET", "VALUES", "GROUP", "HAVING", "ORDER", "LIMIT", "RETURNING", "WINDOW", "UNION", "INTERSECT", "EXCEPT":
			condition = false
		case "?":
			if condition {
				return true
			}
		}
	}
	return false
}

// nulls returns one NULL for each ? outside of quotes.
func nulls(sql string) (args []any) {
	for w := range words(sql) {
		if w == "?" {
			args = append(args, nil)
		}
	}
	return args
}

// word is what stands in quotes or in a comment, a word, or a question mark.
var word = regexp.MustCompile(`(?s)'[^']*'|"[^"]*"|\x60[^\x60]*\x60|\[[^\]]*\]|--[^\n]*|/\*.*?\*/|\w+|\?`)

// words yields the words and question marks of sql that are outside of quotes and
// comments.
func words(sql string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, w := range word.FindAllString(sql, -1) {
			if strings.ContainsAny(w[:1], "'\"`[-/") {
				continue
			}
			if !yield(w) {
				return
			}
		}
	}
}
