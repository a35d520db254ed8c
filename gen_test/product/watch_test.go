package product

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/orm"
)

// A query is run again for the tables that SQLite opens for it, whether its text
// names them or not, and for no other.
func TestWatchedTables(t *testing.T) {
	ctx := t.Context()
	const view = `CREATE VIEW busy AS SELECT author_id FROM posts`
	const fts = `CREATE VIRTUAL TABLE words USING fts4(word)`
	U := Users
	for _, tt := range []struct {
		name  string
		q     orm.Query[User]
		setup string
		by    []string // tables whose changes run it again
	}{
		{"itself", U.Where(), "", []string{"users"}},
		{"relation", U.Where().With(U.Team), "", []string{"users", "teams"}},
		{"nested relations", U.Where().With(U.Team.With(Teams.Users.With(U.Posts))), "", []string{"users", "teams", "posts"}},
		{"condition of a relation", U.Where(U.Posts.None()), "", []string{"users", "posts"}},
		{"order by a count", U.Where().OrderBy(U.Posts.Count().Desc()), "", []string{"users", "posts"}},
		{"sub-query", U.Where(U.TeamID.InQuery(orm.Sub1(Teams.Where(), Teams.ID))), "", []string{"users", "teams"}},
		{"raw fragment", U.Where(orm.SQL[User](`EXISTS (SELECT 1 FROM "posts" WHERE author_id = users.id) OR users.name <> '-'`)), "", []string{"users", "posts"}},
		{"view", U.Where(orm.SQL[User](`id IN (SELECT author_id FROM busy) OR users.name <> '-'`)), view, []string{"users", "posts"}},
		{"virtual table", U.Where(orm.SQL[User](`id IN (SELECT word FROM words) OR users.name <> '-'`)), fts, []string{"users", "teams", "posts", "members"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			is := is.New(t)
			db := open(t)
			if tt.setup != "" {
				_, err := orm.Exec(ctx, db, tt.setup)
				is.NoErr(err)
			}
			is.NoErr(Teams.Create(ctx, db, &Team{ID: "t", Name: "red"}))
			is.NoErr(Users.Create(ctx, db, &User{ID: "u", Email: "u", TeamID: new("t")}))
			is.NoErr(Posts.Create(ctx, db, &Post{ID: "p", AuthorID: "u"}))
			change := map[string]string{
				"users":   `UPDATE users SET name = name || 'x'`,
				"teams":   `UPDATE teams SET name = name || 'x'`,
				"posts":   `UPDATE posts SET title = title || 'x'`,
				"members": `INSERT INTO members (team_id, user_id) VALUES ('t', 'u')`,
			}

			inner, cancel := context.WithCancel(ctx)
			defer cancel()
			runs, done := make(chan struct{}), make(chan error, 1)
			go func() {
				for _, err := range tt.q.Watch(inner, db) {
					if err != nil {
						done <- err
						return
					}
					select {
					case runs <- struct{}{}:
					case <-inner.Done():
					}
				}
			}()
			<-runs
			watched := map[string]bool{}
			for _, table := range tt.by {
				watched[table] = true
			}
			for table, sql := range change {
				if watched[table] {
					continue
				}
				_, err := orm.Exec(ctx, db, sql)
				is.NoErr(err)
				select {
				case <-runs:
					t.Errorf("a change of %s runs it again", table)
				case <-time.After(100 * time.Millisecond): // it would be there at once
				}
			}
			for _, table := range tt.by {
				_, err := orm.Exec(ctx, db, change[table])
				is.NoErr(err)
				select {
				case <-runs:
				case <-time.After(time.Minute):
					t.Fatalf("a change of %s does not run it again", table)
				}
			}
			cancel()
			is.True(errors.Is(<-done, context.Canceled))
		})
	}
}
