// Package negative holds mistakes that the types of generated code refuse.
// Each line with one says what the compiler answers.
package negative

import (
	"context"
	"time"

	"github.com/driftdb/driftdb/gen_test/basic"
	"github.com/driftdb/driftdb/orm"
)

func conditions(ctx context.Context, db *orm.DB) {
	u, t, p := basic.Users, basic.Teams, basic.Posts

	u.Where(t.Name.Eq("a"))                        // ERROR "Cond\[.*Team\].*Cond\[.*User\]"
	u.Where(u.Name.Eq("a"), t.ID.In("a", "b"))     // ERROR "Cond\[.*Team\].*Cond\[.*User\]"
	u.Where(orm.And(u.Name.Eq("a"), t.ID.Eq("b"))) // ERROR "Team"
	u.Where(orm.Or(t.Name.Eq("a"), t.ID.Eq("b")))  // ERROR "Cond\[.*Team\].*Cond\[.*User\]"
	u.Where(orm.Not(t.Name.Eq("a")))               // ERROR "Cond\[.*Team\].*Cond\[.*User\]"
	u.Where().OrderBy(t.Name.Asc())                // ERROR "Order\[.*Team\].*Order\[.*User\]"

	u.Name.Eq(5)                // ERROR "cannot use 5 .* as string"
	u.Age.Eq("5")               // ERROR "cannot use \"5\" .* as int"
	u.Age.Eq(new(5))            // ERROR "\*int.* as int"
	u.Score.Gt("high")          // ERROR "as float64"
	u.Seen.Lt(5)                // ERROR "as time.Time"
	u.CreatedAt.Gte("today")    // ERROR "as time.Time"
	u.Active.Eq(1)              // ERROR "as bool"
	u.Avatar.Eq("x")            // ERROR "as \[\]byte"
	u.TeamID.In(1, 2)           // ERROR "cannot use 1" "cannot use 2"
	p.Year.Eq(40000)            // ERROR "overflows"
	p.Level.Eq(-1)              // ERROR "overflows|cannot use -1"
	p.Role.Eq(string("member")) // ERROR "as basic.Role"

	u.Name.IsNull()     // ERROR "IsNull undefined"
	u.ID.NotNull()      // ERROR "NotNull undefined"
	u.Active.IsNull()   // ERROR "IsNull undefined"
	u.Avatar.IsNull()   // ERROR "IsNull undefined"
	p.At.IsNull()       // ERROR "IsNull undefined"
	u.Age.Like("%x%")   // ERROR "Like undefined"
	u.Active.Gt(true)   // ERROR "Gt undefined"
	u.Nmae.Eq("a")      // ERROR "Nmae undefined"
	basic.Userz.Where() // ERROR "undefined: basic.Userz"
	_ = time.Now
	_, _ = ctx, db
}
