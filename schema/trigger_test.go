package schema_test

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/driftdb/driftdb/schema"
	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"
	_ "github.com/mattn/go-sqlite3"
)

const logSQL = `CREATE TABLE _driftdb_log (sequence INTEGER PRIMARY KEY, timestamp INTEGER, "table" TEXT, operation TEXT, key TEXT, data TEXT, before TEXT)`

var things = schema.Table{
	Name: "things", Model: "Thing",
	Columns: []schema.Column{
		{Name: "id", Type: schema.Text, NotNull: true},
		{Name: "n", Type: schema.Integer},
		{Name: "r", Type: schema.Real},
		{Name: "s", Type: schema.Text, Collate: "NOCASE"},
		{Name: "b", Type: schema.Blob},
		{Name: "a", Type: schema.Any},
		{Name: `say "it's" \ now`, Type: schema.Text},
		{Name: "must", Type: schema.Integer, NotNull: true, Default: "0"},
	},
	Key:     []string{"id"},
	Indexes: []schema.Index{{Name: "things_n_key", Columns: []string{"n"}, Unique: true}},
}

func openLogged(t *testing.T, dsn string, tables ...schema.Table) *sql.DB {
	t.Helper()
	is := is.New(t)
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(t.TempDir(), "t.sqlite")+dsn)
	is.NoErr(err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { is.NoErr(db.Close()) })
	exec(t, db, logSQL)
	for _, table := range tables {
		is.NoErr(table.Validate())
		exec(t, db, table.CreateSQL())
		for _, ix := range table.Indexes {
			exec(t, db, ix.SQL(table.Name))
		}
		for _, tr := range table.TriggerSQL() {
			exec(t, db, tr.SQL)
		}
	}
	return db
}

func exec(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.Exec(query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// entries returns the log as lines: operation, key, data, before.
func entries(t *testing.T, db *sql.DB) []string {
	t.Helper()
	is := is.New(t)
	rows, err := db.Query(`SELECT "table" || ' ' || operation || ' ' || coalesce(key, '-') || ' ' || coalesce(data, '-') || ' ' || coalesce(before, '-') FROM _driftdb_log ORDER BY sequence`)
	is.NoErr(err)
	defer rows.Close()
	var all []string
	for rows.Next() {
		var s string
		is.NoErr(rows.Scan(&s))
		all = append(all, s)
	}
	is.NoErr(rows.Err())
	return all
}

func TestTriggersKeepExactValues(t *testing.T) {
	db := openLogged(t, "?_foreign_keys=1&_recursive_triggers=1", things)
	const rest = `,"say \"it's\" \\ now":null,"must":0}`
	for _, c := range []struct {
		column, value, json string
	}{
		{"n", "9223372036854775807", `"n":9223372036854775807,"r":null,"s":null,"b":null,"a":null`},
		{"r", "0.1", `"n":null,"r":0.1,"s":null,"b":null,"a":null`},
		{"r", "1e308", `"n":null,"r":1.0e+308,"s":null,"b":null,"a":null`},
		{"r", "9e999", `"n":null,"r":9.0e+999,"s":null,"b":null,"a":null`},
		{"r", "-9e999", `"n":null,"r":-9.0e+999,"s":null,"b":null,"a":null`},
		{"r", "5", `"n":null,"r":5.0,"s":null,"b":null,"a":null`},
		{"s", "'it''s \"q\" \\ é ' || char(0) || char(10)", `"n":null,"r":null,"s":"it's \"q\" \\ é \u0000\n","b":null,"a":null`},
		{"s", "CAST(x'fffe' AS TEXT)", "\"n\":null,\"r\":null,\"s\":\"\xff\xfe\",\"b\":null,\"a\":null"},
		{"b", "x'00ff'", `"n":null,"r":null,"s":null,"b":{"x":"00FF"},"a":null`},
		{"b", "x''", `"n":null,"r":null,"s":null,"b":{"x":""},"a":null`},
		{"a", "x'01'", `"n":null,"r":null,"s":null,"b":null,"a":{"x":"01"}`},
		{"a", "5.0", `"n":null,"r":null,"s":null,"b":null,"a":5.0`},
	} {
		exec(t, db, `DELETE FROM _driftdb_log`)
		exec(t, db, `DELETE FROM things`)
		exec(t, db, `DELETE FROM _driftdb_log`)
		exec(t, db, `INSERT INTO things (id, `+c.column+`) VALUES ('x', `+c.value+`)`)
		want := []string{`things insert - {"id":"x",` + c.json + rest + ` -`}
		if diff := cmp.Diff(want, entries(t, db)); diff != "" {
			t.Errorf("%s = %s: %s", c.column, c.value, diff)
		}
	}
}

func TestUpdateLogsWhatChanged(t *testing.T) {
	db := openLogged(t, "?_recursive_triggers=1", things)
	exec(t, db, `INSERT INTO things (id, n, s, a) VALUES ('x', 1, 'a', 5)`)
	exec(t, db, `DELETE FROM _driftdb_log`)
	for _, c := range []struct{ set, want string }{
		{`n = 1, s = 'a', a = 5`, ``},
		{`s = 'A'`, `{"id":"x"} {"s":"A"} {"s":"a"}`}, // the column is NOCASE
		{`a = 5.0`, `{"id":"x"} {"a":5.0} {"a":5}`},
		{`n = NULL, b = x'0a'`, `{"id":"x"} {"n":null,"b":{"x":"0A"}} {"n":1,"b":null}`},
		{`r = 5`, `{"id":"x"} {"r":5.0} {"r":null}`},
		{`r = -9e999, a = x''`, `{"id":"x"} {"r":-9.0e+999,"a":{"x":""}} {"r":5.0,"a":5.0}`},
		{`s = '5', a = 5`, `{"id":"x"} {"s":"5","a":5} {"s":"A","a":{"x":""}}`},
		{`s = char(0) || CAST(x'fffe' AS TEXT), a = '5'`, "{\"id\":\"x\"} {\"s\":\"\\u0000\xff\xfe\",\"a\":\"5\"} {\"s\":\"5\",\"a\":5}"},
		{`n = 9223372036854775807, b = NULL, must = -1`, `{"id":"x"} {"n":9223372036854775807,"b":null,"must":-1} {"n":null,"b":{"x":"0A"},"must":0}`},
		{`id = 'y'`, `{"id":"x"} {"id":"y"} {"id":"x"}`},
	} {
		exec(t, db, `DELETE FROM _driftdb_log`)
		exec(t, db, `UPDATE things SET `+c.set)
		var want []string
		if c.want != "" {
			want = []string{"things update " + c.want}
		}
		if diff := cmp.Diff(want, entries(t, db)); diff != "" {
			t.Errorf("SET %s: %s", c.set, diff)
		}
	}
}

// A table whose columns are all of one type is logged as exactly.
func TestUpdateOfOneType(t *testing.T) {
	is := is.New(t)
	for typ, want := range map[schema.Type]string{
		schema.Integer: `{"k":1} {"v":7} {"v":null}`,
		schema.Real:    `{"k":1.0} {"v":7.0} {"v":null}`,
		schema.Text:    `{"k":"1"} {"v":"7"} {"v":null}`,
		schema.Blob:    `{"k":{"x":"31"}} {"v":{"x":"37"}} {"v":null}`,
		schema.Any:     `{"k":1} {"v":7} {"v":null}`,
	} {
		db := openLogged(t, "", schema.Table{
			Name: "one", Model: "One", Key: []string{"k"},
			Columns: []schema.Column{{Name: "k", Type: typ, NotNull: true}, {Name: "v", Type: typ}},
		})
		value := func(v string) string {
			if typ == schema.Any {
				return v
			}
			return "CAST(" + v + " AS " + string(typ) + ")"
		}
		exec(t, db, `INSERT INTO one VALUES (`+value("1")+`, NULL)`)
		exec(t, db, `UPDATE one SET v = `+value("7"))
		is.Equal(entries(t, db)[1], "one update "+want)
	}
}

// The first column, whatever it is, has no say in how the others are compared.
func TestUpdateComparesEachColumnAsItIs(t *testing.T) {
	is := is.New(t)
	for _, first := range []schema.Column{
		{Name: "k", Type: schema.Text, NotNull: true, Collate: "NOCASE"},
		{Name: "k", Type: schema.Integer, NotNull: true},
		{Name: "k", Type: schema.Real, NotNull: true},
		{Name: "k", Type: schema.Any, NotNull: true},
	} {
		db := openLogged(t, "", schema.Table{
			Name: "mixed", Model: "Mixed", Key: []string{"k"},
			Columns: []schema.Column{first, {Name: "t", Type: schema.Text}, {Name: "n", Type: schema.Text, Collate: "NOCASE"}, {Name: "a", Type: schema.Any}},
		})
		exec(t, db, `INSERT INTO mixed VALUES ('1', 'a', 'b', '5')`)
		exec(t, db, `DELETE FROM _driftdb_log`)
		for _, set := range []string{`t = 'A', n = 'B'`, `t = 'A ', a = 5`, `a = 5.0`, `n = '05'`, `n = '5'`, `n = '5', t = 'A '`} {
			exec(t, db, `UPDATE mixed SET `+set)
		}
		var got []string
		for _, e := range entries(t, db) {
			got = append(got, strings.SplitN(e, " ", 4)[3])
		}
		is.Equal(got, []string{
			`{"t":"A","n":"B"} {"t":"a","n":"b"}`,
			`{"t":"A ","a":5} {"t":"A","a":"5"}`,
			`{"a":5.0} {"a":5}`,
			`{"n":"05"} {"n":"B"}`,
			`{"n":"5"} {"n":"05"}`,
		})
	}
	db := openLogged(t, "", schema.Table{
		Name: "folded", Model: "Folded", Key: []string{"k"},
		Columns: []schema.Column{{Name: "k", Type: schema.Text, NotNull: true, Collate: "NOCASE"}},
	})
	exec(t, db, `INSERT INTO folded VALUES ('a')`)
	exec(t, db, `UPDATE folded SET k = 'A'`)
	is.Equal(entries(t, db)[1], `folded update {"k":"a"} {"k":"A"} {"k":"a"}`)
}

// What is computed, and what is to stay out of the log, is not in it.
func TestColumnsOutsideTheLog(t *testing.T) {
	is := is.New(t)
	table := withColumn(schema.Column{Name: "quiet", Type: schema.Text, NoLog: true})
	table.Name = "quiet"
	table.Columns = append(table.Columns, schema.Column{Name: "v", Type: schema.Integer})
	db := openLogged(t, "", table)
	exec(t, db, `INSERT INTO quiet VALUES ('a', 'secret', 1)`)
	exec(t, db, `UPDATE quiet SET quiet = 'other'`)
	exec(t, db, `UPDATE quiet SET quiet = 'third', v = 2`)
	exec(t, db, `DELETE FROM quiet`)
	is.Equal(entries(t, db), []string{
		`quiet insert - {"id":"a","v":1} -`,
		`quiet update {"id":"a"} {"v":2} {"v":1}`,
		`quiet delete {"id":"a"} - {"id":"a","v":2}`,
	})
	generated := schema.Table{Columns: []schema.Column{{Name: "twice", Type: schema.Integer, Generated: "v * 2"}, {Name: "v", Type: schema.Integer}}}
	for _, tr := range generated.TriggerSQL() {
		is.True(!strings.Contains(tr.SQL, "twice"))
	}
}

func TestReplaceLogsItsVictim(t *testing.T) {
	for dsn, victim := range map[string]bool{"?_recursive_triggers=1": true, "": false} {
		db := openLogged(t, dsn, things)
		exec(t, db, `INSERT INTO things (id, n) VALUES ('x', 1)`)
		exec(t, db, `INSERT OR REPLACE INTO things (id, n) VALUES ('y', 1)`)
		var ops []string
		for _, e := range entries(t, db) {
			ops = append(ops, strings.Fields(e)[1])
		}
		want := []string{"insert", "insert"} // replay with OR REPLACE removes the victim all the same
		if victim {
			want = []string{"insert", "delete", "insert"}
		}
		if diff := cmp.Diff(want, ops); diff != "" {
			t.Errorf("%q: %s", dsn, diff)
		}
	}
}

func TestCascadesAreLogged(t *testing.T) {
	is := is.New(t)
	parts := schema.Table{
		Name: "parts", Model: "Part",
		Columns:     []schema.Column{{Name: "id", Type: schema.Integer, NotNull: true}, {Name: "thing_id", Type: schema.Text}},
		Key:         []string{"id"},
		ForeignKeys: []schema.ForeignKey{{Columns: []string{"thing_id"}, RefTable: "things", RefColumns: []string{"id"}, OnDelete: schema.Cascade}},
	}
	db := openLogged(t, "?_foreign_keys=1", things, parts)
	exec(t, db, `INSERT INTO things (id) VALUES ('x')`)
	exec(t, db, `INSERT INTO parts (id, thing_id) VALUES (1, 'x')`)
	exec(t, db, `DELETE FROM things`)
	all := entries(t, db)
	is.Equal(len(all), 4)
	is.True(strings.HasPrefix(all[2], `parts delete {"id":1}`) || strings.HasPrefix(all[3], `parts delete {"id":1}`))
}

// TestIgnoreNeverDropsAnEntry: a user's OR IGNORE reaches into the triggers of
// the statement.
func TestIgnoreNeverDropsAnEntry(t *testing.T) {
	is := is.New(t)
	db := openLogged(t, "", things)
	exec(t, db, `INSERT OR IGNORE INTO things (id, n) VALUES ('x', 1), ('y', 1), ('z', 2)`)
	exec(t, db, `UPDATE OR IGNORE things SET n = 1`)
	var rows int
	is.NoErr(db.QueryRow(`SELECT count(*) FROM things`).Scan(&rows))
	is.Equal(rows, 2)
	is.Equal(len(entries(t, db)), 2)
}

// dump returns the rows of things.
func dump(t *testing.T, db *sql.DB) string {
	t.Helper()
	is := is.New(t)
	var text sql.NullString
	is.NoErr(db.QueryRow(`SELECT group_concat(id || ' ' || coalesce(n, '-') || ' ' || coalesce(r, '-'), ', ') FROM things`).Scan(&text))
	return text.String
}
