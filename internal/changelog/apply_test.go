package changelog_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/schema"
)

// applier begins a replay into an empty file.
func applier(t *testing.T) (*changelog.Applier, *sql.Conn) {
	t.Helper()
	c := connTo(t, filepath.Join(t.TempDir(), "restored.sqlite"), sqlite.Replay)
	a, err := changelog.NewApplier(context.Background(), c, tip0(), changelog.ApplyOptions{DDLOnly: func(on bool) error { return sqlite.SetDDLOnly(c, on) }})
	must(t, err)
	t.Cleanup(func() { _ = a.Close() })
	return a, c
}

func document(t *testing.T, b *changelog.Batch) *changelog.Document {
	t.Helper()
	d, err := changelog.ParseBatch(changelog.AddIdentity(identity, b.Canonical()))
	must(t, err)
	return d
}

func TestApplyWantsTheChain(t *testing.T) {
	is := is.New(t)
	ctx := context.Background()
	f := newFile(t, numbersTable())
	f.tx(rows(1, 3))
	f.tx(rows(4, 6))
	b := f.cut(tip0(), changelog.CutOptions{Entries: 1})
	a, _ := applier(t)
	is.True(errors.Is(a.Apply(ctx, document(t, b[1])), changelog.ErrChain))
	is.NoErr(a.Apply(ctx, document(t, b[0])))
	is.True(errors.Is(a.Apply(ctx, document(t, b[0])), changelog.ErrChain))
	is.True(errors.Is(a.Apply(ctx, document(t, b[2])), changelog.ErrChain))
	is.NoErr(a.Apply(ctx, document(t, b[1])))
	is.Equal(a.Tip(), b[1].Tip())
	is.Equal(a.Changes(), int64(3))
	// The same sequences from another history.
	g := newFile(t, numbersTable())
	g.tx(rows(1, 3))
	g.tx(rows(7, 9))
	other := g.cut(tip0(), changelog.CutOptions{Entries: 1})
	is.True(errors.Is(a.Apply(ctx, document(t, other[2])), changelog.ErrChain))
	is.NoErr(a.Apply(ctx, document(t, b[2])))
}

func TestApplyHeedsItsContext(t *testing.T) {
	is := is.New(t)
	f := newFile(t, numbersTable())
	f.tx(rows(1, 10000))
	b := f.cut(tip0(), changelog.CutOptions{})
	a, _ := applier(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	is.True(errors.Is(a.Apply(ctx, document(t, b[0])), context.Canceled))
}

func TestApplierRefuses(t *testing.T) {
	ctx := context.Background()
	t.Run("foreign keys", func(t *testing.T) {
		is := is.New(t)
		_, err := changelog.NewApplier(ctx, connTo(t, filepath.Join(t.TempDir(), "x"), sqlite.Writer), tip0(), changelog.ApplyOptions{})
		is.True(err != nil && strings.Contains(err.Error(), "foreign keys"))
	})
	t.Run("another start", func(t *testing.T) {
		is := is.New(t)
		start := tip0()
		start.Sequence = 5
		_, err := changelog.NewApplier(ctx, connTo(t, filepath.Join(t.TempDir(), "x"), sqlite.Replay), start, changelog.ApplyOptions{})
		is.True(err != nil && strings.Contains(err.Error(), "up to 0 where 5"))
	})
	for _, stmt := range []string{
		`INSERT INTO numbers VALUES (1, 'x')`, `DROP TABLE _driftdb_log`, `PRAGMA writable_schema = ON`, `ATTACH 'x' AS y`, `COMMIT`,
		`CREATE TABLE x (y); DELETE FROM numbers`, `CREATE TABLE x AS SELECT * FROM numbers`, `CREATE TRIGGER t AFTER INSERT ON _driftdb_log BEGIN SELECT 1; END`, `nonsense`,
	} {
		t.Run(stmt, func(t *testing.T) {
			is := is.New(t)
			f := newFile(t, numbersTable())
			j, err := changelog.SchemaEntry{Name: "hostile", SQL: []string{stmt}}.JSON()
			is.NoErr(err)
			f.exec(changelog.SchemaSQL, j)
			f.tx(`INSERT INTO numbers VALUES (2, 'y')`)
			a, _ := applier(t)
			err = a.Apply(ctx, document(t, f.cut(tip0(), changelog.CutOptions{})[0]))
			is.True(err != nil)
			is.True(strings.Contains(err.Error(), "schema entry 3: statement 1"))
		})
	}
	t.Run("a row that does not fit its table", func(t *testing.T) {
		is := is.New(t)
		f := newFile(t, numbersTable())
		f.exec(`INSERT INTO _driftdb_log (timestamp, "table", operation, data) VALUES (1, 'numbers', 'insert', '{"n":"secret","t":1}')`)
		a, _ := applier(t)
		err := a.Apply(ctx, document(t, f.cut(tip0(), changelog.CutOptions{})[0]))
		is.True(errors.Is(err, changelog.ErrReplay))
		is.True(!strings.Contains(err.Error(), "secret"))
	})
}

// Nothing fires while rows are replayed, whether its trigger came with a
// snapshot or with a schema entry of the same batch.
func TestNoTriggerFires(t *testing.T) {
	is := is.New(t)
	f := newFile(t, numbersTable())
	f.tx(rows(1, 3))
	a, c := applier(t)
	is.NoErr(a.Apply(context.Background(), document(t, f.cut(tip0(), changelog.CutOptions{})[0])))
	is.Equal(query(t, c, `SELECT count(*) FROM numbers`), []string{"int 3"})
	is.Equal(query(t, c, `SELECT count(*) FROM _driftdb_log`), []string{"int 0"})
}

// The file after Finish: a generation of its own, one starting point, the
// newest log row, the triggers, and it works on.
func TestFinish(t *testing.T) {
	is := is.New(t)
	ctx := context.Background()
	f := newFile(t, world()...)
	f.tx(`INSERT INTO teams VALUES (1, 'a')`, `INSERT INTO teams VALUES (2, 'b')`)
	more := numbersTable()
	f.create(more)
	f.tx(`INSERT INTO numbers VALUES (1, 'x')`)
	b := f.cut(tip0(), changelog.CutOptions{})
	tip := b[len(b)-1].Tip()
	r := &file{t: t, path: replay(t, b)}
	r.w = r.conn(sqlite.Writer)
	is.NoErr(changelog.Init(ctx, changelog.SQL(r.w)))
	p, err := changelog.ReadPosition(ctx, changelog.SQL(r.w))
	is.NoErr(err)
	is.Equal(p.Sequence, tip.Sequence)
	old, err := changelog.ReadPosition(ctx, changelog.SQL(f.w))
	is.NoErr(err)
	is.True(p.Generation != old.Generation)
	is.Equal(r.value(`SELECT group_concat(key, ' ') FROM _driftdb_meta`), "floor format generation schemaVersion")
	is.Equal(r.value(`SELECT group_concat(sequence || operation) FROM _driftdb_log`), "9mark")
	q := r.queue(sqlite.Seal)
	got, err := q.Tip(ctx)
	is.NoErr(err)
	is.Equal(got, tip)
	begin, err := q.Begin(ctx, dbName)
	is.NoErr(err)
	is.Equal(begin, tip)

	// It goes on: the same chain continues.
	r.tx(`UPDATE teams SET name = 'c' WHERE id = 2`, `INSERT INTO numbers VALUES (2, 'y')`)
	next := r.cut(got, changelog.CutOptions{})
	is.Equal(next[0].From, int64(10))
	is.NoErr(q.Seal(ctx, next[0].Seal()))
	diff(t, dump(t, r.path), dump(t, replay(t, append(b, next...))))
}

// A snapshot carries what the log does not have, and the log goes on from it.
func TestSnapshotAndLog(t *testing.T) {
	is := is.New(t)
	ctx := context.Background()
	f := newFile(t, world()...)
	f.exec(`CREATE TABLE foreigner (x)`)
	f.exec(`INSERT INTO foreigner VALUES (1), ('two')`)
	f.exec(`CREATE VIEW v AS SELECT * FROM foreigner`)
	f.exec(`CREATE TRIGGER mine AFTER INSERT ON teams BEGIN INSERT INTO foreigner VALUES (NEW.name); END`)
	f.tx(`INSERT INTO teams VALUES (1, 'a')`, `INSERT INTO users (email, team) VALUES ('u', 1)`)
	batches := f.cut(tip0(), changelog.CutOptions{})
	tip := batches[len(batches)-1].Tip()

	r := f.conn(sqlite.Reader)
	_, err := r.ExecContext(ctx, `BEGIN`)
	is.NoErr(err)
	is.Equal(query(t, r, changelog.NewestSQL), []string{"int 5"})
	path := filepath.Join(t.TempDir(), "snapshot.sqlite")
	is.NoErr(sqlite.Backup(ctx, path, r))
	is.NoErr(r.Close())
	h := changelog.SnapshotHeader{DBName: dbName, NodeID: "0123456789ab", Epoch: 1, Sequence: tip.Sequence, Hash: tip.Hash, MaxTime: tip.MaxTime}
	func() {
		c, closeConn := dial(t, path, sqlite.Replay)
		defer closeConn()
		wrong := h
		wrong.Sequence++
		is.True(changelog.Detach(ctx, c, wrong) != nil)
		is.NoErr(changelog.Detach(ctx, c, h))
		got, err := changelog.ReadSnapshotHeader(ctx, c)
		is.NoErr(err)
		is.Equal(got, h)
		is.Equal(query(t, c, `SELECT count(*), max(sequence) FROM _driftdb_log`), []string{"int 1 int 5"})
		is.Equal(query(t, c, `SELECT count(*) FROM _driftdb_queue`), []string{"int 0"})
	}()

	f.tx(`INSERT INTO teams VALUES (2, 'b')`, `DELETE FROM teams WHERE id = 1`)
	later := f.cut(tip, changelog.CutOptions{})
	is.Equal(later[0].SchemaVersion, int64(1))
	want := dump(t, f.path)
	start := tip
	start.SchemaVersion = 0 // read from the file
	is.Equal(replayOnto(t, path, start, later), int64(0))
	got := dump(t, path)
	// What the application's trigger wrote to a table without a log is the one
	// thing that only the next snapshot brings.
	f.exec(`DELETE FROM foreigner WHERE x = 'b'`)
	diff(t, dump(t, f.path), got)
	is.True(len(want) == len(got)+1)
}

// Tables that gain a column, lose one, are renamed and dropped, all from the
// log.
func TestSchemaChanges(t *testing.T) {
	f := newFile(t, numbersTable())
	f.tx(rows(1, 5))
	migrate := func(tables []schema.Table, stmts ...string) {
		f.exec(`BEGIN IMMEDIATE`)
		e := changelog.SchemaEntry{Name: "m", SQL: stmts}
		for i := range tables {
			e.Tables = append(e.Tables, layoutOf(&tables[i]))
		}
		j, err := e.JSON()
		must(t, err)
		for _, s := range stmts {
			f.exec(s)
		}
		f.exec(changelog.SchemaSQL, j)
		f.exec(changelog.MarkSQL)
		f.exec(`COMMIT`)
	}
	triggers := func(t *schema.Table) (list []string) {
		for _, tr := range t.TriggerSQL() {
			list = append(list, `DROP TRIGGER `+schema.QuoteIdent(tr.Name), tr.SQL)
		}
		return list
	}
	wide := numbersTable()
	wide.Columns = append(wide.Columns, schema.Column{Name: "extra", Type: schema.Integer, NotNull: true, Default: "42"})
	migrate([]schema.Table{wide}, append([]string{`ALTER TABLE numbers ADD COLUMN extra INTEGER NOT NULL DEFAULT 42`}, triggers(&wide)...)...)
	f.tx(rowsWide(6, 9), `UPDATE numbers SET extra = n`)
	checkReplay(t, f, changelog.CutOptions{})
	narrow := wide
	narrow.Columns = []schema.Column{wide.Columns[0], wide.Columns[2]}
	drop := triggers(&narrow)
	migrate([]schema.Table{narrow}, drop[0], drop[2], drop[4], `ALTER TABLE numbers DROP COLUMN t`, drop[1], drop[3], drop[5])
	f.tx(`UPDATE numbers SET extra = extra + 1`, `DELETE FROM numbers WHERE n = 3`)
	checkReplay(t, f, changelog.CutOptions{})
	fresh := numbersTable()
	fresh.Indexes = []schema.Index{{Name: "numbers_t_key", Columns: []string{"t"}, Unique: true}}
	migrate([]schema.Table{fresh}, append([]string{`DROP TABLE numbers`}, tableSQL(&fresh)...)...)
	f.exec(`INSERT INTO numbers VALUES (1, 'fresh')`)
	checkReplay(t, f, changelog.CutOptions{})
	checkReplay(t, f, changelog.CutOptions{Entries: 1})
}

func rowsWide(from, to int) string {
	return strings.Replace(rows(from, to), "INTO numbers", "INTO numbers (n, t)", 1)
}
