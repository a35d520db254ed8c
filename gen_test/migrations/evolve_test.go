package migrations_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
	"github.com/driftdb/driftdb/schema"
)

// table is a table with the key id, TEXT.
func table(name string, columns ...schema.Column) schema.Table {
	id := schema.Column{Name: "id", Type: schema.Text, NotNull: true}
	return schema.Table{Name: name, Model: "M", Key: []string{"id"}, Columns: append([]schema.Column{id}, columns...)}
}

func text(name string) schema.Column { return schema.Column{Name: name, Type: schema.Text} }

func integer(name string) schema.Column { return schema.Column{Name: name, Type: schema.Integer} }

// was gives a column its former name.
func was(name string, c schema.Column) schema.Column {
	c.Was = name
	return c
}

// programs returns the schemas of a program's versions, each with the migrations
// up to it; data are data steps by version, from 1 on.
func programs(versions [][]schema.Table, data map[int]string) (all []schema.Schema, err error) {
	files := fstest.MapFS{}
	var last schema.Schema
	for i, tables := range versions {
		s := schema.Schema{Tables: slices.Clone(tables)}.Sorted()
		for j := range s.Tables {
			s.Tables[j].Create, s.Tables[j].Triggers = s.Tables[j].CreateSQL(), s.Tables[j].TriggerSQL()
		}
		if err := s.Validate(); err != nil {
			return nil, err
		}
		steps, err := schema.Diff(last, s)
		if err != nil {
			return nil, err
		}
		var b strings.Builder
		fmt.Fprintf(&b, "-- structure: %s\n-- step: schema\n", s.Fingerprint())
		for _, step := range steps {
			b.WriteString(step.SQL + ";\n")
		}
		if data[i+1] != "" {
			b.WriteString("-- step: data\n" + data[i+1] + "\n")
		}
		files = maps.Clone(files)
		files[fmt.Sprintf("migrations/%04d_m.sql", i+1)] = &fstest.MapFile{Data: []byte(b.String())}
		last, s.Migrations = s, orm.MigrationFiles{FS: files}
		all = append(all, s)
	}
	return all, nil
}

// deployed is a file that programs open one after the other, and its backup,
// which has no snapshot.
type deployed struct {
	path  string
	store replicate.Store
}

func deploy(t testing.TB) *deployed {
	return &deployed{filepath.Join(t.TempDir(), "app.sqlite"), memstore.New()}
}

// run opens the file with a program, runs SQL, and closes it.
func (d *deployed) run(ctx context.Context, s schema.Schema, sql ...string) error {
	r, err := replicate.New("app", d.store, replicate.Options{Sync: replicate.Sync{Manual: true}, Snapshot: replicate.SnapshotRule{Disabled: true}})
	if err != nil {
		return err
	}
	db, err := driftdb.Open(ctx, d.path, s, driftdb.Options{Replica: r})
	if err != nil {
		return err
	}
	for _, stmt := range sql {
		if _, err := db.SQL().ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("%s: %w (%w)", stmt, err, db.Close())
		}
	}
	return db.Shutdown(ctx)
}

func (d *deployed) restore(t testing.TB) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "restored.sqlite")
	if _, err := replicate.Restore(t.Context(), "app", d.store, to, replicate.RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	return to
}

// column returns the first column of a query's rows, read by a program without
// models.
func column(t testing.TB, path, query string) []string {
	t.Helper()
	db, err := driftdb.Open(t.Context(), path, schema.Schema{}, driftdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	rows, err := orm.RawAll[string](t.Context(), db, query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return rows
}

// rows returns the rows of every table of models, as text.
func rows(t testing.TB, path string) (all []string) {
	t.Helper()
	for _, name := range column(t, path, `SELECT tbl_name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE '\_driftdb\_%\_insert' ESCAPE '\' ORDER BY 1`) {
		var parts []string
		for _, c := range column(t, path, `SELECT name FROM pragma_table_xinfo('`+name+`') ORDER BY name`) {
			parts = append(parts, "'"+c+"='||quote("+schema.QuoteIdent(c)+")")
		}
		all = append(all, column(t, path, `SELECT '`+name+` '||`+strings.Join(parts, "||' '||")+` FROM `+schema.QuoteIdent(name)+` ORDER BY id`)...)
	}
	return all
}

// evolution is what happens to a file: two versions of the models, what the
// application puts into the file before the second one, and what is there then.
type evolution struct {
	name     string
	from, to []schema.Table
	sql      []string
	want     []string // rows
	then     string   // a statement that works afterwards
}

func evolutions() []evolution {
	checked := func(name, check string, c schema.Column) schema.Table {
		t := table("users", c)
		t.Checks = []schema.Check{{Name: name, Column: c.Name, Expr: check}}
		return t
	}
	indexed := func(name string, columns ...schema.Column) schema.Table {
		t := table(name, columns...)
		t.Indexes = []schema.Index{{Name: "by_x", Columns: []string{"x"}}}
		return t
	}
	terms := func(t schema.Table, term, where string) schema.Table {
		t.Indexes = []schema.Index{{Name: "terms", Terms: []string{term}, Where: where}}
		return t
	}
	byDefault := func(expr string) schema.Column {
		return schema.Column{Name: "a", Type: schema.Any, Default: expr}
	}
	unit := func(u string, typ schema.Type) schema.Column { return schema.Column{Name: "at", Type: typ, Unit: u} }
	generated := func(expr string) schema.Column {
		return schema.Column{Name: "twice", Type: schema.Integer, Generated: expr}
	}
	refers := func(t schema.Table, to string) schema.Table {
		t.ForeignKeys = []schema.ForeignKey{{Columns: []string{"user_id"}, RefTable: to, RefColumns: []string{"id"}, OnDelete: schema.Cascade, Deferred: true}}
		return t
	}
	people := func(t schema.Table) schema.Table {
		t.Was = "users"
		return t
	}
	insert := []string{`INSERT INTO users VALUES ('1', 5)`}
	return []evolution{
		{"a default that is a call", []schema.Table{table("users", byDefault("(lower('X'))"))}, []schema.Table{table("users", byDefault("(lower('X'))"), text("b"))},
			[]string{`INSERT INTO users (id) VALUES ('1')`}, []string{"users a='x' b=NULL id='1'"}, ""},
		{"a default with parentheses at both ends", []schema.Table{table("users", byDefault("((1+2)*(3))"))}, []schema.Table{table("users", byDefault("((1+2)*(3))"), text("b"))},
			[]string{`INSERT INTO users (id) VALUES ('1')`}, []string{"users a=9 b=NULL id='1'"}, ""},
		{"a column with a check is renamed", []schema.Table{checked("users_age_check", `"age" >= 0`, integer("age"))},
			[]schema.Table{checked("users_years_check", `years>=0`, was("age", integer("years")))}, insert, []string{"users id='1' years=5"}, ""},
		{"a check is another one", []schema.Table{checked("c", `age >= 0`, integer("age"))}, []schema.Table{checked("c", `age >= 5`, integer("age"))}, insert, []string{"users age=5 id='1'"}, ""},
		{"an indexed expression is renamed", []schema.Table{terms(table("users", integer("n")), "abs(n) DESC", "n > 0")}, []schema.Table{terms(table("users", was("n", integer("m"))), "abs(m) DESC", "m > 0")},
			insert, []string{"users id='1' m=5"}, ""},
		{"a generated column's source is renamed", []schema.Table{table("users", integer("n"), generated("n * 2"))}, []schema.Table{table("users", was("n", integer("m")), generated("m * 2"))},
			[]string{`INSERT INTO users (id, n) VALUES ('1', 5)`}, []string{"users id='1' m=5 twice=10"}, ""},
		{"names that are exchanged", []schema.Table{table("users", text("a"), text("b"))}, []schema.Table{table("users", was("b", text("a")), was("a", text("b")))},
			[]string{`INSERT INTO users VALUES ('1', 'was a', 'was b')`}, []string{"users a='was b' b='was a' id='1'"}, ""},
		{"names that move on", []schema.Table{table("users", text("a"), text("b"))}, []schema.Table{table("users", was("a", text("b")), was("b", text("c")), text("a"))},
			[]string{`INSERT INTO users VALUES ('1', 'was a', 'was b')`}, []string{"users a=NULL b='was a' c='was b' id='1'"}, ""},
		{"another case", []schema.Table{table("Users", text("Name"))}, []schema.Table{table("users", text("name"))}, []string{`INSERT INTO users VALUES ('1', 'n')`}, []string{"users id='1' name='n'"}, ""},
		{"a table and a column are renamed", []schema.Table{table("users", text("name")), refers(table("posts", text("user_id")), "users")},
			[]schema.Table{people(table("people", was("name", text("full_name")))), refers(table("posts", text("user_id")), "people")},
			[]string{`INSERT INTO users VALUES ('1', 'n')`, `INSERT INTO posts VALUES ('p', '1')`}, []string{"people full_name='n' id='1'", "posts id='p' user_id='1'"}, `DELETE FROM people`},
		{"a table is renamed and another one takes its name", []schema.Table{table("users", text("name"))}, []schema.Table{people(table("people", text("name"))), table("users", integer("n"))},
			[]string{`INSERT INTO users VALUES ('1', 'n')`}, []string{"people id='1' name='n'"}, `INSERT INTO users VALUES ('2', 1)`},
		{"an index moves to another table", []schema.Table{table("a", text("x")), indexed("b", text("x"))}, []schema.Table{indexed("a", text("x")), table("b", text("x"))}, nil, nil, ""},
		{"an index moves from a table that goes", []schema.Table{indexed("b", text("x"))}, []schema.Table{indexed("a", text("x"))}, nil, nil, ""},
		{"an index moves from a table that is rebuilt", []schema.Table{indexed("b", text("x"))}, []schema.Table{indexed("a", text("x")), table("b", integer("x"))}, nil, nil, ""},
		{"finer times", []schema.Table{table("users", unit("ms", schema.Integer))}, []schema.Table{table("users", unit("ns", schema.Integer))}, insert, []string{"users at=5000000 id='1'"}, ""},
		{"coarser times", []schema.Table{table("users", unit("ms", schema.Integer))}, []schema.Table{table("users", unit("s", schema.Integer))},
			[]string{`INSERT INTO users VALUES ('1', 1999), ('2', -1), ('3', NULL)`}, []string{"users at=1 id='1'", "users at=-1 id='2'", "users at=NULL id='3'"}, ""},
		{"times as text", []schema.Table{table("users", unit("ms", schema.Integer))}, []schema.Table{table("users", unit("rfc3339", schema.Text))},
			[]string{`INSERT INTO users VALUES ('1', 1700000000123), ('2', -1), ('3', NULL)`},
			[]string{"users at='2023-11-14T22:13:20.123000000Z' id='1'", "users at='1969-12-31T23:59:59.999000000Z' id='2'", "users at=NULL id='3'"}, ""},
		{"text as times", []schema.Table{table("users", unit("rfc3339", schema.Text))}, []schema.Table{table("users", unit("us", schema.Integer))},
			[]string{`INSERT INTO users VALUES ('1', '2023-11-14T22:13:20.123000000Z'), ('2', '1969-12-31T23:59:59.999999000Z'), ('3', '2023-11-14T22:13:20Z')`},
			[]string{"users at=1700000000123000 id='1'", "users at=-1 id='2'", "users at=1700000000000000 id='3'"}, ""},
		{"a STRICT table of the application", []schema.Table{table("users", integer("age"))}, []schema.Table{table("users", integer("age"), text("b"))},
			append([]string{`CREATE TABLE kv (k TEXT PRIMARY KEY, v ANY) STRICT`}, insert...), []string{"users age=5 b=NULL id='1'"}, `INSERT INTO kv VALUES ('a', 1)`},
		{"a view and a trigger read what is renamed", []schema.Table{table("users", integer("age"))}, []schema.Table{table("users", was("age", integer("years")))},
			append([]string{`CREATE VIEW elders AS SELECT age FROM users`, `CREATE TABLE audit (x)`, `CREATE TRIGGER noted AFTER INSERT ON users BEGIN INSERT INTO audit VALUES (NEW.age); END`}, insert...),
			[]string{"users id='1' years=5"}, `INSERT INTO users VALUES ('2', 6)`},
		{"what a view reads is rebuilt", []schema.Table{table("users", integer("age"))}, []schema.Table{table("users", schema.Column{Name: "age", Type: schema.Any})},
			append([]string{`CREATE VIEW elders AS SELECT age FROM users`, `CREATE INDEX own ON users (age)`, `CREATE TRIGGER put INSTEAD OF INSERT ON elders BEGIN INSERT INTO users VALUES ('e', NEW.age); END`}, insert...),
			[]string{"users age=5 id='1'"}, `INSERT INTO elders VALUES (6)`},
		{"a trigger of another table writes what is rebuilt", []schema.Table{table("users", integer("age"))}, []schema.Table{table("users", schema.Column{Name: "age", Type: schema.Any})},
			append([]string{`CREATE TABLE kv (k TEXT PRIMARY KEY, v)`, `CREATE INDEX kvi ON kv (v)`, `CREATE TRIGGER kvt AFTER INSERT ON kv BEGIN INSERT INTO users (id) VALUES (NEW.k); END`}, insert...),
			[]string{"users age=5 id='1'"}, `INSERT INTO kv VALUES ('k', 1)`},
		{"a view that has long been broken", []schema.Table{table("users", integer("age"))}, []schema.Table{table("users", was("age", integer("years")))},
			append([]string{`CREATE VIEW broken AS SELECT x FROM gone`}, insert...), []string{"users id='1' years=5"}, ""},
	}
}

// Whatever becomes of the models, rows and what the application has of its own
// come through, and a file restored from the log alone, which knows nothing of
// the latter, has the same rows.
func TestEvolutions(t *testing.T) {
	for _, e := range evolutions() {
		t.Run(e.name, func(t *testing.T) {
			is := is.New(t)
			d := deploy(t)
			s, err := programs([][]schema.Table{e.from, e.to}, nil)
			is.NoErr(err)
			is.NoErr(d.run(t.Context(), s[0], e.sql...))
			own := column(t, d.path, ownSQL)
			is.NoErr(d.run(t.Context(), s[1]))
			is.Equal(rows(t, d.path), e.want)
			is.Equal(column(t, d.path, ownSQL), own)
			is.Equal(rows(t, d.restore(t)), e.want)
			if e.then != "" {
				is.NoErr(d.run(t.Context(), s[1], e.then))
			}
			is.NoErr(d.run(t.Context(), s[1]))
			is.Equal(rows(t, d.restore(t)), rows(t, d.path))
			is.NoErr(deploy(t).run(t.Context(), s[1])) // a new file
		})
	}
}

// ownSQL lists what an application has beside the tables of models.
const ownSQL = `SELECT type||' '||name FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE '\_driftdb\_%' ESCAPE '\' AND (type IN ('view', 'trigger') OR name IN ('own', 'kv', 'kvi', 'audit')) ORDER BY 1`
