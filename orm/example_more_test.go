package orm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/gen_test/product"
	"github.com/driftdb/driftdb/orm"
)

// shop opens a private database of product's models with one user, Ann.
func shop(ctx context.Context) (db *orm.DB, ann *product.User, done func()) {
	db, err := driftdb.Open(ctx, driftdb.Memory, product.Schema, driftdb.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ann = &product.User{Name: "Ann", Email: "ann@example.com", Active: true, Meta: map[string]any{"stars": 3, "city": "Bonn"}}
	if err := product.Users.Create(ctx, db, ann); err != nil {
		log.Fatal(err)
	}
	return db, ann, func() {
		if err := db.Close(); err != nil {
			log.Fatal(err)
		}
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// An upsert updates every column unless an option says otherwise.
func ExampleUpsertOption() {
	ctx := context.Background()
	db, ann, done := shop(ctx)
	defer done()

	U := product.Users
	again := func(opts ...orm.UpsertOption[product.User]) string {
		u := product.User{Name: "Other", Email: ann.Email}
		check(U.ByEmail.Upsert(ctx, db, &u, opts...))
		row, err := U.Find(ctx, db, ann.ID)
		check(err)
		return row.Name
	}
	fmt.Println(again(orm.DoNothing[product.User]()))
	fmt.Println(again(orm.UpdateSet(U.Name.SetSQL("name || ' Smith'"))))
	fmt.Println(again(orm.UpdateOnly(U.Name), orm.UpdateIf(U.Active.IsFalse())))
	fmt.Println(again())
	// Output:
	// Ann
	// Ann Smith
	// Ann Smith
	// Other
}

// A part of a JSON column is changed by its path, in the statement itself.
func ExampleJSON_SetPath() {
	ctx := context.Background()
	db, ann, done := shop(ctx)
	defer done()

	U := product.Users
	check(U.Update(ctx, db, ann.ID, U.Meta.SetPath("$.stars", 4)))
	check(U.Update(ctx, db, ann.ID, U.Meta.RemovePath("$.city")))
	u, err := U.First(ctx, db, U.Meta.Path("$.stars").Gt(3))
	check(err)
	text, err := json.Marshal(u.Meta)
	fmt.Println(string(text), err)
	// Output: {"stars":4} <nil>
}

// A column that may be NULL takes a pointer, or NULL by name.
func ExampleNullNum() {
	ctx := context.Background()
	db, ann, done := shop(ctx)
	defer done()

	U := product.Users
	check(U.Update(ctx, db, ann.ID, U.Age.SetPtr(new(30))))
	check(U.Update(ctx, db, ann.ID, U.Age.Add(1)))
	u, err := U.UpdateReturning(ctx, db, ann.ID, U.Name.Set("Ann Smith"))
	check(err)
	fmt.Println(u.Name, *u.Age)

	var nobody *int
	check(U.Update(ctx, db, ann.ID, U.Age.SetPtr(nobody)))
	n, err := U.Where(U.Age.IsNull()).Count(ctx, db)
	fmt.Println(n, err)
	// Output:
	// Ann Smith 31
	// 1 <nil>
}

// A patch is what a client sent: a member that is absent stays, null is NULL.
func ExampleOpt() {
	ctx := context.Background()
	db, ann, done := shop(ctx)
	defer done()

	var patch product.UserPatch
	check(json.Unmarshal([]byte(`{"Name": "", "Age": null}`), &patch))
	name, there := patch.Name.Get()
	_, active := patch.Active.Get()
	fmt.Printf("name %q %v, active %v\n", name, there, active)
	check(product.Users.Update(ctx, db, ann.ID, patch.Sets()...))

	patch = product.UserPatch{Active: orm.Some(false)} // in code
	check(product.Users.Update(ctx, db, ann.ID, patch.Sets()...))
	u, err := product.Users.Find(ctx, db, ann.ID)
	fmt.Printf("%q %v %v\n", u.Name, u.Active, err)
	// Output:
	// name "" true, active false
	// "" false <nil>
}

func ExampleTable_Edit() {
	ctx := context.Background()
	db, ann, done := shop(ctx)
	defer done()

	u, err := product.Users.Edit(ctx, db, ann.ID, func(u *product.User) error {
		u.Meta["stars"] = 5 // a deep copy: ann is not touched
		u.Age = new(40)
		return nil
	})
	fmt.Println(u.Meta["stars"], *u.Age, ann.Meta["stars"], err)
	// Output: 5 40 3 <nil>
}

func ExampleTable_Save() {
	ctx := context.Background()
	db, ann, done := shop(ctx)
	defer done()

	other := *ann // somebody else has read the row, too
	ann.Name = "Ann Smith"
	fmt.Println(product.Users.Save(ctx, db, ann))
	other.Name = "Nan"
	err := product.Users.Save(ctx, db, &other)
	fmt.Println(errors.Is(err, orm.ErrStale)) // the item version has noticed
	// Output:
	// <nil>
	// true
}

func ExampleTable_Restore() {
	ctx := context.Background()
	db, ann, done := shop(ctx)
	defer done()

	U := product.Users // with the item softdelete
	gone, err := U.Delete(ctx, db, ann.ID)
	check(err)
	n, err := U.Count(ctx, db)
	check(err)
	all, err := U.Where().WithDeleted().Count(ctx, db)
	check(err)
	fmt.Println(gone, n, all)

	back, err := U.Restore(ctx, db, ann.ID)
	check(err)
	n, err = U.Count(ctx, db)
	fmt.Println(back, n, err)
	// Output:
	// true 0 1
	// true 1 <nil>
}

func ExampleTable_FindMany() {
	ctx := context.Background()
	db, ann, done := shop(ctx)
	defer done()

	found, err := product.Users.FindMany(ctx, db, ann.ID, "nobody")
	fmt.Println(len(found), err)
	// Output: 1 <nil>
}

func ExampleTable_UpsertMany() {
	ctx := context.Background()
	db, ann, done := shop(ctx)
	defer done()

	posts := []product.Post{{ID: "1", AuthorID: ann.ID, Title: "one"}, {ID: "2", AuthorID: ann.ID, Title: "two"}}
	P := product.Posts
	check(P.UpsertMany(ctx, db, posts))
	posts[1].Title = "second"
	check(P.UpsertMany(ctx, db, posts))
	titles, err := orm.Pluck(ctx, db, P.Where().OrderBy(P.ID.Asc()), P.Title)
	fmt.Println(titles, err)
	// Output: [one second] <nil>
}

func ExampleQuery_DeleteReturning() {
	ctx := context.Background()
	db, ann, done := shop(ctx)
	defer done()

	P := product.Posts
	check(P.CreateMany(ctx, db, []product.Post{{AuthorID: ann.ID, Title: "old", Views: 1}, {AuthorID: ann.ID, Title: "new", Views: 9}}))
	gone, err := P.Where(P.Views.Lt(5)).DeleteReturning(ctx, db)
	fmt.Println(len(gone), gone[0].Title, err)
	// Output: 1 old <nil>
}

func ExampleQuery_ToSQL() {
	U := product.Users
	sql, args := U.Where(U.Age.Between(18, 65)).Only(U.Name).Limit(2).ToSQL()
	fmt.Println(sql)
	fmt.Println(args)
	// Output:
	// SELECT "users"."id", "users"."name" FROM "users" WHERE "users"."deleted_at" IS NULL AND ("users"."age" >= ? AND "users"."age" <= ?) LIMIT ?
	// [18 65 2]
}

func ExampleQuery_With() {
	ctx := context.Background()
	db, ann, done := shop(ctx)
	defer done()

	U, P := product.Users, product.Posts
	for i, title := range []string{"a", "b", "c"} {
		check(P.Create(ctx, db, &product.Post{AuthorID: ann.ID, Title: title, Views: int64(i)}))
	}
	users, err := U.Where(U.Posts.Some(P.Views.Gt(1))).With(U.Team, U.Posts.OrderBy(P.Views.Desc()).LimitEach(2)).All(ctx, db)
	check(err)
	for _, u := range users {
		fmt.Println(u.Name, u.Team == nil, u.Posts[0].Title, u.Posts[1].Title)
	}
	// Output: Ann true c b
}

func ExampleQuery_Page() {
	ctx := context.Background()
	db, ann, done := shop(ctx)
	defer done()

	P := product.Posts
	for i := range 5 {
		check(P.Create(ctx, db, &product.Post{AuthorID: ann.ID, Title: fmt.Sprint("post ", i)}))
	}
	var cursor orm.Cursor // empty: the first page
	for {
		page, err := P.Where().OrderBy(P.Title.Asc()).Page(ctx, db, cursor, 2)
		check(err)
		for _, p := range page.Items {
			fmt.Print(p.Title, "; ")
		}
		if page.Next == "" {
			break
		}
		cursor = page.Next
	}
	// Output: post 0; post 1; post 2; post 3; post 4;
}

func ExampleSelect4() {
	ctx := context.Background()
	db, ann, done := shop(ctx)
	defer done()

	P := product.Posts
	check(P.CreateMany(ctx, db, []product.Post{{AuthorID: ann.ID, Views: 2}, {AuthorID: ann.ID, Views: 4}}))
	rows, err := orm.Select4(ctx, db, P.Where().GroupBy(P.AuthorID), P.Rows(), P.Views.Sum(), P.Views.Avg(), P.Views.Max())
	check(err)
	for _, r := range rows {
		fmt.Println(r.A, r.B, r.C.V, r.D.V)
	}
	// Output: 2 6 3 4
}

func ExampleRawEach() {
	ctx := context.Background()
	db, _, done := shop(ctx)
	defer done()

	for name, err := range orm.RawEach[string](ctx, db, `SELECT name FROM users WHERE email LIKE ?`, "%@example.com") {
		check(err)
		fmt.Println(name)
	}
	names, err := orm.RawReturning[string](ctx, db, `UPDATE users SET name = upper(name) RETURNING name`)
	fmt.Println(names, err)
	// Output:
	// Ann
	// [ANN] <nil>
}

// A violated constraint is an error that names it.
func ExampleCheckError() {
	ctx := context.Background()
	db, ann, done := shop(ctx)
	defer done()

	err := product.Users.Update(ctx, db, ann.ID, product.Users.Age.Set(-1))
	if bad, ok := errors.AsType[*orm.CheckError](err); ok {
		fmt.Println(bad.Constraint)
	}
	err = product.Posts.Create(ctx, db, &product.Post{AuthorID: "nobody"})
	if bad, ok := errors.AsType[*orm.ForeignKeyError](err); ok {
		fmt.Println(bad.Keys)
	}
	err = product.Users.Create(ctx, db, &product.User{Email: "ANN@example.com"})
	if bad, ok := errors.AsType[*orm.UniqueError](err); ok {
		fmt.Println(bad.Columns)
	}
	_, err = orm.Exec(ctx, db, `UPDATE users SET name = NULL`)
	if bad, ok := errors.AsType[*orm.NotNullError](err); ok {
		fmt.Println(bad.Table, bad.Column)
	}
	// Output:
	// users_age_check
	// [author_id → users (id)]
	// [email]
	// users name
}

// What is given a ReadDB cannot write: it would not compile.
func ExampleDB_ReadOnly() {
	ctx := context.Background()
	db, _, done := shop(ctx)
	defer done()

	report := func(r *orm.ReadDB) (int64, error) { return product.Users.Count(ctx, r) }
	fmt.Println(report(db.ReadOnly()))
	// Output: 1 <nil>
}

func ExampleTable_History() {
	ctx := context.Background()
	db, ann, done := shop(ctx)
	defer done()

	U := product.Users
	check(U.Update(ctx, db, ann.ID, U.Name.Set("Anna")))
	for c, err := range U.History(ctx, db, ann.ID) {
		check(err)
		if c.Op == orm.OpUpdate && c.Has(U.Name) {
			fmt.Println(c.Op, c.Old.Name, "to", c.New.Name)
		} else {
			fmt.Println(c.Op, c.New.Name)
		}
	}
	// Output:
	// insert Ann
	// update Ann to Anna
}

// A listener is called after the commit, and Watch shows the rows anew.
func ExampleQuery_Watch() {
	ctx := context.Background()
	db, ann, done := shop(ctx)
	defer done()

	U := product.Users
	told := make(chan string)
	stop := U.OnChange(db, func(_ context.Context, c orm.Change[product.User]) error {
		told <- c.New.Name
		return nil
	})
	runs := 0
	for users, err := range U.Where(U.Active.IsTrue()).Watch(ctx, db) {
		check(err)
		fmt.Println(len(users), users[0].Name)
		if runs++; runs == 2 {
			break
		}
		check(U.Update(ctx, db, ann.ID, U.Name.Set("Anna")))
		fmt.Println("told of", <-told)
	}
	stop()
	// Output:
	// 1 Ann
	// told of Anna
	// 1 Anna
}

// A reader that keeps its position sees every change at least once.
func ExampleTable_Changes() {
	ctx := context.Background()
	db, ann, done := shop(ctx)
	defer done()

	U := product.Users
	position, err := db.Position(ctx) // what was before does not count
	check(err)
	check(U.Update(ctx, db, ann.ID, U.Name.Set("Anna")))
	for range 2 {
		n := 0
		for c, err := range U.Changes(ctx, db, position) {
			check(err)
			n++
			position = c.Seq // store it, once the change is worked off
		}
		fmt.Println(n)
	}
	// Output:
	// 1
	// 0
}
