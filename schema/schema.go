package schema

import "io/fs"

// Schema is the set of tables of one package of models. The generator writes
// it as the package variable Schema.
type Schema struct {
	// Migrations holds the files of the package's directory migrations, nil if
	// it has none: then Open adds by itself what can be added, and nothing else.
	// For Open it is an orm.MigrationFiles.
	Migrations fs.FS `json:"-"`

	// Tables stand in creation order: a table that is referred to comes before
	// the table that refers to it, unless they refer to each other.
	Tables []Table
}

// Table is one table: its structure, and the SQL that makes it. Generated code
// carries both; the SQL is what CreateSQL and TriggerSQL return for
// the structure, so that it can be read where the model is.
type Table struct {
	Name        string // SQL name, for example "users"
	Model       string // Go type, for example "User"
	Columns     []Column
	Key         []string // primary key column names, in key order
	Indexes     []Index
	ForeignKeys []ForeignKey
	Checks      []Check
	Was         string `json:",omitempty"` // the table's former name, for migrations; "" for none

	Create   string    `json:"-"` // CREATE TABLE
	Triggers []Trigger `json:"-"` // change-log triggers: insert, update, delete
}

// Type is a storage class of a STRICT table.
type Type string

// The storage classes of STRICT tables.
const (
	Integer Type = "INTEGER"
	Real    Type = "REAL"
	Text    Type = "TEXT"
	Blob    Type = "BLOB"
	Any     Type = "ANY"
)

// Column is one column of a table.
type Column struct {
	Name    string
	Type    Type
	NotNull bool
	Default string // SQL text after DEFAULT, "" for none: a literal or a parenthesised expression
	Collate string // "" is BINARY

	Generated string // SQL expression without its outer parentheses, "" for a stored value
	Stored    bool   // a generated column is computed on write, not on read
	Auto      bool   // an INTEGER primary key that SQLite chooses
	NoLog     bool   // the change log and so a restore leave it out
	Was       string // the column's former name, for migrations; "" for none
	Unit      string `json:",omitempty"` // of a column of times, for migrations: s, ms, us, ns or rfc3339; "" where it does not matter
}

// Index is a secondary index; a unique one is also a key of its table.
type Index struct {
	Name    string
	Columns []string // names of plain columns; nil when Terms says what is indexed
	Terms   []string // SQL of each term: expressions, an order; nil for plain columns
	Where   string   // SQL condition of a partial index, without parentheses; "" for none
	Unique  bool
}

// Action is what a foreign key does when its parent row changes.
type Action string

// The foreign key actions. The empty Action is SQLite's default, NO ACTION.
const (
	Cascade    Action = "CASCADE"
	SetNull    Action = "SET NULL"
	SetDefault Action = "SET DEFAULT"
	Restrict   Action = "RESTRICT"
)

// ForeignKey ties columns of a table to a key of another.
type ForeignKey struct {
	Columns    []string
	RefTable   string
	RefColumns []string
	OnDelete   Action
	OnUpdate   Action
	Deferred   bool // checked at COMMIT
}

// Check is a named CHECK constraint.
type Check struct {
	Name   string
	Column string // the column it belongs to, "" for the table
	Expr   string // SQL expression without the outer parentheses
}

// Trigger is one of a table's three change-log triggers.
type Trigger struct {
	Name string
	SQL  string
}
