package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// day makes c.Count batches of one transaction each in memory, lets them be
// packed as on a real day, and copies what is left to the bucket.
func day(ctx context.Context, c command) (err error) {
	store := memstore.New()
	var packs atomic.Int64
	replica, err := replicate.New(c.Name, store, replicate.Options{
		Snapshot: replicate.SnapshotRule{Disabled: true},
		Events: func(e replicate.Event) {
			if e.Kind == replicate.EventPacked {
				packs.Add(1)
			}
		},
	})
	if err != nil {
		return err
	}
	d, err := openDrift(ctx, c.File, replica)
	if err != nil {
		return err
	}
	for range c.Count {
		if err := errors.Join(d.event(ctx), replica.Flush(ctx)); err != nil {
			return errors.Join(err, d.close(ctx))
		}
	}
	if err := d.close(ctx); err != nil {
		return err
	}
	if packs.Load() == 0 {
		return errors.New("nothing was packed")
	}
	to, err := openStore(ctx, c.Endpoint, os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), c.Prefix)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	return copyObjects(ctx, store, to)
}

// copyObjects copies every object as it is stored.
func copyObjects(ctx context.Context, from, to replicate.Store) error {
	for info, err := range from.List(ctx, "", "") {
		if err != nil {
			return err
		}
		body := replicate.Body{Size: info.Size, Open: func() (io.ReadCloser, error) {
			r, _, err := from.Get(ctx, info.Key)
			return r, err
		}}
		if _, err := to.Put(ctx, info.Key, body, replicate.Condition{IfAbsent: true}); err != nil {
			return fmt.Errorf("copy %s: %w", info.Key, err)
		}
	}
	return nil
}
