package orm_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/gen_test/basic"
	"github.com/driftdb/driftdb/orm"
)

// memory opens a private database with a few users; done closes it.
func memory(ctx context.Context, names ...string) (db *orm.DB, done func()) {
	db, err := driftdb.Open(ctx, driftdb.Memory, basic.Schema, driftdb.Options{})
	if err != nil {
		log.Fatal(err)
	}
	all := make([]basic.User, len(names))
	for i, name := range names {
		all[i] = basic.User{Name: name, Email: name + "@example.com", Nick: name, Age: new(20 + 10*i)}
	}
	if err := basic.Users.CreateMany(ctx, db, all); err != nil {
		log.Fatal(err)
	}
	return db, func() {
		if err := db.Close(); err != nil {
			log.Fatal(err)
		}
	}
}

func ExampleTable_Create() {
	ctx := context.Background()
	db, done := memory(ctx)
	defer done()

	u := basic.User{Name: "Alice", Email: "alice@example.com", Age: new(30)}
	if err := basic.Users.Create(ctx, db, &u); err != nil {
		log.Fatal(err)
	}
	fmt.Println("id of", len(u.ID), "characters, created", !u.CreatedAt.IsZero(), "active", u.Active)
	// Output: id of 36 characters, created true active true
}

func ExampleTable_CreateMany() {
	ctx := context.Background()
	db, done := memory(ctx)
	defer done()

	teams := []basic.Team{{Name: "red"}, {Name: "blue"}}
	err := basic.Teams.CreateMany(ctx, db, teams)
	fmt.Println(len(teams[0].ID), len(teams[1].ID), err)

	err = basic.Teams.CreateMany(ctx, db, []basic.Team{{Name: "green"}, {Name: "red"}}) // all or none
	n, _ := basic.Teams.Count(ctx, db)
	fmt.Println(n, err)
	// Output:
	// 36 36 <nil>
	// 2 create teams: teams: another row has the same unique key teams_name_key (name)
}

func ExampleTable_Find() {
	ctx := context.Background()
	db, done := memory(ctx)
	defer done()

	u := basic.User{Name: "Alice", Email: "alice@example.com"}
	if err := basic.Users.Create(ctx, db, &u); err != nil {
		log.Fatal(err)
	}
	found, err := basic.Users.Find(ctx, db, u.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(found.Name, found.Email)

	_, err = basic.Users.Find(ctx, db, "nobody")
	fmt.Println(errors.Is(err, orm.ErrNotFound), err)
	// Output:
	// Alice alice@example.com
	// true find users: not found
}

func ExampleTable_Where() {
	ctx := context.Background()
	db, done := memory(ctx, "ann", "bob", "cid", "dan")
	defer done()

	U := basic.Users
	list, err := U.Where(U.Age.Gte(30), orm.Or(U.Name.HasPrefix("b"), U.Name.In("cid", "dan"))).
		OrderBy(U.Age.Desc()).Limit(2).
		All(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	for _, u := range list {
		fmt.Println(u.Name, *u.Age)
	}
	// Output:
	// dan 50
	// cid 40
}

func ExampleTable_Update() {
	ctx := context.Background()
	db, done := memory(ctx, "ann", "bob")
	defer done()

	U := basic.Users
	ann, err := U.ByEmail.Find(ctx, db, "ann@example.com")
	if err != nil {
		log.Fatal(err)
	}
	if err := U.Update(ctx, db, ann.ID, U.Name.Set("Ann Smith"), U.Age.Add(1)); err != nil {
		log.Fatal(err)
	}
	n, err := U.Where(U.Age.Gt(20)).Update(ctx, db, U.Age.SetNull())
	fmt.Println(n, err)
	_, err = U.Where().Delete(ctx, db) // every row? say so
	fmt.Println(errors.Is(err, orm.ErrNoCondition))
	// Output:
	// 2 <nil>
	// true
}

func ExampleUnique_Upsert() {
	ctx := context.Background()
	db, done := memory(ctx, "ann")
	defer done()

	U := basic.Users
	u := basic.User{Name: "Ann Smith", Email: "ann@example.com", Nick: "other"}
	if err := U.ByEmail.Upsert(ctx, db, &u, orm.UpdateOnly[basic.User](U.Name)); err != nil {
		log.Fatal(err)
	}
	n, _ := U.Count(ctx, db)
	fmt.Println(n, u.Name, u.Nick) // u is the row as it stands now
	// Output: 1 Ann Smith ann
}

func ExampleUnique_Violated() {
	ctx := context.Background()
	db, done := memory(ctx, "ann")
	defer done()

	err := basic.Users.Create(ctx, db, &basic.User{Name: "Other", Email: "ann@example.com"})
	if basic.Users.ByEmail.Violated(err) {
		fmt.Println("this address is taken")
	}
	fmt.Println(err)
	// Output:
	// this address is taken
	// create users: users: another row has the same unique key users_email_key (email)
}

func ExampleDB_Tx() {
	ctx := context.Background()
	db, done := memory(ctx, "ann", "bob")
	defer done()

	U := basic.Users
	errPoor := errors.New("not enough")
	move := func(from, to string, points float64) error {
		return db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
			if err := U.ByEmail.Update(ctx, tx, to, U.Score.Add(points)); err != nil {
				return err
			}
			giver, err := U.ByEmail.Find(ctx, tx, from)
			if err != nil {
				return err
			}
			if giver.Score < points {
				return errPoor // undoes the update too
			}
			return U.ByEmail.Update(ctx, tx, from, U.Score.Add(-points))
		})
	}
	fmt.Println(move("ann@example.com", "bob@example.com", 5))
	bob, _ := U.ByEmail.Find(ctx, db, "bob@example.com")
	fmt.Println(bob.Score)
	// Output:
	// not enough
	// 0
}

func ExampleQuery_Each() {
	ctx := context.Background()
	db, done := memory(ctx, "ann", "bob", "cid")
	defer done()

	U := basic.Users
	for u, err := range U.Where().OrderBy(U.Name.Asc()).Each(ctx, db) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(u.Name)
		if u.Name == "bob" {
			break
		}
	}
	// Output:
	// ann
	// bob
}

func ExampleRawAll() {
	ctx := context.Background()
	db, done := memory(ctx, "ann", "bob", "cid")
	defer done()

	type row struct {
		Decade int
		N      int
	}
	rows, err := orm.RawAll[row](ctx, db, `SELECT age / 10 * 10 AS decade, count(*) AS n FROM users WHERE age > ? GROUP BY 1 ORDER BY 1`, 25)
	fmt.Println(rows, err)
	oldest, err := orm.RawOne[*int](ctx, db, `SELECT max(age) FROM users`)
	fmt.Println(*oldest, err)
	// Output:
	// [{30 1} {40 1}] <nil>
	// 40 <nil>
}
