package relations_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/matryer/is"

	. "github.com/driftdb/driftdb/gen_test/relations"
	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/orm"
)

// counting counts the queries that its connections run, and may refuse them.
type counting struct {
	driver.Connector
	n      *atomic.Int64
	before func(n int64) error
	ran    *ran
}

// ran is the last query.
type ran struct {
	query string
	args  []any
}

type countingConn struct {
	driver.Conn
	c counting
}

type countingStmt struct {
	driver.Stmt
	c     counting
	query string
}

func (c counting) Connect(ctx context.Context) (driver.Conn, error) {
	dc, err := c.Connector.Connect(ctx)
	return countingConn{dc, c}, err
}

func (c countingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	p, ok := c.Conn.(driver.ConnPrepareContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	s, err := p.PrepareContext(ctx, query)
	if err != nil || !strings.Contains(query, `"id"`) {
		return s, err
	}
	return countingStmt{s, c.c, query}, nil
}

func (s countingStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.c.before(s.c.n.Add(1)); err != nil {
		return nil, err
	}
	s.c.ran.query, s.c.ran.args = s.query, nil
	for _, a := range args {
		s.c.ran.args = append(s.c.ran.args, a.Value)
	}
	q, ok := s.Stmt.(driver.StmtQueryContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	return q.QueryContext(ctx, args)
}

func (s countingStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	x, ok := s.Stmt.(driver.StmtExecContext)
	if !ok {
		return nil, driver.ErrSkip
	}
	return x.ExecContext(ctx, args)
}

func openCounting(t *testing.T, before func(n int64) error) (*orm.DB, *atomic.Int64) {
	t.Helper()
	db, n, _ := openWatched(t, before)
	return db, n
}

func openWatched(t *testing.T, before func(n int64) error) (*orm.DB, *atomic.Int64, *ran) {
	t.Helper()
	last := new(ran)
	is, n, path := is.New(t), new(atomic.Int64), filepath.Join(t.TempDir(), "t.sqlite")
	db, err := orm.Open(t.Context(), Schema, orm.Options{
		Writer: sqlite.Connector(path, sqlite.Writer), IsBusy: sqlite.IsBusy,
		Reader: counting{sqlite.Connector(path, sqlite.Reader), n, before, last},
	})
	is.NoErr(err)
	t.Cleanup(func() { is.NoErr(db.Close()) })
	return db, n, last
}

func many(t *testing.T, db *orm.DB, users, posts int) {
	t.Helper()
	is, ctx := is.New(t), t.Context()
	var us []User
	var ps []Post
	for i := range users {
		id := fmt.Sprintf("u%05d", i)
		us = append(us, User{ID: id, Nick: id})
		for j := range posts {
			ps = append(ps, Post{ID: int64(i*posts + j), AuthorID: id, Views: int64((j * 7) % 5)})
		}
	}
	is.NoErr(Users.CreateMany(ctx, db, us))
	is.NoErr(Posts.CreateMany(ctx, db, ps))
}

// The number of queries grows with the depth and with every 512 rows, not with
// the rows.
func TestNumberOfQueries(t *testing.T) {
	is, ctx := is.New(t), t.Context()
	db, n := openCounting(t, func(int64) error { return nil })
	many(t, db, 1025, 2)
	n.Store(0)
	us, err := where().Limit(512).With(Users.Posts.LimitEach(1).With(Posts.Comments, Posts.Author)).All(ctx, db)
	is.NoErr(err)
	is.Equal(n.Load(), int64(4))
	is.Equal(postIDs(us[511].Posts), "1022")
	n.Store(0)
	us, err = where().With(Users.Posts).All(ctx, db)
	is.NoErr(err)
	is.Equal(n.Load(), int64(4)) // 1 + 3
	for i, u := range us {
		is.Equal(postIDs(u.Posts), fmt.Sprint(2*i, 2*i+1))
	}
	n.Store(0)
	rows := 0
	for u, err := range where().With(Users.Posts).Each(ctx, db) {
		is.NoErr(err)
		is.Equal(len(u.Posts), 2)
		rows++
	}
	is.Equal(rows, 1025)
	is.Equal(n.Load(), int64(12)) // 1 + 11 times 100 rows
	n.Store(0)
	_, err = Users.Where(Users.ID.Eq("nobody")).With(Users.Posts.With(Posts.Comments)).All(ctx, db)
	is.NoErr(err)
	is.Equal(n.Load(), int64(1)) // nothing to load for
}

// What is loaded belongs to the state of the database that the rows are of.
func TestOneStateOfTheDatabase(t *testing.T) {
	is, ctx := is.New(t), t.Context()
	var db *orm.DB
	var n *atomic.Int64
	write := func() error { return nil }
	db, n = openCounting(t, func(n int64) error {
		if n == 2 { // after the users and before their posts
			return write()
		}
		return nil
	})
	many(t, db, 2, 2)
	write = func() error {
		_, err := Posts.Where().AllRows().Purge(ctx, db)
		return err
	}
	n.Store(0)
	us, err := where().With(Users.Posts).All(ctx, db)
	is.NoErr(err)
	is.Equal(postIDs(us[0].Posts), "0 1")
	left, err := Posts.Count(ctx, db)
	is.NoErr(err)
	is.Equal(left, int64(0))
}

// An error of any of the queries is the error of all, and no row is half loaded.
func TestEveryQueryFails(t *testing.T) {
	is, ctx := is.New(t), t.Context()
	refused := errors.New("refused")
	at := int64(-1)
	db, n := openCounting(t, func(n int64) error {
		if n == at {
			return refused
		}
		return nil
	})
	many(t, db, 3, 1)
	q := where().With(Users.Posts.With(Posts.Author), Users.Notes)
	for at = 1; ; at++ {
		n.Store(0)
		us, err := q.All(ctx, db)
		if err == nil {
			break
		}
		is.True(errors.Is(err, refused) && us == nil)
		n.Store(0)
		yields := 0
		for u, err := range q.Each(ctx, db) {
			is.True(u == nil && errors.Is(err, refused))
			yields++
		}
		is.Equal(yields, 1)
		us = []User{{ID: "u00000"}}
		n.Store(1)
		if err := Users.Load(ctx, db, us, Users.Posts.With(Posts.Author), Users.Notes); err != nil {
			is.True(us[0].Posts == nil && us[0].Notes == nil)
		}
	}
	is.Equal(at, int64(5))
}

// A loop with relations may be left at any row, may write, and ends with its
// context.
func TestEachWithRelations(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	many(t, db, 250, 1)
	for _, stop := range []int{1, 99, 100, 101, 249, 250} {
		rows := 0
		for u, err := range where().With(Users.Posts).Each(ctx, db) {
			is.NoErr(err)
			is.Equal(len(u.Posts), 1)
			is.NoErr(Users.Update(ctx, db, u.ID, Users.Name.Set(fmt.Sprint(stop))))
			if rows++; rows == stop {
				break
			}
		}
		is.Equal(rows, stop)
	}
	ended, cancel := context.WithCancel(ctx)
	defer cancel()
	rows := 0
	var last error
	for _, err := range where().With(Users.Posts).Each(ended, db) {
		if rows++; rows == 100 {
			cancel()
		}
		last = err
	}
	is.True(errors.Is(last, context.Canceled))
	is.Equal(rows, 101)
	_, err := where().With(Users.Posts).All(ended, db)
	is.True(errors.Is(err, context.Canceled))
	is.NoErr(db.Tx(ctx, func(_ context.Context, _ *orm.Tx) error { return nil })) // nothing is left open
	err = db.Tx(ctx, func(ctx context.Context, _ *orm.Tx) error {
		_, err := where().With(Users.Posts).All(ctx, db)
		return err
	})
	is.True(errors.Is(err, orm.ErrInTx))
}

// Keys are looked up by an index, also when the other table is large.
func TestRelationsUseIndexes(t *testing.T) {
	is, ctx, db := is.New(t), t.Context(), open(t)
	many(t, db, 20, 5)
	for _, q := range []orm.Query[User]{
		where(Users.Posts.Some(Posts.Published.IsTrue())), where(Users.Posts.None()), where(Users.Posts.Count().Gt(3)), where(Users.Team.Some()),
	} {
		plan, err := q.Explain(ctx, db)
		is.NoErr(err)
		if strings.Contains(plan, "SCAN posts") || strings.Contains(plan, "SCAN teams") || !strings.Contains(plan, "SEARCH") {
			t.Error(plan)
		}
	}
	plan, err := Comments.Where(Comments.Answers.Some(Comments.Text.Eq("x"))).Explain(ctx, db)
	is.NoErr(err)
	is.True(strings.Contains(plan, "SEARCH comments USING INDEX comments_parent_id_idx"))
}

// Loading looks the keys up one by one, however many rows the other table has
// and whatever SQLite knows of them.
func TestLoadingUsesIndexes(t *testing.T) {
	is, ctx := is.New(t), t.Context()
	db, _, last := openWatched(t, func(int64) error { return nil })
	many(t, db, 5, 2)
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			_, err := db.SQL().ExecContext(ctx, "ANALYZE")
			is.NoErr(err)
		}
		for _, r := range []orm.Rel[User]{Users.Posts, Users.Posts.LimitEach(2).OrderBy(Posts.Views.Desc()), Users.Profile, Users.Team} {
			us := make([]User, 200)
			for i := range us {
				us[i] = User{ID: fmt.Sprint(i), TeamID: new(fmt.Sprint(i))}
			}
			is.NoErr(Users.Load(ctx, db, us, r))
			rows, err := db.SQL().QueryContext(ctx, "EXPLAIN QUERY PLAN "+last.query, last.args...)
			is.NoErr(err)
			plan := ""
			for rows.Next() {
				var id, parent, n int
				var detail string
				is.NoErr(rows.Scan(&id, &parent, &n, &detail))
				plan += detail + "\n"
			}
			is.NoErr(rows.Err())
			is.NoErr(rows.Close())
			if strings.Contains(plan, "SCAN posts") || strings.Contains(plan, "SCAN profiles") || strings.Contains(plan, "SCAN teams") || strings.Contains(plan, "AUTOMATIC") {
				t.Errorf("%s\n%s", last.query, plan)
			}
		}
	}
}
