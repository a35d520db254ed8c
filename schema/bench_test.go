package schema_test

import (
	"database/sql"
	"testing"

	"github.com/driftdb/driftdb/schema"
	"github.com/matryer/is"
)

var logged = schema.Table{
	Name: "logged", Model: "Logged",
	Columns: []schema.Column{
		{Name: "id", Type: schema.Integer, NotNull: true},
		{Name: "email", Type: schema.Text, NotNull: true},
		{Name: "name", Type: schema.Text, NotNull: true},
		{Name: "score", Type: schema.Real, NotNull: true},
		{Name: "created_at", Type: schema.Integer, NotNull: true},
		{Name: "active", Type: schema.Integer, NotNull: true},
	},
	Key: []string{"id"},
}

// BenchmarkTriggers is what the change log costs a row written in bulk: none
// is the table without triggers.
func BenchmarkTriggers(b *testing.B) {
	for name, triggers := range map[string][]schema.Trigger{"none": nil, "log": logged.TriggerSQL()} {
		b.Run("insert/"+name, func(b *testing.B) {
			tx := benchTx(b, triggers)
			insert(b, tx, b.N)
		})
		b.Run("update/"+name, func(b *testing.B) {
			is := is.New(b)
			tx := benchTx(b, triggers)
			insert(b, tx, 1)
			stmt, err := tx.Prepare(`UPDATE logged SET name = ?, score = ? WHERE id = 0`)
			is.NoErr(err)
			b.ResetTimer()
			for i := range b.N {
				if _, err := stmt.Exec("name", float64(i)/7); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			is.NoErr(stmt.Close())
		})
	}
}

func benchTx(b *testing.B, triggers []schema.Trigger) *sql.Tx {
	b.Helper()
	is := is.New(b)
	db, err := sql.Open("sqlite3", ":memory:")
	is.NoErr(err)
	db.SetMaxOpenConns(1)
	for _, query := range []string{logSQL, logged.CreateSQL(), `PRAGMA temp_store = MEMORY`} {
		_, err := db.Exec(query)
		is.NoErr(err)
	}
	for _, tr := range triggers {
		_, err := db.Exec(tr.SQL)
		is.NoErr(err)
	}
	tx, err := db.Begin()
	is.NoErr(err)
	b.Cleanup(func() {
		is.NoErr(tx.Rollback())
		is.NoErr(db.Close())
	})
	return tx
}

func insert(b *testing.B, tx *sql.Tx, n int) {
	b.Helper()
	is := is.New(b)
	stmt, err := tx.Prepare(`INSERT INTO logged VALUES (?, ?, ?, ?, ?, ?)`)
	is.NoErr(err)
	for i := range n {
		if _, err := stmt.Exec(i, "someone@example.com", "Some One", float64(i)/7, int64(1700000000000), 1); err != nil {
			b.Fatal(err)
		}
	}
	is.NoErr(stmt.Close())
}
