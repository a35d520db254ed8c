package schema_test

import (
	"database/sql"
	"go/token"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/driftdb/driftdb/schema"
)

// FuzzIdentifiers: whatever a table and a column are called, SQLite takes the
// quoted name for that name and for nothing else, and the names that are made of
// Go's keep their letters.
func FuzzIdentifiers(f *testing.F) {
	for _, name := range []string{
		"users", "UserID", "IDs", "OAuthToken", "order", `a"b`, `"`, `""`, `a";DROP TABLE t;--`, "a b", "[x]", "`x`", "it's", "Ünïcödé", "\u212a", "Y", "y", "x_", "_x", "a.b", "%s", "\n", "🦆",
	} {
		f.Add(name)
	}
	db, err := sql.Open("sqlite3", ":memory:")
	if err != nil {
		f.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	f.Cleanup(func() {
		if err := db.Close(); err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, name string) {
		if token.IsIdentifier(name) {
			letters := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }
			if snake := schema.SnakeCase(name); letters(snake) != letters(strings.Map(unicode.ToLower, name)) {
				t.Errorf("SnakeCase(%q) = %q", name, snake)
			}
			if plural := schema.Plural(name); !token.IsIdentifier(plural) || plural == name {
				t.Errorf("Plural(%q) = %q", name, plural)
			}
		}
		if near := schema.Nearest(name, []string{"unique", "index"}); near != "" && near != "unique" && near != "index" {
			t.Errorf("Nearest(%q) = %q", name, near)
		}
		if name == "" || strings.ContainsRune(name, 0) || !utf8.ValidString(name) || strings.HasPrefix(strings.ToLower(name), "sqlite_") {
			return // Validate refuses them
		}
		quoted := schema.QuoteIdent(name)
		if _, err := db.ExecContext(t.Context(), "CREATE TABLE "+quoted+" ("+quoted+" TEXT DEFAULT "+schema.QuoteText(name)+")"); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		var table, column, value string
		err := db.QueryRowContext(t.Context(), "SELECT s.name, c.name FROM sqlite_schema s, pragma_table_info(s.name) c").Scan(&table, &column)
		if err == nil {
			err = db.QueryRowContext(t.Context(), "INSERT INTO "+quoted+" DEFAULT VALUES RETURNING "+quoted).Scan(&value)
		}
		if err != nil || table != name || column != name || value != name {
			t.Errorf("%q became the table %q with the column %q and the value %q: %v", name, table, column, value, err)
		}
		if _, err := db.ExecContext(t.Context(), "DROP TABLE "+quoted); err != nil {
			t.Fatal(err)
		}
	})
}
