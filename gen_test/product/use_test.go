package product_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/drifttest"
	models "github.com/driftdb/driftdb/gen_test/product"
	"github.com/driftdb/driftdb/orm"
)

// Every form that the documents show compiles against these models and does
// what it says, one after the other on one database.
func TestUse(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, models.Schema)
	U, P := models.Users, models.Posts

	u := models.User{Name: "Alice", Email: "alice@example.com", Age: new(30)}
	is.NoErr(U.Create(ctx, db, &u))
	twice := models.User{Name: "Other", Email: "Alice@Example.com"}
	err := U.Create(ctx, db, &twice)
	is.True(U.ByEmail.Violated(err))
	got, err := U.Find(ctx, db, u.ID)
	is.NoErr(err)
	if d := cmp.Diff(u, *got, cmp.AllowUnexported(models.User{})); d != "" {
		t.Error(d)
	}
	_, err = U.Find(ctx, db, "nobody")
	is.True(errors.Is(err, orm.ErrNotFound))
	for i, views := range []int64{5, 1, 9, 7, 3} {
		is.NoErr(P.Create(ctx, db, &models.Post{AuthorID: u.ID, Title: "t", Views: views, Published: i != 2}))
	}
	adults, err := U.Where(U.Age.Gte(18), orm.Or(U.Role.In(models.RoleLead), U.TeamID.IsNull())).
		OrderBy(U.Name.Asc()).Limit(10).
		With(U.Team, U.Posts.Where(P.Published.IsTrue()).OrderBy(P.Views.Desc()).LimitEach(3)).
		All(ctx, db)
	is.NoErr(err)
	is.Equal(len(adults), 1)
	is.True(adults[0].Team == nil)
	views := []int64{}
	for _, p := range adults[0].Posts {
		views = append(views, p.Views)
	}
	is.Equal(views, []int64{7, 5, 3})

	is.NoErr(U.Update(ctx, db, u.ID, U.Name.Set("Alice Smith"), U.Age.SetNull(), U.TeamID.SetPtr(nil)))
	is.NoErr(U.Update(ctx, db, u.ID, models.UserPatch{Active: orm.Some(true)}.Sets()...))
	is.NoErr(U.Create(ctx, db, &models.User{Name: "Bob", Email: "bob@example.com", Age: new(40), Role: models.RoleLead}))
	n, err := U.Where(U.Posts.None()).Update(ctx, db, U.Age.Add(1))
	is.NoErr(err)
	is.Equal(n, int64(1))
	up := models.User{Name: "A. Smith", Email: u.Email, Age: new(31), Role: models.RoleLead}
	is.NoErr(U.ByEmail.Upsert(ctx, db, &up, orm.UpdateOnly(U.Name, U.Age)))
	is.Equal([]any{up.ID, up.Name, *up.Age, up.Role, up.Active}, []any{u.ID, "A. Smith", 31, models.RoleMember, true})
	is.NoErr(U.Upsert(ctx, db, &up))

	carol := models.User{Name: "Carol", Email: "carol@example.com"}
	is.NoErr(db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		if err := U.Create(ctx, tx, &carol); err != nil {
			return err
		}
		return tx.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
			return P.Create(ctx, tx, &models.Post{AuthorID: carol.ID, Title: "x"})
		})
	}))
	seen := 0
	for u, err := range U.Where().Each(ctx, db) {
		is.NoErr(err)
		is.True(u.ID != "")
		seen++
	}
	is.Equal(seen, 3)

	for range 5 {
		is.NoErr(U.Create(ctx, db, &models.User{Name: "M", Email: "m" + string(rune('a'+seen)), Age: new(seen)}))
		seen++
	}
	byRole, err := orm.Select3(ctx, db, U.Where().GroupBy(U.Role).Having(U.Rows().Gt(5)), U.Role, U.Rows(), U.Age.Avg())
	is.NoErr(err)
	is.Equal(len(byRole), 1)
	is.Equal([]any{byRole[0].A, byRole[0].B, byRole[0].C.V}, []any{models.RoleMember, int64(7), (31 + 3 + 4 + 5 + 6 + 7) / 6.0})
	emails, err := orm.Pluck(ctx, db, U.Where(U.Active.IsTrue()), U.Email)
	is.NoErr(err)
	is.Equal(emails, []string{u.Email}) // writezero: the others were created with false
	top, err := orm.Select2(ctx, db, U.Where().OrderBy(U.Posts.Count().Desc()), U.Name, U.Posts.Count(P.Published.IsTrue()))
	is.NoErr(err)
	is.Equal([]any{len(top), top[0].A, top[0].B, top[1].A, top[1].B}, []any{8, "A. Smith", int64(4), "Carol", int64(0)})
	sub, err := P.Where(P.AuthorID.InQuery(orm.Sub1(U.Where(U.Role.Eq(models.RoleMember)), U.ID))).Count(ctx, db)
	is.NoErr(err)
	is.Equal(sub, int64(6))
	type row struct {
		Name string
		N    int64
	}
	rows, err := orm.RawAll[row](ctx, db, `SELECT name, count(*) AS n FROM users GROUP BY name HAVING n > ?`, 4)
	is.NoErr(err)
	is.Equal(rows, []row{{"M", 5}})
	first, err := U.Where().OrderBy(U.CreatedAt.Desc()).Page(ctx, db, "", 5)
	is.NoErr(err)
	second, err := U.Where().OrderBy(U.CreatedAt.Desc()).Page(ctx, db, first.Next, 5)
	is.NoErr(err)
	is.Equal([]any{len(first.Items), len(second.Items), second.Next}, []any{5, 3, orm.Cursor("")})

	told := make(chan [2]string, 10)
	stop := U.OnChange(db, func(_ context.Context, c orm.Change[models.User]) error {
		if c.Has(U.Email) && c.Old != nil && c.New != nil {
			told <- [2]string{c.Old.Email, c.New.Email}
		}
		return nil
	})
	defer stop()
	for list, err := range U.Where(U.Active.IsTrue()).Watch(ctx, db) {
		is.NoErr(err)
		if list[0].Email == "new@example.com" {
			break
		}
		is.NoErr(U.Update(ctx, db, u.ID, U.Email.Set("new@example.com")))
	}
	is.Equal(<-told, [2]string{"alice@example.com", "new@example.com"})

	team := models.Team{Name: "Core"}
	is.NoErr(models.Teams.Create(ctx, db, &team))
	key := models.MemberKey{TeamID: team.ID, UserID: u.ID}
	ok, err := models.Members.Exists(ctx, db, key)
	is.True(err == nil && !ok)
	is.NoErr(models.Members.Create(ctx, db, &models.Member{TeamID: team.ID, UserID: u.ID}))
	ok, err = models.Members.Exists(ctx, db, key)
	is.True(err == nil && ok)
	got, err = U.Edit(ctx, db, u.ID, func(u *models.User) error { u.Name = "B"; return nil })
	is.NoErr(err)
	is.Equal(got.Name, "B")
	ok, err = U.Delete(ctx, db, u.ID)
	is.True(err == nil && ok)
	ok, err = U.Delete(ctx, db, u.ID)
	is.True(err == nil && !ok)
}
