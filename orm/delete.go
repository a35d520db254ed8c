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
	err := t.m.writableRow(w, m)
	if err == nil {
		err = t.m.deleteRow(ctx, w, m)
	}
	return t.m.wrap("delete", err)
}

// Restore brings a row back that was soft deleted, and says whether there was
// one to bring back.
func (t Table[M, K]) Restore(ctx context.Context, w Writer, key K) (bool, error) {
	q, err := t.keyed().query(w, key)
	if err != nil {
		return false, t.m.wrap("restore", err)
	}
	n, err := q.OnlyDeleted().restore(ctx, w)
	return n > 0, t.m.wrap("restore", err)
}

// Purge removes a row for good, soft deleted or not, and says whether there was
// one.
func (t Table[M, K]) Purge(ctx context.Context, w Writer, key K) (bool, error) {
	q, err := t.keyed().query(w, key)
	if err != nil {
		return false, t.m.wrap("purge", err)
	}
	n, err := q.WithDeleted().purge(ctx, w)
	return n > 0, t.m.wrap("purge", err)
}

// Restore brings back the soft deleted rows of the query and returns how many
// there were. Without a condition it is ErrNoCondition unless AllRows was
// called.
func (q Query[M]) Restore(ctx context.Context, w Writer) (int64, error) {
	err := q.m.ready(w)
	if err == nil {
		err = q.q.writable()
	}
	if err != nil {
		return 0, q.m.wrap("restore", err)
	}
	n, err := q.OnlyDeleted().restore(ctx, w)
	return n, q.m.wrap("restore", err)
}

// Purge removes the rows of the query for good and returns how many there were:
// with OnlyDeleted those that were soft deleted. Without a condition it is
// ErrNoCondition unless AllRows was called.
func (q Query[M]) Purge(ctx context.Context, w Writer) (int64, error) {
	err := q.m.ready(w)
	if err == nil {
		err = q.q.writable()
	}
	if err != nil {
		return 0, q.m.wrap("purge", err)
	}
	n, err := q.purge(ctx, w)
	return n, q.m.wrap("purge", err)
}

var errNoSoftDelete = errors.New("the model has no column with the item softdelete: nothing can be brought back")

func (q Query[M]) restore(ctx context.Context, w Writer) (int64, error) {
	if q.m.deleted == "" {
		return 0, errNoSoftDelete
	}
	return q.m.update(ctx, w, q.q.conds(&q.m.info), []set{{col: ref{q.m.schema.Name, q.m.deleted}, sql: "NULL"}})
}

func (q Query[M]) purge(ctx context.Context, w Writer) (int64, error) {
	return q.m.run(ctx, w, q.m.deleteText(q.q.conds(&q.m.info)))
}

func (t *info) deleteText(where []*node) *text {
	s := new(text)
	s.WriteString("DELETE FROM " + schema.QuoteIdent(t.schema.Name))
	s.where(where)
	return s
}

// removeText writes what removes the rows that match: an update where the model
// has soft delete.
func (t *info) removeText(w Writer, where []*node) *text {
	if t.deleted == "" {
		return t.deleteText(where)
	}
	now := set{col: ref{t.schema.Name, t.deleted}, sql: "?"}
	now.args = append(now.args, t.delUnit.store(w.base().o.Now()))
	return t.updateText(w, where, []set{now})
}

// remove removes the rows that match, and returns how many there were.
func (t *info) remove(ctx context.Context, w Writer, where []*node) (int64, error) {
	return t.run(ctx, w, t.removeText(w, where))
}

func (m *model[M]) deleteRow(ctx context.Context, w Writer, row *M) error {
	gone := m.copyOf(row)
	err := m.aroundDelete(ctx, w, &gone, func(ctx context.Context, w Writer) error {
		values, err := m.values(row)
		if err != nil {
			return err
		}
		key := m.keyIn(values)
		where := (&query{where: key}).conds(&m.info)
		if m.lock != nil {
			where = append(where, m.version(*m.lock(row)))
		}
		t := m.removeText(w, where)
		t.WriteString(" RETURNING " + m.columns)
		found := false
		err = m.returned(ctx, w, t, func(rs *rows) error {
			found = true
			return m.read(rs.dest, &gone)
		})
		if err == nil && !found {
			err = m.missingLive(ctx, w, key)
		}
		return err
	})
	if err == nil && m.deleted != "" {
		*row = gone
	}
	return err
}

// missingLive is missing for a row that must not be soft deleted.
func (m *model[M]) missingLive(ctx context.Context, r Reader, key []*node) error {
	return m.missingAmong(ctx, r, query{where: key})
}
