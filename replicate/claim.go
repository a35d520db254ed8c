package replicate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/driftdb/driftdb/internal/changelog"
)

// claimName makes the name ours before the first request that changes anything:
// a manifest with our token and an epoch that nobody else ever has. It is the
// claim of a file that is there; prepare.go has the take-over.
func (e *engine) claimName(ctx context.Context) error {
	for {
		if err := e.at("claiming"); err != nil {
			return err
		}
		m, err := readManifest(ctx, e.store, e.name)
		if err != nil {
			return err
		}
		if m != nil && m.ClaimToken == e.token && (e.chain.contains(m.Head) || !m.promisesNothing()) {
			return e.claimed(ctx, m) // an earlier attempt's answer was lost
		}
		next, err := e.judge(ctx, m)
		if errors.Is(err, errBegun) {
			continue
		}
		if err != nil {
			return err
		}
		if err := e.noteClaim(); err != nil {
			return err
		}
		e.board.manifestWrite()
		v, err := swap(ctx, e.store, m, next, e.o.Now())
		if errors.Is(err, errConflict) {
			continue // somebody was faster: judge again by what is there now
		}
		if err != nil {
			return err
		}
		return e.claimed(ctx, v)
	}
}

// judge returns the manifest that claims the name with our file, or the error
// that says why it must not.
func (e *engine) judge(ctx context.Context, m *versioned) (*manifest, error) {
	if m == nil {
		return e.firstClaim(ctx)
	}
	same := m.NodeID == e.side.id()
	if !same && !m.Released {
		return nil, &OwnedError{Name: e.name, Node: m.NodeID, Since: time.UnixMilli(m.ClaimedAt)}
	}
	if err := outdated(ctx, e.store, m); err != nil {
		return nil, err
	}
	if !e.chain.contains(m.Head) {
		if m.promisesNothing() { // ours, or nobody's: of a start before the log was dropped, or of a file that is gone
			return e.beginAnew(ctx, m)
		}
		return nil, e.lacksHead(ctx, m)
	}
	next := m.clone()
	end := m.Head
	if i := m.open(); i >= 0 {
		// A take-over that was not finished: the fenced epoch ends at head, and
		// the one that fenced it has shipped nothing.
		open := next.Lineage[i]
		next.Lineage = append(next.Lineage[:i], next.Lineage[i+1:]...)
		next.closeEpoch(open.Node, open.Epoch, end)
	} else {
		if same {
			var err error
			if end, err = e.ownTail(ctx, m); err != nil {
				return nil, err
			}
		}
		next.Head = end
		next.closeEpoch(m.NodeID, m.Epoch, end)
	}
	e.sign(next, m.Epoch+1)
	return next, nil
}

// sign makes next a claim of ours.
func (e *engine) sign(next *manifest, epoch uint32) {
	next.Epoch, next.NodeID, next.ClaimToken = epoch, e.side.id(), e.token
	next.ClaimedAt, next.Released = e.o.Now().UnixMilli(), false
	if next.PrunedAt == 0 {
		next.PrunedAt = next.ClaimedAt // nothing is old enough yet
	}
}

// ownTail returns how far our own earlier epoch is stored: beyond head as long
// as there is an object for each sealed batch and it holds what the file holds.
func (e *engine) ownTail(ctx context.Context, m *versioned) (link, error) {
	end := m.Head
	if _, ok := e.chain.after(end); !ok {
		return end, nil // nothing sealed beyond head, so nothing uploaded
	}
	stored := map[int64]objectKey{}
	if err := listBatches(ctx, e.store, e.name, m.NodeID, m.Epoch, end.Sequence, func(k objectKey, _ int64) bool {
		stored[k.from] = k
		return true
	}); err != nil {
		return end, err
	}
	at := end // behind end there may be parts of a transaction whose last one is not stored
	for {
		s, ok := e.chain.after(at)
		k, there := stored[at.Sequence+1]
		if !ok || !there || k.from != s.From || k.to != s.To || k.part != s.Part || k.parts != s.Parts {
			return end, nil
		}
		found, err := followLink(ctx, e.store, k, at)
		if isAny(err, ErrNotExist, ErrCorrupt, errBroken) {
			return end, nil // shipped again under the new epoch
		}
		if err != nil {
			return end, err
		}
		if !found.is(endOf(s)) {
			return end, nil // another process with our node id wrote it; its claim ends here
		}
		if at = endOf(s); s.Part == s.Parts {
			end = at
		}
	}
}

// firstClaim returns the first manifest under the name. What an earlier life of
// the name has stored there is not built over: nothing would lead to it any more,
// and pruning would take it for left-overs. The file is not touched before that is
// known.
func (e *engine) firstClaim(ctx context.Context) (*manifest, error) {
	if err := noBackup(ctx, e.store, e.name); !errors.Is(err, ErrNoBackup) {
		return nil, err
	}
	begin, err := e.beginning(ctx)
	if err != nil {
		return nil, err
	}
	next := &manifest{Version: formatVersion, DBName: e.name}
	next.Head, next.Floor = begin, begin
	e.sign(next, 1)
	return next, nil
}

// beginAnew returns the manifest that claims a name whose manifest m promises
// nothing, and does not lead to our file.
func (e *engine) beginAnew(ctx context.Context, m *versioned) (*manifest, error) {
	begin, err := e.beginning(ctx)
	if err != nil {
		return nil, err
	}
	next := m.clone()
	next.beginAt(begin)
	e.sign(next, m.Epoch+1)
	return next, nil
}

// beginning returns where a chain begins that nothing stored leads to: at nothing
// when the log reaches back that far, or else where the log stands now. Then a
// snapshot must follow before anything can be restored.
func (e *engine) beginning(ctx context.Context) (link, error) {
	if base := e.chain.base; !e.gapped() && (base.Hash == hash0(e.name) || base.Hash == e.origin.Hash) {
		return base, nil
	}
	// The file was acknowledged elsewhere, or restored from another name, or its
	// log does not lead from where the chain begins any more.
	begin, err := e.local.rebase(ctx, e.name)
	if err != nil {
		return link{}, err
	}
	origin, unstored, err := e.local.unstored(ctx)
	if err != nil {
		return link{}, err
	}
	e.chain, e.dropped, e.origin = chain{base: begin}, changelog.Dropped{}, origin
	// What another bucket holds does not count, and nothing is safe before the
	// first snapshot is, should the claim fail.
	e.acked, e.uploaded, e.whole, e.needsFirst = begin, begin, begin, unstored
	e.o.Logger.Warn("the bucket is new to this file; its chain begins anew with a snapshot", "database", e.name, "sequence", begin.Sequence)
	e.event(Event{Kind: EventRebased, To: begin.Sequence})
	return begin, e.at("rebased")
}

// claimed takes m, which carries our token, as the state to go on from.
func (e *engine) claimed(ctx context.Context, m *versioned) error {
	if err := e.at("claimed"); err != nil {
		return err
	}
	if !e.chain.contains(m.Head) {
		return fmt.Errorf("our claim of epoch %d has head %d, which the file does not contain: %w", m.Epoch, m.Head.Sequence, errInvariant)
	}
	e.claim = m
	e.uploaded, e.whole = m.Head, m.Head
	if e.chain.gap != nil && !e.landed(m.Head) { // nothing that could name it is on its way any more
		if err := e.local.sealer.ForgetGap(ctx); err != nil {
			return err
		}
		e.chain.gap = nil
	}
	unsure := e.needsFirst
	e.needsFirst = m.Floor.Sequence > 0 && len(m.Snapshots) == 0
	if first, ok := m.newest(); ok && unsure { // stored; a crash came before the file knew
		if err := e.local.setFloor(ctx, first.link()); err != nil {
			return err
		}
	}
	e.acksAt = time.Now()
	e.o.Logger.Info("claimed", "database", e.name, "node", m.NodeID, "epoch", m.Epoch, "head", m.Head.Sequence)
	e.event(Event{Kind: EventClaimed, To: m.Head.Sequence})
	return e.settle(ctx, m.Head)
}

// lacksHead returns why a file whose chain lacks the manifest's head must not
// ship: it is behind, or forked.
func (e *engine) lacksHead(ctx context.Context, m *versioned) error {
	at := e.chain.last()
	forked := func(why string) error {
		return fmt.Errorf("database %q, file at %d, bucket at %d (node %s, epoch %d): %s: %w",
			e.name, at.Sequence, m.Head.Sequence, m.NodeID, m.Epoch, why, ErrForked)
	}
	if e.side.entry(e.name).Marker.has(m.ClaimToken) {
		return fmt.Errorf("database %q: a take-over that an earlier start of this node had begun has reached the bucket since; restart to finish it: %w", e.name, ErrFenced)
	}
	if e.captured > at.Sequence {
		return forked("the file has changes of its own")
	}
	if at.Sequence >= m.Head.Sequence {
		return forked("the bucket is not ahead of the file")
	}
	if at.Sequence < m.Floor.Sequence {
		return forked(fmt.Sprintf("the bucket's oldest point is %d, what followed the file's last change was pruned", m.Floor.Sequence))
	}
	ok, err := isAncestor(ctx, e.store, m, at)
	if err != nil {
		return err
	}
	if !ok {
		return forked("the file's last change is not in the bucket's history")
	}
	if e.o.AutoRestore {
		entry := e.side.entry(e.name)
		token := m.ClaimToken
		entry.Behind = &token
		if err := e.side.setEntry(e.name, entry); err != nil {
			return err
		}
	}
	return fmt.Errorf("database %q, file at %d, bucket at %d: %w", e.name, at.Sequence, m.Head.Sequence, ErrBehind)
}

// isAncestor follows the batches from at to the head of m, or to the next gap,
// and says whether the chain leads there.
func isAncestor(ctx context.Context, store *bucket, m *versioned, at link) (bool, error) {
	for _, s := range m.Snapshots {
		if s.link().is(at) {
			return true, nil
		}
	}
	if _, ok := m.gapAt(at); ok {
		return true, nil
	}
	p := plan{start: at}
	if at.Sequence < m.Floor.Sequence {
		return false, nil
	}
	err := p.fill(ctx, store, m, false)
	if err != nil {
		if errors.Is(err, ErrMissing) {
			return false, nil
		}
		return false, err
	}
	for _, path := range p.paths {
		end := at
		for _, k := range path {
			if end, err = p.followKey(ctx, store, k, end); err != nil {
				break
			}
		}
		if err == nil && end.is(p.end) {
			return true, nil
		}
		if err != nil && !isAny(err, ErrNotExist, ErrCorrupt, errBroken) {
			return false, err
		}
	}
	return false, nil
}
