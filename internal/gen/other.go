package gen

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"

	"github.com/driftdb/driftdb/schema"
)

// loadOthers reads the packages that references lead to. Those that are part of
// the run are there; the rest is loaded like them, and what is wrong there is
// for their own run to say. Where there are migrations, which cover the tables of
// those packages too, it goes on with what these refer to, and builds their tables.
func loadOthers(ctx context.Context, c Config, all []*collector) error {
	others := map[string]*collector{}
	whole := c.whole
	for _, col := range all {
		col.others = others
		others[col.pkg.PkgPath] = col
		whole = whole || hasMigrations(col.pkg.Dir)
	}
	s := &scan{walked: map[string]bool{}, own: map[string]bool{}, loaded: map[string]bool{}}
	var loaded []*collector
	for from := all; len(from) > 0; {
		s.patterns = nil
		for _, col := range from {
			for _, p := range col.imported() {
				if others[p.PkgPath] != nil || slices.Contains(s.patterns, p.PkgPath) || len(p.GoFiles) == 0 {
					continue
				}
				if _, err := s.read(filepath.Dir(p.GoFiles[0])); err != nil {
					return err
				}
				s.patterns = append(s.patterns, p.PkgPath)
			}
		}
		pkgs, err := loadPatterns(ctx, c, s)
		if err != nil {
			return err
		}
		from = nil
		for _, p := range pkgs {
			other := collect(&reporter{}, p)
			other.resolve()
			others[p.PkgPath] = other
			if whole {
				other.others = others
				from = append(from, other)
			}
		}
		loaded = append(loaded, from...)
	}
	for _, other := range loaded {
		other.connect()
		other.build()
	}
	return nil
}

// whole returns the tables of c, in the order order, and of the packages that they
// refer to: what the generated Schema is.
func (c *collector) whole(order []*model) (schema.Schema, error) {
	var all []schema.Schema
	for _, path := range c.foreignSchemas() {
		other := c.others[path]
		if other.failed() {
			return schema.Schema{}, fmt.Errorf("the models of %s have mistakes: driftgen %s says which", path, path)
		}
		if hasMigrations(other.pkg.Dir) {
			return schema.Schema{}, fmt.Errorf("%s has migrations of its own: those of a database are in one package, the one whose Schema is opened; "+
				"remove the directory migrations of one of the two", path)
		}
		theirs, err := other.creationOrder()
		if err != nil {
			return schema.Schema{}, fmt.Errorf("%s: %w", path, err)
		}
		s, err := other.whole(theirs)
		if err != nil {
			return s, err
		}
		all = append(all, s)
	}
	return schema.Join(append(all, schemaOf(order))...), nil
}

// imported returns the packages that the items ref of c name, in order.
func (c *collector) imported() (out []*packages.Package) {
	for _, m := range c.models {
		for _, col := range m.columns {
			it := col.tag.get("ref")
			if it == nil {
				continue
			}
			name, _, dotted := strings.Cut(it.Value, ".")
			if p := c.importedAs(col, name); dotted && c.byName(name) == nil && p != nil {
				out = append(out, p)
			}
		}
	}
	slices.SortFunc(out, func(a, b *packages.Package) int { return cmp.Compare(a.PkgPath, b.PkgPath) })
	return slices.Compact(out)
}

// importedAs returns the package that goes by name where col is declared, or
// else in another file of the package; nil for none.
func (c *collector) importedAs(col *column, name string) *packages.Package {
	var elsewhere *packages.Package
	for _, f := range c.pkg.Syntax {
		here := c.pos(f.Package).Filename == col.tag.pos.Filename
		for _, spec := range f.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			p := c.pkg.Imports[path]
			if err != nil || p == nil {
				continue
			}
			as := p.Name
			if spec.Name != nil && spec.Name.Name != "_" && spec.Name.Name != "." {
				as = spec.Name.Name
			}
			switch {
			case as != name:
			case here:
				return p
			default:
				elsewhere = p
			}
		}
	}
	return elsewhere
}

// refModel returns the model that the item refers to, and the field if it names
// one. A model that is not there is reported.
func (c *collector) refModel(m *model, it *item) (to *model, field string) {
	name, rest, _ := strings.Cut(it.Value, ".")
	if to := c.byName(name); to != nil {
		return to, rest
	}
	col := m.first(func(col *column) bool { return col.tag.get("ref") == it })
	other, where := c, "this package"
	if p := c.importedAs(col, name); p != nil && rest != "" {
		if other = c.others[p.PkgPath]; other == nil {
			c.errorf(it.value, "ref=%s: the package %s cannot be read", it.Value, p.PkgPath)
			return nil, ""
		}
		name, rest, _ = strings.Cut(rest, ".")
		where = p.PkgPath
		if to := other.byName(name); to != nil {
			if len(to.key) == 0 {
				c.errorf(it.value, "ref=%s: %s of %s has no primary key", it.Value, name, where)
			}
			if !c.reachable(to.named) {
				c.errorf(it.value, "ref=%s: %s is unexported in %s", it.Value, name, where)
				return nil, ""
			}
			return to, rest
		}
	}
	msg := fmt.Sprintf("ref=%s: there is no model %s in %s", it.Value, name, where)
	if rest == "" && c.importedAs(col, name) != nil {
		msg += fmt.Sprintf("; of the package of that name, name a model, as in ref=%s.User", name)
	}
	if s := schema.Nearest(name, other.modelNames()); s != "" {
		msg += "; did you mean " + quoted(s) + "?"
	} else if other == c && rest != "" {
		msg += fmt.Sprintf(", and no file of it imports a package %s (import _ \"…/%s\" if nothing else uses it)", name, name)
	}
	c.errorf(it.value, "%s", msg)
	return nil, ""
}

func (c *collector) modelNames() (names []string) {
	for _, m := range c.models {
		names = append(names, m.name)
	}
	return names
}

// foreignModels returns the models of other packages that those of c refer to.
func (c *collector) foreignModels() (out []*model) {
	for _, m := range c.models {
		for _, fk := range m.parents {
			if to := fk.to[0].model; to.home != c && !slices.Contains(out, to) {
				out = append(out, to)
			}
		}
	}
	slices.SortFunc(out, func(a, b *model) int {
		return cmp.Or(cmp.Compare(a.home.pkg.PkgPath, b.home.pkg.PkgPath), cmp.Compare(a.name, b.name))
	})
	return out
}

// checkTables reports models whose table is that of a model of another package
// that they refer to.
func (c *collector) checkTables() {
	for _, other := range c.foreignModels() {
		for _, m := range c.models {
			if strings.EqualFold(m.names.table, other.names.table) {
				c.errorf(m.pos, "%s and %s.%s are both the table %s: give one another name with //drift:table above its type", m.name, other.home.pkg.Name, other.name, m.names.table)
			}
		}
	}
}

// foreignSchemas returns the import paths of the packages of foreignModels.
func (c *collector) foreignSchemas() (paths []string) {
	for _, m := range c.foreignModels() {
		paths = append(paths, m.home.pkg.PkgPath)
	}
	return slices.Compact(paths)
}

// bareTable is the table of a model of another package, without what it refers
// to itself.
func (m *model) bareTable() schema.Table {
	bare := *m
	bare.table, bare.parents = schema.Table{}, nil
	bare.buildTable()
	return bare.table
}
