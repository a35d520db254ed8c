package gen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	udiff "github.com/aymanbagabas/go-udiff"

	"github.com/driftdb/driftdb/schema"
)

// Config is what a run is given.
type Config struct {
	// Dir is the directory in which Patterns are read and to which positions
	// are relative. Defaults to the working directory.
	Dir string
	// Patterns name packages as the go command does: ".", "./...", import
	// paths. Defaults to ".".
	Patterns []string
	// Env is the environment of the go command. Defaults to that of the process.
	Env []string

	// Plans lets Vet ask SQLite how it would run the queries of one's own, by the
	// generated tests: the packages are compiled, their driver too.
	Plans bool

	whole    bool // load what other packages refer to, as for migrations
	compiled bool // take all types from compiled packages: for tests
}

// Plan is what the models of some packages demand of the files on disk.
type Plan struct {
	// Files are sorted by path. Only those that Stale says differ.
	Files []File
	// Diagnostics are sorted by position. While one of them is an error Files
	// is empty.
	Diagnostics []Diagnostic
	// Models is how many tables the packages have.
	Models int

	// Behind says that models have changes that no migration has.
	Behind bool

	planned  []planned // with models
	dir      string
	patterns []string
	packages []*collector // while there is no error
}

// File is one file of ours, as it is and as it should be.
type File struct {
	Path string // absolute
	Old  []byte // nil: it is missing
	New  []byte // nil: it is an orphan, its models are gone
}

// Stale says whether the file on disk is not what the models demand. Line ends
// are those of the checkout and do not count.
func (f File) Stale() bool {
	return (f.Old == nil) != (f.New == nil) || !bytes.Equal(bytes.ReplaceAll(f.Old, []byte("\r\n"), []byte("\n")), f.New)
}

// Failed says whether a diagnostic is an error.
func (p *Plan) Failed() bool {
	return slices.ContainsFunc(p.Diagnostics, func(d Diagnostic) bool { return !d.Warning })
}

// Stale says whether a file differs.
func (p *Plan) Stale() bool { return slices.ContainsFunc(p.Files, File.Stale) }

// Print writes the diagnostics, one a line.
func (p *Plan) Print(w io.Writer) error {
	for _, d := range p.Diagnostics {
		if _, err := fmt.Fprintln(w, d.text(p.dir)); err != nil {
			return err
		}
	}
	return nil
}

// NewPlan loads the packages and works out their files. It changes nothing.
// Mistakes in the models are diagnostics; the error is for what keeps it from
// reading them.
func NewPlan(ctx context.Context, c Config) (*Plan, error) {
	if c.Dir == "" {
		dir, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		c.Dir = dir
	}
	if len(c.Patterns) == 0 {
		c.Patterns = []string{"."}
	}
	s, err := find(c.Dir, c.Patterns)
	if err != nil {
		return nil, err
	}
	pkgs, err := load(ctx, c, s)
	if err != nil {
		return nil, err
	}
	r := &reporter{}
	plan := &Plan{dir: c.Dir, patterns: c.Patterns}
	var all []*collector
	predicted := map[string]bool{}
	for _, p := range pkgs {
		col := collect(r, p)
		col.resolve()
		all = append(all, col)
		plan.Models += len(col.models)
	}
	if err := loadOthers(ctx, c, all); err != nil {
		return nil, err
	}
	for _, col := range all {
		col.connect()
		col.predicted(predicted)
	}
	for _, col := range all {
		loadErrors(r, c.Dir, col.pkg, s, predicted)
		if err := errors.Join(col.checkTargets(s), col.checkTestNames()); err != nil {
			return nil, err
		}
	}
	if !r.failed() {
		for _, col := range all {
			r.all = append(r.all, col.untyped...)
		}
	}
	if !r.failed() {
		for _, col := range all {
			col.build()
		}
		for _, col := range all {
			if !r.failed() {
				order, err := col.creationOrder()
				if err != nil {
					return nil, err
				}
				col.checkMigrations(order)
			}
		}
	}
	for _, col := range all {
		if r.failed() {
			break
		}
		if err := plan.add(col, s); err != nil {
			return nil, fmt.Errorf("%s: %w", col.pkg.PkgPath, err)
		}
	}
	if plan.Diagnostics = r.sorted(); r.failed() {
		plan.Files = nil
	} else {
		plan.packages = all
	}
	slices.SortFunc(plan.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return plan, nil
}

// add appends the files of one package.
func (p *Plan) add(c *collector, s *scan) error {
	want := map[string][]byte{}
	for _, f := range c.files() {
		text, err := c.emitFile(f)
		if err != nil {
			return err
		}
		want[f.target()] = text
	}
	if len(c.models) > 0 {
		order, err := c.creationOrder()
		if err != nil {
			return err
		}
		p.planned = append(p.planned, planned{c, order})
		p.Behind = p.Behind || c.behind
		if hasMigrations(c.pkg.Dir) {
			text, err := c.emitMigrationTest()
			if err != nil {
				return err
			}
			want[filepath.Join(c.pkg.Dir, migrationsTest)] = text
		}
		text, err := c.emitSchema(order)
		if err != nil {
			return err
		}
		want[filepath.Join(c.pkg.Dir, schemaFile)] = text
	}
	if len(c.queries) > 0 && len(c.models) > 0 {
		text, err := c.emitQueriesTest()
		if err != nil {
			return err
		}
		want[filepath.Join(c.pkg.Dir, queriesTest)] = text
	}
	for path := range s.own {
		if filepath.Dir(path) == c.pkg.Dir && want[path] == nil {
			want[path] = nil
		}
	}
	for path, text := range want {
		old, err := readFile(path)
		if err != nil {
			return err
		}
		p.Files = append(p.Files, File{Path: path, Old: old, New: text})
	}
	return nil
}

// target returns the file of ours that belongs to the source file.
func (f *sourceFile) target() string { return strings.TrimSuffix(f.path, ".go") + fileSuffix }

// checkTargets reports files in the place of the output that driftgen did not
// write.
func (c *collector) checkTargets(s *scan) error {
	if len(c.models) == 0 {
		return nil
	}
	paths := []string{filepath.Join(c.pkg.Dir, schemaFile)}
	for _, f := range c.files() {
		paths = append(paths, f.target())
	}
	for _, path := range paths {
		old, err := readFile(path)
		if err != nil {
			return err
		}
		if old != nil && !s.own[path] {
			c.errorf(token.Position{Filename: path, Line: 1, Column: 1},
				"driftgen would write this file, but something else did: its first line is not %q; rename the file, or remove it", Header)
		}
	}
	return nil
}

// files returns the source files with models, rows or queries, in order.
func (c *collector) files() []*sourceFile {
	var out []*sourceFile
	for _, d := range c.order {
		f := d.file
		if len(f.models)+len(f.rows)+len(f.queries) > 0 && !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	for _, f := range c.withQueries {
		if !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}

// creationOrder returns the models so that a table follows those it refers to.
func (c *collector) creationOrder() ([]*model, error) {
	var all schema.Schema
	byName := map[string]*model{}
	for _, m := range c.models {
		all.Tables = append(all.Tables, m.table)
		byName[m.table.Name] = m
	}
	for _, m := range c.foreignModels() {
		all.Tables = append(all.Tables, m.bareTable())
	}
	sorted := all.Sorted()
	if err := sorted.Validate(); err != nil {
		return nil, err
	}
	var out []*model
	for _, t := range sorted.Tables {
		if m := byName[t.Name]; m != nil {
			out = append(out, m)
		}
	}
	return out, nil
}

// Diff writes what Write would change as a unified diff, and says for each
// file that is missing or an orphan that it is.
func (p *Plan) Diff(w io.Writer) error {
	for _, f := range p.Files {
		if !f.Stale() {
			continue
		}
		name, kind, diff := f.diff(p.dir)
		if kind != "stale" {
			diff = kind + ": " + name + "\n" + diff
		}
		if _, err := io.WriteString(w, diff); err != nil {
			return err
		}
	}
	return nil
}

// diff says what is wrong with a file that is stale, and how it is to change.
func (f File) diff(dir string) (name, kind, diff string) {
	name = f.Path
	if rel, err := filepath.Rel(dir, name); err == nil {
		name = filepath.ToSlash(rel)
	}
	from, to, kind := name, name, "stale"
	switch {
	case f.Old == nil:
		from, kind = "/dev/null", "missing"
	case f.New == nil:
		to, kind = "/dev/null", "orphan"
	}
	return name, kind, udiff.Unified(from, to, string(f.Old), string(f.New))
}
