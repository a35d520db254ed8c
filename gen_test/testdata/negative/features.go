package negative

import (
	"context"
	"time"

	"github.com/driftdb/driftdb/gen_test/product"
	"github.com/driftdb/driftdb/orm"
)

func features(ctx context.Context, db *orm.DB, ro *orm.ReadTx) {
	u, t, p, m := product.Users, product.Teams, product.Posts, product.Members

	// Relations belong to their model, and lead to one.
	u.Where().With(p.Author)                        // ERROR "does not implement|cannot use p.Author"
	u.Where().With(u.Posts.Where(u.Name.Eq("a")))   // ERROR "Cond\[.*User\].*Cond\[.*Post\]"
	u.Where().With(u.Posts.OrderBy(t.Name.Asc()))   // ERROR "Order\[.*Team\].*Order\[.*Post\]"
	u.Where().With(u.Team.With(p.Author))           // ERROR "does not implement|cannot use p.Author"
	u.Where(p.Author.Some())                        // ERROR "Cond\[.*Post\].*Cond\[.*User\]"
	u.Where(u.Posts.Some(t.Name.Eq("a")))           // ERROR "Cond\[.*Team\].*Cond\[.*Post\]"
	u.Where(u.Team.Count())                         // ERROR "Count undefined"
	u.Where().With(u.Team.LimitEach(3))             // ERROR "LimitEach undefined"
	u.Where().OrderBy(p.Author.Some())              // ERROR "Order\[.*User\]"
	_ = u.Load(ctx, db, []product.User{}, p.Author) // ERROR "does not implement|cannot use p.Author"
	_ = u.Load(ctx, db, []product.Post{}, u.Posts)  // ERROR "\[\]product.Post.*\[\]product.User"

	// Aggregates, projections and sub-queries.
	_, _ = orm.Pluck(ctx, db, u.Where(), p.Title)           // ERROR "does not match|cannot use|Post"
	_, _ = orm.Select2(ctx, db, u.Where(), u.Name, p.Title) // ERROR "does not match|cannot use|Post"
	u.Where().GroupBy(p.Title)                              // ERROR "cannot use p.Title|does not implement"
	u.Where().Having(p.Rows().Gt(1))                        // ERROR "Cond\[.*Post\].*Cond\[.*User\]"
	u.Name.Sum()                                            // ERROR "Sum undefined"
	u.Active.Avg()                                          // ERROR "Avg undefined"
	p.AuthorID.InQuery(orm.Sub1(p.Where(), p.Views))        // ERROR "Sub\[int64\].*Sub\[string\]"
	p.Views.EqCol(p.Title)                                  // ERROR "string.*int64|cannot use p.Title"
	u.Rows().Gt("many")                                     // ERROR "cannot use \"many\""

	// Enums, JSON, what only the database or Create writes.
	u.Role.Eq(string("lead")) // ERROR "as product.Role"
	u.Role.Eq(3)              // ERROR "cannot use 3"
	u.Meta.Eq("x")            // ERROR "Eq undefined|cannot use \"x\""
	u.Meta.Asc(5)             // ERROR "too many arguments|Asc undefined"
	u.Name.Path("$.a")        // ERROR "Path undefined"
	u.DeletedAt.Set("now")    // ERROR "cannot use \"now\""

	// Patches and changes.
	_ = product.UserPatch{Name: "x"}                                      // ERROR "cannot use \"x\".*Opt\[string\]"
	_ = product.UserPatch{Age: orm.Some(3)}                               // ERROR "Opt\[int\].*Opt\[\*int\]"
	_ = product.UserPatch{ID: orm.Some("x")}                              // ERROR "unknown field ID"
	_ = product.UserPatch{Version: orm.Some(int64(1))}                    // ERROR "unknown field Version"
	_ = p.Update(ctx, db, "k", product.UserPatch{}.Sets()...)             // ERROR "Set\[.*User\].*Set\[.*Post\]"
	_ = product.UserChanges(&product.Post{}, nil)                         // ERROR "\*product.Post.*\*product.User"
	_, _ = u.Edit(ctx, db, "k", func(*product.Post) error { return nil }) // ERROR "func\(.*Post\).*func\(.*User\)"

	// Keys: of their type, all their parts.
	_, _ = m.Find(ctx, db, "t")                          // ERROR "as product.MemberKey"
	_, _ = m.Find(ctx, db, product.MemberKey{Team: "t"}) // ERROR "unknown field Team"
	_, _ = u.FindMany(ctx, db, 1, 2)                     // ERROR "cannot use 1" "cannot use 2"
	_, _ = u.ByEmail.Find(ctx, db, 5)                    // ERROR "cannot use 5"
	_ = t.ByEmail                                        // ERROR "ByEmail undefined"

	// Writes need a writer.
	_ = u.Save(ctx, ro, nil)                                    // ERROR "Writer"
	_, _ = u.Delete(ctx, ro, "k")                               // ERROR "Writer"
	_, _ = u.Where().Update(ctx, ro, u.Name.Set("x"))           // ERROR "Writer"
	_ = u.ByEmail.Upsert(ctx, db, nil, orm.UpdateOnly(p.Title)) // ERROR "Post"
	_ = time.Now
}
