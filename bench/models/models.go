// Package models has the tables that both sides of the comparison write.
package models

//go:generate go tool driftgen

// Event is a row that is appended and never changed.
type Event struct {
	ID    int64 `drift:"pk,auto"`
	Kind  string
	Value float64
}

// Account is a row of a table with random keys that is changed often.
type Account struct {
	ID      string `drift:"pk,uuid4"`
	Email   string `drift:"unique"`
	Owner   string `drift:"index"`
	Balance int64
	Note    string
}

// Document is what fills large databases.
type Document struct {
	ID   int64 `drift:"pk,auto"`
	Body string
}
