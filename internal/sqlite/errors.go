//go:build cgo

package sqlite

import (
	"errors"
	"slices"
	"strings"

	"github.com/mattn/go-sqlite3"
)

// Classify reads a constraint violation out of an error of the driver. It
// reports false for every other error, a trigger's RAISE among them.
func Classify(err error) (Constraint, bool) {
	var e sqlite3.Error
	if !errors.As(err, &e) || e.Code != sqlite3.ErrConstraint {
		return Constraint{}, false
	}
	_, detail, _ := strings.Cut(e.Error(), " constraint failed: ")
	switch e.ExtendedCode {
	case sqlite3.ErrConstraintUnique:
		return columns(Unique, detail), true
	case sqlite3.ErrConstraintPrimaryKey, sqlite3.ErrConstraintRowID:
		return columns(PrimaryKey, detail), true
	case sqlite3.ErrConstraintNotNull:
		return columns(NotNull, detail), true
	case sqlite3.ErrConstraintCheck:
		return Constraint{Kind: Check, Name: detail}, true
	case sqlite3.ErrConstraintForeignKey:
		return Constraint{Kind: ForeignKey}, true
	case sqlite3.ErrConstraintTrigger: // how SQLite carries out ON DELETE RESTRICT, and any RAISE
		if e.Error() == "FOREIGN KEY constraint failed" {
			return Constraint{Kind: ForeignKey}, true
		}
	case errConstraintDatatype:
		// "cannot store TEXT value in INTEGER column users.age"
		_, column, _ := strings.Cut(e.Error(), " column ")
		return columns(Datatype, column), true
	}
	return Constraint{}, false
}

// errConstraintDatatype is SQLITE_CONSTRAINT_DATATYPE, which the driver lacks.
const errConstraintDatatype = sqlite3.ErrNoExtended(19 | 12<<8)

// columns reads "users.email, users.name" or "index 'users_email_key'".
func columns(k Kind, detail string) Constraint {
	c := Constraint{Kind: k}
	if name, ok := strings.CutPrefix(detail, "index '"); ok {
		c.Name = strings.TrimSuffix(name, "'")
		return c
	}
	table, _, ok := strings.Cut(detail, ".")
	if !ok {
		return c
	}
	c.Table = table
	for i, part := range strings.Split(detail, ", "+table+".") {
		if i == 0 {
			part = strings.TrimPrefix(part, table+".")
		}
		c.Columns = append(c.Columns, part)
	}
	return c
}

// IsBusy says that err is SQLITE_BUSY: another connection holds a lock.
func IsBusy(err error) bool { return hasCode(err, sqlite3.ErrBusy) }

// IsFull says that err is SQLITE_FULL: the disk is full.
func IsFull(err error) bool { return hasCode(err, sqlite3.ErrFull) }

// IsCorrupt says that the file is damaged, or no database at all.
func IsCorrupt(err error) bool { return hasCode(err, sqlite3.ErrCorrupt, sqlite3.ErrNotADB) }

// IsSQL says that SQLite does not understand a statement: of one that is right, that
// the tables are not those that it was written for.
func IsSQL(err error) bool { return hasCode(err, sqlite3.ErrError) }

// IsReadOnly says that the file, its directory or the connection does not
// allow writing.
func IsReadOnly(err error) bool { return hasCode(err, sqlite3.ErrReadonly) }

func hasCode(err error, codes ...sqlite3.ErrNo) bool {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return false
	}
	return slices.Contains(codes, e.Code)
}
