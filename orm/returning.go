package orm

import "context"

// UpdateReturning is Update that returns the row as it stands then.
func (t Table[M, K]) UpdateReturning(ctx context.Context, w Writer, key K, sets ...Set[M]) (*M, error) {
	return found[M](t.keyed(key).updateReturning(ctx, w, plainSets(sets)))
}

// UpdateReturning is Update that returns the row as it stands then.
func (u Unique[M, K]) UpdateReturning(ctx context.Context, w Writer, key K, sets ...Set[M]) (*M, error) {
	return found[M](u.keyed(key).updateReturning(ctx, w, plainSets(sets)))
}

// UpdateReturning is Update that returns the rows as they stand then, in no
// order.
func (q Query[M]) UpdateReturning(ctx context.Context, w Writer, sets ...Set[M]) ([]M, error) {
	all := []M{}
	if err := q.q.updateReturning(ctx, w, plainSets(sets), &all); err != nil {
		return nil, err
	}
	return all, nil
}

func (q *query) updateReturning(ctx context.Context, w Writer, sets []set, all any) error {
	err := q.writes(w)
	switch {
	case err != nil:
	case len(q.with) > 0:
		err = errWith
	case len(sets) == 0:
		err = errNoSets
	default:
		err = q.m.returnedAll(ctx, w, q.m.updateText(w, q.conds(), sets), all)
	}
	return q.m.wrap("update", err)
}

// DeleteReturning is Delete that returns the rows: as they were, or, with soft
// delete, as they stand then. They come in no order.
func (q Query[M]) DeleteReturning(ctx context.Context, w Writer) ([]M, error) {
	all := []M{}
	if err := q.q.deleteReturning(ctx, w, &all); err != nil {
		return nil, err
	}
	return all, nil
}

func (q *query) deleteReturning(ctx context.Context, w Writer, all any) error {
	err := q.writes(w)
	switch {
	case err != nil:
	case len(q.with) > 0:
		err = errWith
	default:
		err = q.m.returnedAll(ctx, w, q.m.removeText(w, q.conds()), all)
	}
	return q.m.wrap("delete", err)
}

// returnedAll runs a statement and adds the rows that it wrote to a list.
func (m *model) returnedAll(ctx context.Context, w Writer, t *text, all any) error {
	t.WriteString(" RETURNING " + m.columns)
	return m.returned(ctx, w, t, func(rs *rows) error { return m.read(rs.dest, m.grow(all)) })
}

// returned runs a writing statement with a RETURNING clause and calls fn for
// every row. Inside a transaction of the caller an error undoes the statement.
func (m *model) returned(ctx context.Context, w Writer, s *text, fn func(*rows) error) error {
	if s.err != nil {
		return s.err
	}
	return w.writing(ctx, true, func(c *conn) (err error) {
		rs, err := c.query(ctx, s.String(), s.args)
		if err != nil {
			return w.base().explain(m, err)
		}
		defer func() { err = also(err, rs.close()) }()
		for {
			ok, err := rs.next()
			if err != nil {
				return w.base().explain(m, err)
			}
			if !ok {
				return nil
			}
			if err := fn(rs); err != nil {
				return err
			}
		}
	})
}
