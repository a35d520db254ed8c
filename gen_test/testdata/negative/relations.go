package negative

import (
	"context"

	"github.com/driftdb/driftdb/gen_test/manymany"
	"github.com/driftdb/driftdb/gen_test/packages/auth"
	"github.com/driftdb/driftdb/gen_test/packages/docs"
	"github.com/driftdb/driftdb/gen_test/relations"
	"github.com/driftdb/driftdb/orm"
)

func related(ctx context.Context, db *orm.DB, tx *orm.ReadTx, post *manymany.Post, tag *manymany.Tag) {
	u, p, c, t := relations.Users, relations.Posts, relations.Comments, relations.Teams

	u.Where().With(p.Comments)                                  // ERROR "Many\[.*Post.*Comment\].*Rel\[.*User\]"
	u.Where().With(u.Posts.With(u.Team))                        // ERROR "One\[.*User.*Team\].*Rel\[.*Post\]"
	u.Where().With(u.Name)                                      // ERROR "Rel\[.*User\]"
	u.Where().With("Posts")                                     // ERROR "Rel\[.*User\]"
	u.Where(u.Posts)                                            // ERROR "Cond\[.*User\]"
	u.Where(u.Posts.Some(u.Name.Eq("a")))                       // ERROR "Cond\[.*User\].*Cond\[.*Post\]"
	u.Where(u.Posts.None(c.Text.Eq("a")))                       // ERROR "Cond\[.*Comment\].*Cond\[.*Post\]"
	u.Where(u.Team.Every(u.Name.Eq("a")))                       // ERROR "Cond\[.*User\].*Cond\[.*Team\]"
	u.Where(p.Author.Some())                                    // ERROR "Cond\[.*Post\].*Cond\[.*User\]"
	u.Posts.Where(t.Name.Eq("a"))                               // ERROR "Cond\[.*Team\].*Cond\[.*Post\]"
	u.Posts.OrderBy(u.Name.Asc())                               // ERROR "Order\[.*User\].*Order\[.*Post\]"
	u.Posts.Count(u.Name.Eq("a"))                               // ERROR "Cond\[.*User\].*Cond\[.*Post\]"
	u.Where().OrderBy(p.Comments.Count().Desc())                // ERROR "Order\[.*Post\].*Order\[.*User\]"
	u.Where().OrderBy(u.Posts.Desc())                           // ERROR "Desc undefined"
	u.Where(u.Posts.Count().Gt("1"))                            // ERROR "as int64"
	u.Team.Where(t.Name.Eq("a"))                                // ERROR "Where undefined"
	u.Team.Count()                                              // ERROR "Count undefined"
	u.Team.LimitEach(1)                                         // ERROR "LimitEach undefined"
	u.Posts.LimitEach("1")                                      // ERROR "as int"
	u.Load(ctx, db, []relations.Post{}, u.Posts)                // ERROR "as \[\].*User"
	u.Load(ctx, db, []relations.User{}, p.Author)               // ERROR "Rel\[.*User\]"
	u.LoadRow(ctx, db, relations.User{}, u.Posts)               // ERROR "as \*.*User"
	u.Posts.Add(ctx, db, &relations.User{})                     // ERROR "Add undefined"
	manymany.Posts.Tags.Add(ctx, db, tag, tag)                  // ERROR "Tag.* as \*.*Post"
	manymany.Posts.Tags.Add(ctx, db, post, post)                // ERROR "Post.* as \*.*Tag"
	manymany.Posts.Tags.Remove(ctx, db, post, *tag)             // ERROR "as \*.*Tag"
	manymany.Posts.Tags.Replace(ctx, tx, post, tag)             // ERROR "ReadTx.*Writer"
	manymany.Posts.Tags.LimitEach(1).Add(ctx, db, post)         // ERROR "Add undefined"
	docs.Docs.Where(docs.Docs.Owner.Some(docs.Docs.ID.Eq("a"))) // ERROR "Cond\[.*Doc\].*Cond\[.*User\]"
	auth.Users.Where(docs.Docs.Owner.Some())                    // ERROR "Cond\[.*Doc\].*Cond\[.*User\]"
	u.Update(ctx, db, "a", u.Team.Set("b"))                     // ERROR "Set undefined"
}
