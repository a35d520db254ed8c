package replicate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/envelope"
)

// pace says whether an attempt may upload although nobody waits for it.
type pace int

const (
	paced     pace = iota // it may
	paceEarly             // the last upload is too recent
	pacedOut              // and there was something to upload: it goes with the next
)

// paceAt keeps uploads MinInterval apart, whatever has woken the engine: the look
// at the file and the manifest's turn would otherwise ship what has only just been
// committed. What has failed is not held back any longer than its retry was.
func (e *engine) paceAt(now time.Time) pace {
	if e.failed == 0 && now.Before(e.shippedAt.Add(e.o.Sync.MinInterval)) {
		return paceEarly
	}
	return paced
}

// shipNext uploads the oldest sealed batch, or seals the next one if all are
// uploaded. It reports whether there was anything to do.
func (e *engine) shipNext(ctx context.Context) (bool, error) {
	if e.gapped() {
		return false, nil // a snapshot comes first
	}
	if e.pace != paced && len(e.waiting) == 0 {
		if e.captured > e.uploaded.Sequence {
			e.pace = pacedOut
		}
		return false, nil
	}
	if s, ok := e.chain.after(e.uploaded); ok {
		return true, e.upload(ctx, s)
	}
	if e.captured == e.chain.last().Sequence {
		return false, nil
	}
	return e.seal(ctx)
}

// seal cuts the next batches from what one read transaction sees and forces
// them to the disk. Nothing is uploaded before: after a power cut the file
// could otherwise come back without it and give its sequences to other changes.
func (e *engine) seal(ctx context.Context) (bool, error) {
	limit := int64(0)
	if e.snap != nil && e.chain.last().Sequence < e.snap.sequence {
		limit = e.snap.sequence // a batch ends where the snapshot does
	}
	sealed, err := e.local.seal(ctx, limit)
	if err != nil || len(sealed) == 0 {
		return false, err
	}
	for _, s := range sealed {
		if s.From != e.chain.last().Sequence+1 || s.To < s.From {
			return false, fmt.Errorf("sealed %d-%d after %d: %w", s.From, s.To, e.chain.last().Sequence, errInvariant)
		}
		e.chain.rows = append(e.chain.rows, s)
	}
	e.event(Event{Kind: EventSealed, From: sealed[0].From, To: sealed[len(sealed)-1].To})
	return true, e.at("sealed")
}

// upload stores the sealed batch s under a key of our epoch.
func (e *engine) upload(ctx context.Context, s changelog.Seal) error {
	if s.From != e.uploaded.Sequence+1 || s.PrevHash != e.uploaded.Hash {
		return fmt.Errorf("batch %d-%d does not follow %d: %w", s.From, s.To, e.uploaded.Sequence, errInvariant)
	}
	plain, err := e.local.encode(ctx, s)
	if err != nil {
		return err
	}
	key := objectKey{
		kind: envelope.Batch, db: e.name, node: e.claim.NodeID, epoch: e.claim.Epoch,
		from: s.From, to: s.To, part: s.Part, parts: s.Parts, gzip: !e.o.DisableCompression, sealed: e.store.sealed(),
	}
	stored, err := encodeBatch(e.store, key, plain)
	if err != nil {
		return err
	}
	if err := e.local.began(ctx, s); err != nil {
		return err
	}
	if err := e.at("encoded"); err != nil {
		return err
	}
	kind := EventUploaded
	_, err = e.store.Put(ctx, key.String(), bytesBody(stored), Condition{IfAbsent: true})
	if errors.Is(err, ErrPrecondition) {
		kind = EventAdopted
		err = e.recognise(ctx, key, s)
		if poison(err) && !e.evaded {
			return e.evade(ctx, key, err)
		}
	}
	e.evaded = false
	if err != nil {
		err = fmt.Errorf("upload batch %d-%d: %w", s.From, s.To, err)
		if ctx.Err() != nil {
			return err
		}
		return errors.Join(err, e.local.failed(ctx, s, e.failed+1, e.o.Now().Add(e.o.Retry.Max), err))
	}
	if err := e.at("uploaded"); err != nil {
		return err
	}
	e.uploaded = endOf(s)
	if s.Part == s.Parts {
		e.whole = e.uploaded
	}
	m := member{key: key, size: int64(len(stored)), prev: s.PrevHash, end: endOf(s)}
	if kind == EventUploaded { // what was adopted may be sealed with another salt
		m.stored = stored
	}
	e.addMember(m)
	e.stored.entries += s.To - s.From + 1
	e.stored.bytes += int64(len(stored))
	e.board.uploaded(len(stored))
	e.event(Event{Kind: kind, From: s.From, To: s.To, Key: key.String(), Bytes: int64(len(stored))})
	if err := e.local.uploaded(ctx, s); err != nil {
		return err
	}
	return e.at("marked")
}

// recognise looks at the object that is there already under a key of our own
// epoch. Nobody else has that epoch, so it is what an earlier attempt of ours
// stored whose answer was lost, or something is badly wrong.
func (e *engine) recognise(ctx context.Context, key objectKey, s changelog.Seal) error {
	found, _, err := readBatch(ctx, e.store, key)
	if poison(err) { // once more: it may have been the way here
		found, _, err = readBatch(ctx, e.store, key)
	}
	if errors.Is(err, ErrNotExist) {
		return errors.New("the store refused to store the batch and then did not have it")
	}
	if err != nil {
		return err
	}
	if found.PrevHash != s.PrevHash || found.Hash() != s.Hash {
		return fmt.Errorf("%s holds other changes than the local file: %w", key, ErrForked)
	}
	return nil
}
