package orm_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/gen_test/basic"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/schema"
)

// TestRowsThatATriggerIgnores: RAISE(IGNORE) leaves a row out without an error.
// Create must not say that it is stored, nor give one row the values of another.
func TestRowsThatATriggerIgnores(t *testing.T) {
	for name, active := range map[string]bool{"all columns": true, "defaults read back": false} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			ctx := t.Context()
			db := open(t)
			_, err := db.SQL().Exec(`CREATE TRIGGER mine BEFORE INSERT ON users WHEN NEW.name = 'skip' BEGIN SELECT RAISE(IGNORE); END`)
			is.NoErr(err)
			row := func(name string) basic.User { return basic.User{Name: name, Email: name, Nick: name, Active: active} }
			u := row("skip")
			is.True(users.Create(ctx, db, &u) != nil)
			is.Equal(u.ID, "")
			all := []basic.User{row("a"), row("skip"), row("c")}
			is.True(users.CreateMany(ctx, db, all) != nil)
			is.Equal(all[1].Name+all[2].Name, "skipc")
			is.Equal(count(t, db), int64(0))
			is.NoErr(users.CreateMany(ctx, db, []basic.User{row("a"), row("c")}))
			is.Equal(count(t, db), int64(2))
		})
	}
}

// TestListsBeyondTheParameters: SQLite allows 32,766 of them in a statement.
func TestListsBeyondTheParameters(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db := open(t)
	exact := []float64{0.1, 1.0 / 3, math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64, -math.Pi, 5e-310}
	for i, f := range exact {
		is.NoErr(users.Create(ctx, db, &basic.User{Name: fmt.Sprint(i), Email: fmt.Sprint(i), Nick: fmt.Sprint(i), Score: f, Active: true}))
	}
	many := append([]float64{}, exact...)
	for i := range 40_000 {
		many = append(many, float64(i)+0.5)
	}
	n, err := users.Count(ctx, db, users.Score.In(many...))
	is.NoErr(err)
	is.Equal(n, int64(len(exact)))
	n, err = users.Count(ctx, db, users.Score.NotIn(many...))
	is.NoErr(err)
	is.Equal(n, int64(0))
	var or []orm.Cond[basic.User]
	for i := range 20 {
		list := []string{fmt.Sprint(i)}
		for j := range 1900 {
			list = append(list, fmt.Sprint("x", i, j))
		}
		or = append(or, users.Name.In(list...))
	}
	n, err = users.Count(ctx, db, orm.Or(or...))
	is.NoErr(err)
	is.Equal(n, int64(len(exact)))
}

// TestOpenRefusesConstraintsThatAreGone: a constraint that the model no longer
// has goes on refusing rows.
func TestOpenRefusesConstraintsThatAreGone(t *testing.T) {
	is := is.New(t)
	models := func(change func(*schema.Table)) schema.Schema {
		teams := schema.Table{Name: "teams", Model: "Team", Columns: []schema.Column{{Name: "id", Type: schema.Text, NotNull: true}}, Key: []string{"id"}}
		w := widgets(schema.Column{Name: "team", Type: schema.Text}, schema.Column{Name: "on", Type: schema.Integer}, schema.Column{Name: "check", Type: schema.Text}).Tables[0]
		change(&w)
		teams.Create, teams.Triggers = teams.CreateSQL(), teams.TriggerSQL()
		w.Create, w.Triggers = w.CreateSQL(), w.TriggerSQL()
		return schema.Schema{Tables: []schema.Table{teams, w}}
	}
	plain := func(*schema.Table) {}
	key := func(w *schema.Table) {
		w.ForeignKeys = []schema.ForeignKey{{Columns: []string{"team"}, RefTable: "teams", RefColumns: []string{"id"}}}
	}
	check := func(w *schema.Table) {
		w.Checks = []schema.Check{{Name: "widgets_on_check", Column: "on", Expr: `"on" IN (0, 1)`}}
	}
	collate := func(w *schema.Table) { w.Columns[1].Collate = "NOCASE" }
	wider := func(w *schema.Table) {
		key(w)
		check(w)
		w.Columns = append(w.Columns, schema.Column{Name: "more", Type: schema.Text, Collate: "NOCASE"}, schema.Column{Name: "flag", Type: schema.Integer})
		w.Checks = append(w.Checks, schema.Check{Name: "widgets_flag_check", Column: "flag", Expr: `"flag" IN (0, 1)`})
	}
	both := func(w *schema.Table) { key(w); check(w) }
	for name, c := range map[string]struct {
		before, after func(*schema.Table)
		want          string
	}{
		"foreign key": {key, plain, "foreign key (team) to teams"},
		"check":       {check, plain, "CHECK"},
		"collation":   {collate, plain, "NOCASE in the file, none in the model"},
		"a new one":   {plain, collate, "none in the file, NOCASE in the model"},
		"columns":     {both, wider, ""},
	} {
		path := filepath.Join(t.TempDir(), "t.sqlite")
		is.NoErr(reopen(t, path, models(c.before), func(*orm.DB) {}))
		err := reopen(t, path, models(c.after), func(*orm.DB) {})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: want %q, got %v", name, c.want, err)
		}
		if c.want == "" { // what was added is no difference the next time
			is.NoErr(reopen(t, path, models(c.after), func(*orm.DB) {}))
		}
	}
}
