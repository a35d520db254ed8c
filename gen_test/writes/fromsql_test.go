package writes_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/drifttest"
	. "github.com/driftdb/driftdb/gen_test/writes"
	"github.com/driftdb/driftdb/orm"
)

// handles gives fn a Writer of each kind of handle of database/sql.
func handles(t *testing.T, fn func(t *testing.T, db *orm.DB, w orm.Writer)) {
	ctx := t.Context()
	t.Run("DB", func(t *testing.T) {
		db := drifttest.Open(t, Schema)
		fn(t, db, driftdb.FromSQL(db.SQL()))
	})
	t.Run("Conn", func(t *testing.T) {
		is := is.New(t)
		db := drifttest.Open(t, Schema)
		c, err := db.SQL().Conn(ctx)
		is.NoErr(err)
		fn(t, db, driftdb.FromSQL(c))
		is.NoErr(c.Close())
	})
	t.Run("Tx", func(t *testing.T) {
		is := is.New(t)
		db := drifttest.Open(t, Schema)
		tx, err := db.SQL().BeginTx(ctx, nil)
		is.NoErr(err)
		fn(t, db, driftdb.FromSQL(tx))
		is.NoErr(tx.Commit())
		n, err := Pages.Where().WithDeleted().Count(ctx, db)
		is.NoErr(err)
		is.True(n > 0) // what was written inside it
	})
}

// TestFromSQL: every kind of verb works on a handle of database/sql as on a DB.
func TestFromSQL(t *testing.T) {
	handles(t, func(t *testing.T, _ *orm.DB, w orm.Writer) {
		is := is.New(t)
		ctx := t.Context()
		p := Page{Slug: "a", Title: "Title", Tags: []string{"x"}, Meta: map[string]any{"n": 1.5}, Score: new(0.25)}
		is.NoErr(Pages.Create(ctx, w, &p))
		got, err := Pages.Find(ctx, w, p.ID)
		is.NoErr(err)
		same(t, *got, p)
		p.Title = "other"
		is.NoErr(Pages.Save(ctx, w, &p))
		is.True(errors.Is(Pages.Save(ctx, w, got), orm.ErrStale))

		err = Pages.Create(ctx, w, &Page{Slug: "a"})
		is.True(Pages.BySlug.Violated(err)) // the driver's error is understood

		many := []Comment{{PageID: p.ID, Text: "1"}, {PageID: p.ID, Text: "2"}}
		is.NoErr(Comments.CreateMany(ctx, w, many))
		bad := []Comment{{PageID: p.ID, Text: "3"}, {PageID: "none", Text: "4"}}
		err = Comments.CreateMany(ctx, w, bad)
		var fk *orm.ForeignKeyError
		is.True(errors.As(err, &fk))
		n, err := Comments.Count(ctx, w) // all of them or none
		is.NoErr(err)
		is.Equal(n, int64(2))

		with, err := Pages.Where(Pages.Comments.Some()).With(Pages.Comments).All(ctx, w)
		is.NoErr(err)
		is.Equal(len(with[0].Comments), 2)
		for c, err := range Comments.Where().OrderBy(Comments.ID.Asc()).Each(ctx, w) {
			is.NoErr(err)
			is.Equal(c.Text, "1")
			break
		}
		titles, err := orm.Pluck(ctx, w, Pages.Where(), Pages.Title)
		is.NoErr(err)
		is.Equal(titles, []string{"other"})
		ok, err := Pages.Delete(ctx, w, p.ID)
		is.NoErr(err)
		is.True(ok)
		_, err = orm.Exec(ctx, w, "UPDATE pages SET views = ? WHERE id = ?", 3, p.ID)
		is.NoErr(err)
		views, err := orm.RawOne[int](ctx, w, "SELECT views FROM pages")
		is.NoErr(err)
		is.Equal(views, 3)
		_, err = orm.Exec(ctx, w, "UPDATE pages SET views = ?")
		is.True(err != nil) // too few arguments are no NULL
	})
}

// TestFromSQLRollsBack: the one who began a transaction says what becomes of it,
// and the change log has the changes of those that were committed.
func TestFromSQLRollsBack(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	since, err := db.Position(ctx)
	is.NoErr(err)
	for _, commit := range []bool{false, true} {
		tx, err := db.SQL().BeginTx(ctx, nil)
		is.NoErr(err)
		_, err = tx.ExecContext(ctx, "INSERT INTO comments (page_id, text) SELECT 'none', 'raw' WHERE 0")
		is.NoErr(err)
		w := driftdb.FromSQL(tx)
		p := Page{Slug: "s", Title: "t"}
		is.NoErr(Pages.Create(ctx, w, &p))
		if commit {
			is.NoErr(tx.Commit())
		} else {
			is.NoErr(tx.Rollback())
		}
		is.True(Pages.Create(ctx, w, &Page{Slug: "z"}) != nil) // it is over
	}
	n := 0
	for c, err := range Pages.Changes(ctx, db, since) {
		is.NoErr(err)
		is.Equal(c.Op, orm.OpInsert)
		n++
	}
	is.Equal(n, 1)
}

func TestFromSQLRefuses(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "x.sqlite")
	db, err := driftdb.Open(ctx, path, Schema, driftdb.Options{})
	is.NoErr(err)
	is.NoErr(db.Close())
	plain, err := sql.Open("sqlite3", "file:"+path+"?_foreign_keys=off")
	is.NoErr(err)
	defer func() { is.NoErr(plain.Close()) }()
	err = Pages.Create(ctx, driftdb.FromSQL(plain), &Page{Slug: "a"})
	is.True(err != nil && strings.Contains(err.Error(), "foreign keys are off"))

	tx, err := plain.BeginTx(ctx, nil)
	is.NoErr(err)
	err = Pages.Create(ctx, driftdb.FromSQL(tx), &Page{Slug: "a"})
	is.True(err != nil && strings.Contains(err.Error(), "foreign keys are off"))
	is.NoErr(tx.Rollback())

	gone, cancel := context.WithCancel(ctx)
	cancel()
	is.True(errors.Is(Pages.Create(gone, driftdb.FromSQL(plain), &Page{Slug: "a"}), context.Canceled))
	for _, w := range []orm.Writer{driftdb.FromSQL(nil), driftdb.FromSQL((*sql.DB)(nil)), driftdb.FromSQL((*sql.Tx)(nil)), driftdb.FromSQL((*sql.Conn)(nil))} {
		is.True(Pages.Create(ctx, w, &Page{Slug: "a"}) != nil)
	}
}
