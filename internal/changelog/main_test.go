package changelog_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/schema"
)

const dbName = "test"

// file is a database under test.
type file struct {
	t    testing.TB
	path string
	w    *sql.Conn // Writer
	open []func()
}

// close ends every connection, before the test ends.
func (f *file) close() {
	for _, c := range f.open {
		c()
	}
	f.open = nil
}

// newFile makes a database with tables, as Open would: local tables,
// the user's, indexes, triggers, one schema entry and a mark in one transaction.
func newFile(tb testing.TB, tables ...schema.Table) *file {
	tb.Helper()
	f := &file{t: tb, path: filepath.Join(tb.TempDir(), "data.sqlite")}
	f.w = f.conn(sqlite.Writer)
	f.create(tables...)
	return f
}

// create runs the DDL of tables in one transaction.
func (f *file) create(tables ...schema.Table) {
	f.t.Helper()
	ctx := context.Background()
	f.exec("BEGIN IMMEDIATE")
	f.must(changelog.Init(ctx, changelog.SQL(f.w)))
	e := changelog.SchemaEntry{Name: "open"}
	for i := range tables {
		e.SQL = append(e.SQL, tableSQL(&tables[i])...)
		e.Tables = append(e.Tables, layoutOf(&tables[i]))
	}
	for _, stmt := range e.SQL {
		f.exec(stmt)
	}
	if len(tables) > 0 {
		j, err := e.JSON()
		f.must(err)
		f.exec(changelog.SchemaSQL, j)
		f.exec(changelog.MarkSQL)
	}
	f.exec("COMMIT")
}

func tableSQL(t *schema.Table) []string {
	list := []string{t.CreateSQL()}
	for _, ix := range t.Indexes {
		list = append(list, ix.SQL(t.Name))
	}
	for _, tr := range t.TriggerSQL() {
		list = append(list, tr.SQL)
	}
	return list
}

func layoutOf(t *schema.Table) changelog.Layout {
	l := changelog.Layout{Name: t.Name, Key: t.Key}
	for _, c := range t.Columns {
		l.Columns = append(l.Columns, c.Name)
	}
	return l
}

// conn opens a connection that the test closes.
func (f *file) conn(m sqlite.Mode) *sql.Conn {
	f.t.Helper()
	if f.open == nil {
		f.t.Cleanup(f.close)
	}
	c, closeConn := dial(f.t, f.path, m)
	f.open = append(f.open, closeConn)
	return c
}

func connTo(tb testing.TB, path string, m sqlite.Mode) *sql.Conn {
	tb.Helper()
	c, closeConn := dial(tb, path, m)
	tb.Cleanup(closeConn)
	return c
}

func dial(tb testing.TB, path string, m sqlite.Mode) (*sql.Conn, func()) {
	tb.Helper()
	db := sql.OpenDB(sqlite.Connector(path, m))
	c, err := db.Conn(context.Background())
	if err != nil {
		tb.Fatal(errors.Join(err, db.Close()))
	}
	return c, func() {
		_ = c.Close() // a test may have closed it
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	}
}

func (f *file) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *file) exec(query string, args ...any) {
	f.t.Helper()
	if err := f.try(query, args...); err != nil {
		f.t.Fatalf("%s: %v", query, err)
	}
}

func (f *file) try(query string, args ...any) error {
	_, err := f.w.ExecContext(context.Background(), query, args...)
	return err
}

// tx runs statements in a transaction that ends with a mark, as the orm's do.
func (f *file) tx(stmts ...string) {
	f.t.Helper()
	f.exec("BEGIN IMMEDIATE")
	for _, s := range stmts {
		f.exec(s)
	}
	f.exec(changelog.MarkSQL)
	f.exec("COMMIT")
}

func (f *file) value(query string) string {
	f.t.Helper()
	var v sql.NullString
	f.must(f.w.QueryRowContext(context.Background(), query).Scan(&v))
	return v.String
}

// cut returns every batch behind tip.
func (f *file) cut(tip changelog.Tip, o changelog.CutOptions) []*changelog.Batch {
	f.t.Helper()
	list, err := f.tryCut(tip, o)
	f.must(err)
	return list
}

func (f *file) tryCut(tip changelog.Tip, o changelog.CutOptions) (list []*changelog.Batch, err error) {
	f.t.Helper()
	ctx := context.Background()
	r := f.conn(sqlite.Reader)
	defer func() { f.must(r.Close()) }()
	_, err = r.ExecContext(ctx, "BEGIN")
	f.must(err)
	for b, err := range changelog.Cut(ctx, r, tip, o) {
		if err != nil {
			return list, err
		}
		list = append(list, b)
	}
	_, err = r.ExecContext(ctx, "ROLLBACK")
	f.must(err)
	return list, nil
}

func tip0() changelog.Tip { return changelog.Tip{Hash: changelog.Hash0(dbName)} }

var identity = changelog.Identity{DBName: dbName, NodeID: "0123456789ab", Epoch: 1, Part: 1, Parts: 1}

// replay applies batches to an empty file and returns its path.
func replay(tb testing.TB, batches []*changelog.Batch) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "restored.sqlite")
	superseded := replayOnto(tb, path, tip0(), batches)
	if superseded != 0 {
		tb.Errorf("%d changes did not fit", superseded)
	}
	return path
}

func replayOnto(tb testing.TB, path string, start changelog.Tip, batches []*changelog.Batch) (superseded int64) {
	tb.Helper()
	ctx := context.Background()
	db := sql.OpenDB(sqlite.Connector(path, sqlite.Replay))
	c, err := db.Conn(ctx)
	must(tb, err)
	a, err := changelog.NewApplier(ctx, c, start, changelog.ApplyOptions{DDLOnly: func(on bool) error { return sqlite.SetDDLOnly(c, on) }})
	must(tb, err)
	for _, b := range batches {
		d, err := changelog.ParseBatch(changelog.AddIdentity(identity, b.Canonical()))
		must(tb, err)
		if d.Hash() != b.Hash || !bytes.Equal(d.Canonical(), b.Canonical()) {
			tb.Fatal("the hash of a batch read back differs")
		}
		must(tb, a.Apply(ctx, d))
	}
	if len(batches) > 0 {
		if want := batches[len(batches)-1].Tip(); a.Tip() != want {
			tb.Errorf("replay ends at %+v, the chain at %+v", a.Tip(), want)
		}
	}
	_, err = a.Finish(ctx)
	must(tb, err)
	superseded = a.Superseded()
	must(tb, a.Close())
	must(tb, sqlite.IntegrityCheck(ctx, c))
	must(tb, errors.Join(c.Close(), db.Close()))
	return superseded
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// dump returns the schema and every row of the user's tables, exactly.
func dump(tb testing.TB, path string) []string {
	tb.Helper()
	c, closeConn := dial(tb, path, sqlite.Plain)
	defer closeConn()
	lines := query(tb, c, `SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE '\_driftdb\_%' ESCAPE '\' OR type = 'trigger' ORDER BY type, name`)
	var names []string
	for _, l := range query(tb, c, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\_driftdb\_%' ESCAPE '\' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name`) {
		names = append(names, l[len("text "):])
	}
	for _, n := range names {
		name, err := strconv.Unquote(n)
		must(tb, err)
		cols := query(tb, c, `SELECT group_concat('"' || replace(name, '"', '""') || '"', ', ') FROM pragma_table_info(`+schema.QuoteText(name)+`)`)
		list, err := strconv.Unquote(cols[0][len("text "):])
		must(tb, err)
		lines = append(lines, "table "+name)
		lines = append(lines, query(tb, c, `SELECT `+list+` FROM `+schema.QuoteIdent(name)+` ORDER BY `+list)...)
	}
	return lines
}

// query returns rows as text: storage class and exact value of every column.
func query(tb testing.TB, c *sql.Conn, q string) (lines []string) {
	tb.Helper()
	rows, err := c.QueryContext(context.Background(), q)
	must(tb, err)
	defer func() { must(tb, rows.Close()) }()
	cols, err := rows.Columns()
	must(tb, err)
	for rows.Next() {
		v, dst := make([]any, len(cols)), make([]any, len(cols))
		for i := range v {
			dst[i] = &v[i]
		}
		must(tb, rows.Scan(dst...))
		var line bytes.Buffer
		for i, v := range v {
			if i > 0 {
				line.WriteByte(' ')
			}
			switch v := v.(type) {
			case nil:
				line.WriteString("null")
			case int64:
				fmt.Fprintf(&line, "int %d", v)
			case float64:
				fmt.Fprintf(&line, "real %016x", math.Float64bits(v))
			case string:
				fmt.Fprintf(&line, "text %+q", v)
			case []byte:
				fmt.Fprintf(&line, "blob %x", v)
			default:
				tb.Fatalf("%T", v)
			}
		}
		lines = append(lines, line.String())
	}
	must(tb, rows.Err())
	return lines
}

// checkReplay ships everything in f and compares what comes back.
func checkReplay(tb testing.TB, f *file, o changelog.CutOptions) {
	tb.Helper()
	if d := cmp.Diff(dump(tb, f.path), dump(tb, replay(tb, f.cut(tip0(), o)))); d != "" {
		tb.Fatalf("restored differs (-source +restored):\n%s", d)
	}
}

func diff(tb testing.TB, want, got []string) {
	tb.Helper()
	if d := cmp.Diff(want, got); d != "" {
		tb.Fatalf("restored differs (-source +restored):\n%s", d)
	}
}
