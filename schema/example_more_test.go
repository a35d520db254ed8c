package schema_test

import (
	"fmt"

	"github.com/driftdb/driftdb/schema"
)

func ExampleNormal() {
	fmt.Println(schema.Normal(`"Age">=0 -- years`) == schema.Normal(`age >= 0`))
	fmt.Println(schema.Normal(`name <> 'Ann'`) == schema.Normal(`name <> 'ann'`))
	// Output:
	// true
	// false
}

func ExampleSubjectOf() {
	what, ok := schema.SubjectOf(`CREATE TRIGGER IF NOT EXISTS "noted" AFTER UPDATE OF name ON users BEGIN SELECT 1; END`)
	fmt.Println(ok, what.Verb, what.Kind, what.Name, what.Event, what.Table)
	what, ok = schema.SubjectOf(`ALTER TABLE users RENAME TO people`)
	fmt.Println(ok, what.Renames, what.Name, what.To)
	_, ok = schema.SubjectOf(`CREATE TABLE temp.x (y)`)
	fmt.Println(ok)
	// Output:
	// true CREATE TRIGGER noted UPDATE users
	// true true users people
	// false
}

func ExampleSubject() {
	show := func(s schema.Subject) { fmt.Printf("%+v\n", s) }
	for _, sql := range []string{"DROP VIEW elders", "CREATE UNIQUE INDEX main.by_name ON users (name)", "DELETE FROM users"} {
		if what, ok := schema.SubjectOf(sql); ok {
			show(what)
		}
	}
	// Output:
	// {Verb:DROP Kind:VIEW Name:elders Table: To: Event: Renames:false}
	// {Verb:CREATE Kind:INDEX Name:by_name Table:users To: Event: Renames:false}
}

func ExampleReadStored() {
	s := schema.ReadStored(`CREATE TABLE "users" (
	"name" TEXT COLLATE NOCASE CHECK (name <> ')'),
	"upper" TEXT GENERATED ALWAYS AS (upper("name")) STORED,
	"team_id" TEXT,
	CONSTRAINT "users_team_id_fkey" FOREIGN KEY ("team_id") REFERENCES "teams" ("id") DEFERRABLE INITIALLY DEFERRED
) STRICT`)
	fmt.Println(s.Checks, s.Collate, s.Generated, s.Kept, s.Deferred)
	// Output:
	// [name <> ')'] map[name:NOCASE] map[upper:upper("name")] map[upper:true] map[team_id:true]
}

func ExampleStored() {
	checks := func(s schema.Stored) int { return len(s.Checks) }
	fmt.Println(checks(schema.ReadStored(`CREATE TABLE t (a, CHECK (a > 0), CHECK (a < 9))`)))
	// Output:
	// 2
}

func ExampleIsIndexLine() {
	for _, line := range (schema.Schema{Tables: []schema.Table{{
		Name: "users", Key: []string{"id"}, Columns: []schema.Column{{Name: "id", Type: schema.Text, NotNull: true}},
		Indexes: []schema.Index{{Name: "by_id", Columns: []string{"id"}}},
	}}}).Structure() {
		fmt.Println(schema.IsIndexLine(line), line)
	}
	// Output:
	// false column users.id: TEXT NOT NULL
	// true index: create index by_id on users (id)
	// false table users: primary key (id)
}
