package orm

import "context"

// UpdateReturning is Update that returns the row as it stands then.
func (t Table[M, K]) UpdateReturning(ctx context.Context, w Writer, key K, sets ...Set[M]) (*M, error) {
	return t.keyed().updateReturning(ctx, w, key, sets)
}

// UpdateReturning is Update that returns the row as it stands then.
func (u Unique[M, K]) UpdateReturning(ctx context.Context, w Writer, key K, sets ...Set[M]) (*M, error) {
	return u.k.updateReturning(ctx, w, key, sets)
}

func (k keyed[M, K]) updateReturning(ctx context.Context, w Writer, key K, sets []Set[M]) (*M, error) {
	q, err := k.query(w, key)
	if err != nil {
		return nil, k.m.wrap("update", err)
	}
	row := new(M)
	found, err := k.m.updateKeyed(ctx, w, q.q.conds(&k.m.info), plainSets(sets), row)
	if err == nil && !found {
		err = ErrNotFound
	}
	if err != nil {
		return nil, k.m.wrap("update", err)
	}
	return row, nil
}

// UpdateReturning is Update that returns the rows as they stand then, in no
// order.
func (q Query[M]) UpdateReturning(ctx context.Context, w Writer, sets ...Set[M]) ([]M, error) {
	if err := q.m.ready(w); err != nil {
		return nil, q.m.wrap("update", err)
	}
	if err := q.q.writable(); err != nil {
		return nil, q.m.wrap("update", err)
	}
	if len(q.with) > 0 {
		return nil, q.m.wrap("update", errWith)
	}
	if len(sets) == 0 {
		return nil, q.m.wrap("update", errNoSets)
	}
	all, err := q.m.returnedAll(ctx, w, q.m.updateText(w, q.q.conds(&q.m.info), plainSets(sets)))
	return all, q.m.wrap("update", err)
}

// DeleteReturning is Delete that returns the rows: as they were, or, with soft
// delete, as they stand then. They come in no order.
func (q Query[M]) DeleteReturning(ctx context.Context, w Writer) ([]M, error) {
	if err := q.m.ready(w); err != nil {
		return nil, q.m.wrap("delete", err)
	}
	if err := q.q.writable(); err != nil {
		return nil, q.m.wrap("delete", err)
	}
	if len(q.with) > 0 {
		return nil, q.m.wrap("delete", errWith)
	}
	all, err := q.m.returnedAll(ctx, w, q.m.removeText(w, q.q.conds(&q.m.info)))
	return all, q.m.wrap("delete", err)
}

// returnedAll runs a statement and returns the rows that it wrote.
func (m *model[M]) returnedAll(ctx context.Context, w Writer, t *text) ([]M, error) {
	all := []M{}
	t.WriteString(" RETURNING " + m.columns)
	err := m.returned(ctx, w, t, func(rs *rows) error {
		var zero M
		all = append(all, zero)
		return m.read(rs.dest, &all[len(all)-1])
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// returned runs a writing statement with a RETURNING clause and calls fn for
// every row. Inside a transaction of the caller an error undoes the statement.
func (t *info) returned(ctx context.Context, w Writer, s *text, fn func(*rows) error) error {
	if s.err != nil {
		return s.err
	}
	return w.writing(ctx, true, func(c *conn) (err error) {
		rs, err := c.query(ctx, s.String(), s.args)
		if err != nil {
			return w.base().explain(t, err)
		}
		defer func() { err = also(err, rs.close()) }()
		for {
			ok, err := rs.next()
			if err != nil {
				return w.base().explain(t, err)
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
