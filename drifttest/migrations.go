package drifttest

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
	"github.com/driftdb/driftdb/schema"
)

// Migrations runs the migrations of s from every version on, the empty file
// included, each time with a few rows in every table, and checks that
//
//   - the tables are those of a new file,
//   - no row is lost of a table that stays, and none refers to nothing,
//   - a file restored from the bucket, across the migrations, is the same.
//
// driftgen writes a test that calls it.
func Migrations(t *testing.T, s schema.Schema) {
	all, err := schema.ReadMigrations(s.Migrations)
	if err != nil {
		t.Fatal(err)
	}
	fresh := describe(t, freshFile(t, s))
	for from := range len(all) + 1 {
		t.Run(fmt.Sprintf("from %d", from), func(t *testing.T) { migrateFrom(t, s, from, fresh) })
	}
}

func freshFile(t *testing.T, s schema.Schema) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fresh.sqlite")
	db, err := driftdb.Open(t.Context(), path, s, driftdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func migrateFrom(t *testing.T, s schema.Schema, from int, fresh []string) {
	path := filepath.Join(t.TempDir(), "old.sqlite")
	store := memstore.New()
	replica := func() *replicate.Replica {
		r, err := replicate.New("test", store, replicate.Options{Sync: replicate.Sync{Manual: true}, Snapshot: replicate.SnapshotRule{Disabled: true}, Retry: replicate.Retry{Base: time.Millisecond}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	rows := map[string]int{}
	if from > 0 {
		old := s.Until(from)
		db, err := driftdb.Open(t.Context(), path, old, driftdb.Options{Replica: replica()})
		if err != nil {
			t.Fatalf("version %d: %v", from, err)
		}
		rows = seed(t, db.SQL())
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	db, err := driftdb.Open(t.Context(), path, s, driftdb.Options{Replica: replica()})
	if err != nil {
		t.Fatalf("from version %d: %v", from, err)
	}
	err = db.IntegrityCheck(t.Context())
	if err = errors.Join(err, db.Shutdown(t.Context())); err != nil {
		t.Fatal(err)
	}
	if have := describe(t, path); !slices.Equal(have, fresh) {
		t.Errorf("a file that comes from version %d is not like a new one (- migrated, + new):%s", from, schema.Unlike(have, fresh))
	}
	counts := count(t, path)
	for table, n := range rows {
		if have, ok := counts[table]; ok && have != n {
			t.Errorf("table %s had %d rows at version %d and has %d now", table, n, from, have)
		}
	}
	restored := filepath.Join(t.TempDir(), "restored.sqlite")
	if _, err := replicate.Restore(t.Context(), "test", store, restored, replicate.RestoreOptions{}); err != nil {
		t.Fatalf("restore across the migrations: %v", err)
	}
	have, want := slices.Concat(describe(t, restored), dump(t, restored)), slices.Concat(describe(t, path), dump(t, path))
	if !slices.Equal(have, want) {
		t.Errorf("a restored file is not like the one that was migrated (- restored, + migrated):%s", schema.Unlike(have, want))
	}
}

// query returns the first column of a query's rows as text.
func query(t *testing.T, path, text string, args ...any) (out []string) {
	t.Helper()
	db, err := driftdb.Open(t.Context(), path, schema.Schema{}, driftdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	return column(t, db.SQL(), text, args...)
}

func column(t *testing.T, db *sql.DB, text string, args ...any) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), text, args...)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// tablesSQL lists the tables that are not ours or SQLite's.
const tablesSQL = `SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name NOT LIKE '\_driftdb\_%' ESCAPE '\' ORDER BY name`

// describe returns every column, index and trigger, in no order of columns.
func describe(t *testing.T, path string) (out []string) {
	t.Helper()
	for _, table := range query(t, path, tablesSQL) {
		out = append(out, query(t, path, `SELECT 'column '||?||'.'||name||' '||type||' '||"notnull"||' '||coalesce(dflt_value, '')||' '||pk||' '||hidden FROM pragma_table_xinfo(?)`, table, table)...)
	}
	out = append(out, query(t, path, `SELECT type||' '||name FROM sqlite_schema WHERE type IN ('index', 'trigger', 'view') AND sql IS NOT NULL`)...)
	slices.Sort(out)
	return out
}

func count(t *testing.T, path string) map[string]int {
	t.Helper()
	out := map[string]int{}
	for _, table := range query(t, path, tablesSQL) {
		out[table] = len(query(t, path, `SELECT 1 FROM `+schema.QuoteIdent(table)))
	}
	return out
}

// dump returns every row, its columns by name.
func dump(t *testing.T, path string) (out []string) {
	t.Helper()
	for _, table := range query(t, path, tablesSQL) {
		var parts []string
		for _, c := range query(t, path, `SELECT name FROM pragma_table_xinfo(?) ORDER BY name`, table) {
			parts = append(parts, schema.QuoteText(c+"=")+"||quote("+schema.QuoteIdent(c)+")")
		}
		out = append(out, query(t, path, `SELECT `+schema.QuoteText(table+" ")+`||`+strings.Join(parts, "||' '||")+` FROM `+schema.QuoteIdent(table))...)
	}
	slices.Sort(out)
	return out
}

// seed puts up to three rows into every table: those that its constraints take.
func seed(t *testing.T, db *sql.DB) map[string]int {
	t.Helper()
	tables := column(t, db, tablesSQL)
	for range tables { // a row may need one of another table first
		for _, table := range tables {
			for n := range 3 {
				seedRow(t, db, table, n)
			}
		}
	}
	out := map[string]int{}
	for _, table := range tables {
		out[table] = len(column(t, db, `SELECT 1 FROM `+schema.QuoteIdent(table)))
	}
	return out
}

// seedRow inserts the nth row. A constraint that refuses it is not a failure of
// the migration.
func seedRow(t *testing.T, db *sql.DB, table string, n int) {
	t.Helper()
	var names, values []string
	refs := map[string]string{}
	for _, r := range column(t, db, `SELECT "from"||char(0)||"table"||char(0)||coalesce("to", '') FROM pragma_foreign_key_list(?)`, table) {
		p := strings.Split(r, "\x00")
		refs[p[0]] = fmt.Sprintf("(SELECT %s FROM %s LIMIT 1 OFFSET %d)", schema.QuoteIdent(p[2]), schema.QuoteIdent(p[1]), n)
	}
	for _, c := range column(t, db, `SELECT name||char(0)||type FROM pragma_table_xinfo(?) WHERE hidden = 0`, table) {
		p := strings.Split(c, "\x00")
		value := map[string]string{"INTEGER": fmt.Sprint(n % 2), "REAL": fmt.Sprint(n) + ".5", "TEXT": schema.QuoteText(fmt.Sprintf("%s %d", p[0], n)), "BLOB": fmt.Sprintf("zeroblob(%d)", n), "ANY": "NULL"}[p[1]]
		if refs[p[0]] != "" {
			value = refs[p[0]]
		}
		names, values = append(names, schema.QuoteIdent(p[0])), append(values, value)
	}
	for try := range 3 { // defaults, where a CHECK is in the way
		//nolint:gosec // names of the schema, quoted; values are literals made here
		_, err := db.ExecContext(t.Context(), "INSERT INTO "+schema.QuoteIdent(table)+" ("+strings.Join(names, ", ")+") VALUES ("+strings.Join(values, ", ")+")")
		if err == nil || try == 2 {
			return
		}
		for i, v := range values {
			if strings.HasPrefix(v, "'") && strings.Contains(err.Error(), "json") {
				values[i] = "'{}'"
			}
		}
	}
}
