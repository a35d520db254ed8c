package replicate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/driftdb/driftdb/internal/envelope"
)

// snapshotJob is a snapshot under way. The engine opens the read transaction
// itself, between two seals, and makes the next batch end where the copy does;
// copying, checking and uploading run in a goroutine of their own so that
// batches go on meanwhile.
type snapshotJob struct {
	sequence  int64
	shipped   chan link // capacity 1: the link at sequence, once it is stored
	told      bool      // shipped was sent
	owed      bool      // it carries a change of the structure that the log does not tell of
	structure int64     // number of the schema that it has at least
	gap       *link     // it stands for what was dropped from the log: the link that it ends with
	done      chan struct{}
	cancel    context.CancelFunc

	entry snapshotEntry // set before done is closed
	err   error
}

// snapshotDue says whether a snapshot should be begun now.
func (e *engine) snapshotDue(ctx context.Context) (bool, error) {
	if time.Now().Before(e.snapAfter) {
		return false, nil
	}
	if err := e.lookAtNewest(ctx); err != nil {
		return false, err
	}
	if e.snapshotWanted() {
		return true, nil
	}
	if e.claim == nil || e.snap != nil || e.o.Snapshot.Disabled {
		return false, nil
	}
	return e.worthIt(ctx)
}

// snapshotWanted says whether somebody asked for a snapshot, or the backup
// cannot be restored without.
func (e *engine) snapshotWanted() bool {
	for _, r := range e.waiting {
		if r.snapshot && !e.hasSnapshot(r) {
			return true
		}
		if r.accepted && e.owes() {
			return true
		}
	}
	return e.needsFirst || e.gapped() || e.spoilt() || e.owes() && !e.o.Snapshot.Disabled
}

// worthIt is the rule for snapshots that nobody asked for: enough entries, and
// enough bytes of log that a restore gains from not reading them.
func (e *engine) worthIt(ctx context.Context) (bool, error) {
	entries := e.uploaded.Sequence - e.claim.snapshotAt()
	if entries < e.o.Snapshot.Every || e.stored.entries == 0 {
		return false, nil
	}
	// What the last snapshot took, or a guess.
	var size float64
	if s, ok := e.claim.newest(); ok {
		size = float64(s.StoredSize)
	} else {
		n, err := e.local.pages(ctx)
		if err != nil {
			return false, err
		}
		size = float64(n)
		if !e.o.DisableCompression {
			size /= 4
		}
	}
	// What earlier starts stored is counted at the size of what this one did.
	perEntry := float64(e.stored.bytes) / float64(e.stored.entries)
	return perEntry*float64(entries) >= e.o.Snapshot.MinLogRatio*size, nil
}

// snapshotAt returns the sequence of the newest snapshot named, or where the
// chain begins.
func (m *manifest) snapshotAt() int64 {
	if s, ok := m.newest(); ok {
		return s.Sequence
	}
	return m.Floor.Sequence
}

// beginSnapshot opens the read transaction and hands it to a new goroutine.
func (e *engine) beginSnapshot(ctx context.Context) error {
	if e.gapped() {
		// Nobody copies a database for a store that is still away, or for a name
		// that is not ours any more.
		if err := e.acknowledge(ctx, nil); err != nil || !e.gapped() {
			return err
		}
	}
	held, sequence, err := e.local.hold(ctx)
	if err != nil {
		return err
	}
	if sequence < e.chain.last().Sequence {
		return errors.Join(fmt.Errorf("a copy would end at %d, before %d which is sealed: %w", sequence, e.chain.last().Sequence, errInvariant), held.release())
	}
	e.captured = max(e.captured, sequence)
	// No two attempts have one key: what the first one may have stored is sealed
	// with another salt. A clock may stand still.
	e.snapMillis = max(e.o.Now().UnixMilli(), e.snapMillis+1)
	jobCtx, cancel := context.WithCancel(ctx)
	job := &snapshotJob{sequence: sequence, shipped: make(chan link, 1), done: make(chan struct{}), cancel: cancel}
	key := objectKey{
		kind: envelope.Snapshot, db: e.name, node: e.claim.NodeID, epoch: e.claim.Epoch,
		to: sequence, millis: e.snapMillis, part: 1, parts: 1, gzip: !e.o.DisableCompression, sealed: e.store.sealed(),
	}
	job.owed, job.structure = e.watched.kept.Owed, e.watched.version
	if e.gapped() {
		end, err := e.sealGap(ctx, sequence)
		if err != nil {
			cancel()
			return errors.Join(err, held.release())
		}
		job.gap, job.told = &end, true
		job.shipped <- end
	}
	e.snap = job
	go func() {
		defer close(job.done)
		job.entry, job.err = e.takeSnapshot(jobCtx, job, held, key)
	}()
	return e.at("snapshot-begun")
}

// takeSnapshot runs in the snapshot's goroutine: copy, check, wait until every
// change in the copy is shipped, upload.
func (e *engine) takeSnapshot(ctx context.Context, job *snapshotJob, held *heldRead, key objectKey) (entry snapshotEntry, err error) {
	dir, err := os.MkdirTemp(e.side.dir, "snapshot-")
	if err != nil {
		return entry, errors.Join(err, held.release())
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "copy.sqlite")
	err = held.copyTo(ctx, path)
	if err = errors.Join(err, held.release()); err != nil {
		return entry, fmt.Errorf("copy the database: %w", err)
	}
	var at link
	select {
	case <-ctx.Done():
		return entry, ctx.Err()
	case at = <-job.shipped:
	}
	if err := finishCopy(ctx, path, key, at); err != nil {
		return entry, fmt.Errorf("snapshot at %d: %w", job.sequence, err)
	}
	f, err := newSnapshotFile(ctx, path, key, e.store.sealing(key))
	if err != nil {
		return entry, fmt.Errorf("write the snapshot at %d: %w", job.sequence, err)
	}
	_, err = e.store.Put(ctx, key.String(), f.body(), Condition{IfAbsent: true})
	if errors.Is(err, ErrPrecondition) {
		// An attempt of this very call may have stored it; the key holds the
		// millisecond and our epoch, so nobody else did. What is there is
		// compared by reading it.
		err = f.recognise(ctx, e.store)
	}
	if err != nil {
		return entry, fmt.Errorf("upload the snapshot at %d: %w", job.sequence, err)
	}
	return snapshotEntry{
		Key: key.String(), Sequence: at.Sequence, Hash: at.Hash, Time: key.millis, MaxTime: at.MaxTime,
		Length: f.length, SHA256: f.plain, StoredSize: f.storedSize, StoredSHA256: f.stored,
	}, nil
}

// finishSnapshot moves a snapshot under way along: it tells the goroutine when
// everything in the copy is shipped, and names the snapshot when it is stored.
// It reports whether the manifest was written.
func (e *engine) finishSnapshot(ctx context.Context) (bool, error) {
	job := e.snap
	if job == nil {
		return false, nil
	}
	if !job.told && e.uploaded.Sequence >= job.sequence {
		at, ok := e.chain.at(job.sequence)
		if !ok {
			return false, fmt.Errorf("no batch ends at %d where a snapshot does: %w", job.sequence, errInvariant)
		}
		job.shipped <- at
		job.told = true
	}
	select {
	case <-job.done:
	default:
		return false, nil
	}
	if job.err != nil {
		e.dropSnapshot()
		e.snapshotFailed(job.err)
		return false, nil //nolint:nilerr // batches go on
	}
	if err := e.at("snapshot-uploaded"); err != nil {
		return false, err
	}
	if err := e.acknowledge(ctx, func(m *manifest) error {
		if job.gap != nil {
			m.addGap(*job.gap, job.entry, e.dropped)
			return nil
		}
		m.addSnapshot(job.entry)
		return nil
	}); err != nil {
		return false, err // it is stored, and named by the next attempt
	}
	e.dropSnapshot()
	e.snapFailed, e.snapAfter, e.pruneSoon = 0, time.Time{}, true
	e.board.snapshot(job.entry)
	e.seenNewest = seenSnapshot{key: job.entry.Key, good: true}
	if err := e.paid(ctx, job); err != nil {
		return true, err
	}
	e.event(Event{Kind: EventSnapshot, To: job.sequence, Key: job.entry.Key, Bytes: job.entry.StoredSize})
	if e.needsFirst {
		e.needsFirst = false
		if err := e.local.setFloor(ctx, job.entry.link()); err != nil {
			return true, err
		}
	}
	return true, nil
}

// snapshotFailed keeps the error of a snapshot. Batches go on; the snapshot is
// begun again later.
func (e *engine) snapshotFailed(err error) {
	e.snapFailed++
	err = ofFile(err)
	wait := e.o.Retry.wait(e.snapFailed - 1)
	if final(err) || errors.Is(err, ErrCorrupt) {
		wait = e.o.Retry.Max
	}
	e.snapAfter = time.Now().Add(wait)
	e.board.failed(err)
	e.o.Logger.Warn("snapshot failed", "database", e.name, "node", e.side.id(), "attempt", e.snapFailed, "wait", wait, "error", err)
	e.event(Event{Kind: EventRetry, Err: err})
	e.drop(func(r *request) error {
		if r.snapshot || e.needsFirst || e.gapped() {
			r.attempts++
			if final(err) || r.attempts >= e.o.Retry.MaxAttempts {
				return err
			}
		}
		return nil
	})
}

// dropSnapshot forgets a snapshot whose goroutine has ended.
func (e *engine) dropSnapshot() {
	e.snap.cancel()
	e.snap = nil
}

// stopSnapshot ends a snapshot under way and waits for its goroutine.
func (e *engine) stopSnapshot() {
	if e.snap != nil {
		e.snap.cancel()
		<-e.snap.done
		e.snap = nil
	}
}

// addSnapshot keeps the snapshots in order of their sequences.
func (m *manifest) addSnapshot(s snapshotEntry) {
	for i, have := range m.Snapshots {
		if have.Key == s.Key {
			m.Snapshots[i] = s
			return
		}
	}
	i := len(m.Snapshots)
	for i > 0 && m.Snapshots[i-1].Sequence > s.Sequence {
		i--
	}
	m.Snapshots = append(m.Snapshots[:i], append([]snapshotEntry{s}, m.Snapshots[i:]...)...)
}
