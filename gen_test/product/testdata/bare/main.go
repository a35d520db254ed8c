// Bare is the least that a program with SQLite is.
package main

import (
	"database/sql"
	"fmt"
	"log"

	_ "github.com/mattn/go-sqlite3"
)

func main() {
	db, err := sql.Open("sqlite3", "app.sqlite")
	if err != nil {
		log.Fatal(err)
	}
	var n int
	if err := db.QueryRow(`SELECT count(*) FROM sqlite_schema`).Scan(&n); err != nil {
		log.Fatal(err)
	}
	fmt.Println(n)
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
}
