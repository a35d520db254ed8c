package orm

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

// migration is one that is being run: its schema steps, and what the
// application has of its own beside the tables of models. Views, triggers and
// indexes of the application are in the way of a table that is rebuilt: SQLite
// would drop them with it, or refuse to rename one that a view reads.
type migration struct {
	c   *conn
	s   schema.Schema
	all []schema.Migration // up to this one, which is the last

	there   map[string]bool   // tables that were there before
	logged  map[string]bool   // those of them that have a change log
	indexes map[string]bool   // the application's own, on tables with a change log
	broken  map[string]string // what did not work before it either, and why
	again   []ownObject       // set aside, in the order in which they were made
	ran     []string          // the statements that a restore runs
}

// ownObject is a trigger, view or index of the application.
type ownObject struct {
	kind, name, table, sql string
}

// drop is the statement that a restore knows as one that sets the object aside.
func (o ownObject) drop() string {
	return "DROP " + strings.ToUpper(o.kind) + " IF EXISTS " + schema.QuoteIdent(o.name)
}

func (o ownObject) String() string { return "the application's " + o.kind + " " + o.name }

// beginMigration looks at what is there before the last migration of all.
func beginMigration(ctx context.Context, c *conn, s schema.Schema, all []schema.Migration, done migrated) (*migration, error) {
	b := &migration{c: c, s: s, all: all, there: map[string]bool{}, logged: map[string]bool{}, indexes: map[string]bool{}}
	stored, err := readStored(ctx, c)
	if err != nil {
		return nil, err
	}
	for name, o := range stored {
		if o.kind == "table" {
			b.there[name], b.logged[name] = true, stored[logTrigger(name)].kind == "trigger"
		}
	}
	for name, o := range stored {
		if o.kind == "index" && b.logged[o.table] && !slices.Contains(done.Structure, schema.IndexLine(o.sql)) {
			b.indexes[name] = true
		}
	}
	b.broken, err = failing(ctx, c)
	return b, err
}

// run runs the schema steps. Names that change first of all change while the
// application's views and triggers are there, so that SQLite writes those anew.
func (b *migration) run(ctx context.Context) error {
	statements, err := schemaSteps(&b.all[len(b.all)-1])
	if err != nil {
		return err
	}
	n := 0
	for n < len(statements) {
		if what, ok := schema.SubjectOf(statements[n]); !ok || !what.Renames {
			break
		}
		n++
	}
	if err := b.rename(ctx, statements[:n]); err == nil {
		statements = statements[n:]
	} else if ctx.Err() != nil {
		return err
	}
	if err := b.setAside(ctx); err != nil {
		return err
	}
	for _, sql := range statements {
		if err := b.step(ctx, sql); err != nil {
			return err
		}
	}
	if err := b.putBack(ctx); err != nil {
		return err
	}
	return b.works(ctx)
}

// schemaSteps returns the statements of the schema steps.
func schemaSteps(m *schema.Migration) (all []string, err error) {
	data := false
	for _, step := range m.Steps {
		if step.Data {
			data = true
			continue
		}
		if data && len(step.SQL) > 0 {
			return nil, errors.New("a schema step stands behind a data step: make it a migration of its own")
		}
		all = append(all, step.SQL...)
	}
	return all, nil
}

// rename runs statements that change names, all or none of them: SQLite refuses
// them while a view does not work, for whatever reason.
func (b *migration) rename(ctx context.Context, statements []string) (err error) {
	if len(statements) == 0 {
		return nil
	}
	if err := run(ctx, b.c, "SAVEPOINT renames"); err != nil {
		return err
	}
	for _, sql := range statements {
		if err == nil {
			err = run(ctx, b.c, sql)
		}
	}
	if err != nil {
		err = also(err, run(quiet(ctx), b.c, "ROLLBACK TO renames"))
	} else {
		b.ran = append(b.ran, statements...)
	}
	return also(err, run(quiet(ctx), b.c, "RELEASE renames"))
}

// setAside drops every trigger and view, and the application's indexes on tables
// with a change log. A restored file may not have what is the application's own,
// so that it is dropped if it is there.
func (b *migration) setAside(ctx context.Context) error {
	const query = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE type IN ('trigger', 'view', 'index') AND sql IS NOT NULL AND tbl_name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid"
	var drops []string
	err := b.c.each(ctx, query, nil, func(v []driver.Value) error {
		o := ownObject{kind: textOf(v[0]), name: textOf(v[1]), table: textOf(v[2]), sql: textOf(v[3])}
		if o.kind == "index" && !b.indexes[o.name] {
			return nil
		}
		drops = append(drops, o.drop())
		if !strings.HasPrefix(o.name, "_driftdb_") {
			b.again = append(b.again, o)
		}
		return nil
	})
	slices.Reverse(drops) // a trigger on a view before the view
	for _, sql := range drops {
		if err == nil {
			err = b.do(ctx, sql)
		}
	}
	return err
}

// do runs a statement that a restore runs, too.
func (b *migration) do(ctx context.Context, sql string) error {
	b.ran = append(b.ran, sql)
	return run(ctx, b.c, sql)
}

// step runs a statement of the migration. One that drops something of the
// application's own only has to see to it that it is not put back.
func (b *migration) step(ctx context.Context, sql string) error {
	what, ok := schema.SubjectOf(sql)
	at := slices.IndexFunc(b.again, func(o ownObject) bool {
		return strings.EqualFold(o.name, what.Name) && strings.EqualFold(o.kind, what.Kind)
	})
	switch {
	case !ok || what.Kind == "TABLE":
	case what.Verb == "DROP" && at >= 0:
		sql = b.again[at].drop() // once more: a restore does not put it back then
		b.again = slices.Delete(b.again, at, at+1)
	case what.Verb == "CREATE" && at >= 0:
		return fmt.Errorf("%s: %s is there already: DROP it before, in this migration", firstLine(sql), b.again[at])
	case what.Verb == "CREATE" && what.Table != "" && b.foreign(what.Table):
		return fmt.Errorf("%s: %s is a table that no migration has made, so a restored file may not have it: make this with SQL of your own", firstLine(sql), what.Table)
	}
	return b.do(ctx, sql)
}

// foreign says whether a table is one that a restored file may not have,
// because neither a model nor a migration has made it.
func (b *migration) foreign(table string) bool {
	if b.logged[table] || !b.there[table] {
		return false
	}
	for _, m := range b.all {
		statements, _ := schemaSteps(&m)
		for _, sql := range statements {
			if what, ok := schema.SubjectOf(sql); ok && what.Kind == "TABLE" && strings.EqualFold(what.Name, table) {
				return false
			}
		}
	}
	return true
}

// putBack makes the application's triggers, views and indexes again, and after
// them change-log triggers for the tables as they are now. The log does not tell
// of the former: a restore puts back what it has set aside itself.
func (b *migration) putBack(ctx context.Context) error {
	for _, o := range b.again {
		if err := run(ctx, b.c, o.sql); err != nil {
			return fmt.Errorf("%v cannot be made again: %w: drop it before, or in this migration", o, err)
		}
	}
	stored, err := readStored(ctx, b.c)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(stored)) {
		o := stored[name]
		own := b.logged[name] || !b.there[name] || slices.ContainsFunc(b.s.Tables, func(t schema.Table) bool { return t.Name == name })
		if o.kind != "table" || strings.HasPrefix(name, "_driftdb_") || !own || !ownTable(b.s, name, o.sql) {
			continue
		}
		t, err := tableOf(ctx, b.c, b.s, name, o.sql)
		if err != nil {
			return err
		}
		for _, tr := range t.TriggerSQL() {
			if err := b.do(ctx, tr.SQL); err != nil {
				return err
			}
		}
	}
	return nil
}

// works says which view or trigger of the application does not work any more.
// SQLite itself makes them without a look at what they name.
func (b *migration) works(ctx context.Context) error {
	now, err := failing(ctx, b.c)
	if err != nil {
		return err
	}
	for _, what := range slices.Sorted(maps.Keys(now)) {
		if _, before := b.broken[what]; !before {
			return fmt.Errorf("%s would not work any more (%s): DROP it in this migration, and make it anew there if it is still needed", what, now[what])
		}
	}
	return nil
}

// failing returns the application's views and triggers that SQLite cannot
// compile, with what it says. Nothing of them is run.
func failing(ctx context.Context, c *conn) (map[string]string, error) {
	stored, err := readStored(ctx, c)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for name, o := range stored {
		if o.kind != "view" && o.kind != "trigger" || strings.HasPrefix(name, "_driftdb_") {
			continue
		}
		query := "SELECT * FROM " + schema.QuoteIdent(name)
		if o.kind == "trigger" {
			query = firing(ctx, c, o)
		}
		if err := c.forget("EXPLAIN " + query); err != nil {
			return nil, err
		}
		if _, err := c.one(ctx, "EXPLAIN "+query, nil); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			found[ownObject{kind: o.kind, name: name}.String()] = err.Error()
		}
	}
	return found, nil
}

// firing is a statement that the trigger would answer.
func firing(ctx context.Context, c *conn, o object) string {
	what, _ := schema.SubjectOf(o.sql)
	table := schema.QuoteIdent(o.table)
	switch what.Event {
	case "INSERT":
		return "INSERT INTO " + table + " DEFAULT VALUES"
	case "DELETE":
		return "DELETE FROM " + table
	}
	have, err := readColumns(ctx, c, o.table)
	if err != nil {
		return "DELETE FROM " + table // of a view that does not work itself, which is found so
	}
	var sets []string
	for _, col := range have.ordered {
		if !col.generated {
			sets = append(sets, schema.QuoteIdent(col.name)+" = "+schema.QuoteIdent(col.name))
		}
	}
	return "UPDATE " + table + " SET " + strings.Join(sets, ", ")
}
