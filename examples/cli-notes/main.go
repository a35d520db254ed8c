// Command cli-notes keeps notes in a file: add, list, tag, search, edit, undo.
//
//	cli-notes [-file notes.sqlite] add TITLE [BODY]
//	cli-notes list [TAG]
//	cli-notes tag ID TAG…
//	cli-notes search WORDS…
//	cli-notes edit ID BODY
//	cli-notes rm ID
//	cli-notes undo ID
//
// Ids may be shortened to what is unique. With -bucket DIR every change drifts
// to that directory, which stands for a bucket here, and a missing file comes
// back from it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/examples/cli-notes/models"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/filestore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cli-notes:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("cli-notes", flag.ContinueOnError)
	file := flags.String("file", "notes.sqlite", "where the notes are")
	bucket := flags.String("bucket", "", "a directory that every change drifts to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	db, err := open(ctx, *file, *bucket)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Shutdown(ctx)) }()
	n := notes{db: db, out: out}
	args = flags.Args()
	if len(args) == 0 {
		args = []string{"list"}
	}
	verb, ok := map[string]func(context.Context, []string) error{
		"add": n.add, "list": n.list, "tag": n.tag, "search": n.search, "edit": n.edit, "rm": n.remove, "undo": n.undo,
	}[args[0]]
	if !ok {
		return fmt.Errorf("%s: no such verb: add, list, tag, search, edit, rm, undo", args[0])
	}
	return verb(ctx, args[1:])
}

// open opens the file and its search index.
func open(ctx context.Context, file, bucket string) (*orm.DB, error) {
	var o driftdb.Options
	if bucket != "" {
		store, err := filestore.New(bucket, filestore.Options{})
		if err != nil {
			return nil, err
		}
		if o.Replica, err = replicate.New("notes", store, replicate.Options{
			AutoRestore: true,
			Retry:       replicate.Retry{LockWait: 10 * time.Second}, // for another run of this command to end
		}); err != nil {
			return nil, err
		}
	}
	db, err := driftdb.Open(ctx, file, models.Schema, o)
	if err != nil {
		return nil, err
	}
	if err := ensureIndex(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}
