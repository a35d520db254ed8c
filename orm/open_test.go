package orm_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/gen_test/basic"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/schema"
)

// widgets returns a table of its own with the columns given.
func widgets(columns ...schema.Column) schema.Schema {
	t := schema.Table{
		Name: "widgets", Model: "Widget",
		Columns: append([]schema.Column{{Name: "id", Type: schema.Text, NotNull: true}}, columns...),
		Key:     []string{"id"},
	}
	for _, c := range columns {
		if c.Collate == "indexed" {
			t.Indexes = append(t.Indexes, schema.Index{Name: "widgets_" + c.Name + "_key", Columns: []string{c.Name}, Unique: true})
		}
	}
	for i := range t.Columns {
		t.Columns[i].Collate = ""
	}
	t.Create, t.Triggers = t.CreateSQL(), t.TriggerSQL()
	return schema.Schema{Tables: []schema.Table{t}}
}

func reopen(t *testing.T, path string, s schema.Schema, fn func(db *orm.DB)) error {
	t.Helper()
	db, err := driftdb.Open(t.Context(), path, s, driftdb.Options{})
	if err != nil {
		return err
	}
	fn(db)
	is.New(t).NoErr(db.Close())
	return nil
}

func TestOpenAddsWhatIsMissing(t *testing.T) {
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "t.sqlite")
	exec := func(db *orm.DB, q string) {
		_, err := db.SQL().Exec(q)
		is.NoErr(err)
	}
	is.NoErr(reopen(t, path, widgets(), func(db *orm.DB) {
		is.Equal(logRows(t, db, "schema"), int64(1))
		exec(db, `INSERT INTO widgets VALUES ('a')`)
	}))
	is.NoErr(reopen(t, path, widgets(), func(db *orm.DB) {
		is.Equal(logRows(t, db, "schema"), int64(1)) // nothing to do, nothing written
	}))
	wider := widgets(schema.Column{Name: "n", Type: schema.Integer, NotNull: true, Default: "7"}, schema.Column{Name: "s", Type: schema.Text, Collate: "indexed"})
	is.NoErr(reopen(t, path, wider, func(db *orm.DB) {
		is.Equal(logRows(t, db, "schema"), int64(2))
		exec(db, `UPDATE widgets SET n = 8`)
		data, err := orm.RawOne[string](t.Context(), db, `SELECT data || before FROM _driftdb_log WHERE operation = 'update'`)
		is.NoErr(err)
		is.Equal(data, `{"n":8}{"n":7}`) // the triggers know the new columns
		entry, err := orm.RawOne[string](t.Context(), db, `SELECT data FROM _driftdb_log WHERE operation = 'schema' ORDER BY sequence DESC LIMIT 1`)
		is.NoErr(err)
		for _, want := range []string{`ADD COLUMN \"n\"`, `ADD COLUMN \"s\"`, `CREATE UNIQUE INDEX`, `DROP TRIGGER`, `CREATE TRIGGER`, `"columns":["id","n","s"]`} {
			is.True(strings.Contains(entry, want))
		}
	}))
	is.NoErr(reopen(t, path, wider, func(db *orm.DB) {
		is.Equal(logRows(t, db, "schema"), int64(2)) // ALTER TABLE rewrote the text; the structure is the same
	}))
}

// TestTriggersOfTheApplication: SQLite runs the newest trigger first; the log
// must have the cause before the effect.
func TestTriggersOfTheApplication(t *testing.T) {
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "t.sqlite")
	s := widgets(schema.Column{Name: "n", Type: schema.Integer})
	is.NoErr(reopen(t, path, s, func(db *orm.DB) {
		_, err := db.SQL().Exec(`CREATE TRIGGER mine AFTER INSERT ON widgets BEGIN UPDATE widgets SET n = 1 WHERE id = NEW.id; END`)
		is.NoErr(err)
	}))
	is.NoErr(reopen(t, path, s, func(db *orm.DB) {
		_, err := db.SQL().Exec(`INSERT INTO widgets VALUES ('a', 0)`)
		is.NoErr(err)
		ops, err := orm.RawAll[string](t.Context(), db, `SELECT operation FROM _driftdb_log WHERE "table" = 'widgets' ORDER BY sequence`)
		is.NoErr(err)
		is.Equal(ops, []string{"insert", "update"})
	}))
	before := int64(0)
	is.NoErr(reopen(t, path, s, func(db *orm.DB) { before = logRows(t, db, "schema") }))
	is.NoErr(reopen(t, path, s, func(db *orm.DB) { is.Equal(logRows(t, db, "schema"), before) }))
}

// A trigger that is made through the database is older than ours at once, also in a
// transaction, and a statement that fails leaves ours as they were.
func TestTriggerMadeWhileOpen(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "t.sqlite")
	s := widgets(schema.Column{Name: "n", Type: schema.Integer})
	is.NoErr(reopen(t, path, s, func(db *orm.DB) {
		ops := func() []string {
			ops, err := orm.RawAll[string](t.Context(), db, `SELECT operation FROM _driftdb_log WHERE "table" = 'widgets' ORDER BY sequence`)
			is.NoErr(err)
			return ops
		}
		schemas := logRows(t, db, "schema")
		_, err := orm.Exec(t.Context(), db, `/* of ours */ create trigger if not exists mine AFTER INSERT ON widgets BEGIN UPDATE widgets SET n = 1 WHERE id = NEW.id; END`)
		is.NoErr(err)
		_, err = orm.Exec(t.Context(), db, `INSERT INTO widgets VALUES ('a', 0)`)
		is.NoErr(err)
		is.Equal(ops(), []string{"insert", "update"})
		is.NoErr(db.Tx(t.Context(), func(ctx context.Context, tx *orm.Tx) error {
			if _, err := orm.Exec(ctx, tx, `CREATE TRIGGER other AFTER UPDATE OF n ON widgets WHEN NEW.n = 1 BEGIN DELETE FROM widgets WHERE id = NEW.id; END`); err != nil {
				return err
			}
			_, err := orm.Exec(ctx, tx, `INSERT INTO widgets VALUES ('b', 0)`)
			return err
		}))
		is.Equal(ops(), []string{"insert", "update", "insert", "update", "delete"})
		_, err = orm.Exec(t.Context(), db, `CREATE TRIGGER mine AFTER INSERT ON widgets BEGIN SELECT 1; END`)
		is.True(err != nil)
		_, err = orm.Exec(t.Context(), db, `INSERT INTO widgets VALUES ('c', 0)`)
		is.NoErr(err)
		is.Equal(len(ops()), 8)
		is.Equal(logRows(t, db, "schema"), schemas)
	}))
}

func TestOpenRefusesOtherDifferences(t *testing.T) {
	is := is.New(t)
	start := widgets(schema.Column{Name: "n", Type: schema.Integer}, schema.Column{Name: "s", Type: schema.Text, NotNull: true})
	for want, s := range map[string]schema.Schema{
		"n is INTEGER in the file, REAL in the model": widgets(schema.Column{Name: "n", Type: schema.Real}, schema.Column{Name: "s", Type: schema.Text, NotNull: true}),
		"column s is in the file but not":             widgets(schema.Column{Name: "n", Type: schema.Integer}),
		"n may be NULL in the file":                   widgets(schema.Column{Name: "n", Type: schema.Integer, NotNull: true}, schema.Column{Name: "s", Type: schema.Text, NotNull: true}),
		"s is NOT NULL in the file":                   widgets(schema.Column{Name: "n", Type: schema.Integer}, schema.Column{Name: "s", Type: schema.Text}),
		"n has the default":                           widgets(schema.Column{Name: "n", Type: schema.Integer, Default: "5"}, schema.Column{Name: "s", Type: schema.Text, NotNull: true}),
		"column widgets.more cannot be added":         widgets(append(start.Tables[0].Columns[1:], schema.Column{Name: "more", Type: schema.Text, NotNull: true})...),
	} {
		path := filepath.Join(t.TempDir(), "t.sqlite")
		is.NoErr(reopen(t, path, start, func(*orm.DB) {}))
		err := reopen(t, path, s, func(*orm.DB) {})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
		is.NoErr(reopen(t, path, start, func(db *orm.DB) { is.Equal(logRows(t, db, "schema"), int64(1)) })) // nothing was changed
	}
}

func TestOpenLeavesOtherTablesAlone(t *testing.T) {
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "t.sqlite")
	plain, err := sql.Open("sqlite3", path)
	is.NoErr(err)
	_, err = plain.Exec(`CREATE TABLE mine (x); INSERT INTO mine VALUES (1); CREATE VIEW users AS SELECT 1`)
	is.NoErr(err)
	is.NoErr(plain.Close())
	_, err = driftdb.Open(t.Context(), path, basic.Schema, driftdb.Options{})
	is.True(err != nil && strings.Contains(err.Error(), "has a view of this name"))
	db, err := driftdb.Open(t.Context(), path, widgets(), driftdb.Options{})
	is.NoErr(err)
	n, err := orm.RawOne[int](context.Background(), db, `SELECT x FROM mine`)
	is.NoErr(err)
	is.Equal(n, 1)
	is.NoErr(db.Vacuum(t.Context()))
	is.NoErr(db.Close())
}

// TestTwoProcessesOpenAtOnce stands in for them with two handles.
func TestTwoHandlesOpenAtOnce(t *testing.T) {
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "t.sqlite")
	errs := make(chan error, 4)
	for range 4 {
		go func() {
			db, err := driftdb.Open(context.Background(), path, basic.Schema, driftdb.Options{})
			if err == nil {
				err = db.Close()
			}
			errs <- err
		}()
	}
	for range 4 {
		is.NoErr(<-errs)
	}
	db := openAt(t, path, driftdb.Options{})
	is.Equal(logRows(t, db, "schema"), int64(1))
}
