package orm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/driftdb/driftdb/schema"
)

// run executes one writing statement and returns how many rows it changed.
func (m *model) run(ctx context.Context, w Writer, s *text) (n int64, err error) {
	if s.err != nil {
		return 0, s.err
	}
	err = w.writing(ctx, false, func(c *conn) error {
		res, err := c.execLong(ctx, s.String(), s.args)
		if err != nil {
			return w.base().explain(m, err)
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
func (m *model) update(ctx context.Context, w Writer, where []*node, sets []set) (int64, error) {
	if len(sets) == 0 {
		return 0, errNoSets
	}
	return m.run(ctx, w, m.updateText(w, where, sets))
}

// plainSets forgets the model of sets.
func plainSets[M any](sets []Set[M]) []set {
	all := make([]set, len(sets))
	for i := range sets {
		all[i] = sets[i].set
	}
	return all
}

func (m *model) updateText(w Writer, where []*node, sets []set) *text {
	s := new(text)
	s.WriteString("UPDATE " + schema.QuoteIdent(m.schema.Name) + " SET ")
	s.sets(m.withUpdated(w, sets))
	s.where(where)
	return s
}

// withUpdated adds the columns that every update sets, unless sets has them:
// when the row was changed, and its version.
func (m *model) withUpdated(w Writer, sets []set) []set {
	has := func(column string) bool {
		return slices.ContainsFunc(sets, func(s set) bool { return s.col.name == column })
	}
	sets = slices.Clip(sets)
	if m.updated != "" && !has(m.updated) {
		now := set{col: ref{m.schema.Name, m.updated}, sql: "?"}
		now.args = append(now.args, m.unit.store(w.base().o.Now()))
		sets = append(sets, now)
	}
	if m.lockCol != "" && !has(m.lockCol) {
		sets = append(sets, set{col: ref{m.schema.Name, m.lockCol}, sql: "1 + ", self: true})
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
