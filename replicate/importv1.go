package replicate

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/durable"
	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/internal/v1"
	"github.com/driftdb/driftdb/schema"
)

// ImportV1Options of ImportV1.
type ImportV1Options struct {
	// Key is the original's encryption.key. Defaults to none. Whether objects
	// are compressed or encrypted shows in their bytes.
	Key Key

	// Schema are CREATE statements of the tables. A backup without a snapshot
	// needs them: the original's logs have none. Their names are the original's:
	// id TEXT PRIMARY KEY, createdAt INTEGER NOT NULL, updatedAt INTEGER NOT NULL.
	Schema []string

	// Node says whose rows, where several nodes used one name. Defaults to the
	// node of the snapshot that the manifest names, else the manifest's.
	Node string

	Retry  Retry        // as in Options
	Logger *slog.Logger // defaults to none
}

// ImportV1Report is what an import did. It encodes as JSON.
type ImportV1Report struct {
	Node       string   `json:"node"`
	OtherNodes []string `json:"otherNodes,omitempty"` // that have stored something under the name; see ImportV1Options.Node
	Snapshot   int64    `json:"snapshot"`             // sequence that the snapshot covers; 0 for none
	Tables     []string `json:"tables"`

	// ManifestSequence is the largest that any node has uploaded, by the
	// manifest. Last is less where another node has come further.
	ManifestSequence int64 `json:"manifestSequence"`

	v1.Report
}

// ImportV1 rebuilds the database called name from what the original DriftDB, the
// npm package, has stored, as the file path, where none may be: its snapshot and
// every log entry behind it. The original's own tables are left out and the change
// log of this version is put in, so that a Replica can go on with the file under
// another name, beginning with a snapshot. The backup is only read. name is what
// the original's dbName was, also one that is no name today.
func ImportV1(ctx context.Context, name string, store Store, path string, o ImportV1Options) (ImportV1Report, error) {
	report, err := importV1(ctx, name, store, path, o)
	if err != nil {
		return report, fmt.Errorf("import %q to %s: %w", name, path, err)
	}
	return report, nil
}

func importV1(ctx context.Context, name string, store Store, path string, o ImportV1Options) (report ImportV1Report, err error) {
	filled := Options{Retry: o.Retry, Logger: o.Logger}.withDefaults()
	if err := filled.validate(); err != nil {
		return report, err
	}
	if name = strings.TrimSpace(name); name == "" {
		return report, errors.New("the name of the database is empty")
	}
	side, err := openSidecar(path)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, side.close()) }()
	if there, err := exists(side.file); err != nil {
		return report, err
	} else if there {
		return report, ErrExists
	}
	if err := side.clean(); err != nil {
		return report, err
	}
	i := &importer{
		name: name, o: o,
		r: &restorer{name: name, store: &bucket{Store: store}, side: side, retry: filled.Retry, logger: filled.Logger, now: filled.Now},
	}
	if err := i.plan(ctx); err != nil {
		return report, err
	}
	dir, err := os.MkdirTemp(side.dir, "restore-")
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	err = i.build(ctx, filepath.Join(dir, "new.sqlite"))
	return i.report, err
}

type importer struct {
	name     string
	o        ImportV1Options
	r        *restorer
	manifest v1.Manifest
	snapshot string   // key; empty for none
	logs     []string // keys of the node's batches
	report   ImportV1Report
}

// get reads an object whole.
func (i *importer) get(ctx context.Context, key string) (b []byte, err error) {
	err = i.r.retry.do(ctx, func() error {
		body, _, err := i.r.store.Get(ctx, key)
		if err != nil {
			return err
		}
		b, err = io.ReadAll(body)
		return errors.Join(err, body.Close())
	})
	return b, err
}

// plan reads the manifest and lists what is stored.
func (i *importer) plan(ctx context.Context) error {
	stored, err := i.get(ctx, v1.ManifestKey(i.name))
	if errors.Is(err, ErrNotExist) {
		return ErrNoBackup
	}
	if err != nil {
		return err
	}
	if i.manifest, err = v1.ParseManifest(stored); err != nil {
		return fmt.Errorf("%w: %w", err, ErrCorrupt)
	}
	i.snapshot = i.manifest.SnapshotKey
	node := i.manifest.NodeID
	if i.snapshot != "" {
		if node, err = v1.SnapshotNode(i.name, i.snapshot); err != nil {
			return fmt.Errorf("%w: %w", err, ErrCorrupt)
		}
	}
	if i.o.Node != "" && i.o.Node != node {
		node, i.snapshot = i.o.Node, ""
	}
	i.report.Node, i.report.ManifestSequence = node, i.manifest.Sequence
	return i.r.retry.do(ctx, func() error { return i.list(ctx, node) })
}

// list finds the batches of the node, its newest snapshot if another one than the
// manifest's is wanted, and other nodes.
func (i *importer) list(ctx context.Context, node string) error {
	i.logs = nil
	others := map[string]bool{}
	nodes := "databases/" + i.name + "/nodes/"
	snapshots := nodes + node + "/snapshots/"
	for info, err := range i.r.store.List(ctx, nodes, "") {
		if err != nil {
			return err
		}
		switch {
		case strings.HasPrefix(info.Key, v1.LogsPrefix(i.name, node)):
			if _, _, ok := v1.Range(info.Key); ok {
				i.logs = append(i.logs, info.Key)
			}
		case strings.HasPrefix(info.Key, snapshots):
			if i.o.Node != "" && i.manifest.SnapshotKey != i.snapshot && info.Key > i.snapshot {
				i.snapshot = info.Key // their names are times
			}
		default:
			if id, _, ok := strings.Cut(strings.TrimPrefix(info.Key, nodes), "/"); ok && id != node {
				others[id] = true
			}
		}
	}
	slices.SortFunc(i.logs, func(a, b string) int {
		fromA, toA, _ := v1.Range(a)
		fromB, toB, _ := v1.Range(b)
		if fromA != fromB {
			return int(fromA - fromB)
		}
		return int(toA - toB)
	})
	i.report.OtherNodes = slices.Sorted(maps.Keys(others))
	return nil
}

// open undoes encryption and compression.
func (i *importer) open(key string, stored []byte) ([]byte, error) {
	var secret []byte
	if !i.o.Key.IsZero() {
		var err error
		if secret, err = hex.DecodeString(i.o.Key.Reveal()); err != nil {
			return nil, err
		}
	}
	plain, err := v1.Open(stored, secret)
	if errors.Is(err, v1.ErrKey) {
		return nil, fmt.Errorf("%s: %w: %w", key, err, ErrNoKey)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", key, err, ErrCorrupt)
	}
	return plain, nil
}

func (i *importer) build(ctx context.Context, path string) (err error) {
	if i.snapshot != "" {
		stored, err := i.get(ctx, i.snapshot)
		if errors.Is(err, ErrNotExist) {
			return fmt.Errorf("the snapshot: %w: %w", ErrMissing, err)
		}
		if err != nil {
			return err
		}
		plain, err := i.open(i.snapshot, stored)
		if err != nil {
			return err
		}
		if err := durable.WriteFile(path, plain, 0o600); err != nil {
			return err
		}
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
	if err := i.replay(ctx, conn); err != nil {
		return errors.Join(err, conn.Close())
	}
	if err := i.convert(ctx, conn); err != nil {
		return errors.Join(fmt.Errorf("convert: %w", err), conn.Close())
	}
	if err := errors.Join(conn.Close(), db.Close()); err != nil {
		return err
	}
	db = nil
	if err := toWAL(ctx, path); err != nil {
		return err
	}
	if err := durable.SyncFile(path); err != nil {
		return err
	}
	return i.r.place(ctx, path)
}

func (i *importer) replay(ctx context.Context, conn *sql.Conn) error {
	if i.snapshot != "" {
		if err := sqlite.IntegrityCheck(ctx, conn); err != nil {
			return fmt.Errorf("%s: %w", i.snapshot, damaged(err))
		}
		err := conn.QueryRowContext(ctx, `SELECT seq FROM sqlite_sequence WHERE name = '_driftdb_log'`).Scan(&i.report.Snapshot)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%s: the sequence that it covers: %w: %w", i.snapshot, err, ErrCorrupt)
		}
	} else if len(i.o.Schema) == 0 {
		return errors.New("the backup has no snapshot, and the original's logs have no tables: give their CREATE statements (ImportV1Options.Schema)")
	}
	for _, stmt := range i.o.Schema {
		if i.snapshot != "" {
			break // it has the tables
		}
		if err := ddl(ctx, conn, stmt); err != nil {
			return fmt.Errorf("%s: %w", stmt, err)
		}
	}
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	replayer, err := v1.NewReplayer(ctx, conn, i.report.Snapshot)
	if err != nil {
		return err
	}
	for _, key := range i.logs {
		if _, to, _ := v1.Range(key); to <= replayer.Report().Last {
			continue
		}
		stored, err := i.get(ctx, key)
		if err != nil {
			return err
		}
		plain, err := i.open(key, stored)
		if err != nil {
			return err
		}
		err = replayer.Apply(ctx, plain)
		switch {
		case errors.Is(err, v1.ErrGap):
			return fmt.Errorf("%s: %w: %w", key, err, ErrMissing)
		case err != nil:
			return fmt.Errorf("%s: %w: %w", key, err, ErrCorrupt)
		}
	}
	i.report.Report = replayer.Report()
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
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

// convert takes the original's tables out and the change log in.
func (i *importer) convert(ctx context.Context, conn *sql.Conn) error {
	for _, stmt := range []string{
		`DROP TABLE IF EXISTS _driftdb_meta`, `DROP TABLE IF EXISTS _driftdb_log`, `DROP TABLE IF EXISTS _driftdb_queue`, `VACUUM`,
	} {
		if _, err := conn.ExecContext(ctx, stmt); err != nil {
			return err
		}
	}
	tables, err := userTables(ctx, conn)
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
			layout.Columns = append(layout.Columns, c.Name)
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
	if err := x.Exec(ctx, changelog.SchemaSQL, text); err != nil {
		return err
	}
	if err := x.Exec(ctx, changelog.MarkSQL); err != nil {
		return err
	}
	if err := x.Exec(ctx, "COMMIT"); err != nil {
		return err
	}
	return sqlite.IntegrityCheck(ctx, conn)
}

// userTables describes the tables as far as the change log wants to know.
func userTables(ctx context.Context, conn *sql.Conn) (all []schema.Table, err error) {
	rows, err := conn.QueryContext(ctx, `SELECT m.name, c.name, c.pk FROM sqlite_schema m, pragma_table_info(m.name) c
WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY m.name, c.cid`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var table, name string
		var pk int
		if err := rows.Scan(&table, &name, &pk); err != nil {
			return nil, err
		}
		if len(all) == 0 || all[len(all)-1].Name != table {
			all = append(all, schema.Table{Name: table})
		}
		t := &all[len(all)-1]
		t.Columns = append(t.Columns, schema.Column{Name: name, Type: schema.Any})
		if pk > 0 {
			t.Key = append(t.Key, name)
		}
	}
	return slices.DeleteFunc(all, func(t schema.Table) bool { return len(t.Key) == 0 }), rows.Err()
}
