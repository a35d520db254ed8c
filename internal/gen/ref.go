package gen

import (
	"fmt"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

// resolveRef finds what the item ref of col refers to.
func (c *collector) resolveRef(col *column) {
	it := col.tag.get("ref")
	if it == nil {
		return
	}
	model, field, hasField := strings.Cut(it.Value, ".")
	to := c.byName(model)
	if to == nil {
		msg := fmt.Sprintf("ref=%s: there is no model %s in this package", it.Value, model)
		var known []string
		for _, m := range c.models {
			known = append(known, m.name)
		}
		if s := schema.Nearest(model, known); s != "" {
			msg += "; did you mean " + quoted(s) + "?"
		}
		c.errorf(it.value, "%s", msg)
		return
	}
	if len(to.key) == 0 {
		return // reported there
	}
	fk := &foreignKey{from: col, to: to.key[0]}
	switch {
	case hasField:
		if fk.to = c.target(it, to, field); fk.to == nil {
			return
		}
	case len(to.key) > 1:
		c.errorf(it.value, "ref=%s: the primary key of %s has %d columns, which one foreign key column cannot hold", it.Value, model, len(to.key))
		return
	}
	if fk.to.kind != col.kind || fk.to.basic != col.basic || fk.to.unit != col.unit {
		c.errorf(it.value, "ref=%s: %s is %s, %s.%s is %s: make them the same", it.Value, col.selector(), c.typeName(col.elem), model, fk.to.selector(), c.typeName(fk.to.elem))
	}
	fk.onDelete = c.action(col, "ondelete")
	fk.onUpdate = c.action(col, "onupdate")
	fk.deferred = col.tag.has("deferred")
	col.ref = fk
	col.model.parents = append(col.model.parents, fk)
	to.childs = append(to.childs, fk)
}

func (c *collector) byName(name string) *model {
	for _, m := range c.models {
		if m.name == name {
			return m
		}
	}
	return nil
}

// target returns the column field of to, if a foreign key can refer to it.
func (c *collector) target(it *item, to *model, field string) *column {
	var known []string
	for _, o := range to.columns {
		known = append(known, o.name)
		if o.name != field && o.selector() != field {
			continue
		}
		alone := len(to.key) == 1 && to.key[0] == o
		for _, u := range to.uniques {
			alone = alone || len(u.columns) == 1 && u.columns[0] == o
		}
		if !alone {
			c.errorf(it.value, "ref=%s: %s is not unique in %s: a foreign key refers to a primary key or a unique column", it.Value, field, to.name)
			return nil
		}
		return o
	}
	msg := fmt.Sprintf("ref=%s: %s has no column %s", it.Value, to.name, field)
	if s := schema.Nearest(field, known); s != "" {
		msg += "; did you mean " + quoted(s) + "?"
	}
	c.errorf(it.value, "%s", msg)
	return nil
}

// action reads ondelete or onupdate.
func (c *collector) action(col *column, key string) schema.Action {
	it := col.tag.get(key)
	if it == nil {
		return ""
	}
	switch it.Value {
	case "cascade":
		return schema.Cascade
	case "restrict":
		return schema.Restrict
	case "setnull":
		if !col.nullable {
			c.errorf(it.value, "%s=setnull on a column that is never NULL: make %s a *%s", key, col.selector(), c.typeName(col.elem))
		}
		return schema.SetNull
	case "setdefault":
		if col.def == nil && !col.nullable {
			c.errorf(it.value, "%s=setdefault needs a default: add default=…", key)
		}
		return schema.SetDefault
	}
	known := []string{"cascade", "setnull", "restrict", "setdefault"}
	msg := fmt.Sprintf("%s=%s is not known: it is one of %s", key, it.Value, strings.Join(known, ", "))
	if s := schema.Nearest(it.Value, known); s != "" {
		msg += "; did you mean " + quoted(s) + "?"
	}
	c.errorf(it.value, "%s", msg)
	return ""
}

// warnSlow warns about foreign keys whose parent rows cannot be deleted or
// changed without reading the whole table.
func (c *collector) warnSlow(m *model) {
	if len(m.key) == 0 {
		return
	}
	for _, fk := range m.parents {
		if !m.indexed(fk.from) {
			c.warnf(fk.from.tag.get("ref").pos, "no index begins with %s: deleting a row of %s reads all of %s; add the item index",
				fk.from.sql, fk.to.model.names.table, m.names.table)
		}
	}
}
