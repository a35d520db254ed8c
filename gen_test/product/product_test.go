package product

import (
	"errors"
	"testing"

	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/orm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) *orm.DB {
	t.Helper()
	is := is.New(t)
	db, err := driftdb.Open(t.Context(), t.TempDir()+"/product.sqlite", Schema, driftdb.Options{})
	is.NoErr(err)
	t.Cleanup(func() { is.NoErr(db.Close()) })
	return db
}

// The items of one model work together: what Create chooses, what a patch
// leaves alone, what Save refuses, what a deleted user leaves behind.
func TestItemsTogether(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	team := Team{Name: "Core"}
	is.NoErr(Teams.Create(ctx, db, &team))
	u := User{Name: "Alice", Email: "alice@example.com", Age: new(30), TeamID: &team.ID}
	is.NoErr(Users.Create(ctx, db, &u))
	is.Equal([]any{u.Role, u.Active, u.Version, u.Meta == nil, u.CreatedAt.IsZero(), u.DeletedAt == nil}, []any{RoleMember, false, int64(1), true, false, true})
	again := User{Name: "Alice", Email: "ALICE@example.com"}
	is.True(Users.ByEmail.Violated(Users.Create(ctx, db, &again)))

	stale := u
	is.NoErr(Users.Update(ctx, db, u.ID, UserPatch{Active: orm.Some(true), Age: orm.Some[*int](nil)}.Sets()...))
	is.True(errors.Is(Users.Save(ctx, db, &stale), orm.ErrStale))
	got, err := Users.Find(ctx, db, u.ID)
	is.NoErr(err)
	is.Equal([]any{got.Name, got.Active, got.Age == nil, got.Version}, []any{"Alice", true, true, int64(2)})
	is.Equal(len(UserChanges(&u, got)) > 0, true)

	post := Post{AuthorID: u.ID, Title: "Hello"}
	is.NoErr(Posts.Create(ctx, db, &post))
	is.NoErr(Members.Create(ctx, db, &Member{TeamID: team.ID, UserID: u.ID}))
	ok, err := Users.Delete(ctx, db, u.ID)
	is.NoErr(err)
	is.True(ok)
	_, err = Users.Find(ctx, db, u.ID)
	is.True(errors.Is(err, orm.ErrNotFound))
	n, err := Posts.Count(ctx, db) // a soft delete leaves the posts
	is.NoErr(err)
	is.Equal(n, int64(1))
	ok, err = Members.Exists(ctx, db, MemberKey{TeamID: team.ID, UserID: u.ID})
	is.NoErr(err)
	is.True(ok)
	is.Equal(RoleValues(), []Role{RoleMember, RoleLead})
}
