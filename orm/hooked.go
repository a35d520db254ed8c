package orm

import (
	"context"
	"errors"
)

// Writes of models with hooks. Each is a transaction of its own, or a savepoint
// of the one it runs in, so that an error of a hook undoes it.

// errAgain says that a row was not as it had been read.
var errAgain = errors.New("the row has changed meanwhile")

// createRowsHooked calls BeforeCreate of every row, inserts them, and calls
// AfterCreate of every row.
func (m *model) createRowsHooked(ctx context.Context, w Writer, all []any) error {
	stored := make([]any, len(all))
	err := inTx(ctx, w, func(ctx context.Context, tx *Tx) error {
		for i, row := range all {
			stored[i] = m.fresh()
			if _, err := m.fillRow(tx, stored[i], m.copyOf(row)); err != nil {
				return err
			}
			if err := m.hooks.run(ctx, tx, hookBeforeCreate, stored[i]); err != nil {
				return err
			}
		}
		if err := m.insertRows(ctx, tx, stored); err != nil {
			return err
		}
		for _, row := range stored {
			if err := m.hooks.run(ctx, tx, hookAfterCreate, row); err != nil {
				return err
			}
			m.hooks.afterCommit(ctx, tx, row)
		}
		return nil
	})
	if err == nil {
		m.assignAll(all, stored)
	}
	return err
}

// updateKeyed changes the one row that where names and reads it into row as it
// stands then. It says whether there was one. BeforeUpdate sees the row as it
// will be; what it changes in it is written too.
func (m *model) updateKeyed(ctx context.Context, w Writer, where []*node, sets []set, row any) (found bool, err error) {
	if len(sets) == 0 {
		return false, errNoSets
	}
	if !m.hooks.any(hookBeforeUpdate | hookAfterUpdate | hookAfterCommit) {
		return m.updateOne(ctx, w, where, sets, row)
	}
	err = inTx(ctx, w, func(ctx context.Context, tx *Tx) error {
		if found, err = m.updateOne(ctx, tx, where, sets, row); err != nil || !found {
			return err
		}
		before, err := m.values(row)
		if err != nil {
			return err
		}
		if err := m.hooks.run(ctx, tx, hookBeforeUpdate, row); err != nil {
			return err
		}
		more, err := m.changed(before, row, true)
		if err != nil {
			return err
		}
		if len(more) > 0 {
			for i, v := range before { // one update for the caller: one time, one version
				if name := m.column(i).Name; name == m.updated || name == m.lockCol {
					more = append(more, m.setter(i, v))
				}
			}
			if found, err = m.updateOne(ctx, tx, m.keyIn(before), more, row); err != nil || !found {
				return err
			}
		}
		if err := m.hooks.run(ctx, tx, hookAfterUpdate, row); err != nil {
			return err
		}
		m.hooks.afterCommit(ctx, tx, row)
		return nil
	})
	return found && err == nil, err
}

// deleteHooked removes the one row of q and says whether there was one.
func (m *model) deleteHooked(ctx context.Context, w Writer, q query) (found bool, err error) {
	err = inTx(ctx, w, func(ctx context.Context, tx *Tx) error {
		row, err := q.one(ctx, tx)
		if err != nil || row == nil {
			return err
		}
		found = true
		return m.aroundDelete(ctx, tx, row, func(ctx context.Context, w Writer) error {
			_, err := m.remove(ctx, w, q.conds())
			return err
		})
	})
	return found && err == nil, err
}

// aroundDelete runs remove between the hooks of row.
func (m *model) aroundDelete(ctx context.Context, w Writer, row any, remove func(context.Context, Writer) error) error {
	if !m.hooks.any(hookBeforeDelete | hookAfterDelete | hookAfterCommit) {
		return remove(ctx, w)
	}
	return inTx(ctx, w, func(ctx context.Context, tx *Tx) error {
		if err := m.hooks.run(ctx, tx, hookBeforeDelete, row); err != nil {
			return err
		}
		if err := remove(ctx, tx); err != nil {
			return err
		}
		if err := m.hooks.run(ctx, tx, hookAfterDelete, row); err != nil {
			return err
		}
		m.hooks.afterCommit(ctx, tx, row)
		return nil
	})
}
