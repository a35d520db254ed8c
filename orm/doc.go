// Package orm is the runtime of generated code: typed tables, columns,
// conditions and queries over one SQLite database.
//
// Programs do not build tables by hand. The driftgen command writes, for each
// model, a table value such as models.Users whose methods and columns are
// typed by the model; driftdb.Open returns the [DB] they run on.
//
//	u := models.User{Name: "Alice", Email: "alice@example.com"}
//	err := models.Users.Create(ctx, db, &u)
//	adults, err := models.Users.Where(models.Users.Age.Gte(18)).OrderBy(models.Users.Name.Asc()).All(ctx, db)
//
// Reads take a [Reader], writes a [Writer]: a [DB] and a [Tx] are both, a
// [ReadTx] is a Reader only, so a write in a read transaction does not compile.
//
// A DB has one writing connection and a pool of reading ones, so goroutines
// never see a busy database from each other. The package works on the
// interfaces of database/sql/driver and imports no SQLite driver.
package orm
