package replicate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/schema"
)

// v1Object is a table, index or anything else of a schema.
type v1Object struct{ kind, name, table, sql string }

// notTheirs are statements for tables of SQLite's and of the original's own, which
// are in a dump of its schema.
var notTheirs = regexp.MustCompile("(?is)^CREATE\\s+(UNIQUE\\s+)?(TABLE|INDEX)\\s+(IF\\s+NOT\\s+EXISTS\\s+)?[\"'`\\[]?(idx_)?(sqlite_|_driftdb_|driftdb_(log_synced|queue_status))")

// wanted returns what the given statements make, by making it in a file of its
// own at path.
func (i *importer) wanted(ctx context.Context, path string) (all []v1Object, err error) {
	if len(i.o.Schema) == 0 {
		return nil, nil
	}
	db := sql.OpenDB(sqlite.Connector(path, sqlite.Replay))
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	for _, stmt := range i.o.Schema {
		if notTheirs.MatchString(strings.TrimSpace(stmt)) {
			continue
		}
		if err := ddl(ctx, conn, stmt); err != nil && !strings.Contains(err.Error(), "already exists") {
			return nil, fmt.Errorf("%s: %w", stmt, err)
		}
	}
	return objectsOf(ctx, conn)
}

func objectsOf(ctx context.Context, conn *sql.Conn) (all []v1Object, err error) {
	rows, err := conn.QueryContext(ctx, `SELECT type, name, tbl_name, sql FROM sqlite_schema
WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND tbl_name NOT LIKE '\_driftdb\_%' ESCAPE '\' ORDER BY rowid`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var o v1Object
		if err := rows.Scan(&o.kind, &o.name, &o.table, &o.sql); err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, rows.Err()
}

// named finds the object called name among all, as SQLite compares names.
func named(all []v1Object, name string) *v1Object {
	for n := range all {
		if strings.EqualFold(all[n].name, name) {
			return &all[n]
		}
	}
	return nil
}

// create makes the tables that there are not, and with everything also what else
// is wanted.
func create(ctx context.Context, conn *sql.Conn, wanted []v1Object, everything bool) error {
	have, err := objectsOf(ctx, conn)
	if err != nil {
		return err
	}
	for _, o := range wanted {
		if named(have, o.name) != nil || o.kind != "table" && !everything {
			continue
		}
		if err := ddl(ctx, conn, o.sql); err != nil {
			return fmt.Errorf("%s: %w", o.sql, err)
		}
	}
	return nil
}

// ddl runs a statement that may only make tables and indexes.
func ddl(ctx context.Context, conn *sql.Conn, stmt string) (err error) {
	if err := sqlite.SetDDLOnly(conn, true); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sqlite.SetDDLOnly(conn, false)) }()
	_, err = conn.ExecContext(ctx, stmt)
	return err
}

// moveRows makes the tables those that are wanted, with the rows that there are.
func moveRows(ctx context.Context, conn *sql.Conn, wanted []v1Object) error {
	have, err := objectsOf(ctx, conn)
	if err != nil {
		return err
	}
	// References of other tables and triggers stay what they are.
	if _, err := conn.ExecContext(ctx, "PRAGMA legacy_alter_table=ON"); err != nil {
		return err
	}
	for _, o := range wanted {
		old := named(have, o.name)
		if o.kind != "table" || old == nil || old.sql == o.sql {
			continue
		}
		if err := moveTable(ctx, conn, *old, o); err != nil {
			return fmt.Errorf("table %q: %w", o.name, err)
		}
		for _, also := range have { // went with the table; its own indexes first
			if also.table == old.name && also.kind != "table" && named(wanted, also.name) == nil {
				if _, err := conn.ExecContext(ctx, also.sql); err != nil {
					return fmt.Errorf("%s %q: %w", also.kind, also.name, err)
				}
			}
		}
	}
	return create(ctx, conn, wanted, true)
}

func moveTable(ctx context.Context, conn *sql.Conn, old, o v1Object) error {
	const aside = "_driftdb_v1_moved"
	exec := func(stmt string) error {
		_, err := conn.ExecContext(ctx, stmt)
		return err
	}
	if err := exec("ALTER TABLE " + schema.QuoteIdent(old.name) + " RENAME TO " + aside); err != nil {
		return err
	}
	if err := ddl(ctx, conn, o.sql); err != nil {
		return err
	}
	from, err := columnsOf(ctx, conn, aside)
	if err != nil {
		return err
	}
	to, err := columnsOf(ctx, conn, o.name)
	if err != nil {
		return err
	}
	names := make([]string, len(from))
	for n, name := range from {
		if !slices.ContainsFunc(to, func(s string) bool { return strings.EqualFold(s, name) }) {
			return fmt.Errorf("the original's column %q is not in the table that is wanted: add it there", name)
		}
		names[n] = schema.QuoteIdent(name)
	}
	list := strings.Join(names, ", ")
	if err := exec("INSERT INTO " + schema.QuoteIdent(o.name) + " (" + list + ") SELECT " + list + " FROM " + aside + " ORDER BY rowid"); err != nil {
		return fmt.Errorf("its rows do not fit into the table that is wanted: %w", err)
	}
	return exec("DROP TABLE " + aside)
}

func columnsOf(ctx context.Context, conn *sql.Conn, table string) (names []string, err error) {
	rows, err := conn.QueryContext(ctx, "SELECT name FROM pragma_table_info(?)", table)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}
