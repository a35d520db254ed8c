package replicate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// taker carries out the steps by which a node goes on with the bucket's
// history instead of, or without, a file of its own: mark, fence, list,
// freeze, restore. Each step can be the last one before a crash; the marker
// beside the file lets the next start go on.
type taker struct {
	name  string
	store *bucket
	o     Options
	side  *sidecar
	token token
	hook  func(point string) error
}

func (t *taker) at(point string) error {
	if t.hook == nil {
		return nil
	}
	return t.hook(point)
}

// prepare makes the file ready to be opened and returns the claim if one was
// needed for that, nil if the file is to be used as it is or to be made anew.
func (t *taker) prepare(ctx context.Context) (*versioned, error) {
	there, err := exists(t.side.file)
	if err != nil {
		return nil, err
	}
	if !there {
		if err := moveLeftovers(t.side.file, t.o.Now()); err != nil {
			return nil, err
		}
	}
	entry := t.side.entry(t.name)
	switch {
	case t.o.TakeOver, entry.Marker != nil:
	case there && entry.Behind != nil && t.o.AutoRestore:
	case !there && t.o.AutoRestore:
	default:
		if there { // what an interrupted restore has left is of no use any more
			return nil, newPartial(t.store, t.side).remove()
		}
		return nil, nil
	}
	var m *versioned
	if err := t.o.Retry.do(ctx, func() error {
		m, err = t.claim(ctx, there)
		return err
	}); err != nil {
		return nil, err
	}
	if m == nil {
		return nil, nil // the rules apply afresh
	}
	if m, err = t.settle(ctx, m, there); err != nil {
		return nil, err
	}
	if err := t.at("restored"); err != nil {
		return nil, err
	}
	return m, t.side.setEntry(t.name, nodeEntry{Claim: &claimNote{Token: t.token}})
}

// claim makes the name ours, its history closed at head. It returns nil when
// the name is not to be taken over.
func (t *taker) claim(ctx context.Context, there bool) (*versioned, error) {
	for {
		m, err := readManifest(ctx, t.store, t.name)
		if err != nil {
			return nil, err
		}
		wanted, err := t.judge(ctx, m, there)
		if errors.Is(err, errBegun) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !wanted {
			return nil, t.forget(m)
		}
		if err := t.survey(ctx, m, there); errors.Is(err, errBegun) {
			continue
		} else if err != nil {
			return nil, err
		}
		m, err = t.fence(ctx, m)
		if errors.Is(err, errConflict) {
			continue // somebody was faster: judge again by what is there now
		}
		if err != nil {
			return nil, err
		}
		return t.freeze(ctx, m)
	}
}

// forget drops what an earlier start has noted and what does not matter any
// more. A take-over whose request may still be on its way to m does.
func (t *taker) forget(m *versioned) error {
	e := nodeEntry{Claim: t.side.entry(t.name).Claim}
	if m != nil {
		if left := t.side.entry(t.name).Marker.standing(m.Nonce); len(left) > 0 {
			e.Marker = &marker{Trying: left}
		}
	}
	return t.side.setEntry(t.name, e)
}

// judge says whether the name is to be taken over, or why it must not be.
func (t *taker) judge(ctx context.Context, m *versioned, there bool) (bool, error) {
	if m == nil {
		if !there { // an empty file must not take the place of a history that nothing leads to
			if err := noBackup(ctx, t.store, t.name); !errors.Is(err, ErrNoBackup) {
				return false, err
			}
		}
		return false, nil // no backup exists: a new file, or the first claim of this one
	}
	if err := outdated(ctx, t.store, m); err != nil {
		return false, err
	}
	entry := t.side.entry(t.name)
	ours := m.NodeID == t.side.id()
	free := ours || m.Released
	if t.o.TakeOver && there && free && entry == (nodeEntry{Claim: entry.Claim}) && entry.Claim.has(m.ClaimToken) && m.open() < 0 {
		// Nobody has claimed the name since we did: the file goes on as at any
		// other start, if it is still the one that did.
		if kept, err := t.contains(ctx, m.Head); kept || err != nil {
			return false, err
		}
	}
	switch {
	case m.ClaimToken == t.token, entry.Marker.has(m.ClaimToken): // a take-over of ours, interrupted
	case t.o.TakeOver:
	case !there && t.o.AutoRestore && !free:
		return false, &OwnedError{Name: t.name, Node: m.NodeID, Since: time.UnixMilli(m.ClaimedAt)}
	case !there && t.o.AutoRestore:
	case there && t.o.AutoRestore && free && entry.Behind != nil && *entry.Behind == m.ClaimToken:
		behind, err := t.stillBehind(ctx, m)
		if !behind || err != nil {
			return false, err
		}
	default:
		return false, nil
	}
	if !there && m.Floor.Sequence > 0 && len(m.Snapshots) == 0 {
		return false, fmt.Errorf("database %q: %w", t.name, ErrNoRestorePoint)
	}
	return true, nil
}

// contains says whether the file's chain has the link at.
func (t *taker) contains(ctx context.Context, at link) (bool, error) {
	e, err := t.examine(ctx)
	if err != nil {
		return false, err
	}
	return e.chain.contains(at), e.close()
}

// stillBehind looks again at a file that an earlier start found to be an older
// state of the bucket's: it may have been written to since.
func (t *taker) stillBehind(ctx context.Context, m *versioned) (_ bool, err error) {
	e, err := t.examine(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	if e.chain.contains(m.Head) || e.captured > e.chain.last().Sequence || e.chain.last().Sequence >= m.Head.Sequence {
		return false, nil
	}
	return isAncestor(ctx, t.store, m, e.chain.last())
}

// fence claims the name, so that the old owner can acknowledge nothing more.
// errConflict: somebody else has written the manifest.
// Its last epoch stays open until freeze has seen how far it came.
func (t *taker) fence(ctx context.Context, m *versioned) (*versioned, error) {
	if m.ClaimToken == t.token {
		return m, t.confirm() // the answer to an earlier attempt was lost
	}
	entry := t.side.entry(t.name)
	tried := attempt{Token: t.token, Over: m.Nonce}
	next := &marker{Trying: entry.Marker.standing(m.Nonce)}
	if entry.Marker != nil {
		next.Confirmed = entry.Marker.Confirmed
	}
	if entry.Marker.has(m.ClaimToken) { // an attempt that did succeed: it stands on nothing any more, and is what the next start goes on from
		next.Confirmed = &m.ClaimToken
	}
	if !slices.Contains(next.Trying, tried) {
		next.Trying = append(next.Trying, tried)
	}
	entry.Marker = next
	if err := t.side.setEntry(t.name, entry); err != nil {
		return nil, err
	}
	if err := t.at("marked"); err != nil {
		return nil, err
	}
	claim := m.clone()
	if m.open() < 0 {
		claim.Lineage = append(claim.Lineage, lineageEntry{Node: m.NodeID, Epoch: m.Epoch})
	} // else the open one stays the open one; the epoch that fenced it has shipped nothing
	claim.Epoch, claim.NodeID, claim.ClaimToken = m.Epoch+1, t.side.id(), t.token
	claim.ClaimedAt, claim.Released = t.o.Now().UnixMilli(), false
	if claim.PrunedAt == 0 {
		claim.PrunedAt = claim.ClaimedAt
	}
	v, err := swap(ctx, t.store, m, claim, t.o.Now())
	if err != nil {
		return nil, err
	}
	if err := t.at("fenced"); err != nil {
		return nil, err
	}
	t.o.Logger.Info("claimed", "database", t.name, "node", v.NodeID, "epoch", v.Epoch, "head", v.Head.Sequence)
	t.o.Events(Event{Kind: EventClaimed, Time: t.o.Now(), Epoch: v.Epoch, To: v.Head.Sequence})
	return v, t.confirm()
}

// confirm keeps that the manifest carries our token.
func (t *taker) confirm() error {
	entry := t.side.entry(t.name)
	entry.Marker = &marker{Confirmed: &t.token}
	return t.side.setEntry(t.name, entry)
}

// freeze lists what the fenced epoch holds beyond head and closes it there for
// ever: what its owner still uploads does not count.
func (t *taker) freeze(ctx context.Context, m *versioned) (*versioned, error) {
	for {
		i := m.open()
		if i < 0 {
			return m, nil
		}
		open := m.Lineage[i]
		end, err := t.chainedTail(ctx, m, open)
		if err != nil {
			return nil, err
		}
		if err := t.at("listed"); err != nil {
			return nil, err
		}
		next := m.clone()
		next.Lineage = append(next.Lineage[:i], next.Lineage[i+1:]...)
		next.closeEpoch(open.Node, open.Epoch, end)
		next.Head = end
		v, err := swap(ctx, t.store, m, next, t.o.Now())
		switch {
		case errors.Is(err, errConflict) && v != nil && v.ClaimToken == t.token:
			m = v
			continue
		case errors.Is(err, errConflict):
			return nil, fmt.Errorf("database %q, while it was being taken over: %w", t.name, ErrFenced)
		case err != nil:
			return nil, err
		}
		return v, t.at("frozen")
	}
}

// chainedTail follows the batches of an epoch from head as long as they chain. A
// damaged or foreign one ends it: nothing beyond head was acknowledged.
func (t *taker) chainedTail(ctx context.Context, m *versioned, of lineageEntry) (link, error) {
	stored := map[int64]objectKey{}
	if err := listBatches(ctx, t.store, m.DBName, of.Node, of.Epoch, m.Head.Sequence, func(k objectKey, _ int64) bool {
		if t.store.trusts(k) {
			stored[k.from] = k
		}
		return true
	}); err != nil {
		return link{}, err
	}
	end, at, part := m.Head, m.Head, 0
	for {
		k, ok := stored[at.Sequence+1]
		if !ok || k.part != part+1 { // the parts of a transaction count together or not at all
			return end, nil
		}
		next, err := followLink(ctx, t.store, k, at)
		switch {
		case errors.Is(err, ErrCorrupt):
			t.o.Logger.Warn("a batch that was not acknowledged is damaged; the history ends before it", "database", m.DBName, "key", k.String(), "error", err)
			return end, nil
		case isAny(err, errBroken, ErrNotExist):
			return end, nil
		case isAny(err, ErrNoKey, ErrVersion):
			return end, fmt.Errorf("what the owner stored last cannot be read, and was not taken over: %w", err)
		case err != nil:
			return end, err
		}
		if at, part = next, k.part; k.part == k.parts {
			end, part = at, 0
		}
	}
}

// settle makes the file what the frozen head calls for: it is kept when it
// contains head, or when nothing can be restored, and otherwise moved aside and
// restored. It returns the manifest as it is then.
func (t *taker) settle(ctx context.Context, m *versioned, there bool) (*versioned, error) {
	aside := ""
	if there {
		e, err := t.examine(ctx)
		if err != nil {
			return nil, err
		}
		kept, at, beyond := e.chain.contains(m.Head), e.chain.last(), e.captured > e.chain.last().Sequence
		if !kept && m.promisesNothing() {
			m, err = t.beginAnew(ctx, m, e)
			return m, errors.Join(err, e.close())
		}
		if err := e.close(); err != nil {
			return nil, err
		}
		if kept {
			return m, nil
		}
		aside = fmt.Sprintf("%s.forked-%d", t.side.file, at.Sequence)
		ok := false
		if err := t.o.Retry.do(ctx, func() (err error) {
			ok, err = isAncestor(ctx, t.store, m, at)
			return err
		}); err != nil {
			return nil, err
		}
		if ok && !beyond {
			aside = fmt.Sprintf("%s.behind-%d", t.side.file, at.Sequence)
		}
	}
	if m.Head.Sequence == 0 {
		return m, nil // claimed once, nothing acknowledged: the file is made anew
	}
	r := &restorer{name: t.name, store: t.store, side: t.side, retry: t.o.Retry, logger: t.o.Logger, now: t.o.Now, aside: aside, hook: t.hook}
	result, err := r.resume(ctx, m, &t.token)
	if err != nil {
		return nil, err
	}
	if aside != "" {
		t.o.Logger.Warn("the local file was moved aside", "database", t.name, "to", r.aside)
		t.o.Events(Event{Kind: EventMovedAside, Time: t.o.Now(), Epoch: m.Epoch, Key: r.aside})
	}
	t.o.Logger.Info("restored", "database", t.name, "sequence", result.Position.Sequence, "snapshot", result.Snapshot, "batches", result.Batches)
	t.o.Events(Event{Kind: EventRestored, Time: t.o.Now(), Epoch: m.Epoch, To: result.Position.Sequence, Bytes: result.Bytes})
	return m, nil
}

// promisesNothing says whether m leads to no point that can be restored, so that
// nobody was ever told that anything is safe: it was claimed and nothing stored,
// or the first snapshot of a file that held data was never finished.
func (m *manifest) promisesNothing() bool {
	return len(m.Snapshots) == 0 && (m.Head.Sequence == 0 || m.Floor.Sequence > 0)
}

// beginAt lets the history of m, which promises nothing, begin at begin. What is
// stored does not count any more.
func (m *manifest) beginAt(begin link) {
	m.Head, m.Floor = begin, begin
	m.Lineage, m.Packs, m.Gaps, m.Points = nil, nil, nil, nil
}

// beginAnew lets the history under the name, which promises nothing, begin with
// the file e: else a machine that is lost before its first snapshot is stored
// would keep the name from everybody for ever.
func (t *taker) beginAnew(ctx context.Context, m *versioned, e *examined) (*versioned, error) {
	begin, err := e.local.rebase(ctx, t.name)
	if err != nil {
		return nil, err
	}
	if err := t.at("rebased"); err != nil {
		return nil, err
	}
	for claimed := false; !claimed; {
		if err := t.o.Retry.do(ctx, func() error {
			next := m.clone()
			next.beginAt(begin)
			v, err := swap(ctx, t.store, m, next, t.o.Now())
			switch {
			case errors.Is(err, errConflict) && (v == nil || v.ClaimToken != t.token):
				return fmt.Errorf("database %q, while it was being taken over: %w", t.name, ErrFenced)
			case errors.Is(err, errConflict): // a tool that works for us, or an earlier attempt whose answer was lost
			case err != nil:
				return err
			}
			m, claimed = v, v.Head.is(begin)
			return nil
		}); err != nil {
			return nil, err
		}
	}
	t.o.Logger.Warn("nothing could be restored from the bucket; its history begins anew with this file, and a snapshot", "database", t.name, "sequence", begin.Sequence)
	t.o.Events(Event{Kind: EventRebased, Time: t.o.Now(), Epoch: m.Epoch, To: begin.Sequence})
	return m, nil
}

// examined is a file that was opened to see what it holds.
type examined struct {
	local    *local
	chain    chain
	captured int64
}

func (e *examined) close() error { return e.local.close() }

func (t *taker) examine(ctx context.Context) (*examined, error) {
	l, err := openLocal(ctx, t.side.file)
	if err != nil {
		return nil, err
	}
	c, err := l.chain(ctx, t.name)
	if err == nil {
		var captured int64
		if captured, err = l.newest(ctx); err == nil {
			return &examined{local: l, chain: c, captured: captured}, nil
		}
	}
	return nil, errors.Join(err, l.close())
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// moveLeftovers moves a write-ahead log whose database is gone out of the way:
// SQLite would play it into the next file of that name.
func moveLeftovers(file string, now time.Time) error {
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		there, err := exists(file + suffix)
		if err != nil || !there {
			if err != nil {
				return err
			}
			continue
		}
		if err := os.Rename(file+suffix, fmt.Sprintf("%s%s.stale-%d", file, suffix, now.UnixMilli())); err != nil {
			return fmt.Errorf("move a left-over %s file aside: %w", suffix, err)
		}
	}
	return nil
}
