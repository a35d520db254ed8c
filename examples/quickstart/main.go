// The quickstart is the main job of DriftDB on real input: it reads the import
// graph of the Go standard library into typed models, asks it three questions,
// changes some rows, ships everything to S3, loses the machine, and restores
// the database on another one, row for row.
//
//	go run ./examples/quickstart
//	go run ./examples/quickstart -endpoint https://s3.example.com -bucket my-bucket -region eu-central-1
//
// Without -bucket it serves S3 itself, inside the process; the AWS SDK talks to
// it over HTTP all the same. With -bucket the credentials come from the usual
// AWS places (environment, profile, instance role).
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/examples/quickstart/models"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/s3store"
)

func main() {
	var b bucketFlags
	flag.StringVar(&b.endpoint, "endpoint", "", "URL of an S3 server; empty is AWS when -bucket is given")
	flag.StringVar(&b.bucket, "bucket", "", "bucket to ship to; empty serves S3 inside this process")
	flag.StringVar(&b.region, "region", "us-east-1", "region of the bucket")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, b); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

func run(ctx context.Context, b bucketFlags) (err error) {
	started := time.Now()
	fmt.Println("DriftDB quick start: the Go standard library's import graph → SQLite → S3 → a new machine")
	dir, err := os.MkdirTemp("", "driftdb-quickstart-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // temporary files

	store, closeStore, err := b.open(ctx)
	if err != nil {
		return err
	}
	defer closeStore()
	name := fmt.Sprintf("quickstart-%d", started.UnixMilli())

	first, err := machineOne(ctx, filepath.Join(dir, "one"), name, store)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(dir, "one")); err != nil {
		return err
	}
	fmt.Println("machine one is gone: its directory was deleted")

	rows, err := machineTwo(ctx, filepath.Join(dir, "two"), name, store, first)
	if err != nil {
		return err
	}
	fmt.Printf("all done in %.1f s\n", time.Since(started).Seconds())
	fmt.Printf("restored %d rows in %d tables: identical\n", rows, len(models.Schema.Tables))
	return nil
}

// machineOne loads, asks, edits and ships; it returns what its tables held.
func machineOne(ctx context.Context, dir, name string, store *s3store.Store) (_ map[string]digest, err error) {
	db, replica, err := openOn(ctx, dir, name, store)
	if err != nil {
		return nil, err
	}
	defer func() { err = closeBoth(db, err) }()

	std, err := step("read the graph with go list", func() ([]listed, error) { return listStd(ctx) })
	if err != nil {
		return nil, err
	}
	bar := newProgress("load packages", len(std))
	if err := load(ctx, db, std, bar.set); err != nil {
		return nil, err
	}
	bar.done()
	if err := printSize(ctx, db); err != nil {
		return nil, err
	}

	a, err := step("ask three questions", func() (answers, error) { return ask(ctx, db) })
	if err != nil {
		return nil, err
	}
	a.print()

	updated, deleted, err := edit(ctx, db)
	if err != nil {
		return nil, err
	}
	fmt.Printf("edited: %d packages updated, %d files deleted, 1 transaction rolled back\n", updated, deleted)

	if _, err := step("flush to S3", func() (struct{}, error) { return struct{}{}, replica.Flush(ctx) }); err != nil {
		return nil, err
	}
	printTraffic("shipped", store)
	return digests(ctx, db, models.Schema)
}

// machineTwo opens the same name in an empty directory: the replica restores
// it. It returns how many rows are the same as before.
func machineTwo(ctx context.Context, dir, name string, store *s3store.Store, before map[string]digest) (rows int, err error) {
	type opened struct {
		db      *orm.DB
		replica *replicate.Replica
	}
	o, err := step("restore on machine two", func() (opened, error) {
		db, replica, err := openOn(ctx, dir, name, store)
		return opened{db, replica}, err
	})
	if err != nil {
		return 0, err
	}
	defer func() { err = closeBoth(o.db, err) }()
	printTraffic("in all", store)
	if err := o.db.IntegrityCheck(ctx); err != nil {
		return 0, err
	}
	after, err := digests(ctx, o.db, models.Schema)
	if err != nil {
		return 0, err
	}
	return compare(before, after)
}

func openOn(ctx context.Context, dir, name string, store *s3store.Store) (*orm.DB, *replicate.Replica, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, nil, err
	}
	replica, err := replicate.New(name, store, replicate.Options{AutoRestore: true})
	if err != nil {
		return nil, nil, err
	}
	db, err := driftdb.Open(ctx, filepath.Join(dir, "std.sqlite"), models.Schema, driftdb.Options{Replica: replica})
	return db, replica, err
}

// closeBoth closes db, which hands the name over to the next machine, and
// keeps the first error.
func closeBoth(db *orm.DB, err error) error {
	if cerr := db.Close(); err == nil {
		return cerr
	}
	return err
}
