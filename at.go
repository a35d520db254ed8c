package driftdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/schema"
)

// Source puts a database at a path. [replicate.Source] is one, from a backup.
//
// [replicate.Source]: https://pkg.go.dev/github.com/driftdb/driftdb/replicate#Source
type Source interface {
	RestoreTo(ctx context.Context, path string) error
}

// OpenAt opens what a source restores, a backup at a time for instance, to look
// at: every generated read works on it, and nothing that writes compiles. It
// lies in a private temporary file (in o.Dir; the system's directory for such
// files by default) until Close. Where the models have changed since, the copy
// is made to fit them as Open would: what Open refuses, OpenAt does. A copy to
// write to is what Open of Memory with Options.From gives.
func OpenAt(ctx context.Context, from Source, s schema.Schema, o AtOptions) (*orm.ReadDB, error) {
	p, err := openAt(ctx, from, s, o)
	if err != nil {
		return nil, fmt.Errorf("driftdb: open a past state: %w", err)
	}
	return p, nil
}

// AtOptions of OpenAt. The zero value is good.
type AtOptions struct {
	// Dir is where the temporary file is made. Defaults to the system's
	// directory for such files.
	Dir string

	// Readers is how many read-only connections may be open at once, as in
	// Options.
	Readers int
}

func openAt(ctx context.Context, from Source, s schema.Schema, o AtOptions) (_ *orm.ReadDB, err error) {
	if from == nil {
		return nil, errors.New("there is no source")
	}
	dir, err := os.MkdirTemp(o.Dir, "driftdb-at-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	path := filepath.Join(dir, "past.sqlite")
	if err := from.RestoreTo(ctx, path); err != nil {
		return nil, err
	}
	db, err := orm.Open(ctx, s, ormOptions(path, Options{Readers: o.Readers}, func() error { return os.RemoveAll(dir) }))
	if err != nil {
		return nil, err
	}
	return db.ReadOnly(), nil
}
