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

	for column, why := range map[string]string{"id": "primary key", "email": "NOT NULL"} {
		for _, c := range users.Columns {
			if c.Name == column {
				_, err := users.AddColumnSQL(c)
				is.True(err != nil && strings.Contains(err.Error(), why))
			}
		}
	}
}

func TestSortedAndValidate(t *testing.T) {
	is := is.New(t)
	wrong := schema.Schema{Tables: []schema.Table{users, teams}}
	is.True(wrong.Validate() != nil)
	sorted, err := wrong.Sorted()
	is.NoErr(err)
	is.NoErr(sorted.Validate())
	is.Equal(sorted.Tables[0].Name, "teams")

	ring := teams
	ring.ForeignKeys = []schema.ForeignKey{{Columns: []string{"id"}, RefTable: "users", RefColumns: []string{"id"}}}
	_, err = schema.Schema{Tables: []schema.Table{users, ring}}.Sorted()
	is.True(err != nil && strings.Contains(err.Error(), "users → teams → users"))

	for want, bad := range map[string]schema.Table{
		"no primary key": {Name: "t", Columns: []schema.Column{{Name: "a", Type: schema.Text}}},
		"stands twice":   {Name: "t", Columns: []schema.Column{{Name: "a", Type: schema.Text}, {Name: "A", Type: schema.Text}}, Key: []string{"a"}},
		"STRICT":         {Name: "t", Columns: []schema.Column{{Name: "a", Type: "DATETIME"}}, Key: []string{"a"}},
		"_driftdb_":      {Name: "_driftdb_x", Columns: []schema.Column{{Name: "a", Type: schema.Text}}, Key: []string{"a"}},
		"control":        {Name: "t", Columns: []schema.Column{{Name: "a\x00", Type: schema.Text}}, Key: []string{"a\x00"}},
		"does not have":  {Name: "t", Columns: []schema.Column{{Name: "a", Type: schema.Text}}, Key: []string{"b"}},
	} {
		err := bad.Validate()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}
