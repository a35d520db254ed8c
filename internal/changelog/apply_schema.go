package changelog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// takeTriggers sets the file's triggers aside. Replaying must not fire them:
// what they did is in the log.
func (a *Applier) takeTriggers(ctx context.Context) (err error) {
	if a.triggers, err = a.objects(ctx, `type = 'trigger'`); err != nil {
		return err
	}
	for _, t := range a.triggers {
		if err := a.x.Exec(ctx, `DROP TRIGGER `+quoteIdent(t.Name)); err != nil {
			return err
		}
	}
	return nil
}

// putTriggers makes the triggers again, in their old order.
func (a *Applier) putTriggers(ctx context.Context) error {
	for _, t := range a.triggers {
		if err := a.ddl(ctx, t.SQL); err != nil {
			return fmt.Errorf("trigger %s: %w", t.Name, err)
		}
	}
	return nil
}

// objects returns objects of the file, the oldest first.
func (a *Applier) objects(ctx context.Context, where string, args ...any) (all []Object, err error) {
	rows, err := a.conn.QueryContext(ctx, `SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND `+where+` ORDER BY rowid`, args...) //nolint:gosec // where is one of three constants of this file
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var o Object
		if err := rows.Scan(&o.Kind, &o.Name, &o.Table, &o.SQL); err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, rows.Err()
}

// schema runs a schema entry. The triggers are there while it runs, as they
// were when it ran first.
//
// A migration drops the application's own triggers, views and indexes that are
// in its way (DROP … IF EXISTS) and does not say how to make them again: the file
// may not have them, nor the tables that they name. Those that it has are put
// back. What is dropped a second time is not meant to come back.
func (a *Applier) schema(ctx context.Context, e *Entry) error {
	s, err := ParseSchemaEntry([]byte(e.Schema))
	if err != nil {
		return err
	}
	if err := a.closeStatements(); err != nil {
		return err
	}
	if err := a.putTriggers(ctx); err != nil {
		return err
	}
	var own aside
	for i, stmt := range s.SQL {
		if err := a.statement(ctx, &own, stmt); err != nil {
			return fmt.Errorf("statement %d: %w", i+1, err)
		}
	}
	if err := a.putBack(ctx, &own); err != nil {
		return err
	}
	a.tip.SchemaVersion = e.Sequence
	if s.Version > 0 {
		a.migrated = migrated{s.Version, s.Name}
	}
	return a.takeTriggers(ctx)
}

// aside are objects of the application that were set aside, the newest first.
type aside []Object

// statement runs a statement of a schema entry.
func (a *Applier) statement(ctx context.Context, own *aside, stmt string) error {
	switch {
	case strings.HasPrefix(stmt, `DROP `) && strings.Contains(stmt, ` IF EXISTS "`):
		const same = `'DROP '||upper(type)||' IF EXISTS "'||replace(name, '"', '""')||'"' = ?`
		found, err := a.objects(ctx, same, stmt)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			*own = slices.DeleteFunc(*own, func(o Object) bool { return `DROP `+strings.ToUpper(o.Kind)+` IF EXISTS `+quoteIdent(o.Name) == stmt })
		}
		*own = append(*own, found...)
	case strings.HasPrefix(stmt, `CREATE TRIGGER "_driftdb_`): // they are the newest
		if err := a.putBack(ctx, own); err != nil {
			return err
		}
	}
	err := a.ddl(ctx, stmt)
	if err == nil || !strings.HasPrefix(stmt, `ALTER TABLE `) || !strings.Contains(stmt, ` RENAME `) {
		return err
	}
	// SQLite refuses to change a name while it finds a view or trigger that does
	// not work. The file may not have what one of them names.
	found, oerr := a.objects(ctx, `type IN ('trigger', 'view') AND name NOT LIKE '\_driftdb\_%' ESCAPE '\'`)
	if oerr != nil || len(found) == 0 {
		return errors.Join(err, oerr)
	}
	slices.Reverse(found) // a trigger on a view before the view
	for _, o := range found {
		if err := a.ddl(ctx, `DROP `+strings.ToUpper(o.Kind)+` `+quoteIdent(o.Name)); err != nil {
			return err
		}
	}
	*own = append(*own, found...)
	return a.ddl(ctx, stmt)
}

// putBack makes again what was set aside, the oldest first, where its table is.
func (a *Applier) putBack(ctx context.Context, own *aside) error {
	for _, o := range slices.Backward(*own) {
		if strings.HasPrefix(o.Name, "_driftdb_") {
			continue
		}
		n, err := oneInt(ctx, a.x, `SELECT (?1 = 'view' OR EXISTS (SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?2 COLLATE NOCASE))
	AND NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = ?1 AND name = ?3)`, o.Kind, o.Table, o.Name)
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		if err := a.ddl(ctx, o.SQL); err != nil {
			return fmt.Errorf("%s %s: %w", o.Kind, o.Name, err)
		}
	}
	*own = nil
	return nil
}
