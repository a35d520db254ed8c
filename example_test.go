package driftdb_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/gen_test/basic"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// A local database: one file, no replica.
func ExampleOpen() {
	ctx := context.Background()
	db, err := driftdb.Open(ctx, driftdb.Memory, basic.Schema, driftdb.Options{})
	if err != nil {
		log.Fatal(err)
	}
	team := basic.Team{Name: "red"}
	if err := basic.Teams.Create(ctx, db, &team); err != nil {
		log.Fatal(err)
	}
	found, err := basic.Teams.ByName.Find(ctx, db, "red")
	fmt.Println(found.ID == team.ID, err, db.Close())
	// Output: true <nil> <nil>
}

// A machine is lost, and another one goes on with its database. With s3store
// in the place of memstore the bucket is in S3.
func ExampleOptions_replica() {
	ctx := context.Background()
	store := memstore.New()
	onMachine := func(name string, work func(replica *replicate.Replica, path string)) {
		dir, err := os.MkdirTemp("", name)
		if err != nil {
			log.Fatal(err)
		}
		defer func() { _ = os.RemoveAll(dir) }() // the machine is gone
		replica, err := replicate.New("app", store, replicate.Options{AutoRestore: true})
		if err != nil {
			log.Fatal(err)
		}
		work(replica, filepath.Join(dir, "app.sqlite"))
	}

	onMachine("one", func(replica *replicate.Replica, path string) {
		db, err := driftdb.Open(ctx, path, basic.Schema, driftdb.Options{Replica: replica})
		if err != nil {
			log.Fatal(err)
		}
		if err := basic.Teams.Create(ctx, db, &basic.Team{Name: "red"}); err != nil {
			log.Fatal(err)
		}
		fmt.Println("in the bucket:", replica.Flush(ctx) == nil)
		fmt.Println("handed over:", db.Shutdown(ctx) == nil)
	})
	onMachine("two", func(replica *replicate.Replica, path string) {
		db, err := driftdb.Open(ctx, path, basic.Schema, driftdb.Options{Replica: replica})
		if err != nil {
			log.Fatal(err)
		}
		n, err := basic.Teams.Count(ctx, db)
		fmt.Println("restored:", n, err, db.Close())
	})
	// Output:
	// in the bucket: true
	// handed over: true
	// restored: 1 <nil> <nil>
}

// Anybody who may read the bucket can restore a copy, while the owner goes on.
func Example_restore() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	store := memstore.New()
	replica, err := replicate.New("app", store, replicate.Options{})
	if err != nil {
		log.Fatal(err)
	}
	db, err := driftdb.Open(ctx, filepath.Join(dir, "app.sqlite"), basic.Schema, driftdb.Options{Replica: replica})
	if err != nil {
		log.Fatal(err)
	}
	if err := basic.Teams.Create(ctx, db, &basic.Team{Name: "red"}); err != nil {
		log.Fatal(err)
	}
	if err := replica.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	result, err := replicate.Restore(ctx, "app", store, filepath.Join(dir, "copy.sqlite"), replicate.RestoreOptions{})
	fmt.Println("all of it:", replica.Status().Acknowledged == result.Position.Sequence, err, db.Close())
	// Output: all of it: true <nil> <nil>
}

// The state an hour ago, or at a point that Mark has named, to look at; and a
// deleted row that comes back from the bucket.
func ExampleOpenAt() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	store, path := memstore.New(), filepath.Join(dir, "app.sqlite")
	replica, err := replicate.New("app", store, replicate.Options{})
	if err != nil {
		log.Fatal(err)
	}
	db, err := driftdb.Open(ctx, path, basic.Schema, driftdb.Options{Replica: replica})
	if err != nil {
		log.Fatal(err)
	}
	red := basic.Team{Name: "red"}
	err = errors.Join(basic.Teams.Create(ctx, db, &red), replica.Mark(ctx, "before"))
	if err != nil {
		log.Fatal(err)
	}
	_, err = basic.Teams.Delete(ctx, db, red.ID)
	if err := errors.Join(err, replica.Flush(ctx)); err != nil {
		log.Fatal(err)
	}

	past, err := driftdb.OpenAt(ctx, replicate.Source{Name: "app", Store: store, Options: replicate.RestoreOptions{Point: "before"}}, basic.Schema, driftdb.AtOptions{})
	if err != nil {
		log.Fatal(err)
	}
	was, err := basic.Teams.Find(ctx, past, red.ID)
	fmt.Println("there was", was.Name, err, past.Close())

	_, err = replicate.Undelete(ctx, "app", store, path, "teams", `{"id":"`+red.ID+`"}`, replicate.UndeleteOptions{})
	fmt.Println("undeleted:", err)
	is, err := basic.Teams.Find(ctx, db, red.ID)
	fmt.Println("there is", is.Name, err, db.Close())
	// Output:
	// there was red <nil> <nil>
	// undeleted: <nil>
	// there is red <nil> <nil>
}
