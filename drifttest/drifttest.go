// Package drifttest helps to test programs that use DriftDB: databases that go
// away with the test, factories of rows, and checks that generated code and
// migrations are what the models say.
//
//	func TestSignUp(t *testing.T) {
//		db := drifttest.Open(t, models.Schema)
//		alice := users.Create(t, db, func(u *models.User) { u.Name = "Alice" })
//		…
//	}
package drifttest

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/schema"
)

// Open opens a new database in the test's temporary directory. It is closed
// when the test ends; an error of Close fails the test.
func Open(tb testing.TB, s schema.Schema) *orm.DB {
	tb.Helper()
	return OpenFile(tb, filepath.Join(tb.TempDir(), "test.sqlite"), s)
}

// OpenFile is Open with a path, for tests that open a file again.
func OpenFile(tb testing.TB, path string, s schema.Schema) *orm.DB {
	tb.Helper()
	db, err := driftdb.Open(tb.Context(), path, s, driftdb.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("close %s: %v", path, err)
		}
	})
	return db
}

// Verify fails the test when the tables that the models' generated code makes
// are not those that it describes, or a database that was made by them is
// changed by opening it again: generated code that was edited, merged badly, or
// written by another version of driftgen.
func Verify(tb testing.TB, s schema.Schema) {
	tb.Helper()
	if err := s.Validate(); err != nil {
		tb.Fatalf("the generated schema is not valid: run go generate: %v", err)
	}
	for i := range s.Tables {
		t := &s.Tables[i]
		if t.Create != t.CreateSQL() {
			tb.Errorf("table %s: the generated CREATE TABLE is not that of its columns: run go generate", t.Name)
		}
		want := t.TriggerSQL()
		if len(want) != len(t.Triggers) {
			tb.Errorf("table %s has %d triggers of %d: run go generate", t.Name, len(t.Triggers), len(want))
			continue
		}
		for j := range want {
			if want[j] != t.Triggers[j] {
				tb.Errorf("table %s: the generated trigger %s is not that of its columns: run go generate", t.Name, want[j].Name)
			}
		}
	}
	if tb.Failed() {
		return
	}
	path := filepath.Join(tb.TempDir(), "verify.sqlite")
	for range 2 {
		db, err := driftdb.Open(tb.Context(), path, s, driftdb.Options{})
		if err != nil {
			tb.Fatalf("a database of these models cannot be opened: %v", err)
		}
		if err := db.Close(); err != nil {
			tb.Fatal(err)
		}
	}
}

// Factory makes rows of M for tests. Fill gives a new row what it must have;
// n counts the rows of the factory from 1 on, for what must be unique.
//
//	var users = drifttest.Factory[models.User]{Into: models.Users, Fill: func(n int, u *models.User) {
//		u.Email = fmt.Sprintf("user%d@example.com", n)
//	}}
type Factory[M any] struct {
	// Into is the table, models.Users for instance.
	Into interface {
		Create(ctx context.Context, w orm.Writer, m *M, opts ...orm.CreateOption[M]) error
	}
	Fill func(n int, m *M)

	made *atomic.Int64
}

// NewFactory makes a factory of rows of into.
func NewFactory[M any](into interface {
	Create(ctx context.Context, w orm.Writer, m *M, opts ...orm.CreateOption[M]) error
}, fill func(n int, m *M)) *Factory[M] {
	return &Factory[M]{Into: into, Fill: fill, made: new(atomic.Int64)}
}

// Build returns a row that is not stored, with the changes of with.
func (f *Factory[M]) Build(with ...func(*M)) M {
	if f.made == nil {
		f.made = new(atomic.Int64)
	}
	n := int(f.made.Add(1))
	var m M
	if f.Fill != nil {
		f.Fill(n, &m)
	}
	for _, w := range with {
		w(&m)
	}
	return m
}

// Create stores a row with the changes of with and returns it; an error fails
// the test.
func (f *Factory[M]) Create(tb testing.TB, w orm.Writer, with ...func(*M)) *M {
	tb.Helper()
	m := f.Build(with...)
	if err := f.Into.Create(tb.Context(), w, &m); err != nil {
		tb.Fatal(err)
	}
	return &m
}

// CreateMany stores n rows.
func (f *Factory[M]) CreateMany(tb testing.TB, w orm.Writer, n int, with ...func(*M)) []M {
	tb.Helper()
	all := make([]M, 0, n)
	for range n {
		all = append(all, *f.Create(tb, w, with...))
	}
	return all
}
