package driftdb_test

import (
	"database/sql"
	"fmt"
	"os"
	"testing"

	_ "github.com/mattn/go-sqlite3" // the foreign process uses it as anybody would
	"go.uber.org/goleak"
)

// foreignEnv makes this test binary another program: one that opens the file
// it names with plain database/sql and runs the statements given as arguments.
const foreignEnv = "DRIFTDB_TEST_FOREIGN_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(foreignEnv); path != "" {
		if err := foreign(path, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func foreign(path string, statements []string) error {
	db, err := sql.Open("sqlite3", path) // none of our pragmas
	if err != nil {
		return err
	}
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return db.Close()
}
