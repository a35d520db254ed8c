package schema_test

import (
	"strings"
	"testing"

	"github.com/driftdb/driftdb/schema"
	"github.com/matryer/is"
)

// withColumn makes a valid table with one more column.
func withColumn(c schema.Column) schema.Table {
	return schema.Table{
		Name: "t", Model: "T", Key: []string{"id"},
		Columns: []schema.Column{{Name: "id", Type: schema.Text, NotNull: true}, c},
	}
}

func with(change func(*schema.Table)) schema.Table {
	t := withColumn(schema.Column{Name: "n", Type: schema.Integer, NotNull: true})
	change(&t)
	return t
}

func TestValidateTable(t *testing.T) {
	is := is.New(t)
	good := withColumn(schema.Column{Name: `say "it's" \`, Type: schema.Any})
	is.NoErr(good.Validate())
	for _, c := range []struct {
		want string
		bad  schema.Table
	}{
		{"no primary key", with(func(t *schema.Table) { t.Key = nil })},
		{"may be NULL", with(func(t *schema.Table) { t.Columns[0].NotNull = false })},
		{"twice", with(func(t *schema.Table) { t.Key = []string{"id", "id"} })},
		{"does not have", with(func(t *schema.Table) { t.Key = []string{"b"} })},
		{"does not have", with(func(t *schema.Table) { t.Key = []string{"ID"} })},
		{"0 columns", with(func(t *schema.Table) { t.Columns = nil })},
		{"2001 columns", with(func(t *schema.Table) { t.Columns = make([]schema.Column, 2001) })},
		{"its name is empty", with(func(t *schema.Table) { t.Name = "" })},
		{"_driftdb_", with(func(t *schema.Table) { t.Name = "_DriftDB_x" })},
		{"sqlite_", with(func(t *schema.Table) { t.Name = "SQLite_x" })},
		{"UTF-8", with(func(t *schema.Table) { t.Name = "\xff" })},
		{"stands twice", withColumn(schema.Column{Name: "ID", Type: schema.Text})},
		{"STRICT", withColumn(schema.Column{Name: "a", Type: "DATETIME"})},
		{"control", withColumn(schema.Column{Name: "a\x00", Type: schema.Text})},
		{"collation", withColumn(schema.Column{Name: "a", Type: schema.Text, Collate: "unicode"})},
		{"has no column", with(func(t *schema.Table) { t.Indexes = []schema.Index{{Name: "i"}} })},
		{"twice", with(func(t *schema.Table) { t.Indexes = []schema.Index{{Name: "i", Columns: []string{"n", "n"}}} })},
		{"name of index", with(func(t *schema.Table) { t.Indexes = []schema.Index{{Columns: []string{"n"}}} })},
		{"stands twice", with(func(t *schema.Table) {
			t.Checks = []schema.Check{{Name: "c", Expr: "1"}, {Name: "C", Expr: "1"}}
		})},
		{"is empty", with(func(t *schema.Table) { t.Checks = []schema.Check{{Name: "c", Expr: " "}} })},
		{"follows", with(func(t *schema.Table) { t.Checks = []schema.Check{{Name: "c", Expr: "1), x TEXT, CHECK (1"}} })},
		{"comment", with(func(t *schema.Table) { t.Checks = []schema.Check{{Name: "c", Expr: "n /* > 1"}} })},
		{"does not have", with(func(t *schema.Table) { t.Checks = []schema.Check{{Name: "c", Column: "x", Expr: "1"}} })},
		{"1 columns for 2", with(func(t *schema.Table) {
			t.ForeignKeys = []schema.ForeignKey{{Columns: []string{"n"}, RefTable: "x", RefColumns: []string{"a", "b"}}}
		})},
		{"sets column", with(func(t *schema.Table) {
			t.ForeignKeys = []schema.ForeignKey{{Columns: []string{"n"}, RefTable: "x", RefColumns: []string{"a"}, OnDelete: schema.SetNull}}
		})},
		{"unknown action", with(func(t *schema.Table) {
			t.ForeignKeys = []schema.ForeignKey{{Columns: []string{"n"}, RefTable: "x", RefColumns: []string{"a"}, OnUpdate: "DROP TABLE"}}
		})},
	} {
		if err := c.bad.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %q: %v", c.want, err)
		}
	}
}

// TestValidateDefault: what passes is one default of one column for SQLite,
// whatever it says.
func TestValidateDefault(t *testing.T) {
	is := is.New(t)
	for _, good := range []string{
		"1", "-1.5", "+.5e-3", "1.", "0xff", "'it''s'", "''", "x'00ff'", "X''", "NULL", "true", "CURRENT_TIMESTAMP",
		"(1)", "(lower('a)') || \")\")", "'-- ; '",
	} {
		table := withColumn(schema.Column{Name: "c", Type: schema.Any, Default: good})
		is.NoErr(table.Validate())
		db := openLogged(t, "")
		if strings.Contains(good, `"`) {
			continue // a name in an expression must be a column's, which a default cannot use
		}
		exec(t, db, table.CreateSQL())
		var columns int
		is.NoErr(db.QueryRow(`SELECT count(*) FROM pragma_table_info('t')`).Scan(&columns))
		is.Equal(columns, 2)
	}
	for _, bad := range []string{
		"1, x TEXT", "'a' 'b'", "'a", "'a'''b'", "a'", "x'0'", "x'0g'", "random()", "(1) CHECK (0)", "(1", "(1))", "()", "(1 -- )", "(1;2)",
		"1 REFERENCES u", "\"a\"", "--1", "'\x00'", "\n1\n", "(')", "0x",
	} {
		table := withColumn(schema.Column{Name: "c", Type: schema.Any, Default: bad})
		if table.Validate() == nil {
			t.Errorf("default %q was accepted", bad)
		}
	}
}

func TestValidateSchema(t *testing.T) {
	is := is.New(t)
	other := func(change func(*schema.Table)) schema.Schema {
		table := with(change)
		return schema.Schema{Tables: []schema.Table{teams, table}}
	}
	is.NoErr(other(func(t *schema.Table) {
		t.ForeignKeys = []schema.ForeignKey{{Columns: []string{"id"}, RefTable: "teams", RefColumns: []string{"id"}}}
	}).Validate())
	for _, c := range []struct {
		want string
		bad  schema.Schema
	}{
		{"stands twice", other(func(t *schema.Table) { t.Name = "Teams" })},
		{"name of a table", other(func(t *schema.Table) { t.Indexes = []schema.Index{{Name: "TEAMS", Columns: []string{"n"}}} })},
		{"also one of table", other(func(t *schema.Table) {
			t.Indexes = []schema.Index{{Name: "i", Columns: []string{"n"}}, {Name: "I", Columns: []string{"id"}}}
		})},
		{"no such table", other(func(t *schema.Table) {
			t.ForeignKeys = []schema.ForeignKey{{Columns: []string{"n"}, RefTable: "x", RefColumns: []string{"id"}}}
		})},
		{"needs a primary or unique key", other(func(t *schema.Table) {
			t.ForeignKeys = []schema.ForeignKey{{Columns: []string{"n"}, RefTable: "t", RefColumns: []string{"n"}}}
		})},
	} {
		if err := c.bad.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %q: %v", c.want, err)
		}
	}
}
