// Full is what bare does, with the models of gen_test/product and the verbs
// that a program uses.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"log"

	_ "github.com/mattn/go-sqlite3"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/gen_test/product"
	"github.com/driftdb/driftdb/orm"
)

func main() {
	db, err := sql.Open("sqlite3", "app.sqlite")
	if err != nil {
		log.Fatal(err)
	}
	var n int
	if err := db.QueryRow(`SELECT count(*) FROM sqlite_schema`).Scan(&n); err != nil {
		log.Fatal(err)
	}
	fmt.Println(n)
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
	if err := models(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func models(ctx context.Context) error {
	db, err := driftdb.Open(ctx, "app.sqlite", product.Schema, driftdb.Options{})
	if err != nil {
		return err
	}
	T, U, P, M := product.Teams, product.Users, product.Posts, product.Members
	err = db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		team := product.Team{Name: "Core"}
		if err := T.ByName.Upsert(ctx, tx, &team); err != nil {
			return err
		}
		u := product.User{Name: "Alice", Email: "alice@example.com", TeamID: &team.ID}
		if err := U.ByEmail.Upsert(ctx, tx, &u, orm.UpdateOnly(U.Name, U.TeamID)); err != nil {
			return err
		}
		if err := P.Create(ctx, tx, &product.Post{AuthorID: u.ID, Title: "Hello"}); err != nil {
			return err
		}
		if err := M.Upsert(ctx, tx, &product.Member{TeamID: team.ID, UserID: u.ID}); err != nil {
			return err
		}
		u.Age = new(30)
		if err := U.Save(ctx, tx, &u); err != nil {
			return err
		}
		return U.Update(ctx, tx, u.ID, product.UserPatch{Active: orm.Some(true)}.Sets()...)
	})
	if err != nil {
		return err
	}
	users, err := U.Where(U.Age.Gte(18), orm.Or(U.Role.Eq(product.RoleLead), U.Name.HasPrefix("A"))).OrderBy(U.Name.Asc()).Limit(10).
		With(U.Team, U.Posts.Where(P.Published.IsFalse()).LimitEach(3)).All(ctx, db)
	if err != nil {
		return err
	}
	for _, u := range users {
		if _, err := U.Find(ctx, db, u.ID); err != nil {
			return err
		}
		posts, err := P.Where(P.AuthorID.Eq(u.ID)).Count(ctx, db)
		if err != nil {
			return err
		}
		fmt.Println(u.Name, u.Email, posts, u.Team.Name, len(u.Posts))
		if _, err := U.Delete(ctx, db, u.ID); err != nil {
			return err
		}
	}
	if _, err := P.Where(P.Views.Eq(0)).Delete(ctx, db); err != nil {
		return err
	}
	return db.Close()
}
