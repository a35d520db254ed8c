package orm_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/schema"
)

// odd is the model of a table whose names are whatever the fuzzer says.
type odd struct {
	ID   int64
	Text string
	Num  int64
	JSON map[string]any
}

// oddTable is what driftgen would generate for odd, with names at will.
type oddTable struct {
	orm.Table[odd, int64]
	id   orm.Num[odd, int64]
	text orm.Str[odd, string]
	num  orm.Num[odd, int64]
	json orm.JSON[odd, map[string]any]
}

func newOdd(table, text string) (oddTable, *schema.Table) {
	q := schema.QuoteIdent
	s := &schema.Table{Name: table, Model: "odd", Key: []string{"id"}, Columns: []schema.Column{
		{Name: "id", Type: schema.Integer, NotNull: true}, {Name: text, Type: schema.Text, NotNull: true},
		{Name: "num", Type: schema.Integer, NotNull: true}, {Name: "json", Type: schema.Text, NotNull: true},
	}}
	names := q("id") + ", " + q(text) + ", " + q("num") + ", " + q("json")
	def := orm.Def[odd, int64]{
		Schema: s, Select: "SELECT " + names + " FROM " + q(table), Insert: "INSERT INTO " + q(table) + " (" + names + ") VALUES (?, ?, ?, ?)",
		Scan: func(r *orm.Row, m *odd) {
			orm.ScanNum(r, 0, &m.ID)
			orm.ScanStr(r, 1, &m.Text)
			orm.ScanNum(r, 2, &m.Num)
			orm.ScanJSON(r, 3, &m.JSON)
		},
		Bind: func(a *orm.Args, m *odd) {
			orm.BindNum(a, m.ID)
			orm.BindStr(a, m.Text)
			orm.BindNum(a, m.Num)
			orm.BindJSON(a, m.JSON)
		},
		BindKey: func(a *orm.Args, k int64) { orm.BindNum(a, k) },
	}
	return oddTable{
		orm.NewTable(&def), orm.NewNum[odd, int64](table, "id"), orm.NewStr[odd, string](table, text),
		orm.NewNum[odd, int64](table, "num"), orm.NewJSON[odd, map[string]any](table, "json"),
	}, s
}

// query has a string in every position that takes one.
func (o oddTable) query(value, pattern, path string, desc bool) orm.Query[odd] {
	order := map[bool]orm.Order[odd]{true: o.text.Desc(), false: o.text.Asc()}[desc]
	return o.Where(orm.Or(
		o.text.Eq(value), o.text.Ne(value), o.text.In(value, pattern), o.text.Like(pattern), o.text.Glob(pattern), o.text.Contains(value),
		o.text.HasPrefix(value), o.text.EqualFold(value), o.text.Between(value, pattern),
		o.json.Path(path).Eq(value), o.json.Path(path).Has(value), o.json.Path(path).Exists(), o.json.Path(path).Ne(pattern),
		o.text.InQuery(orm.Sub1(o.Where(o.text.Gt(value)), o.text)), orm.SQL[odd]("? = ?", value, pattern),
	)).OrderBy(order, o.num.Asc())
}

// shape is a statement's tokens: names and literals are one token each, and what
// the names are does not count.
func shape(sql string) string {
	var b strings.Builder
	for i := 0; i < len(sql); {
		quote := sql[i]
		if quote != '"' && quote != '\'' {
			b.WriteByte(quote)
			i++
			continue
		}
		end := i + 1
		for end < len(sql) && (sql[end] != quote || end+1 < len(sql) && sql[end+1] == quote) {
			if sql[end] == quote {
				end++
			}
			end++
		}
		b.WriteString(map[byte]string{'"': "NAME", '\'': sql[i:min(end+1, len(sql))]}[quote])
		i = end + 1
	}
	return b.String()
}

// FuzzShape: whatever stands in a name, a value, a pattern, a JSON path or a
// cursor, a statement has the tokens that it has with harmless text, does its
// work, and reaches no other table.
func FuzzShape(f *testing.F) {
	db, err := driftdb.Open(f.Context(), driftdb.Memory, schema.Schema{}, driftdb.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = db.Close() })
	if _, err := orm.Exec(f.Context(), db, "CREATE TABLE canary (alive INTEGER) STRICT"); err != nil {
		f.Fatal(err)
	}
	if _, err := orm.Exec(f.Context(), db, "INSERT INTO canary VALUES (1)"); err != nil {
		f.Fatal(err)
	}
	hostile := []string{`'; DROP TABLE canary; --`, `" OR 1=1 --`, "\x00", "%_\\", "?1", ":a @b $c", "$.a", `$."x"`, "a\"b'c`d[e]", "/*", "\xff", "select", "$[0]", "é\u2028", "%s%d%!"}
	for i, a := range hostile {
		for j := range 4 {
			f.Add(a, hostile[(i+j)%len(hostile)], hostile[(i+2*j)%len(hostile)], hostile[(i+3*j)%len(hostile)], a, a, j%2 == 0)
		}
	}
	f.Add("t", "x", "0", "0", "$", "0", true)      // a text where an object is
	f.Add("t", "x", "0", "0", `$."\1"`, "0", true) // no escape of JSON
	plain, _ := newOdd("t", "x")
	const good = "$.a"
	f.Fuzz(func(t *testing.T, table, column, value, pattern, path, cursor string, desc bool) {
		ctx := t.Context()
		o, s := newOdd(table, column)
		q := o.query(value, pattern, path, desc)
		got, args := q.ToSQL()
		want, harmless := plain.query("v", "v", good, desc).ToSQL()
		if got != "" && (shape(got) != shape(want) || len(args) != len(harmless)) {
			t.Fatalf("%q and %q have made it %s", table, column, got)
		}
		if s.Validate() != nil || len(table) > 200 || len(column) > 200 || !utf8.ValidString(table+column) || strings.HasPrefix(strings.ToLower(table), "sqlite_") ||
			strings.EqualFold(table, "canary") || strings.HasPrefix(strings.ToLower(table), "_driftdb") {
			return // no name that a model can have
		}
		use(t, db, o, s, q, value, pattern, path, cursor)
		if n, err := orm.RawOne[int64](ctx, db, "SELECT sum(alive) FROM canary"); err != nil || n != 1 {
			t.Fatalf("the canary: %d, %v", n, err)
		}
	})
}

// use creates the table, writes to it and reads it, and takes it all back.
func use(t *testing.T, db *orm.DB, o oddTable, s *schema.Table, q orm.Query[odd], value, pattern, path, cursor string) {
	t.Helper()
	ctx := t.Context()
	back := errors.New("back")
	err := db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		if _, err := orm.Exec(ctx, tx, s.CreateSQL()); err != nil {
			return err
		}
		for _, tr := range s.TriggerSQL() {
			if _, err := orm.Exec(ctx, tx, tr.SQL); err != nil {
				return err
			}
		}
		rows := []odd{{1, value, 1, map[string]any{"a": value}}, {2, pattern, 2, nil}, {3, "", 3, map[string]any{value: pattern}}}
		if err := o.CreateMany(ctx, tx, rows); err != nil {
			return err
		}
		for i := range rows {
			m, err := o.Find(ctx, tx, rows[i].ID)
			if err != nil || m.Text != rows[i].Text {
				return fmt.Errorf("%q came back as %q: %w", rows[i].Text, m.Text, err)
			}
		}
		if n, err := o.Count(ctx, tx, o.text.Contains(value)); err != nil || n < 1 {
			return fmt.Errorf("contains finds %d: %w", n, err)
		}
		if err := o.Update(ctx, tx, 1, o.text.Set(pattern), o.num.Add(1)); err != nil {
			return err
		}
		if _, err := q.Count(ctx, tx); err != nil && !strings.Contains(err.Error(), "JSON path") && !limits(err) {
			return fmt.Errorf("path %q: %w", path, err)
		}
		if err := o.Update(ctx, tx, 1, o.json.SetPath(path, value)); err != nil && !strings.Contains(err.Error(), "JSON path") && !strings.Contains(err.Error(), "the field cannot hold a") {
			return fmt.Errorf("set %q: %w", path, err)
		}
		all := o.Where().OrderBy(o.text.Desc())
		p, err := all.Page(ctx, tx, "", 2)
		if err != nil {
			return err
		}
		if p, err = all.Page(ctx, tx, p.Next, 2); err != nil || len(p.Items) != 1 {
			return fmt.Errorf("%d rows on the second page: %w", len(p.Items), err)
		}
		if _, err := all.Page(ctx, tx, orm.Cursor(cursor), 2); err != nil && !errors.Is(err, orm.ErrBadCursor) {
			return err
		}
		if ok, err := o.Delete(ctx, tx, 2); err != nil || !ok {
			return fmt.Errorf("delete: %t, %w", ok, err)
		}
		return back
	})
	if !errors.Is(err, back) {
		t.Fatalf("table %q, column %q: %v", s.Name, s.Columns[1].Name, err)
	}
}

// limits says that SQLite's own limit of a pattern's length was met.
func limits(err error) bool { return strings.Contains(err.Error(), "LIKE or GLOB pattern too complex") }
