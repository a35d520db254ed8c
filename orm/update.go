package orm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/driftdb/driftdb/schema"
)

// run executes one writing statement and returns how many rows it changed.
func (t *info) run(ctx context.Context, w Writer, s *text) (n int64, err error) {
	if s.err != nil {
		return 0, s.err
	}
	err = w.writing(ctx, false, func(c *conn) error {
		res, err := c.execLong(ctx, s.String(), s.args)
		if err != nil {
			return w.base().explain(t, err)
		}
		n, err = res.RowsAffected()
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

var errNoSets = errors.New("there is nothing to set")

// update changes the rows that match.
func (m *model[M]) update(ctx context.Context, w Writer, where []*node, sets []Set[M]) (int64, error) {
	if len(sets) == 0 {
		return 0, errNoSets
	}
	return m.run(ctx, w, m.updateText(w, where, sets))
}

func (m *model[M]) updateText(w Writer, where []*node, sets []Set[M]) *text {
	t := new(text)
	t.WriteString("UPDATE " + schema.QuoteIdent(m.schema.Name) + " SET ")
	writeSets(t, m.withUpdated(w, sets))
	t.where(where)
	return t
}

// withUpdated adds the columns that every update sets, unless sets has them:
// when the row was changed, and its version.
func (m *model[M]) withUpdated(w Writer, sets []Set[M]) []Set[M] {
	has := func(column string) bool {
		return slices.ContainsFunc(sets, func(s Set[M]) bool { return s.col.name == column })
	}
	sets = slices.Clip(sets)
	if m.updated != "" && !has(m.updated) {
		now := Set[M]{col: ref{m.schema.Name, m.updated}, sql: "?"}
		now.args = append(now.args, m.unit.store(w.base().o.Now()))
		sets = append(sets, now)
	}
	if m.lockCol != "" && !has(m.lockCol) {
		sets = append(sets, Set[M]{col: ref{m.schema.Name, m.lockCol}, sql: "1 + ", self: true})
	}
	return sets
}

func writeSets[M any](t *text, sets []Set[M]) {
	for i, s := range sets {
		if i > 0 {
			t.WriteString(", ")
		}
		if s.err != nil {
			t.fail(s.err)
		}
		name := schema.QuoteIdent(s.col.name)
		if s.sql == "" || s.col.name == "" {
			t.fail(errNoCol)
		}
		for _, before := range sets[:i] {
			if before.col == s.col { // SQLite would take the last without a word
				t.fail(fmt.Errorf("%s.%s is set twice", s.col.table, s.col.name))
			}
		}
		t.WriteString(name + " = " + s.sql)
		if s.self {
			t.WriteString(schema.QuoteIdent(s.col.table) + "." + name + s.tail)
		}
		t.bind(s.args...)
	}
}

// byKey is the condition that names one row by the columns of a key.
func byKey[K any](table string, columns []string, bind func(*Args, K), key K) ([]*node, error) {
	var a Args
	bind(&a, key)
	if a.err != nil {
		return nil, a.err
	}
	all := make([]*node, len(columns))
	for i, c := range columns {
		all[i] = &node{op: opCompare, col: ref{table, c}, sql: " = "}
		all[i].args = append(all[i].args, a.values[i].Value)
	}
	return all, nil
}
