package schema

import (
	"errors"
	"io/fs"
	"slices"
)

// Join puts the schemas of several packages together, for a database that holds
// them all. A table that stands in more than one of them, of the same model,
// counts once. Migrations belong to the package whose Schema is opened: a schema that
// is joined to others and has some makes one that cannot be opened, and Open says why.
func Join(all ...Schema) Schema {
	var out Schema
	for _, s := range all {
		if s.Migrations != nil && len(all) > 1 {
			out.Migrations = noMigrations{}
		}
		for _, t := range s.Tables {
			if !slices.ContainsFunc(out.Tables, func(o Table) bool { return o.Name == t.Name && o.Model == t.Model && o.Create == t.Create }) {
				out.Tables = append(out.Tables, t)
			}
		}
	}
	if len(all) == 1 {
		out.Migrations = all[0].Migrations
	}
	return out.Sorted()
}

// WithMigrations returns s with the files of migrations that make all of its tables:
// generated code calls it for a package whose models refer to those of others. A
// schema that was joined to one with migrations of its own still cannot be opened.
func (s Schema) WithMigrations(files fs.FS) Schema {
	if _, refused := s.Migrations.(noMigrations); !refused {
		s.Migrations = files
	}
	return s
}

// noMigrations stands for migrations that cannot be run.
type noMigrations struct{}

var errJoined = errors.New("schema.Join: one of the packages has migrations, which would not be run: remove its directory migrations, or open the packages as databases of their own")

// Open implements fs.FS.
func (noMigrations) Open(string) (fs.File, error) { return nil, errJoined }
