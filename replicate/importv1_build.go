package replicate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/durable"
	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/internal/v1"
	"github.com/driftdb/driftdb/schema"
)

// attempt makes the file from a snapshot, or without one, and the logs.
func (i *importer) attempt(ctx context.Context, path string, snapshot v1.Place) (err error) {
	if snapshot.Key != "" {
		stored, err := i.get(ctx, snapshot.Key)
		if errors.Is(err, ErrNotExist) {
			return fmt.Errorf("the snapshot: %w: %w", ErrMissing, err)
		}
		if err != nil {
			return err
		}
		plain, err := i.open(snapshot.Key, stored)
		if err != nil {
			return err
		}
		if err := durable.WriteFile(path, plain, 0o600); err != nil {
			return err
		}
	}
	i.report.SnapshotKey = snapshot.Key
	wanted, err := i.wanted(ctx, filepath.Join(filepath.Dir(path), "schema.sqlite"))
	if err != nil {
		return err
	}
	db := sql.OpenDB(sqlite.Connector(path, sqlite.Replay))
	db.SetMaxOpenConns(1)
	defer func() {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	conn, err := db.Conn(ctx)
	if err != nil {
		return damaged(err)
	}
	if err := i.replay(ctx, conn, snapshot, wanted); err != nil {
		return errors.Join(err, conn.Close())
	}
	if err := i.convert(ctx, conn, wanted); err != nil {
		return errors.Join(fmt.Errorf("convert: %w", err), conn.Close())
	}
	if err := errors.Join(conn.Close(), db.Close()); err != nil {
		return err
	}
	db = nil
	if err := toWAL(ctx, path); err != nil {
		return err
	}
	return durable.SyncFile(path)
}

func (i *importer) replay(ctx context.Context, conn *sql.Conn, snapshot v1.Place, wanted []v1Object) error {
	if i.report.SnapshotKey == "" && len(wanted) == 0 {
		return errors.New("the backup has no snapshot, and the original's logs have no tables: give their CREATE statements (ImportV1Options.Schema)")
	}
	if i.report.SnapshotKey != "" {
		if err := sqlite.IntegrityCheck(ctx, conn); err != nil {
			return fmt.Errorf("%s: %w", i.report.SnapshotKey, damaged(err))
		}
		if err := i.covers(ctx, conn); err != nil {
			return err
		}
	}
	if err := create(ctx, conn, wanted, i.report.SnapshotKey == ""); err != nil {
		return err
	}
	// The original's connection enforces foreign keys, and runs their actions
	// without logging what these do. Those of a given schema are not its own.
	if i.report.SnapshotKey != "" {
		if _, err := conn.ExecContext(ctx, "PRAGMA foreign_keys=ON"); err != nil {
			return err
		}
	}
	front, err := i.snapshotFront(ctx, conn, snapshot)
	if err != nil {
		return err
	}
	pieces, err := i.timeline(ctx, conn)
	if err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	replayer, err := v1.NewReplayer(ctx, conn, i.report.Snapshot)
	if err != nil {
		return err
	}
	if err := i.apply(ctx, replayer, pieces, front); err != nil {
		return err
	}
	i.report.Report = replayer.Report()
	if _, err = conn.ExecContext(ctx, "COMMIT"); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "PRAGMA foreign_keys=OFF")
	return err
}

// covers reads the sequence that the snapshot covers: the last that its own log
// gave out.
func (i *importer) covers(ctx context.Context, conn *sql.Conn) error {
	bad := func(err error) error {
		return fmt.Errorf("%s: the sequence that it covers: %w: %w", i.report.SnapshotKey, err, ErrCorrupt)
	}
	var logs int
	if err := conn.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE name = '_driftdb_log'`).Scan(&logs); err != nil {
		return bad(err)
	}
	if logs == 0 {
		if i.o.Through < 0 || len(i.logs) == 0 {
			return nil
		}
		return bad(errors.New("it has no table _driftdb_log (ImportV1Options.Through: -1 takes the snapshot alone)"))
	}
	err := conn.QueryRowContext(ctx, `SELECT seq FROM sqlite_sequence WHERE name = '_driftdb_log'`).Scan(&i.report.Snapshot)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return bad(err)
	}
	return nil
}

// batch reads a batch.
func (i *importer) batch(ctx context.Context, key string) (*v1.Batch, error) {
	stored, err := i.get(ctx, key)
	if err != nil {
		return nil, err
	}
	plain, err := i.open(key, stored)
	if err != nil {
		return nil, err
	}
	b, err := v1.ParseBatch(plain)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", key, err, ErrCorrupt)
	}
	return b, nil
}

// convert takes the original's tables out, moves rows into the tables that are
// wanted, and puts the change log in.
func (i *importer) convert(ctx context.Context, conn *sql.Conn, wanted []v1Object) error {
	if err := moveRows(ctx, conn, wanted); err != nil {
		return err
	}
	for _, stmt := range []string{
		`DROP TABLE IF EXISTS _driftdb_meta`, `DROP TABLE IF EXISTS _driftdb_log`, `DROP TABLE IF EXISTS _driftdb_queue`, `VACUUM`,
	} {
		if _, err := conn.ExecContext(ctx, stmt); err != nil {
			return err
		}
	}
	tables, err := i.userTables(ctx, conn)
	if err != nil {
		return err
	}
	x := changelog.SQL(conn)
	if err := x.Exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := changelog.Init(ctx, x); err != nil {
		return err
	}
	entry := changelog.SchemaEntry{Name: "import-v1"}
	i.report.Tables = []string{}
	for n := range tables {
		t := &tables[n]
		layout := changelog.Layout{Name: t.Name, Key: t.Key}
		for _, c := range t.Columns {
			if c.Logged() {
				layout.Columns = append(layout.Columns, c.Name)
			}
		}
		entry.Tables = append(entry.Tables, layout)
		for _, tr := range t.TriggerSQL() {
			if err := x.Exec(ctx, tr.SQL); err != nil {
				return fmt.Errorf("table %q: %w", t.Name, err)
			}
		}
		i.report.Tables = append(i.report.Tables, t.Name)
	}
	text, err := entry.JSON()
	if err != nil {
		return err
	}
	for _, exec := range []func() error{
		func() error { return x.Exec(ctx, changelog.SchemaSQL, text) },
		func() error { return x.Exec(ctx, changelog.MarkSQL) },
		func() error { return x.Exec(ctx, "COMMIT") },
	} {
		if err := exec(); err != nil {
			return err
		}
	}
	orphans, err := foreignKeyViolations(ctx, conn)
	if err != nil {
		return err
	}
	i.report.Orphans = int64(max(orphans, 0))
	return sqlite.IntegrityCheck(ctx, conn)
}

// userTables describes the tables as far as the change log wants to know: as the
// models do, where there are models.
func (i *importer) userTables(ctx context.Context, conn *sql.Conn) (all []schema.Table, err error) {
	rows, err := conn.QueryContext(ctx, `SELECT m.name, c.name, c.pk FROM sqlite_schema m, pragma_table_info(m.name) c
WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\' AND m.sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY m.name, c.cid`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	places := map[string]int{} // of a key's columns in the key
	for rows.Next() {
		var table, name string
		var pk int
		if err := rows.Scan(&table, &name, &pk); err != nil {
			return nil, err
		}
		if len(all) == 0 || all[len(all)-1].Name != table {
			all = append(all, schema.Table{Name: table})
			clear(places)
		}
		t := &all[len(all)-1]
		t.Columns = append(t.Columns, schema.Column{Name: name, Type: schema.Any})
		if pk > 0 {
			places[name] = pk
			t.Key = append(t.Key, name)
			slices.SortFunc(t.Key, func(a, b string) int { return places[a] - places[b] })
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	keyed := all[:0]
	for _, t := range all {
		for _, m := range i.o.Models.Tables {
			if m.Name == t.Name {
				t = m
			}
		}
		if len(t.Key) == 0 {
			i.report.NoKey = append(i.report.NoKey, t.Name)
			continue
		}
		keyed = append(keyed, t)
		var n int64
		query := "SELECT count(*) FROM " + schema.QuoteIdent(t.Name) + " WHERE " + schema.QuoteIdent(t.Key[0]) + " IS NULL"
		if err := conn.QueryRowContext(ctx, query).Scan(&n); err != nil {
			return nil, err
		}
		i.report.NullKeys += n
	}
	return keyed, nil
}
