package orm

import (
	"context"

	"github.com/driftdb/driftdb/internal/changelog"
)

// hookSet says which hooks a model has. They are found by their signatures on
// the model or its pointer, through interfaces: a model's method may use the
// table values, which would otherwise be initialised in a cycle.
type hookSet uint16

const (
	hookBeforeCreate hookSet = 1 << iota
	hookAfterCreate
	hookBeforeUpdate
	hookAfterUpdate
	hookBeforeDelete
	hookAfterDelete
	hookAfterCommit
)

// The hooks of a model. Those with a Tx run inside the transaction of the
// write, in which they may read and write; an error undoes it. AfterCommit runs
// once the outermost transaction has been committed.
type (
	beforeCreator interface {
		BeforeCreate(ctx context.Context, tx *Tx) error
	}
	afterCreator interface {
		AfterCreate(ctx context.Context, tx *Tx) error
	}
	beforeUpdater interface {
		BeforeUpdate(ctx context.Context, tx *Tx) error
	}
	afterUpdater interface {
		AfterUpdate(ctx context.Context, tx *Tx) error
	}
	beforeDeleter interface {
		BeforeDelete(ctx context.Context, tx *Tx) error
	}
	afterDeleter interface {
		AfterDelete(ctx context.Context, tx *Tx) error
	}
	afterCommitter interface{ AfterCommit(ctx context.Context) }
)

func hooksIn(m any) (s hookSet) {
	set := func(h hookSet, ok bool) {
		if ok {
			s |= h
		}
	}
	_, ok := m.(beforeCreator)
	set(hookBeforeCreate, ok)
	_, ok = m.(afterCreator)
	set(hookAfterCreate, ok)
	_, ok = m.(beforeUpdater)
	set(hookBeforeUpdate, ok)
	_, ok = m.(afterUpdater)
	set(hookAfterUpdate, ok)
	_, ok = m.(beforeDeleter)
	set(hookBeforeDelete, ok)
	_, ok = m.(afterDeleter)
	set(hookAfterDelete, ok)
	_, ok = m.(afterCommitter)
	set(hookAfterCommit, ok)
	return s
}

func (s hookSet) any(h hookSet) bool { return s&h != 0 }

// run calls a hook of row, a pointer to the model, if the model has it.
func (s hookSet) run(ctx context.Context, tx *Tx, h hookSet, row any) error {
	if !s.any(h) {
		return nil
	}
	switch h {
	case hookBeforeCreate:
		if m, ok := row.(beforeCreator); ok {
			return m.BeforeCreate(ctx, tx)
		}
	case hookAfterCreate:
		if m, ok := row.(afterCreator); ok {
			return m.AfterCreate(ctx, tx)
		}
	case hookBeforeUpdate:
		if m, ok := row.(beforeUpdater); ok {
			return m.BeforeUpdate(ctx, tx)
		}
	case hookAfterUpdate:
		if m, ok := row.(afterUpdater); ok {
			return m.AfterUpdate(ctx, tx)
		}
	case hookBeforeDelete:
		if m, ok := row.(beforeDeleter); ok {
			return m.BeforeDelete(ctx, tx)
		}
	case hookAfterDelete:
		if m, ok := row.(afterDeleter); ok {
			return m.AfterDelete(ctx, tx)
		}
	}
	return nil
}

// afterCommit notes that row's AfterCommit is to be called. Its context is not
// the transaction's any more, and does not end with the caller's: the commit
// has happened.
func (s hookSet) afterCommit(ctx context.Context, tx *Tx, row any) {
	if m, ok := row.(afterCommitter); ok && s.any(hookAfterCommit) && !tx.state.foreign {
		ctx = changelog.WithoutTx(quiet(ctx), tx.db.generation)
		tx.state.after = append(tx.state.after, func() { m.AfterCommit(ctx) })
	}
}

// inTx runs fn in a transaction of its own, or in a savepoint of the one that w
// is.
func inTx(ctx context.Context, w Writer, fn func(context.Context, *Tx) error) error {
	switch w := w.(type) {
	case *Tx:
		return w.Tx(ctx, fn)
	case foreigner:
		return w.tx(ctx, fn)
	}
	return w.base().Tx(ctx, fn)
}
