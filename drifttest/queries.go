package drifttest

import (
	"testing"

	"github.com/driftdb/driftdb/schema"
)

// Queries prepares queries against the tables of s, and fails the test with
// what SQLite says of those that are wrong. Each has a name and its SQL. driftgen
// writes a test that calls it for the methods of //drift:query.
func Queries(t *testing.T, s schema.Schema, queries [][2]string) {
	db := Open(t, s)
	for _, q := range queries {
		t.Run(q[0], func(t *testing.T) {
			// EXPLAIN prepares the statement, and runs nothing of it; arguments
			// that are not given are NULL.
			rows, err := db.SQL().QueryContext(t.Context(), "EXPLAIN "+q[1], nulls(q[1])...)
			if err != nil {
				t.Fatalf("%v\n%s", err, q[1])
			}
			defer rows.Close()
			for rows.Next() {
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// nulls returns one NULL for each ? outside of quotes.
func nulls(sql string) (args []any) {
	var quote rune
	for _, r := range sql {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '\'' || r == '"' || r == '`':
			quote = r
		case r == '[':
			quote = ']'
		case r == '?':
			args = append(args, nil)
		}
	}
	return args
}
