package negative

import (
	"context"

	"github.com/driftdb/driftdb/gen_test/basic"
	"github.com/driftdb/driftdb/orm"
)

func setters(ctx context.Context, db *orm.DB) {
	u, t, p := basic.Users, basic.Teams, basic.Posts

	_ = u.Update(ctx, db, "id", t.Name.Set("a"))       // ERROR "Set\[.*Team\].*Set\[.*User\]"
	_, _ = u.Where().Update(ctx, db, t.Name.Set("a"))  // ERROR "Set\[.*Team\].*Set\[.*User\]"
	_ = u.Update(ctx, db, "id", u.Name.Set(1))         // ERROR "as string"
	_ = u.Update(ctx, db, "id", u.Name.SetNull())      // ERROR "SetNull undefined"
	_ = u.Update(ctx, db, "id", u.Name.SetPtr(nil))    // ERROR "SetPtr undefined"
	_ = u.Update(ctx, db, "id", u.TeamID.Set(nil))     // ERROR "cannot use nil as string"
	_ = u.Update(ctx, db, 5, u.Name.Set("a"))          // ERROR "as string"
	_ = p.Update(ctx, db, "5", p.Title.Set("a"))       // ERROR "as int64"
	_ = u.Update(ctx, db, "id", u.Name.Add("a"))       // ERROR "Add undefined"
	_ = u.Create(ctx, db, &basic.Team{})               // ERROR "\*basic.Team.*\*basic.User"
	_ = u.Create(ctx, db, basic.User{})                // ERROR "as \*basic.User"
	_ = u.CreateMany(ctx, db, []basic.Team{})          // ERROR "\[\]basic.Team.*\[\]basic.User"
	_ = u.Upsert(ctx, db, &basic.Post{})               // ERROR "\*basic.Post.*\*basic.User"
	_ = u.ByEmail.Upsert(ctx, db, &basic.Team{})       // ERROR "\*basic.Team.*\*basic.User"
	_ = u.Upsert(ctx, db, nil, orm.UpdateOnly(t.Name)) // ERROR "UpsertOption|Team"
	_, _ = u.Delete(ctx, db, 5)                        // ERROR "as string"
}

func keys(ctx context.Context, db *orm.DB) {
	u, p := basic.Users, basic.Posts

	_, _ = u.Find(ctx, db, 5)                   // ERROR "as string"
	_, _ = p.Find(ctx, db, "5")                 // ERROR "as int64"
	_, _ = u.ByEmail.Find(ctx, db, 5)           // ERROR "as string"
	_, _ = u.ByTeamNick.Find(ctx, db, "nick")   // ERROR "UserTeamNickKey"
	_ = basic.UserTeamNickKey{TeamID: new("t")} // ERROR "\*string.* as string"
	var team *basic.Team
	team, _ = u.Find(ctx, db, "id") // ERROR "\*basic.User.*\*basic.Team"
	_ = team
}

func readers(ctx context.Context, db *orm.DB) {
	u := basic.Users
	_ = db.ReadTx(ctx, func(ctx context.Context, tx *orm.ReadTx) error {
		_, _ = u.All(ctx, tx)
		_ = u.Create(ctx, tx, &basic.User{})              // ERROR "ReadTx.*orm.Writer"
		_ = u.CreateMany(ctx, tx, nil)                    // ERROR "ReadTx.*orm.Writer"
		_ = u.Update(ctx, tx, "id", u.Name.Set("a"))      // ERROR "ReadTx.*orm.Writer"
		_ = u.Upsert(ctx, tx, &basic.User{})              // ERROR "ReadTx.*orm.Writer"
		_, _ = u.Delete(ctx, tx, "id")                    // ERROR "ReadTx.*orm.Writer"
		_, _ = u.Where(u.Name.Eq("a")).Delete(ctx, tx)    // ERROR "ReadTx.*orm.Writer"
		_, _ = u.Where().Update(ctx, tx, u.Name.Set("a")) // ERROR "ReadTx.*orm.Writer"
		_, _ = u.ByEmail.Delete(ctx, tx, "a@example.com") // ERROR "ReadTx.*orm.Writer"
		return nil
	})
}
