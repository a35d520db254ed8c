package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/driftdb/driftdb/examples/quickstart/models"
	"github.com/driftdb/driftdb/orm"
)

// answers are what the example asks the graph.
type answers struct {
	top         []models.Package // most imported
	roots       int              // imported by nobody
	transitive  int              // packages net/http needs, itself left out
	generations int              // steps of the search for them
}

func ask(ctx context.Context, db *orm.DB) (a answers, err error) {
	P := models.Packages
	a.top, err = P.Where().OrderBy(P.ImportedBy.Desc(), P.Path.Asc()).Limit(10).All(ctx, db)
	if err != nil {
		return a, err
	}
	roots, err := P.Where(P.ImportedBy.Eq(0)).All(ctx, db)
	if err != nil {
		return a, err
	}
	a.roots = len(roots)
	a.transitive, a.generations, err = transitive(ctx, db, "net/http")
	return a, err
}

// transitive counts what the package at path imports, directly or not: a
// breadth-first search with generated queries, checked against one recursive
// statement.
func transitive(ctx context.Context, db *orm.DB, path string) (count, generations int, err error) {
	I := models.Imports
	start, err := models.Packages.ByPath.Find(ctx, db, path)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w", path, err)
	}
	seen := map[string]bool{start.ID: true}
	for frontier := []string{start.ID}; len(frontier) > 0; generations++ {
		edges, err := I.Where(I.FromID.In(frontier...)).All(ctx, db)
		if err != nil {
			return 0, 0, err
		}
		frontier = frontier[:0:0]
		for _, e := range edges {
			if !seen[e.ToID] {
				seen[e.ToID] = true
				frontier = append(frontier, e.ToID)
			}
		}
	}
	count = len(seen) - 1

	recursive, err := orm.RawAll[string](ctx, db, `
		WITH RECURSIVE needs(id) AS (
			SELECT ?
			UNION
			SELECT imports.to_id FROM imports JOIN needs ON imports.from_id = needs.id
		)
		SELECT id FROM needs`, start.ID)
	if err != nil {
		return 0, 0, err
	}
	for _, id := range recursive {
		if !seen[id] {
			return 0, 0, fmt.Errorf("%s: the recursive query found a package that the search did not", path)
		}
	}
	if len(recursive) != len(seen) {
		return 0, 0, fmt.Errorf("%s: the search found %d packages, the recursive query %d", path, len(seen), len(recursive))
	}
	return count, generations, nil
}

func (a answers) print() {
	fmt.Println("most imported:")
	for i := 0; i < len(a.top); i += 5 {
		var row []string
		for _, p := range a.top[i:min(i+5, len(a.top))] {
			row = append(row, fmt.Sprintf("%s %d", p.Path, p.ImportedBy))
		}
		fmt.Println("  " + strings.Join(row, ", "))
	}
	fmt.Printf("imported by nobody: %d packages\n", a.roots)
	fmt.Printf("net/http needs %d packages, found in %d queries; one recursive statement agrees\n", a.transitive, a.generations)
}
