// Package schema describes tables: the grammar of drift tags, the structure of
// a table, its SQL and its change-log triggers. It is data and text only; it
// opens no file and no database.
//
// What it writes is safe for any name and any value that passes Validate:
//
//	users := schema.Table{
//		Name:    "users",
//		Columns: []schema.Column{{Name: "id", Type: schema.Text, NotNull: true}},
//		Key:     []string{"id"},
//	}
//	users.CreateSQL()  // CREATE TABLE "users" (…) STRICT
//	users.TriggerSQL() // three triggers that append to _driftdb_log
//
// The triggers run inside whatever program writes to the file. They log every
// value exactly, or refuse the write when the program's SQLite is too old to
// do so: the row is never stored without its entry.
package schema
