package orm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/schema"
)

// Open opens a database through the connectors of o and makes its tables those
// of s. Most programs call driftdb.Open, which knows SQLite.
//
// Missing tables, indexes, change-log triggers, and columns that ALTER TABLE
// ADD accepts are added in one transaction, which is in the change log too.
// Any other difference is an error that names it; then nothing is changed.
// Tables that s does not have are left alone.
func Open(ctx context.Context, s schema.Schema, o Options) (*DB, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("the models: %w", err)
	}
	db := &DB{o: o, tables: s.Tables, write: make(chan struct{}, 1), read: make(chan struct{}, o.Readers), looped: make(chan struct{}, 1), closing: make(chan struct{})}
	db.changes, db.pruner.busy = newFeed(db), make(chan struct{}, 1)
	if db.writer, err = connect(ctx, o.Writer); err != nil {
		return nil, err
	}
	for range o.Readers {
		db.read <- struct{}{}
	}
	db.write <- struct{}{}
	if err := db.ensure(ctx, s); err != nil {
		return nil, errors.Join(err, db.discard())
	}
	db.pruner.commits.Store(0)
	db.pruner.busy <- struct{}{} // from now on
	return db, nil
}

// discard closes what a failed Open has opened.
func (db *DB) discard() error {
	if db.writer == nil {
		return nil
	}
	return db.writer.close()
}

// ensure makes the file's tables those of s. A file that has them already is
// not written.
func (db *DB) ensure(ctx context.Context, s schema.Schema) error {
	if s.Migrations != nil {
		if err := runner(s.Migrations).migrate(ctx, db, s); err != nil {
			return fmt.Errorf("migrate the tables: %w", err)
		}
	}
	if done, err := db.matches(ctx, s); err != nil || done {
		return err
	}
	changed := false
	err := db.transaction(ctx, func(c *conn, _ *txState) error {
		x := changelog.Driver(c.dc)
		if err := changelog.Init(ctx, x); err != nil {
			return err
		}
		stored, err := readStored(ctx, c)
		if err != nil {
			return err
		}
		ddl, err := plan(ctx, c, s, stored)
		if err != nil || len(ddl) == 0 {
			return err
		}
		if s.Migrations != nil && slices.ContainsFunc(ddl, func(stmt string) bool { return !strings.Contains(stmt, " TRIGGER ") }) {
			return fmt.Errorf("%w: the models have changes that no migration has: run driftgen migrate NAME%s", ErrSchemaDrift, added(ddl))
		}
		for _, stmt := range ddl {
			if err := x.Exec(ctx, stmt); err != nil {
				return fmt.Errorf("%s: %w", firstLine(stmt), err)
			}
		}
		entry, err := schemaEntry(s, ddl)
		if err != nil {
			return err
		}
		changed = true
		return x.Exec(ctx, changelog.SchemaSQL, entry)
	})
	if err != nil {
		return fmt.Errorf("set up the tables: %w", err)
	}
	if changed {
		db.o.Logger.InfoContext(ctx, "tables set up", "path", db.o.Path)
	}
	return db.readGeneration(ctx)
}

// matches says whether the file is as s wants it, word for word, so that
// opening it again writes nothing and waits for nobody.
func (db *DB) matches(ctx context.Context, s schema.Schema) (bool, error) {
	stored, err := readStored(ctx, db.writer)
	if err != nil {
		return false, err
	}
	for _, local := range []string{"_driftdb_log", "_driftdb_queue", "_driftdb_meta"} {
		if _, ok := stored[local]; !ok {
			return false, nil
		}
	}
	for i := range s.Tables {
		for name, want := range objects(&s.Tables[i]) {
			if have, ok := stored[name]; !ok || have.sql != want {
				return false, nil
			}
		}
		if overtaken(&s.Tables[i], stored) {
			return false, nil
		}
	}
	if err := db.readGeneration(ctx); err != nil {
		return false, err
	}
	// Init also refuses a format it does not know.
	return true, changelog.Init(ctx, changelog.Driver(db.writer.dc))
}

func (db *DB) readGeneration(ctx context.Context) error {
	pos, err := changelog.ReadPosition(ctx, changelog.Driver(db.writer.dc))
	db.generation = pos.Generation
	return err
}

// schemaEntry is the log entry of what was done, and the layout after it.
func schemaEntry(s schema.Schema, ddl []string) (string, error) {
	e := changelog.SchemaEntry{Name: "open", SQL: ddl}
	for _, t := range s.Tables {
		l := changelog.Layout{Name: t.Name, Key: t.Key}
		for _, c := range t.Columns {
			if c.Logged() {
				l.Columns = append(l.Columns, c.Name)
			}
		}
		e.Tables = append(e.Tables, l)
	}
	return e.JSON()
}

// added lists what the models have and the file does not.
func added(ddl []string) string {
	var b strings.Builder
	for _, stmt := range ddl {
		if !strings.Contains(stmt, " TRIGGER ") {
			b.WriteString("\n+ " + firstLine(stmt))
		}
	}
	return b.String()
}
