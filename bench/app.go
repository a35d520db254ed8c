package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/filestore"
)

// command is one line to an application under measurement: a child process, so
// that its memory and its processor time are its own.
type command struct {
	Do string `json:"do"` // open, load, flush, snapshot, durable, usage, copy, restore, verify, day, close

	Engine   string `json:"engine,omitempty"` // drift: with a replica; local: DriftDB without; plain: database/sql
	File     string `json:"file,omitempty"`
	Name     string `json:"name,omitempty"` // of the database
	Endpoint string `json:"endpoint,omitempty"`
	Prefix   string `json:"prefix,omitempty"`
	Dir      string `json:"dir,omitempty"` // objects in a directory instead: where to copy to, or to restore from
	TakeOver bool   `json:"takeOver,omitempty"`

	NoSnapshots bool `json:"noSnapshots,omitempty"` // none but those asked for
	NoTriggers  bool `json:"noTriggers,omitempty"`  // the log is not written

	Load     string  `json:"load,omitempty"` // a workload of load.go
	Rate     float64 `json:"rate,omitempty"` // transactions a second; 0: as fast as it goes
	Seconds  float64 `json:"seconds,omitempty"`
	Count    int     `json:"count,omitempty"`    // transactions, instead of Seconds
	Rows     int     `json:"rows,omitempty"`     // in each transaction
	Snapshot bool    `json:"snapshot,omitempty"` // takes one meanwhile
	Sequence int64   `json:"sequence,omitempty"` // where a restore ends
	Writers  int     `json:"writers,omitempty"`
}

// reply is the answer to a command.
type reply struct {
	Error    string          `json:"error,omitempty"`
	Commits  []commit        `json:"commits,omitempty"`
	Took     []time.Duration `json:"took,omitempty"` // of each transaction, or call
	Duration time.Duration   `json:"duration,omitempty"`
	Snapshot time.Duration   `json:"snapshot,omitempty"` // how long the snapshot meanwhile took
	CPU      time.Duration   `json:"cpu,omitempty"`      // user and system, of the process so far
	Peak     int64           `json:"peak,omitempty"`     // VmHWM in bytes
	Sequence int64           `json:"sequence,omitempty"` // of a restore; of a verification: how many snapshots it has read
	Entries  int64           `json:"entries,omitempty"`
	Bytes    int64           `json:"bytes,omitempty"`
	Epoch    uint32          `json:"epoch,omitempty"`
	Fenced   bool            `json:"fenced,omitempty"`
}

// commit is a transaction of the application.
type commit struct {
	At       int64 `json:"at"`       // Unix ns, when Commit had returned
	Sequence int64 `json:"sequence"` // of its mark in the log; 0 without a log
}

// runApp answers commands until its input ends.
func runApp(ctx context.Context, in io.Reader, out io.Writer) error {
	a := &app{}
	answers := json.NewEncoder(out)
	commands := bufio.NewScanner(in)
	commands.Buffer(nil, 1<<20)
	for commands.Scan() {
		var c command
		if err := json.Unmarshal(commands.Bytes(), &c); err != nil {
			return err
		}
		var r reply
		if err := a.do(ctx, c, &r); err != nil {
			r.Error, r.Fenced = err.Error(), errors.Is(err, replicate.ErrFenced)
		}
		if err := answers.Encode(r); err != nil {
			return err
		}
	}
	return errors.Join(commands.Err(), a.close(ctx))
}

// app is the application under measurement.
type app struct {
	w       writer
	replica *replicate.Replica
	store   io.Closer
}

func (a *app) do(ctx context.Context, c command, r *reply) error {
	began := time.Now()
	defer func() { r.Duration = time.Since(began) }()
	switch c.Do {
	case "open":
		return a.open(ctx, c, r)
	case "load":
		return a.load(ctx, c, r)
	case "flush":
		return a.replica.Flush(ctx)
	case "snapshot":
		return a.replica.Snapshot(ctx)
	case "durable":
		return a.durable(ctx, c, r)
	case "usage":
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			return err
		}
		r.CPU = time.Duration(u.Utime.Nano() + u.Stime.Nano())
		r.Peak = peakMemory(os.Getpid())
		return nil
	case "copy":
		return a.copy(ctx, c)
	case "restore":
		return a.restore(ctx, c, r)
	case "day":
		return day(ctx, c)
	case "verify":
		return a.verify(ctx, c, r)
	case "close":
		return a.close(ctx)
	}
	return fmt.Errorf("no command %q", c.Do)
}

func (a *app) open(ctx context.Context, c command, r *reply) error {
	var err error
	if c.Engine == "plain" {
		a.w, err = openPlain(ctx, c.File)
		return err
	}
	if c.Engine == "drift" {
		store, err := openStore(ctx, c.Endpoint, os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), c.Prefix)
		if err != nil {
			return err
		}
		a.store = store
		a.replica, err = replicate.New(c.Name, store, replicate.Options{
			AutoRestore: true, TakeOver: c.TakeOver, Snapshot: replicate.SnapshotRule{Disabled: c.NoSnapshots},
		})
		if err != nil {
			return err
		}
	}
	d, err := openDrift(ctx, c.File, a.replica)
	if err != nil {
		return err
	}
	a.w = d
	if c.NoTriggers {
		return d.dropTriggers(ctx)
	}
	if a.replica != nil {
		r.Epoch = a.replica.Status().Epoch
	}
	return nil
}

// close ends the application as a program does that was told to.
func (a *app) close(ctx context.Context) error {
	var errs []error
	if a.w != nil {
		errs = append(errs, a.w.close(ctx))
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	*a = app{}
	return errors.Join(errs...)
}

// copy copies the bucket's objects to a directory.
func (a *app) copy(ctx context.Context, c command) error {
	from, err := openStore(ctx, c.Endpoint, os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), c.Prefix)
	if err != nil {
		return err
	}
	to, err := filestore.New(c.Dir, filestore.Options{})
	if err != nil {
		return errors.Join(err, from.Close())
	}
	return errors.Join(copyObjects(ctx, from, to), from.Close())
}

func (a *app) restore(ctx context.Context, c command, r *reply) error {
	var store replicate.Store
	if c.Dir != "" {
		dir, err := filestore.New(c.Dir, filestore.Options{})
		if err != nil {
			return err
		}
		store = dir
	} else {
		bucket, err := openStore(ctx, c.Endpoint, os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), c.Prefix)
		if err != nil {
			return err
		}
		defer func() { _ = bucket.Close() }() // everything is read
		store = bucket
	}
	result, err := replicate.Restore(ctx, c.Name, store, c.File, replicate.RestoreOptions{Sequence: c.Sequence})
	if err != nil {
		return err
	}
	r.Sequence, r.Entries, r.Bytes = result.Position.Sequence, result.Entries, result.Bytes
	return nil
}

func (a *app) verify(ctx context.Context, c command, r *reply) error {
	store, err := openStore(ctx, c.Endpoint, os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), c.Prefix)
	if err != nil {
		return err
	}
	report, err := replicate.Verify(ctx, c.Name, store, replicate.VerifyOptions{NoTrial: true})
	if err = errors.Join(err, store.Close()); err != nil {
		return err
	}
	r.Bytes, r.Entries, r.Sequence = report.Bytes, report.Entries, int64(report.Snapshots)
	return nil
}

// durable commits and waits until a machine may be lost: one writer after the
// other, or many at once.
func (a *app) durable(ctx context.Context, c command, r *reply) error {
	type result struct {
		took []time.Duration
		err  error
	}
	results := make(chan result)
	for range c.Writers {
		go func() {
			var res result
			for range c.Count {
				began := time.Now()
				var p replicate.Position
				if p, res.err = a.w.commit(ctx); res.err == nil {
					res.err = a.replica.WaitDurable(ctx, p)
				}
				if res.err != nil {
					break
				}
				res.took = append(res.took, time.Since(began))
			}
			results <- res
		}()
	}
	var errs []error
	for range c.Writers {
		res := <-results
		r.Took = append(r.Took, res.took...)
		errs = append(errs, res.err)
	}
	return errors.Join(errs...)
}
