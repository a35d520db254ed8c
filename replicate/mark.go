package replicate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/driftdb/driftdb/internal/changelog"
)

// WaitDurable returns nil when the transaction that ended at p, and every one
// before it, is stored and acknowledged. p comes from DB.Position, or from
// Tx.Position after the commit. Callers that wait at the same time share one
// upload and one write of the manifest. As Flush it looks once at the bucket of
// this start. ErrPosition: p is not of this file.
func (r *Replica) WaitDurable(ctx context.Context, p Position) error {
	if p.Sequence < 0 {
		return fmt.Errorf("replicate: wait for sequence %d: %w", p.Sequence, ErrPosition)
	}
	if err := r.waitDurable(ctx, p); err != nil {
		return fmt.Errorf("replicate: wait until %d is durable: %w", p.Sequence, err)
	}
	return nil
}

func (r *Replica) waitDurable(ctx context.Context, p Position) error {
	r.run.RLock()
	e := r.run.engine
	r.run.RUnlock()
	if e == nil {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.Generation != e.generation {
		return ErrPosition
	}
	if changelog.InTx(ctx, e.generation) {
		return ErrInTx
	}
	if p.Sequence == 0 || r.board.safe(p.Sequence) {
		return nil
	}
	return r.ask(ctx, &request{at: p})
}

// Mark stores everything committed before the call and gives that state a name
// (as in [a-z0-9][a-z0-9._-]{0,62}), to be restored with RestoreOptions.Point.
// What it needs is kept until Unmark. ErrMarked: the name is taken.
func (r *Replica) Mark(ctx context.Context, name string) error {
	if err := checkName("point", name); err != nil {
		return fmt.Errorf("replicate: mark: %w", err)
	}
	now := r.o.Now().UnixMilli()
	err := r.ask(ctx, &request{edit: func(m *manifest, again bool) error {
		at := m.Head
		for _, p := range m.Points {
			if p.Name == name && again && p.Time == now {
				return errDone
			}
			if p.Name == name {
				return ErrMarked
			}
		}
		m.Points = append(m.Points, pointEntry{Name: name, Sequence: at.Sequence, Hash: at.Hash, Time: now, MaxTime: at.MaxTime})
		return nil
	}})
	if err != nil {
		return fmt.Errorf("replicate: mark %q: %w", name, err)
	}
	return nil
}

// Unmark takes the name of a point away; what only that point needed may be
// pruned then. ErrNoPoint: there is none of that name.
func (r *Replica) Unmark(ctx context.Context, name string) error {
	err := r.ask(ctx, &request{edit: func(m *manifest, again bool) error {
		before := len(m.Points)
		m.Points = slices.DeleteFunc(m.Points, func(p pointEntry) bool { return p.Name == name })
		if len(m.Points) == before && again {
			return errDone
		}
		if len(m.Points) == before {
			return ErrNoPoint
		}
		return nil
	}})
	if err != nil {
		return fmt.Errorf("replicate: unmark %q: %w", name, err)
	}
	return nil
}

// manifestEdit changes a manifest whose head covers everything committed before
// the call, or says why not. again says that an earlier write has failed, or that
// its answer was lost: errDone then means that the manifest has the change.
type manifestEdit func(m *manifest, again bool) error

// editDue says whether somebody waits for a change of the manifest.
func (e *engine) editDue() bool {
	return slices.ContainsFunc(e.waiting, func(r *request) bool { return r.edit != nil && !r.edited })
}

// refusal is the error of an edit that does not fit the manifest: its caller's,
// not a failed attempt.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// editManifest makes the changes of the manifest that callers wait for, each in
// a write of its own, when everything committed before their call is
// acknowledged.
func (e *engine) editManifest(ctx context.Context) error {
	for _, r := range e.waiting {
		if r.edit == nil || r.edited || e.claim == nil || r.target < 0 || e.acked.Sequence < r.target || e.needsFirst {
			continue
		}
		err := e.acknowledge(ctx, func(m *manifest) error {
			if err := r.edit(m, r.tried); err != nil {
				return refusal{err}
			}
			return nil
		})
		if no, ok := errors.AsType[refusal](err); ok {
			if !errors.Is(no.error, errDone) {
				r.refused = no.error
			}
			err = nil
		}
		if err != nil {
			r.tried = true
			return err
		}
		r.edited = true
	}
	return nil
}
