package gen

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

const (
	migrationsDir = "migrations"
	schemaJSON    = "schema.json"
)

// snapshot is migrations/schema.json: the tables as the last migration leaves
// them, and the checksums of the files, which never change once they are there.
type snapshot struct {
	Note   string         `json:"note"`
	Files  []migratedFile `json:"files"`
	Tables []schema.Table `json:"tables"`
}

type migratedFile struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

const snapshotNote = "Written by driftgen migrate. The migrations of this directory are never changed once a program with them has run anywhere."

// readSnapshot reads the directory of a package's migrations; nil for none.
func readSnapshot(pkgDir string) (*snapshot, error) {
	b, err := os.ReadFile(filepath.Join(pkgDir, migrationsDir, schemaJSON)) //nolint:gosec // a file of the package that the user names
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var s snapshot
	if err := json.Unmarshal(b, &s); err != nil { //nolint:musttag // the names of schema's fields are its API: they stay
		return nil, fmt.Errorf("%s/%s: %w", migrationsDir, schemaJSON, err)
	}
	return &s, nil
}

// checkMigrations reports migrations that were changed, and models that have
// gone on without one.
func (c *collector) checkMigrations(order []*model) {
	if len(c.models) == 0 {
		return
	}
	at := c.models[0].pos
	snap, err := readSnapshot(c.pkg.Dir)
	if err != nil {
		c.errorf(at, "%v", err)
		return
	}
	if snap == nil {
		for _, path := range c.foreignSchemas() {
			if hasMigrations(c.others[path].pkg.Dir) {
				c.warnf(at, "%s has migrations, and Schema has its tables and others: it cannot be opened until the directory migrations of that package is here, or in the package whose Schema is opened", path)
			}
		}
		return
	}
	whole, err := c.whole(order)
	if err != nil {
		c.errorf(at, "%v", err)
		return
	}
	at.Filename, at.Line, at.Column = filepath.Join(c.pkg.Dir, migrationsDir, schemaJSON), 1, 1
	for _, f := range snap.Files {
		b, err := os.ReadFile(filepath.Join(c.pkg.Dir, migrationsDir, f.Name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			c.errorf(at, "the migration %s is gone: files that have run somewhere must still run elsewhere", f.Name)
		case err != nil:
			c.errorf(at, "%v", err)
		case sum(b) != f.SHA256:
			c.errorf(at, "the migration %s has been changed since it was written: put it back and write another one; before it was ever released, remove it and its entry in schema.json and run driftgen migrate again", f.Name)
		}
	}
	all, err := schema.ReadMigrations(os.DirFS(c.pkg.Dir))
	if err != nil {
		c.errorf(at, "%v", err)
	} else if len(all) != len(snap.Files) {
		c.errorf(at, "%d migrations are listed here and %d are in the directory: driftgen migrate writes both", len(snap.Files), len(all))
	} else if n := len(all); n > 0 && all[n-1].Structure != (schema.Schema{Tables: snap.Tables}).Fingerprint() {
		c.errorf(at, "the migration %s does not lead to the tables that are listed here, as after a merge of two branches: take schema.json from one of them, remove the migration of the other one, and run driftgen migrate again", snap.Files[n-1].Name)
	}
	steps, err := schema.Diff(schema.Schema{Tables: snap.Tables}, whole)
	if err != nil || len(steps) > 0 {
		var what strings.Builder
		for _, s := range steps {
			if s.What != "" {
				what.WriteString("\n\t" + s.What)
			}
		}
		c.behind = true
		c.warnf(c.models[0].pos, "the models have changes that no migration has: run driftgen migrate NAME%s", what.String())
	}
}

// sum is the checksum of a file, whose line ends are those of the checkout.
func sum(b []byte) string {
	s := sha256.Sum256(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")))
	return hex.EncodeToString(s[:])
}

func schemaOf(order []*model) schema.Schema {
	var s schema.Schema
	for _, m := range order {
		s.Tables = append(s.Tables, m.table)
	}
	return s
}

// hasMigrations says whether the package has a directory of migrations.
func hasMigrations(pkgDir string) bool {
	_, err := os.Stat(filepath.Join(pkgDir, migrationsDir, schemaJSON))
	return err == nil
}

// Migration is what NewMigration has written, or SignMigration has taken.
type Migration struct {
	Path  string // of the file; "" when the models have no changes
	Steps []schema.DiffStep

	Signed bool
}

var goodName = regexp.MustCompile(`^[a-z0-9][a-z0-9_]{0,59}$`)

// NewMigration compares the models of one package with what its last migration
// left, and writes the next one. empty writes a file without statements, for data
// steps.
func NewMigration(ctx context.Context, cfg Config, name string, destructive, empty bool) (Migration, *Plan, error) {
	if !goodName.MatchString(name) {
		return Migration{}, nil, fmt.Errorf("the name of a migration is lower case letters, digits and _: %q", name)
	}
	cfg.whole = true
	plan, err := NewPlan(ctx, cfg)
	if err != nil || plan.Failed() {
		return Migration{}, plan, err
	}
	if len(plan.planned) != 1 {
		return Migration{}, plan, fmt.Errorf("a migration belongs to one package with models, and there are %d here", len(plan.planned))
	}
	p := plan.planned[0]
	to, err := p.whole(p.order)
	if err != nil {
		return Migration{}, plan, err
	}
	m, err := writeMigration(p.pkg.Dir, to, name, destructive, empty)
	return m, plan, err
}

// planned is a package of a plan.
type planned struct {
	*collector
	order []*model
}

func writeMigration(pkgDir string, to schema.Schema, name string, destructive, empty bool) (m Migration, err error) {
	snap, err := readSnapshot(pkgDir)
	if err != nil {
		return m, err
	}
	if snap == nil {
		snap = &snapshot{}
	}
	if m.Steps, err = schema.Diff(schema.Schema{Tables: snap.Tables}, to); err != nil {
		return m, err
	}
	if len(m.Steps) == 0 && !empty {
		return m, nil
	}
	var held []string
	for _, s := range m.Steps {
		if s.Class >= schema.Rebuild && s.What != "" {
			held = append(held, fmt.Sprintf("%s (%v)", s.What, s.Class))
		}
	}
	if len(held) > 0 && !destructive {
		return m, fmt.Errorf("this migration rebuilds tables or drops what they hold:\n\t%s\nrun driftgen migrate -allow-destructive %s if that is meant", strings.Join(held, "\n\t"), name)
	}
	file := schema.MigrationFile(len(snap.Files)+1, name)
	text := migrationText(m.Steps, to)
	dir := filepath.Join(pkgDir, migrationsDir)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // source code, as readable as the rest of it
		return m, err
	}
	m.Path = filepath.Join(dir, file)
	if _, err := os.Stat(m.Path); err == nil {
		return m, fmt.Errorf("%s is there already", m.Path)
	}
	if err := replace(m.Path, []byte(text)); err != nil {
		return m, err
	}
	snap.Note, snap.Tables = snapshotNote, slices.Clone(to.Tables)
	snap.Files = append(snap.Files, migratedFile{Name: file, SHA256: sum([]byte(text))})
	b, err := json.MarshalIndent(snap, "", "\t") //nolint:musttag // as in readSnapshot
	if err != nil {
		return m, err
	}
	return m, replace(filepath.Join(dir, schemaJSON), append(b, '\n'))
}

func migrationText(steps []schema.DiffStep, to schema.Schema) string {
	var b strings.Builder
	b.WriteString("-- Written by driftgen migrate; never changed once it has run somewhere.\n-- structure: " + to.Fingerprint() + "\n\n-- step: schema\n")
	for _, s := range steps {
		if s.What != "" {
			b.WriteString("\n-- " + s.What + "\n")
		}
		b.WriteString(s.SQL + ";\n")
	}
	b.WriteString("\n-- Statements that change rows go below: add a line \"-- step: data\", and run driftgen migrate -sign afterwards.\n")
	return b.String()
}

// SignMigration takes the newest migration of a package as it stands, after
// statements were added to it by hand. Older ones are not touched.
func SignMigration(pkgDir string) (m Migration, err error) {
	snap, err := readSnapshot(pkgDir)
	if err != nil {
		return m, err
	}
	if snap == nil || len(snap.Files) == 0 {
		return m, errors.New("there is no migration to sign")
	}
	last := &snap.Files[len(snap.Files)-1]
	b, err := os.ReadFile(filepath.Join(pkgDir, migrationsDir, last.Name)) //nolint:gosec // a file of the package that the user names
	if err != nil {
		return m, err
	}
	if _, err := schema.ParseMigration(last.Name, string(b)); err != nil {
		return m, fmt.Errorf("%s: %w", last.Name, err)
	}
	last.SHA256 = sum(b)
	out, err := json.MarshalIndent(snap, "", "\t") //nolint:musttag // as in readSnapshot
	if err != nil {
		return m, err
	}
	m = Migration{Path: filepath.Join(pkgDir, migrationsDir, last.Name), Signed: true}
	return m, replace(filepath.Join(pkgDir, migrationsDir, schemaJSON), append(out, '\n'))
}
