package sqlite

// Kind is a kind of constraint.
type Kind int

// The kinds of constraints. The first five have the order of the orm's.
const (
	Unique Kind = iota + 1
	Check
	NotNull
	ForeignKey
	PrimaryKey
	Datatype // a STRICT table's column type
)

// Constraint is a violated constraint, as far as SQLite tells: a foreign key
// has no more than its kind, a check its name, a unique index on an expression
// its name, everything else its table and columns.
type Constraint struct {
	Kind    Kind
	Table   string
	Columns []string
	Name    string
}
