package orm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/driftdb/driftdb/schema"
)

// UpsertOption says what an upsert does with a row that is there already.
type UpsertOption[M any] interface {
	upsertOption(M)
	apply(*conflict)
}

// conflict is what happens to a row that is there already.
type conflict struct {
	nothing bool
	chosen  bool // what is updated was said, if nothing
	only    []ref
	sets    []set
	when    []*node // on the row that is there
	err     error
}

type upsertOption[M any] func(*conflict)

func (upsertOption[M]) upsertOption(M) {}

func (o upsertOption[M]) apply(c *conflict) { o(c) }

// DoNothing leaves a row that is there as it is.
func DoNothing[M any]() UpsertOption[M] {
	return upsertOption[M](func(c *conflict) { c.nothing = true })
}

// UpdateOnly updates these columns of a row that is there, with the values of
// the row that was to be inserted.
func UpdateOnly[M any](cols ...Column[M]) UpsertOption[M] {
	return upsertOption[M](func(c *conflict) {
		c.chosen = true
		for _, col := range cols {
			var r ref
			if col != nil {
				r = col.ref()
			}
			c.only = append(c.only, r)
		}
	})
}

// UpdateSet updates a row that is there with these setters.
func UpdateSet[M any](sets ...Set[M]) UpsertOption[M] {
	return upsertOption[M](func(c *conflict) { c.chosen, c.sets = true, append(c.sets, plainSets(sets)...) })
}

// UpdateIf updates a row that is there only if it matches c. Otherwise it stays
// as it is, and so does the row that was given.
func UpdateIf[M any](c Cond[M]) UpsertOption[M] {
	return upsertOption[M](func(f *conflict) { f.when = append(f.when, c.n) })
}

var errNoOption = errors.New("an option is nil")

func conflictOf[M any](opts []UpsertOption[M]) (c conflict) {
	for _, o := range opts {
		if o == nil {
			c.err = errNoOption
			return c
		}
		o.apply(&c)
	}
	return c
}

func asUnique(err error) (*UniqueError, bool) {
	var e *UniqueError
	return e, errors.As(err, &e)
}

// upsertRow is upsert with the model's hooks around it: those of an update if
// there is a row with the key, those of an insert if not.
func (m *model) upsertRow(ctx context.Context, w Writer, row any, key target, c conflict) error {
	if !m.hooks.any(hookBeforeCreate | hookAfterCreate | hookBeforeUpdate | hookAfterUpdate | hookAfterCommit) {
		_, err := m.upsertOne(ctx, w, row, key, c)
		return err
	}
	stored, wrote := m.fresh(), false
	err := inTx(ctx, w, func(ctx context.Context, tx *Tx) error {
		if _, err := m.fillRow(tx, stored, m.copyOf(row)); err != nil {
			return err
		}
		values, err := m.values(stored)
		if err != nil {
			return err
		}
		q := query{m: m, where: m.valuesIn(key.columns, values), deleted: deletedToo}
		if key.where != "" {
			q.where = append(q.where, &node{op: opSQL, sql: key.where})
		}
		n, err := m.number(ctx, tx, "look up", q.selectText("SELECT count(*) FROM "+schema.QuoteIdent(m.schema.Name)))
		if err != nil {
			return err
		}
		if n > 0 && c.nothing {
			return c.err
		}
		before, after := hookBeforeCreate, hookAfterCreate
		if n > 0 {
			before, after = hookBeforeUpdate, hookAfterUpdate
		}
		if err := m.hooks.run(ctx, tx, before, stored); err != nil {
			return err
		}
		if wrote, err = m.upsertOne(ctx, tx, stored, key, c); err != nil || !wrote {
			return err
		}
		if err := m.hooks.run(ctx, tx, after, stored); err != nil {
			return err
		}
		m.hooks.afterCommit(ctx, tx, stored)
		return nil
	})
	if err == nil && wrote {
		m.assign(row, stored)
	}
	return err
}

// upsertOne inserts row, or updates the row that has the same key, and reads back
// the row as it stands then. It says whether anything was written: the options can
// leave a row that is there, and row, as they are.
func (m *model) upsertOne(ctx context.Context, w Writer, row any, key target, c conflict) (wrote bool, err error) {
	if c.err != nil {
		return false, c.err
	}
	filled := m.fresh()
	mask, err := m.fillRow(w, filled, row)
	if err != nil {
		return false, err
	}
	err = m.returning(ctx, w, m.upsertText(w, filled, mask, key, &c), filled)
	if errors.Is(err, errNothing) && (c.nothing || len(c.when) > 0) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	m.assign(row, filled)
	return true, nil
}

// upsertText writes an INSERT of one row with what becomes of the row that has
// its key.
func (m *model) upsertText(w Writer, row any, mask uint64, key target, c *conflict) *text {
	s := m.insertText([]any{row}, nil, mask)
	key.write(s)
	if c.nothing {
		s.WriteString(" DO NOTHING")
	} else {
		s.WriteString(" DO UPDATE SET ")
		m.conflictSets(s, w, key.columns, c)
		s.where(c.when)
	}
	s.WriteString(" RETURNING " + m.columns)
	return s
}

// conflictSets writes what an existing row becomes. A column left out of the
// insert because it takes its default gets the default here too: excluded has
// it.
func (m *model) conflictSets(s *text, w Writer, key []string, c *conflict) {
	columns := c.only
	for _, col := range columns {
		if col.name == "" {
			s.fail(errNoCol)
			continue
		}
		if i := slices.IndexFunc(m.bound, func(i int) bool { return m.schema.Columns[i].Name == col.name }); i < 0 || slices.Contains(m.fixed, col.name) || col.name == m.lockCol {
			s.fail(fmt.Errorf("UpdateOnly: %s.%s is not to be updated: it is a part of the primary key, the version, or a column that only Create or only the database writes", m.schema.Name, col.name))
		}
	}
	if !c.chosen {
		for _, i := range m.bound {
			col := m.schema.Columns[i]
			if !slices.Contains(key, col.Name) && !slices.Contains(m.fixed, col.Name) && col.Name != m.lockCol {
				columns = append(columns, ref{m.schema.Name, col.Name})
			}
		}
	}
	var sets []set
	for _, col := range columns {
		if col.name == m.updated { // now, whatever the struct says: the row changes now
			continue
		}
		sets = append(sets, set{col: col, sql: "excluded." + schema.QuoteIdent(col.name)})
	}
	sets = m.withUpdated(w, append(sets, c.sets...))
	if len(sets) == 0 { // a table of keys only: name a column so that RETURNING has the row
		k := key[0]
		sets = append(sets, set{col: ref{m.schema.Name, k}, sql: "excluded." + schema.QuoteIdent(k)})
	}
	s.sets(sets)
}
