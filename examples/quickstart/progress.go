package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/driftdb/driftdb/examples/quickstart/models"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/s3store"
)

// step runs fn and prints what it was and how long it took.
func step[T any](what string, fn func() (T, error)) (T, error) {
	start := time.Now()
	v, err := fn()
	if err != nil {
		return v, fmt.Errorf("%s: %w", what, err)
	}
	fmt.Printf("%s: %.2f s\n", what, time.Since(start).Seconds())
	return v, nil
}

// progress is a line that counts up: in place on a terminal, once at the end
// anywhere else.
type progress struct {
	what     string
	total    int
	start    time.Time
	terminal bool
}

func newProgress(what string, total int) *progress {
	info, err := os.Stdout.Stat()
	return &progress{what: what, total: total, start: time.Now(), terminal: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

func (p *progress) set(done int) {
	if p.terminal {
		fmt.Printf("\r%s: %d of %d", p.what, done, p.total)
	}
}

func (p *progress) done() {
	if p.terminal {
		fmt.Print("\r")
	}
	fmt.Printf("%s: %d of %d in %.2f s\n", p.what, p.total, p.total, time.Since(p.start).Seconds())
}

func printSize(ctx context.Context, db *orm.DB) error {
	packages, err := models.Packages.Count(ctx, db)
	if err != nil {
		return err
	}
	files, err := models.Files.Count(ctx, db)
	if err != nil {
		return err
	}
	imports, err := models.Imports.Count(ctx, db)
	if err != nil {
		return err
	}
	fmt.Printf("stored: %d packages, %d files, %d imports\n", packages, files, imports)
	return nil
}

func printTraffic(what string, store *s3store.Store) {
	c := store.Counters()
	fmt.Printf("%s: %d PUT, %d GET, %d LIST; %.0f kB up, %.0f kB down\n",
		what, c.Puts, c.Gets, c.Lists, float64(c.BytesUp)/1000, float64(c.BytesDown)/1000)
}
