package replicate

import (
	"context"
	"errors"

	"github.com/driftdb/driftdb/internal/changelog"
)

// dropLog gives the oldest of the log up that waits for upload, stored or not,
// when more waits than BacklogResnapshot allows. A snapshot has to stand for it,
// and to carry the chain on: nothing is shipped before that is acknowledged.
func (e *engine) dropLog(ctx context.Context) error {
	// What the log tells of the structure is looked at before it is gone; what
	// is wrong with it the next attempt says.
	if err := e.watch(ctx); err != nil && !errors.Is(err, ErrSchemaDrift) {
		return err
	}
	if e.snap != nil && !e.snap.told {
		e.stopSnapshot() // it waits for what is about to go
	}
	waits := e.captured - max(e.uploaded.Sequence, e.dropped.To)
	keep := min(max(e.o.LogTail, 1), waits/2)
	before := max(e.dropped.To, e.uploaded.Sequence)
	d, err := e.local.drop(ctx, e.whole.Sequence, keep)
	e.dropped = d
	if err != nil {
		return err
	}
	if d.To <= before {
		return nil
	}
	e.o.Logger.Warn("too much of the log waits for upload; the oldest was dropped, and a snapshot will stand for it",
		"database", e.name, "node", e.side.id(), "from", before+1, "to", d.To)
	e.board.dropped(d.To - before)
	e.event(Event{Kind: EventDropped, From: before + 1, To: d.To})
	return e.at("dropped")
}

// gapped says whether what comes next in the chain is not in the log any more.
func (e *engine) gapped() bool { return e.dropped.To > e.uploaded.Sequence }

// sealGap fixes where the gap ends, at the sequence of a copy of the database
// that is about to be made, and forces everything up to there to the disk. What
// an earlier snapshot, which was not named, was to stand for is given up: nobody
// but this file knows of it.
func (e *engine) sealGap(ctx context.Context, sequence int64) (link, error) {
	end, err := e.local.sealGap(ctx, e.whole.MaxTime, sequence)
	if err != nil {
		return link{}, err
	}
	e.chain.gap = &end
	return end, e.at("gap-sealed")
}

// closeGap lets the local chain go on from end, which the manifest covers.
func (e *engine) closeGap(ctx context.Context, end link) error {
	d, err := e.local.closeGap(ctx, end)
	if err != nil {
		return err
	}
	from := e.whole.Sequence
	e.chain, e.dropped = chain{base: end}, d
	e.uploaded, e.whole = end, end
	e.dropMembers(func(m member) bool { return m.end.Sequence > from }) // parts of a transaction that the gap cut off
	e.o.Logger.Warn("the history has a gap: a snapshot stands for changes that were dropped", "database", e.name, "node", e.side.id(), "from", from+1, "to", end.Sequence)
	e.board.update(func(_ *Status, m *Metrics) { m.Gaps++ })
	e.event(Event{Kind: EventGap, From: from + 1, To: end.Sequence})
	return e.at("gap-closed")
}

// landed says whether the manifest covers the end of a gap that the file has not
// closed yet.
func (e *engine) landed(head link) bool { return e.chain.gap != nil && e.chain.gap.is(head) }

// drop is Queue.Drop.
func (l *local) drop(ctx context.Context, stored, keep int64) (changelog.Dropped, error) {
	return l.marker.Drop(ctx, stored, keep)
}

// sealGap is Queue.SealGap on the connection that waits for the disk.
func (l *local) sealGap(ctx context.Context, maxTime, to int64) (link, error) {
	t, err := l.sealer.SealGap(ctx, maxTime, to)
	return link{Sequence: t.Sequence, Hash: t.Hash, MaxTime: t.MaxTime}, err
}

// closeGap is Queue.CloseGap.
func (l *local) closeGap(ctx context.Context, end link) (changelog.Dropped, error) {
	return l.marker.CloseGap(ctx, changelog.Tip{Sequence: end.Sequence, Hash: end.Hash, MaxTime: end.MaxTime})
}

// gap returns the end of a gap that may be in the manifest, nil for none.
func (l *local) gap(ctx context.Context) (*link, error) {
	t, ok, err := l.sealer.GapEnd(ctx)
	if err != nil || !ok {
		return nil, err
	}
	return &link{Sequence: t.Sequence, Hash: t.Hash, MaxTime: t.MaxTime}, nil
}
