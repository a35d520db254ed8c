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
func (t *info) update(ctx context.Context, w Writer, where []*node, sets []set) (int64, error) {
	if len(sets) == 0 {
		return 0, errNoSets
	}
	return t.run(ctx, w, t.updateText(w, where, sets))
}

// plainSets forgets the model of sets.
func plainSets[M any](sets []Set[M]) []set {
	all := make([]set, len(sets))
	for i := range sets {
		all[i] = sets[i].set
	}
	return all
}

func (t *info) updateText(w Writer, where []*node, sets []set) *text {
	s := new(text)
	s.WriteString("UPDATE " + schema.QuoteIdent(t.schema.Name) + " SET ")
	s.sets(t.withUpdated(w, sets))
	s.where(where)
	return s
}

// withUpdated adds the columns that every update sets, unless sets has them:
// when the row was changed, and its version.
func (t *info) withUpdated(w Writer, sets []set) []set {
	has := func(column string) bool {
		return slices.ContainsFunc(sets, func(s set) bool { return s.col.name == column })
	}
	sets = slices.Clip(sets)
	if t.updated != "" && !has(t.updated) {
		now := set{col: ref{t.schema.Name, t.updated}, sql: "?"}
		now.args = append(now.args, t.unit.store(w.base().o.Now()))
		sets = append(sets, now)
	}
	if t.lockCol != "" && !has(t.lockCol) {
		sets = append(sets, set{col: ref{t.schema.Name, t.lockCol}, sql: "1 + ", self: true})
	}
	return sets
}

func (t *text) sets(sets []set) {
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
