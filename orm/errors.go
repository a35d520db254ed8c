package orm

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

// Sentinels that callers branch on.
var (
	// ErrNotFound says that no row matched. errors.Is also finds sql.ErrNoRows
	// in it.
	ErrNotFound error = notFoundError{}

	// ErrNotUnique says that One found more than one row.
	ErrNotUnique = errors.New("more than one row matched where one was asked for")

	// ErrInTx says that a DB was used with the context of its own transaction.
	// Use the Tx: the DB would wait for itself, or see the rows before it.
	ErrInTx = errors.New("the database was used inside its own transaction: use the tx that the function was given")

	// ErrClosed says that the database was closed.
	ErrClosed = errors.New("the database is closed")

	// ErrTxDone says that a Tx or ReadTx was used after its function returned.
	ErrTxDone = errors.New("the transaction has ended")

	// ErrTxLost says that a transaction ended before its function did: SQLite
	// rolled it back after an error (an interrupted write, a full disk, a
	// trigger with RAISE(ROLLBACK)), or its own SQL did.
	ErrTxLost = errors.New("the transaction was ended by an error or by SQL of its own, and does nothing more: return the error of the statement that failed")

	// ErrStale says that a row has changed since it was read: its version is
	// another one. Read it again and decide anew.
	ErrStale = errors.New("the row has changed since it was read")

	// ErrNoCondition says that an update or delete of many rows has no
	// condition that leaves any row out.
	ErrNoCondition = errors.New("no condition leaves any row out: add one, or call AllRows to mean every row")
)

// What was not made by generated code or Open.
var (
	errNoTable = errors.New("the table, key or query is a zero value: use the package variable that driftgen wrote, as models.Users")
	errNoDB    = errors.New("the reader or writer is nil or a zero value: give the DB that Open returned, or a transaction's own")
	errNoRow   = errors.New("the row is a nil pointer")
	errNoCol   = errors.New("a column, order or setter is a zero value: use those of the table that driftgen wrote, as models.Users.Name")
)

type notFoundError struct{}

func (notFoundError) Error() string { return "not found" }

func (notFoundError) Is(target error) bool { return target == sql.ErrNoRows }

// ViolationKind is a kind of constraint.
type ViolationKind int

// The kinds of constraints. The values are those of internal/sqlite.
const (
	ViolationUnique ViolationKind = iota + 1
	ViolationCheck
	ViolationNotNull
	ViolationForeignKey
	ViolationPrimaryKey
	ViolationDatatype
)

// Violation is what a driver's error says of a violated constraint: see
// Options.Classify. Fields that SQLite does not tell are zero.
type Violation struct {
	Kind       ViolationKind
	Table      string
	Columns    []string
	Constraint string // name of the check or index
}

// inTable begins a message with the table, where it is known.
func inTable(name string) string {
	if name == "" {
		return ""
	}
	return name + ": "
}

// UniqueError is a row that has the key of another row.
type UniqueError struct {
	Table   string   // SQL name
	Index   string   // name of the unique index, "" for the primary key
	Columns []string // of the key
	Err     error    // the driver's
}

func (e *UniqueError) Error() string {
	what := "primary key"
	if e.Index != "" {
		what = "unique key " + e.Index
	}
	return inTable(e.Table) + "another row has the same " + what + " (" + strings.Join(e.Columns, ", ") + ")"
}

// Unwrap returns the driver's error.
func (e *UniqueError) Unwrap() error { return e.Err }

// CheckError is a row that a CHECK constraint refuses.
type CheckError struct {
	Table      string // SQL name, "" if no model has the constraint
	Constraint string
	Err        error // the driver's
}

func (e *CheckError) Error() string {
	return inTable(e.Table) + "the value is refused by the check " + e.Constraint
}

// Unwrap returns the driver's error.
func (e *CheckError) Unwrap() error { return e.Err }

// NotNullError is a NULL in a column that must have a value.
type NotNullError struct {
	Table, Column string
	Err           error // the driver's
}

func (e *NotNullError) Error() string { return e.Table + "." + e.Column + ": NULL is not allowed" }

// Unwrap returns the driver's error.
func (e *NotNullError) Unwrap() error { return e.Err }

// ForeignKeyError is a row that refers to a row that is not there, or a row
// that cannot go because others refer to it. SQLite does not tell which key;
// Keys are all those it may be.
type ForeignKeyError struct {
	Table string   // the table that was written, "" for a deferred key and for SQL of your own
	Keys  []string // "column → table (column)" of the written table
	Err   error    // the driver's
}

func (e *ForeignKeyError) Error() string {
	if e.Table == "" {
		return "a row refers to a row that does not exist, or is referred to and was removed"
	}
	s := e.Table + ": the row refers to a row that does not exist, or other rows refer to it"
	if len(e.Keys) > 0 {
		s += " (" + strings.Join(e.Keys, "; ") + ")"
	}
	return s
}

// Unwrap returns the driver's error.
func (e *ForeignKeyError) Unwrap() error { return e.Err }

// also adds the error of cleaning up to err. A single error stays the value it
// is, so that callers get back what their functions returned.
func also(err, after error) error {
	switch {
	case after == nil:
		return err
	case err == nil:
		return after
	}
	return errors.Join(err, after)
}

// deferred turns a driver's error of COMMIT into the typed one.
func (db *DB) deferred(err error) error {
	if db.o.Classify == nil {
		return err
	}
	if v := db.o.Classify(err); v != nil && v.Kind == ViolationForeignKey {
		return &ForeignKeyError{Table: v.Table, Err: err}
	}
	return err
}

// explain turns a driver's constraint error into the typed one. t is the table
// that was written, without a name for SQL of the caller's own.
func (db *DB) explain(t *model, err error) error {
	if err == nil || db.o.Classify == nil {
		return err
	}
	v := db.o.Classify(err)
	if v == nil {
		return err
	}
	s := db.violated(t.schema, v)
	switch v.Kind {
	case ViolationUnique, ViolationPrimaryKey:
		return uniqueError(s, v, err)
	case ViolationCheck:
		return &CheckError{Table: s.Name, Constraint: v.Constraint, Err: err}
	case ViolationNotNull:
		return &NotNullError{Table: s.Name, Column: strings.Join(v.Columns, ", "), Err: err}
	case ViolationForeignKey:
		return &ForeignKeyError{Table: s.Name, Keys: references(s), Err: err}
	case ViolationDatatype:
		return fmt.Errorf("%s.%s: the value is of another type than the column's, or is a number that its field cannot hold: %w", s.Name, strings.Join(v.Columns, ", "), err)
	}
	return err
}

// violated finds the table whose constraint v is: the one that was written, or
// another one, which a trigger or SQL of the caller's own has written.
func (db *DB) violated(written *schema.Table, v *Violation) *schema.Table {
	has := func(t *schema.Table) bool {
		switch {
		case v.Table != "":
			return t.Name == v.Table
		case v.Constraint == "":
			return false
		}
		return slices.ContainsFunc(t.Checks, func(c schema.Check) bool { return c.Name == v.Constraint }) ||
			slices.ContainsFunc(t.Indexes, func(ix schema.Index) bool { return ix.Name == v.Constraint })
	}
	if has(written) {
		return written
	}
	for i := range db.tables {
		if has(&db.tables[i]) {
			return &db.tables[i]
		}
	}
	if v.Table != "" {
		return &schema.Table{Name: v.Table}
	}
	return written
}

func uniqueError(t *schema.Table, v *Violation, err error) error {
	e := &UniqueError{Table: t.Name, Index: v.Constraint, Columns: v.Columns, Err: err}
	for _, ix := range t.Indexes {
		if ix.Unique && (ix.Name == v.Constraint || v.Constraint == "" && equalNames(ix.Columns, v.Columns)) {
			e.Index, e.Columns = ix.Name, ix.Columns
		}
	}
	return e
}

func references(t *schema.Table) []string {
	var all []string
	for _, f := range t.ForeignKeys {
		all = append(all, strings.Join(f.Columns, ", ")+" → "+f.RefTable+" ("+strings.Join(f.RefColumns, ", ")+")")
	}
	return all
}

func equalNames(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !strings.EqualFold(a[i], b[i]) {
			return false
		}
	}
	return true
}
