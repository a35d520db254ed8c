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
	apply(*conflict[M])
}

// conflict is what happens to a row that is there already.
type conflict[M any] struct {
	nothing bool
	chosen  bool // what is updated was said, if nothing
	only    []ref
	sets    []Set[M]
}

type upsertOption[M any] func(*conflict[M])

func (upsertOption[M]) upsertOption(M) {}

func (o upsertOption[M]) apply(c *conflict[M]) { o(c) }

// DoNothing leaves a row that is there as it is.
func DoNothing[M any]() UpsertOption[M] {
	return upsertOption[M](func(c *conflict[M]) { c.nothing = true })
}

// UpdateOnly updates these columns of a row that is there, with the values of
// the row that was to be inserted.
func UpdateOnly[M any](cols ...Column[M]) UpsertOption[M] {
	return upsertOption[M](func(c *conflict[M]) {
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
	return upsertOption[M](func(c *conflict[M]) { c.chosen, c.sets = true, append(c.sets, sets...) })
}

var errNoOption = errors.New("an option is nil")

func errNullKey(index string) error {
	return fmt.Errorf("a column of the key %s is NULL: the row has no such key", index)
}

func asUnique(err error) (*UniqueError, bool) {
	var e *UniqueError
	return e, errors.As(err, &e)
}

// upsert inserts row, or updates the row that has the same key, and reads back
// the row as it stands then.
func (m *model[M]) upsert(ctx context.Context, w Writer, row *M, key []string, opts []UpsertOption[M]) error {
	filled, mask, err := m.fillRow(w, row)
	if err != nil {
		return err
	}
	var c conflict[M]
	for _, o := range opts {
		if o == nil {
			return errNoOption
		}
		o.apply(&c)
	}
	s := m.insertText([]M{filled}, nil, mask)
	s.WriteString(" ON CONFLICT (")
	for i, k := range key {
		if i > 0 {
			s.WriteString(", ")
		}
		s.WriteString(schema.QuoteIdent(k))
	}
	s.WriteString(") DO ")
	if c.nothing {
		s.WriteString("NOTHING RETURNING " + m.columns)
		err := m.returning(ctx, w, s, &filled)
		if errors.Is(err, errNothing) {
			return nil // the row that is there stays; so does m
		}
		if err == nil {
			*row = filled
		}
		return err
	}
	s.WriteString("UPDATE SET ")
	m.conflictSets(s, w, key, &c)
	s.WriteString(" RETURNING " + m.columns)
	if err := m.returning(ctx, w, s, &filled); err != nil {
		return err
	}
	*row = filled
	return nil
}

// conflictSets writes what an existing row becomes. A column left out of the
// insert because it takes its default gets the default here too: excluded has
// it.
func (m *model[M]) conflictSets(s *text, w Writer, key []string, c *conflict[M]) {
	columns := c.only
	if !c.chosen {
		for _, col := range m.schema.Columns {
			if !slices.Contains(key, col.Name) && !slices.Contains(m.schema.Key, col.Name) && col.Name != m.created {
				columns = append(columns, ref{m.schema.Name, col.Name})
			}
		}
	}
	var sets []Set[M]
	for _, col := range columns {
		if col.name == m.updated { // now, whatever the struct says: the row changes now
			continue
		}
		sets = append(sets, Set[M]{col: col, sql: "excluded." + schema.QuoteIdent(col.name)})
	}
	sets = m.withUpdated(w, append(sets, c.sets...))
	if len(sets) == 0 { // a table of keys only: name a column so that RETURNING has the row
		k := key[0]
		sets = append(sets, Set[M]{col: ref{m.schema.Name, k}, sql: "excluded." + schema.QuoteIdent(k)})
	}
	writeSets(s, sets)
}
