package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/driftdb/driftdb/examples/quickstart/models"
	"github.com/driftdb/driftdb/orm"
)

// load stores the packages in one transaction, then the files and imports of
// each package in a transaction of its own that also keeps imported_by.
func load(ctx context.Context, db *orm.DB, std []listed, progress func(done int)) error {
	rows := make([]models.Package, len(std))
	for i, p := range std {
		rows[i] = models.Package{
			Path: p.ImportPath, Name: p.Name, Synopsis: p.Doc,
			Internal: strings.Contains("/"+p.ImportPath+"/", "/internal/"),
		}
	}
	if err := models.Packages.CreateMany(ctx, db, rows); err != nil {
		return err
	}
	ids := make(map[string]string, len(rows))
	for _, r := range rows {
		ids[r.Path] = r.ID
	}
	for i, p := range std {
		err := db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
			return loadPackage(ctx, tx, p, ids)
		})
		if err != nil {
			return fmt.Errorf("load %s: %w", p.ImportPath, err)
		}
		progress(i + 1)
	}
	return nil
}

func loadPackage(ctx context.Context, tx *orm.Tx, p listed, ids map[string]string) error {
	files := make([]models.File, len(p.GoFiles))
	for i, name := range p.GoFiles {
		files[i] = models.File{PackageID: ids[p.ImportPath], Name: name, Size: p.sizes[i]}
	}
	if err := models.Files.CreateMany(ctx, tx, files); err != nil {
		return err
	}
	for _, path := range p.Imports {
		to, ok := ids[path]
		if !ok { // "C" is no package
			continue
		}
		if err := models.Imports.Create(ctx, tx, &models.Import{FromID: ids[p.ImportPath], ToID: to}); err != nil {
			return err
		}
		if err := models.Packages.Update(ctx, tx, to, models.Packages.ImportedBy.Add(1)); err != nil {
			return err
		}
	}
	return nil
}

// edit changes and deletes some rows: internal packages lose their synopsis,
// and the files of vendored packages go, in one transaction. A transaction
// that fails leaves nothing behind: neither rows nor log entries.
func edit(ctx context.Context, db *orm.DB) (updated, deleted int64, err error) {
	P, F := models.Packages, models.Files
	err = db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		updated, err = P.Where(P.Internal.IsTrue()).Update(ctx, tx, P.Synopsis.Set("(internal)"))
		if err != nil {
			return err
		}
		vendored, err := P.All(ctx, tx, P.Path.HasPrefix("vendor/"))
		if err != nil {
			return err
		}
		for _, p := range vendored {
			n, err := F.Where(F.PackageID.Eq(p.ID)).Delete(ctx, tx)
			if err != nil {
				return err
			}
			deleted += n
		}
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	return updated, deleted, rollBack(ctx, db)
}

// rollBack makes a transaction fail half way and checks that it left nothing.
func rollBack(ctx context.Context, db *orm.DB) error {
	before, err := models.Files.Count(ctx, db)
	if err != nil {
		return err
	}
	stop := errors.New("stop")
	err = db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		if _, err := models.Files.Where().AllRows().Delete(ctx, tx); err != nil {
			return err
		}
		return stop
	})
	if !errors.Is(err, stop) {
		return fmt.Errorf("roll back: %w", err)
	}
	after, err := models.Files.Count(ctx, db)
	if err != nil {
		return err
	}
	if before != after {
		return fmt.Errorf("roll back: %d files before, %d after", before, after)
	}
	return nil
}
