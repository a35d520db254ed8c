package replicate_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// foreign runs SQL as another program would.
func foreign(t testing.TB, path, query string) {
	t.Helper()
	db := sql.OpenDB(sqlite.Connector(path, sqlite.Plain))
	_, err := db.ExecContext(t.Context(), query)
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

// watching are options that take snapshots only where one is due.
func watching(events *recorder) replicate.Options {
	o := fast()
	o.Snapshot = replicate.SnapshotRule{Every: 1 << 40}
	o.Events = events.add
	return o
}

// A change of what the log depends on stops shipping, by name and with what has
// changed; undone, it goes on, with a snapshot because of what was not logged.
func TestSchemaDrift(t *testing.T) {
	t.Parallel()
	trigger := tables()[0].TriggerSQL()[1].SQL
	for name, c := range map[string]struct{ change, says, undo string }{
		"a column":       {`ALTER TABLE items ADD COLUMN extra TEXT`, `extra TEXT`, `ALTER TABLE items DROP COLUMN extra`},
		"a trigger":      {`DROP TRIGGER _driftdb_items_update; UPDATE items SET n = 4711`, `trigger _driftdb_items_update was dropped`, trigger},
		"another one":    {`DROP TRIGGER _driftdb_items_delete; CREATE TRIGGER _driftdb_items_delete AFTER DELETE ON items BEGIN SELECT 1; END`, `trigger _driftdb_items_delete was changed`, ``},
		"a table":        {`ALTER TABLE pairs RENAME TO couples`, `table pairs was dropped`, `ALTER TABLE couples RENAME TO pairs`},
		"the log's name": {`ALTER TABLE _driftdb_meta ADD COLUMN extra`, `table _driftdb_meta was changed`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			store, events := memstore.New(), &recorder{}
			a := openApp(t, dbPath(t))
			r := start(t, a, store, watching(events))
			a.insert(1, 5)
			flush(t, r)
			before := len(keys(t, store))
			foreign(t, a.path, c.change)
			err := r.Flush(t.Context())
			if !errors.Is(err, replicate.ErrSchemaDrift) {
				t.Fatal(err)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v\nwant %s", err, c.says)
			}
			is.True(errors.Is(r.Status().LastError, replicate.ErrSchemaDrift))
			is.Equal(len(keys(t, store)), before)

			kill(t, r) // a restart forgets nothing
			r = start(t, a, store, watching(events))
			is.True(errors.Is(r.Flush(t.Context()), replicate.ErrSchemaDrift))
			if c.undo == "" {
				return
			}
			foreign(t, a.path, c.undo)
			a.insert(6, 7)
			flush(t, r)
			is.NoErr(r.Snapshot(t.Context()))
			is.Equal(len(manifest(t, store).Snapshots), 1)
			path, _ := restore(t, store)
			is.Equal(itemsOf(t, path), itemsOf(t, a.path)) // what was changed without its trigger, too
		})
	}
}

// itemsOf returns the rows alone: ALTER TABLE leaves other spaces behind.
func itemsOf(t testing.TB, path string) string {
	t.Helper()
	all := dump(t, path)
	return all[strings.Index(all, "item "):]
}

// AcceptSchema takes a changed structure as it is.
func TestAcceptSchema(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store, events := memstore.New(), &recorder{}
	a := openApp(t, dbPath(t))
	r := start(t, a, store, watching(events))
	a.insert(1, 5)
	flush(t, r)
	foreign(t, a.path, `CREATE UNIQUE INDEX mine ON items (n); ALTER TABLE items ADD COLUMN extra TEXT`)
	is.True(errors.Is(r.Flush(t.Context()), replicate.ErrSchemaDrift))
	is.NoErr(r.AcceptSchema(t.Context()))
	is.Equal(len(manifest(t, store).Snapshots), 1)
	a.insert(6, 7)
	flush(t, r)
	sameAsRestored(t, a, store)
	kill(t, r)
	r = start(t, a, store, watching(events))
	a.insert(8, 8)
	flush(t, r)
	is.Equal(len(manifest(t, store).Snapshots), 1) // nothing is owed any more
}

// VACUUM, ANALYZE and REINDEX are nothing; an index, view, trigger or table that no
// entry tells of is an event, and a snapshot carries it.
func TestForeignStructure(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store, events := memstore.New(), &recorder{}
	a := openApp(t, dbPath(t))
	r := start(t, a, store, watching(events))
	a.insert(1, 5)
	flush(t, r)
	for _, q := range []string{`VACUUM`, `ANALYZE`, `REINDEX`} {
		foreign(t, a.path, q)
		flush(t, r)
	}
	is.Equal(len(events.of(replicate.EventSchema)), 0)
	is.Equal(len(manifest(t, store).Snapshots), 0)

	seen := 0
	for i, c := range []struct{ change, says string }{
		{`CREATE INDEX mine ON items (x)`, "index mine was made"},
		{`CREATE VIEW v AS SELECT * FROM items`, "view v was made"},
		{`CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)`, "table notes was made"},
		{`CREATE TRIGGER tr AFTER INSERT ON notes BEGIN SELECT 1; END`, "trigger tr was made"},
		{`ALTER TABLE notes ADD COLUMN more TEXT`, "table notes was changed"},
		{`DROP INDEX mine`, "index mine was dropped"},
		{`CREATE VIRTUAL TABLE words USING fts4(text)`, "virtual table words was made"},
	} {
		foreign(t, a.path, c.change)
		flush(t, r)
		is.NoErr(r.AwaitSnapshot(t.Context()))
		is.Equal(len(manifest(t, store).Snapshots), i+1)
		found := events.of(replicate.EventSchema)
		is.Equal(found[seen].Key, c.says)
		seen = len(found)
		sameAsRestored(t, a, store)
	}

	// What is due is not forgotten by a crash before the snapshot.
	foreign(t, a.path, `CREATE TABLE late (id INTEGER PRIMARY KEY)`)
	r.SetHook(crashAt("snapshot-begun", 1))
	is.True(r.Flush(t.Context()) != nil)
	kill(t, r)
	r = start(t, a, store, watching(events))
	flush(t, r)
	is.NoErr(r.AwaitSnapshot(t.Context()))
	sameAsRestored(t, a, store)
}

// What migrations and Open do is in the log: no event, no snapshot.
func TestStructureOfTheLog(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store, events := memstore.New(), &recorder{}
	a := openApp(t, dbPath(t))
	r := start(t, a, store, watching(events))
	a.insert(1, 5)
	flush(t, r)
	migrate := func(name string, ddl ...string) {
		a.in(func(x changelog.Execer) error {
			entry := changelog.SchemaEntry{Version: 1, Name: name, SQL: ddl}
			for _, table := range tables() {
				layout := changelog.Layout{Name: table.Name, Key: table.Key}
				for _, c := range table.Columns {
					layout.Columns = append(layout.Columns, c.Name)
				}
				entry.Tables = append(entry.Tables, layout)
			}
			for _, stmt := range ddl {
				if err := x.Exec(t.Context(), stmt); err != nil {
					return err
				}
			}
			text, err := entry.JSON()
			if err != nil {
				return err
			}
			return x.Exec(t.Context(), changelog.SchemaSQL, text)
		})
	}
	migrate("1", `CREATE INDEX items_x ON items (x)`, `CREATE VIEW v AS SELECT id FROM items`)
	a.insert(6, 7)
	flush(t, r)
	is.Equal(len(events.of(replicate.EventSchema)), 0)
	is.Equal(len(manifest(t, store).Snapshots), 0)
	sameAsRestored(t, a, store)

	// Open makes a trigger anew that had been dropped: what happened in between
	// is in no log.
	foreign(t, a.path, `DROP TRIGGER _driftdb_items_update; UPDATE items SET n = 4711`)
	a.close() // Open has a connection of its own
	a = openApp(t, a.path)
	migrate("open", tables()[0].TriggerSQL()[1].SQL)
	flush(t, r)
	is.NoErr(r.AwaitSnapshot(t.Context()))
	is.Equal(len(manifest(t, store).Snapshots), 1)
	is.Equal(events.of(replicate.EventSchema)[0].Key, "trigger _driftdb_items_update had been dropped")
	sameAsRestored(t, a, store)
}

// A file that was never watched is looked at with what its log says.
func TestMissingTriggerAtTheFirstStart(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	a := openApp(t, dbPath(t))
	foreign(t, a.path, `DROP TRIGGER _driftdb_pairs_delete; CREATE TABLE notes (id INTEGER PRIMARY KEY)`)
	r := start(t, a, memstore.New(), fast())
	err := r.Flush(t.Context())
	is.True(errors.Is(err, replicate.ErrSchemaDrift))
	is.True(strings.Contains(err.Error(), "trigger _driftdb_pairs_delete is missing"))
}
