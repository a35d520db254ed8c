package gen

import (
	"fmt"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

// resolveRefs finds what the items ref of m refer to: a column alone, or
// together with others that refer to the other parts of the same key.
func (c *collector) resolveRefs(m *model) {
	var parts []*foreignKey
	for _, col := range m.columns {
		it := col.tag.get("ref")
		if it == nil {
			continue
		}
		to, field := c.refModel(m, it)
		if to == nil || len(to.key) == 0 {
			continue // reported, here or there
		}
		fk := &foreignKey{from: []*column{col}, to: []*column{to.key[0]}}
		switch {
		case field != "":
			target := c.target(it, to, field)
			if target == nil {
				continue
			}
			if fk.to[0] = target; !to.uniqueBy(target) {
				parts = append(parts, fk)
				c.checkRefType(it, col, target)
				continue
			}
		case len(to.key) > 1:
			c.errorf(it.value, "ref=%s: the primary key of %s has %d columns: let a field refer to each, as in ref=%s.%s", it.Value, to.name, len(to.key), it.Value, to.key[0].selector())
			continue
		}
		c.checkRefType(it, col, fk.to[0])
		c.addForeignKey(fk)
	}
	c.joinParts(parts)
}

func (c *collector) checkRefType(it *item, col, to *column) {
	if to.kind != col.kind || to.basic != col.basic || to.unit != col.unit || to.storage() != col.storage() {
		c.errorf(it.value, "ref=%s: %s is %s, %s.%s is %s: make them the same", it.Value, col.selector(), c.typeName(col.elem), to.model.name, to.selector(), c.typeName(to.elem))
	}
}

// joinParts makes foreign keys of several columns. A field goes with the first
// fields before it that refer to other parts of the key.
func (c *collector) joinParts(parts []*foreignKey) {
	var keys []*foreignKey
	for _, p := range parts {
		i := slices.IndexFunc(keys, func(k *foreignKey) bool {
			return k.to[0].model == p.to[0].model && !slices.Contains(k.to, p.to[0]) && k.to[0].model.keyWith(append(slices.Clone(k.to), p.to[0])...) != nil
		})
		if i < 0 {
			keys = append(keys, p)
			continue
		}
		keys[i].from, keys[i].to = append(keys[i].from, p.from[0]), append(keys[i].to, p.to[0])
	}
	for _, fk := range keys {
		to := fk.to[0].model
		key := to.keyWith(fk.to...)
		if len(key) > len(fk.to) {
			it := fk.from[0].tag.get("ref")
			i := slices.IndexFunc(key, func(k *column) bool { return !slices.Contains(fk.to, k) })
			c.errorf(it.value, "ref=%s: %s is only a part of a key of %s: another field must refer to %s, as in ref=%s.%s",
				it.Value, fk.to[0].selector(), to.name, key[i].selector(), to.name, key[i].selector())
			continue
		}
		from := make([]*column, len(key))
		for i, k := range key {
			from[i] = fk.from[slices.Index(fk.to, k)]
		}
		fk.from, fk.to = from, key
		c.addForeignKey(fk)
	}
}

// keyWith returns the smallest key of m that holds all of cols: nil for none.
func (m *model) keyWith(cols ...*column) (key []*column) {
	all := [][]*column{m.key}
	for _, u := range m.uniques {
		if !u.live {
			all = append(all, u.columns)
		}
	}
	for _, k := range all {
		holds := !slices.ContainsFunc(cols, func(col *column) bool { return !slices.Contains(k, col) })
		if holds && (key == nil || len(k) < len(key)) {
			key = k
		}
	}
	return key
}

// uniqueBy says whether col alone is a key of m.
func (m *model) uniqueBy(col *column) bool { return len(m.keyWith(col)) == 1 }

// addForeignKey notes fk at both ends, with its actions.
func (c *collector) addForeignKey(fk *foreignKey) {
	for _, col := range fk.from {
		for _, a := range []struct {
			key string
			to  *schema.Action
		}{{"ondelete", &fk.onDelete}, {"onupdate", &fk.onUpdate}} {
			action := c.action(col, a.key)
			if action != "" && *a.to != "" && action != *a.to {
				c.errorf(col.tag.get(a.key).value, "%s is %s already at another field of this key", a.key, strings.ToLower(string(*a.to)))
			}
			if action != "" {
				*a.to = action
			}
		}
		fk.deferred = fk.deferred || col.tag.has("deferred")
		col.ref = fk
	}
	for _, col := range fk.from {
		if (fk.onDelete == schema.SetNull || fk.onUpdate == schema.SetNull) && !col.nullable && !col.tag.has("ondelete") && !col.tag.has("onupdate") {
			c.errorf(col.tag.get("ref").value, "setnull on a key whose column %s is never NULL: make it a *%s", col.selector(), c.typeName(col.elem))
		}
	}
	from, to := fk.from[0].model, fk.to[0].model
	from.parents = append(from.parents, fk)
	if to.home == from.home {
		to.childs = append(to.childs, fk)
	}
}

// checkRings reports references that lead back to where they came from and are
// never NULL: no row could be the first one.
func (c *collector) checkRings() {
	const entered, left = 1, 2
	state := map[*model]int{}
	var visit func(m *model, path []string)
	visit = func(m *model, path []string) {
		state[m] = entered
		path = append(path, m.name)
		for _, fk := range m.parents {
			to := fk.to[0].model
			loose := fk.deferred || slices.ContainsFunc(fk.from, func(col *column) bool { return col.nullable })
			switch {
			case loose || to == m || state[to] == left:
			case state[to] == entered:
				i := slices.Index(path, to.name)
				c.errorf(fk.from[0].tag.get("ref").value, "ref=%s closes a ring of references that are never NULL, %s → %s: no row could be the first; make one of them a pointer, or add deferred",
					to.name, strings.Join(path[i:], " → "), to.name)
			default:
				visit(to, path)
			}
		}
		state[m] = left
	}
	for _, m := range c.models {
		if state[m] == 0 {
			visit(m, nil)
		}
	}
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
		if to.keyWith(o) == nil {
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
		if !slices.ContainsFunc(fk.from, m.indexed) {
			c.warnf(fk.from[0].tag.get("ref").pos, "no index begins with %s: deleting a row of %s reads all of %s; add the item index",
				fk.from[0].sql, fk.to[0].model.names.table, m.names.table)
		}
	}
}
