package orm

import (
	"context"
	"errors"

	"github.com/driftdb/driftdb/schema"
)

// DeleteRow removes the row with m's primary key; ErrNotFound if there is none,
// ErrStale if the model has a version column and the row has changed since m was
// read. With soft delete m holds the row as it stands then.
func (t Table[M, K]) DeleteRow(ctx context.Context, w Writer, m *M) error {
	return t.m.one(ctx, "delete", w, anyRow(m), (*model).deleteRow)
}

// Restore brings a row back that was soft deleted, and says whether there was
// one to bring back.
func (t Table[M, K]) Restore(ctx context.Context, w Writer, key K) (bool, error) {
	return t.keyed(key).restore(ctx, w)
}

func (k keyed) restore(ctx context.Context, w Writer) (bool, error) {
	q, err := k.query(w)
	var n int64
	if err == nil {
		n, err = q.restore(ctx, w)
	}
	return n > 0, k.m.wrap("restore", err)
}

// Purge removes a row for good, soft deleted or not, and says whether there was
// one.
func (t Table[M, K]) Purge(ctx context.Context, w Writer, key K) (bool, error) {
	return t.keyed(key).purge(ctx, w)
}

func (k keyed) purge(ctx context.Context, w Writer) (bool, error) {
	q, err := k.query(w)
	var n int64
	if err == nil {
		q.deleted = deletedToo
		n, err = q.purge(ctx, w)
	}
	return n > 0, k.m.wrap("purge", err)
}

// Restore brings back the soft deleted rows of the query and returns how many
// there were. Without a condition it is ErrNoCondition unless AllRows was
// called.
func (q Query[M]) Restore(ctx context.Context, w Writer) (n int64, err error) {
	if err = q.q.writes(w); err == nil {
		n, err = q.q.restore(ctx, w)
	}
	return n, q.q.m.wrap("restore", err)
}

// Purge removes the rows of the query for good and returns how many there were:
// with OnlyDeleted those that were soft deleted. Without a condition it is
// ErrNoCondition unless AllRows was called.
func (q Query[M]) Purge(ctx context.Context, w Writer) (n int64, err error) {
	if err = q.q.writes(w); err == nil {
		n, err = q.q.purge(ctx, w)
	}
	return n, q.q.m.wrap("purge", err)
}

var errNoSoftDelete = errors.New("the model has no column with the item softdelete: nothing can be brought back")

func (q *query) restore(ctx context.Context, w Writer) (int64, error) {
	if q.m.deleted == "" {
		return 0, errNoSoftDelete
	}
	gone := *q
	gone.deleted = deletedOnly
	return q.m.update(ctx, w, gone.conds(), []set{{col: ref{q.m.schema.Name, q.m.deleted}, sql: "NULL"}})
}

func (q *query) purge(ctx context.Context, w Writer) (int64, error) {
	return q.m.run(ctx, w, q.m.deleteText(q.conds()))
}

func (m *model) deleteText(where []*node) *text {
	s := new(text)
	s.WriteString("DELETE FROM " + schema.QuoteIdent(m.schema.Name))
	s.where(where)
	return s
}

// removeText writes what removes the rows that match: an update where the model
// has soft delete.
func (m *model) removeText(w Writer, where []*node) *text {
	if m.deleted == "" {
		return m.deleteText(where)
	}
	now := set{col: ref{m.schema.Name, m.deleted}, sql: "?"}
	now.args = append(now.args, m.delUnit.store(w.base().o.Now()))
	return m.updateText(w, where, []set{now})
}

// remove removes the rows that match, and returns how many there were.
func (m *model) remove(ctx context.Context, w Writer, where []*node) (int64, error) {
	return m.run(ctx, w, m.removeText(w, where))
}

func (m *model) deleteRow(ctx context.Context, w Writer, row any) error {
	gone := m.copyOf(row)
	err := m.aroundDelete(ctx, w, gone, func(ctx context.Context, w Writer) error {
		values, err := m.values(row)
		if err != nil {
			return err
		}
		q := query{m: m, where: m.keyIn(values)}
		where := q.conds()
		if m.lock != nil {
			where = append(where, m.version(*m.lock(row)))
		}
		t := m.removeText(w, where)
		t.WriteString(" RETURNING " + m.columns)
		found := false
		err = m.returned(ctx, w, t, func(rs *rows) error {
			found = true
			return m.read(rs.dest, gone)
		})
		if err == nil && !found {
			err = q.missing(ctx, w)
		}
		return err
	})
	if err == nil && m.deleted != "" {
		m.assign(row, gone)
	}
	return err
}
