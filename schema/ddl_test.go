package schema_test

import (
	"strings"
	"testing"

	"github.com/driftdb/driftdb/schema"
	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"
)

var (
	teams = schema.Table{
		Name: "teams", Model: "Team",
		Columns: []schema.Column{{Name: "id", Type: schema.Text, NotNull: true}},
		Key:     []string{"id"},
	}
	users = schema.Table{
		Name: "users", Model: "User",
		Columns: []schema.Column{
			{Name: "id", Type: schema.Text, NotNull: true},
			{Name: "email", Type: schema.Text, NotNull: true, Collate: "NOCASE"},
			{Name: "active", Type: schema.Integer, NotNull: true, Default: "1"},
			{Name: "team_id", Type: schema.Text},
		},
		Key:         []string{"id"},
		Indexes:     []schema.Index{{Name: "users_email_key", Columns: []string{"email"}, Unique: true}},
		Checks:      []schema.Check{{Name: "users_active_check", Column: "active", Expr: `"active" IN (0, 1)`}},
		ForeignKeys: []schema.ForeignKey{{Columns: []string{"team_id"}, RefTable: "teams", RefColumns: []string{"id"}, OnDelete: schema.SetNull}},
	}
)

func TestCreateSQL(t *testing.T) {
	want := `CREATE TABLE "users" (
	"id" TEXT NOT NULL PRIMARY KEY,
	"email" TEXT NOT NULL COLLATE NOCASE,
	"active" INTEGER NOT NULL DEFAULT 1,
	"team_id" TEXT,
	CONSTRAINT "users_active_check" CHECK ("active" IN (0, 1)),
	CONSTRAINT "users_team_id_fkey" FOREIGN KEY ("team_id") REFERENCES "teams" ("id") ON DELETE SET NULL
) STRICT`
	if diff := cmp.Diff(want, users.CreateSQL()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(`CREATE UNIQUE INDEX "users_email_key" ON "users" ("email")`, users.Indexes[0].SQL("users")); diff != "" {
		t.Error(diff)
	}
}

// TestAddColumn adds what AddColumnSQL says can be added to a table with rows.
func TestAddColumn(t *testing.T) {
	is := is.New(t)
	db := openLogged(t, "?_foreign_keys=1", teams)
	exec(t, db, `CREATE TABLE users (id TEXT NOT NULL PRIMARY KEY) STRICT`)
	exec(t, db, `INSERT INTO users VALUES ('x')`)
	for _, c := range users.Columns[2:] {
		query, err := users.AddColumnSQL(c)
		is.NoErr(err)
		exec(t, db, query)
	}
	_, err := db.Exec(`UPDATE users SET active = 2`)
	is.True(err != nil && strings.Contains(err.Error(), "users_active_check"))
	_, err = db.Exec(`UPDATE users SET team_id = 'nobody'`)
	is.True(err != nil && strings.Contains(err.Error(), "FOREIGN KEY"))
}

// TestAddColumnAgreesWithSQLite asks SQLite about every column that is refused
// and every one that is not.
func TestAddColumnAgreesWithSQLite(t *testing.T) {
	parent := []schema.ForeignKey{{Columns: []string{"c"}, RefTable: "teams", RefColumns: []string{"id"}}}
	for _, c := range []struct {
		column  schema.Column
		foreign []schema.ForeignKey
		check   string
		refused string // "" for accepted
	}{
		{column: schema.Column{Type: schema.Text}},
		{column: schema.Column{Type: schema.Text, Collate: "NOCASE", NotNull: true, Default: "'it''s'"}},
		{column: schema.Column{Type: schema.Blob, NotNull: true, Default: "x'00ff'"}},
		{column: schema.Column{Type: schema.Real, NotNull: true, Default: "-1.5e3"}, check: `"c" < 0`},
		{column: schema.Column{Type: schema.Integer, Default: "NULL"}, check: `"c" IN (0, 1)`},
		{column: schema.Column{Type: schema.Text}, foreign: parent},
		{column: schema.Column{Type: schema.Text, NotNull: true}, refused: "NOT NULL without a default"},
		{column: schema.Column{Type: schema.Text, NotNull: true, Default: "NULL"}, refused: "NOT NULL without a default"},
		{column: schema.Column{Type: schema.Integer, Default: "(random())"}, refused: "computed"},
		{column: schema.Column{Type: schema.Text, Default: "CURRENT_TIMESTAMP"}, refused: "computed"},
		{column: schema.Column{Type: schema.Text, NotNull: true, Default: "'x'"}, foreign: parent, refused: "refers to another table"},
		{column: schema.Column{Type: schema.Text, NotNull: true}, foreign: parent, refused: "refers to another table"},
	} {
		is := is.New(t)
		db := openLogged(t, "?_foreign_keys=1", teams)
		exec(t, db, `CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY) STRICT`)
		exec(t, db, `INSERT INTO t VALUES ('x')`)
		c.column.Name = "c"
		table := schema.Table{
			Name: "t", Model: "T", Key: []string{"id"}, ForeignKeys: c.foreign,
			Columns: []schema.Column{{Name: "id", Type: schema.Text, NotNull: true}, c.column},
		}
		if c.check != "" {
			table.Checks = []schema.Check{{Name: "t_c_check", Column: "c", Expr: c.check}}
		}
		is.NoErr(table.Validate())
		query, err := table.AddColumnSQL(c.column)
		if c.refused == "" {
			is.NoErr(err)
			exec(t, db, query)
			continue
		}
		is.True(err != nil && strings.Contains(err.Error(), "column t.c ") && strings.Contains(err.Error(), c.refused))
		def := strings.Split(table.CreateSQL(), "\n\t")[2] // the column as CREATE TABLE would have it
		if c.foreign != nil {
			def = strings.TrimSuffix(def, ",") + ` REFERENCES teams (id)`
		}
		if _, err := db.Exec(`ALTER TABLE t ADD COLUMN ` + def); err == nil {
			t.Errorf("SQLite adds %s, which was refused: %s", def, c.refused)
		}
	}
	is := is.New(t)
	_, err := teams.AddColumnSQL(teams.Columns[0])
	is.True(err != nil && strings.Contains(err.Error(), "primary key"))
	pair := schema.Table{Name: "t", ForeignKeys: []schema.ForeignKey{{Columns: []string{"a", "b"}, RefTable: "x", RefColumns: []string{"a", "b"}}}}
	_, err = pair.AddColumnSQL(schema.Column{Name: "b", Type: schema.Text})
	is.True(err != nil && strings.Contains(err.Error(), "several columns"))
}

func TestSorted(t *testing.T) {
	is := is.New(t)
	wrong := schema.Schema{Tables: []schema.Table{users, teams}}
	is.NoErr(wrong.Validate()) // SQLite does not mind
	sorted := wrong.Sorted()
	is.NoErr(sorted.Validate())
	is.Equal(sorted.Tables[0].Name, "teams")

	// A ring stands as it was given.
	ring := teams
	ring.ForeignKeys = []schema.ForeignKey{{Columns: []string{"id"}, RefTable: "users", RefColumns: []string{"id"}}}
	both := schema.Schema{Tables: []schema.Table{users, ring}}
	is.NoErr(both.Validate())
	sorted = both.Sorted()
	is.Equal(len(sorted.Tables), 2)
	db := openLogged(t, ":memory:")
	for _, table := range sorted.Tables {
		exec(t, db, table.CreateSQL())
	}
}

func TestJoin(t *testing.T) {
	is := is.New(t)
	joined := schema.Join(schema.Schema{Tables: []schema.Table{users}}, schema.Schema{Tables: []schema.Table{teams}}, schema.Schema{Tables: []schema.Table{teams}})
	is.NoErr(joined.Validate())
	is.Equal(len(joined.Tables), 2)
	is.Equal(joined.Tables[0].Name, "teams")
	is.True(schema.Schema{Tables: []schema.Table{users}}.Validate() != nil) // refers to teams
}
