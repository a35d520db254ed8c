package replicate

import (
	"context"
	"errors"
)

// noteClaim keeps beside the file that the name is about to be ours, so that a
// later start that ships nothing can release it.
func (e *engine) noteClaim() error {
	entry := e.side.entry(e.name)
	if c := entry.Claim; c != nil && c.Token == e.token {
		return nil // an earlier attempt
	}
	note := &claimNote{Token: e.token}
	if c := entry.Claim; c != nil && !c.Released {
		note.Before = &c.Token
	}
	entry.Claim = note
	return e.side.setEntry(e.name, entry)
}

// noteReleased keeps beside the file that there is nothing to release any more.
func (e *engine) noteReleased() error {
	entry := e.side.entry(e.name)
	if entry.Claim == nil || entry.Claim.Released {
		return nil
	}
	entry.Claim = &claimNote{Token: entry.Claim.Token, Released: true}
	return e.side.setEntry(e.name, entry)
}

// releaseDue says whether somebody wants the name released.
func (e *engine) releaseDue() bool {
	for _, r := range e.waiting {
		if r.release {
			return e.claim != nil && !e.claim.Released || e.captured > e.acked.Sequence || e.needsFirst || e.claim == nil && e.leftClaimed()
		}
	}
	return false
}

// release gives the name up. Everything is acknowledged: any node may go on.
func (e *engine) release(ctx context.Context) error {
	if err := e.acknowledge(ctx, func(m *manifest) error {
		m.Released = true
		return nil
	}); err != nil {
		return err
	}
	e.event(Event{Kind: EventReleased, To: e.acked.Sequence})
	return e.look(ctx) // what was committed meanwhile takes the name back
}

// leftClaimed says whether an earlier start has claimed the name and ended
// without releasing it, as far as we know.
func (e *engine) leftClaimed() bool {
	c := e.side.entry(e.name).Claim
	return c != nil && !c.Released && !e.leftAlone
}

// releaseEarlier releases the name for an earlier start that could not, though
// this one has shipped nothing and claimed nothing: in the name of that claim, so
// that a process which should still run with it, on a copy of this machine, finds
// its own token and goes on. Nothing is released that somebody else has claimed,
// or before everything in the file is acknowledged; where there is nothing to
// release, the name is claimed as if there were something to ship.
func (e *engine) releaseEarlier(ctx context.Context) error {
	for {
		m, err := readManifest(ctx, e.store, e.name)
		if err != nil {
			return err
		}
		entry := e.side.entry(e.name)
		switch {
		case m == nil:
			return e.claimName(ctx) // what the file takes for acknowledged is not in this bucket
		case !entry.Claim.has(m.ClaimToken):
			entry.Claim = nil // somebody has gone on; that is theirs now
			return e.side.setEntry(e.name, entry)
		case m.Released:
			return e.noteReleased()
		case m.open() >= 0, m.Head.Sequence != e.captured, !e.chain.contains(m.Head):
			e.leftAlone = true
			e.o.Logger.Warn("the name stays claimed: the bucket does not hold what the file holds", "database", e.name, "node", m.NodeID, "file", e.captured, "bucket", m.Head.Sequence)
			return nil
		}
		next := m.clone()
		next.Released = true
		e.board.manifestWrite()
		if _, err := swap(ctx, e.store, m, next, e.o.Now()); errors.Is(err, errConflict) {
			continue // look again
		} else if err != nil {
			return err
		}
		e.event(Event{Kind: EventReleased, To: m.Head.Sequence})
		return e.noteReleased()
	}
}
