package replicate

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/driftdb/driftdb/internal/changelog"
)

// engine ships one file. Everything but the channels, the board and manual
// belongs to the goroutine of run; snapshots are copied and uploaded by a
// goroutine of their own that run owns and waits for.
type engine struct {
	name  string
	store *bucket
	o     Options
	side  *sidecar
	local *local
	board *board
	token token // of this start; the manifest carries it while the name is ours

	generation string // of the local log

	notify   chan struct{} // capacity 1
	requests chan *request
	manual   atomic.Bool
	hook     func(point string) error // tests: called between any two steps

	claim    *versioned // the manifest as we last wrote it; nil before the claim
	seen     bool       // that the bucket has what is acknowledged, before the claim
	chain    chain
	uploaded link              // newest link stored in our epoch or covered by the claim
	whole    link              // newest link up to uploaded that ends a transaction: a part of one is never head
	acked    link              // newest link that a manifest of ours covers
	captured int64             // newest sequence when last looked
	dropped  changelog.Dropped // from the log, though it was not stored

	origin     link         // where the chain of a file that held data began; zero for any other
	needsFirst bool         // no restore is possible before a first snapshot is named
	snap       *snapshotJob // nil: none under way
	snapFailed int          // attempts at a snapshot that failed in a row
	snapAfter  time.Time    // none is begun before
	snapMillis int64        // in the key of the last one
	seenNewest seenSnapshot // when last looked
	drilled    *string      // key of the newest snapshot when a drill found the newest state spoilt; empty for none
	stored     shipped      // batches stored by this start
	watched    watched      // the structure of the file

	fan       int         // neighbours that make a pack: packFan
	members   []member    // batches and packs of our epoch that may be packed
	kept      int64       // bytes of batches that members keep
	pack      *packJob    // nil: none under way
	prune     *pruneJob   // nil: none under way
	shippedAt time.Time   // when the attempt that has uploaded last was begun
	pace      pace        // whether this attempt may upload
	evaded    bool        // the epoch was changed for an object in the way, and nothing was uploaded since
	prunedAt  int64       // when pruning has ended, Unix ms, for the next write of the manifest; 0: that has it
	pruneNext time.Time   // none is begun before: the last one has failed
	linger    time.Time   // a release waits for pruning until then; zero: none waits
	pruneSoon bool        // a snapshot was named since
	drill     *drillJob   // nil: none under way
	unnamed   []packEntry // stored, and named by the next write of the manifest

	waiting []*request
	failed  int       // attempts that failed in a row
	retryAt time.Time // zero: no failed attempt
	probe   probe     // whether the store is back before
	halted  error     // final for this start
	acksAt  time.Time // when the manifest was last written
	ended   bool      // the name was released: nothing more is shipped

	leftAlone bool  // a claim of an earlier start is not ours to release
	baseline  int64 // bytes that waited when this attempt had uploaded first; -1 before
	alarmed   bool  // EventBacklog was sent for this backlog
}

// shipped sums batches.
type shipped struct{ entries, bytes int64 }

// request is a caller that waits in Flush, Snapshot or Shutdown.
type request struct {
	gone     func() error // the caller's ctx.Err
	snapshot bool         // wants a snapshot of the target
	before   *string      // key of the newest snapshot when it was first looked at; empty for none
	release  bool         // wants the name released; the engine ends after it
	edit     manifestEdit // wants the manifest changed, once the target is acknowledged
	edited   bool
	accept   bool // wants the structure taken as it is, and a snapshot of it
	accepted bool
	tried    bool     // a write of the edit has failed, or its answer was lost
	refused  error    // by the manifest as it is
	at       Position // wants what lies before it acknowledged, not everything
	target   int64
	attempts int
	done     chan error // capacity 1
}

// run is the engine's goroutine. It ends when ctx does or a release succeeded.
func (e *engine) run(ctx context.Context) {
	defer e.stopSnapshot()
	defer e.stopPack()
	defer e.stopPrune()
	defer e.stopDrill()
	look := time.NewTicker(e.o.Sync.Interval)
	defer look.Stop()
	drill, stopTicks := e.drillTicks()
	defer stopTicks()
	timer := time.NewTimer(0) // at once: what an earlier start left behind
	defer timer.Stop()
	var wakeAt time.Time // of the debounce; zero: nothing was notified
	for {
		var snapDone chan struct{}
		if e.snap != nil && e.halted == nil && e.retryAt.IsZero() {
			snapDone = e.snap.done // else the next attempt looks
		}
		var pruneDone chan struct{}
		if e.prune != nil && !e.linger.IsZero() && e.halted == nil && e.retryAt.IsZero() {
			pruneDone = e.prune.done // the release waits for it
		}
		due := false
		select {
		case <-ctx.Done():
			e.answerAll(ErrClosed)
			return
		case r := <-e.requests:
			e.accept(r)
			due = true
		case <-e.notify:
			if (!e.manual.Load() || e.o.Backlog.Policy != BacklogAlarm) && wakeAt.IsZero() {
				wakeAt = latest(time.Now().Add(e.o.Sync.Debounce), e.shippedAt.Add(e.o.Sync.MinInterval))
			}
		case <-look.C:
			if due = !e.manual.Load(); !due {
				e.observe(ctx)
			}
		case <-snapDone:
			due = true
		case <-pruneDone:
			due = true
		case <-drill:
			e.beginDrill(ctx)
		case <-e.drillDone():
			e.endDrill()
			due = e.spoilt() && !e.manual.Load()
		case <-timer.C:
			due = true
		}
		now := time.Now()
		if due || !wakeAt.IsZero() && !now.Before(wakeAt) {
			wakeAt = time.Time{}
			if due || !e.manual.Load() {
				e.attempt(ctx)
			} else {
				e.observe(ctx)
			}
		}
		e.board.publish(e)
		if e.ended {
			e.answerAll(ErrClosed)
			return
		}
		if d, ok := e.next(wakeAt); ok {
			timer.Reset(d)
		} else {
			timer.Stop()
		}
	}
}

// next returns how long to sleep when nothing else wakes the engine.
func (e *engine) next(wakeAt time.Time) (time.Duration, bool) {
	var at time.Time
	earliest := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	earliest(wakeAt)
	if e.halted != nil || e.manual.Load() && len(e.waiting) == 0 {
		return max(time.Until(at), 0), !at.IsZero()
	}
	if !e.retryAt.IsZero() {
		earliest(e.retryAt)
		earliest(e.probe.at)
	} else {
		if e.snap == nil && e.snapshotWanted() {
			earliest(e.snapAfter)
		}
		if e.whole.Sequence > e.acked.Sequence {
			earliest(e.acksAt.Add(e.o.Sync.ManifestInterval))
		}
		if e.prune != nil && time.Now().Before(e.linger) { // once it is over, something else holds the release up
			earliest(e.linger)
		}
		if e.pace == pacedOut {
			earliest(e.shippedAt.Add(e.o.Sync.MinInterval))
		}
	}
	return max(time.Until(at), 0), !at.IsZero()
}

// attempt makes one attempt at everything that is due and keeps the outcome.
func (e *engine) attempt(ctx context.Context) {
	if e.halted != nil {
		e.answerAll(e.halted)
		e.observe(ctx)
		return
	}
	if time.Now().Before(e.retryAt) && len(e.waiting) == 0 && !e.back(ctx) {
		e.observe(ctx)
		return
	}
	err := ofFile(e.sync(ctx))
	if waitErr := e.measure(ctx, err != nil); err == nil || halts(waitErr) {
		err = waitErr
	}
	if ctx.Err() != nil {
		return // run answers
	}
	if err == nil {
		e.failed, e.retryAt, e.probe = 0, time.Time{}, probe{}
		e.board.succeeded()
		e.answer()
		return
	}
	e.failed++
	e.board.failed(err)
	if halts(err) {
		e.halted, e.retryAt = err, time.Time{}
		e.board.block(false) // local writes go on
		e.o.Logger.Error("replication has stopped", "database", e.name, "node", e.side.id(), "error", err)
		e.event(Event{Kind: EventHalted, Err: err})
		e.answerAll(err)
		return
	}
	wait := e.o.Retry.wait(e.failed - 1)
	if final(err) {
		wait = e.o.Retry.Max
	}
	e.retryAt = time.Now().Add(wait)
	e.probe.failed(err, wait)
	e.o.Logger.Warn("replication attempt failed", "database", e.name, "node", e.side.id(), "attempt", e.failed, "wait", wait, "error", err)
	e.event(Event{Kind: EventRetry, Err: err})
	e.answer()
	for _, r := range e.waiting {
		r.attempts++
	}
	e.drop(func(r *request) error {
		if final(err) || r.attempts >= e.o.Retry.MaxAttempts {
			return err
		}
		return nil
	})
}

// sync does everything that is due: claim, snapshot, seal, upload, acknowledge,
// release. It returns early on the first error; whatever was done stays done,
// and the next attempt goes on from there.
func (e *engine) sync(ctx context.Context) error {
	horizon, began := int64(-1), time.Now()
	e.baseline, e.pace = -1, e.paceAt(began)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		e.takeRequests()
		if err := e.look(ctx); err != nil {
			return err
		}
		if err := e.watch(ctx); err != nil {
			return err
		}
		if horizon < 0 {
			horizon = e.captured
		}
		if e.manual.Load() && len(e.waiting) == 0 && e.snap == nil {
			return nil
		}
		snapshot, err := e.snapshotDue(ctx)
		if err != nil {
			return err
		}
		release := e.releaseDue()
		if e.captured == e.acked.Sequence && !snapshot && !release && e.snap == nil && !e.editDue() {
			if asked, err := e.confirm(ctx); !asked || err != nil {
				return err // nothing to do, nothing asked
			}
			continue
		}
		if e.claim == nil && release && e.captured == e.acked.Sequence && !snapshot && !e.editDue() {
			if err := e.releaseEarlier(ctx); err != nil {
				return err
			}
			continue
		}
		if e.claim == nil {
			if err := e.claimName(ctx); err != nil {
				return err
			}
			continue // the claim knows more than we did
		}
		if e.landed(e.claim.Head) { // the file could not be told
			if err := e.settle(ctx, e.claim.Head); err != nil {
				return err
			}
		}
		if snapshot && e.snap == nil {
			if err := e.beginSnapshot(ctx); err != nil {
				return err
			}
		}
		progress, err := e.shipNext(ctx)
		if err != nil {
			return err
		}
		if err := e.easing(ctx); err != nil {
			return err
		}
		named, err := e.finishSnapshot(ctx)
		if err != nil {
			return err
		}
		if !named && e.ackDue() {
			if err := e.acknowledge(ctx, nil); err != nil {
				return err
			}
		}
		if err := e.editManifest(ctx); err != nil {
			return err
		}
		e.compact(ctx)
		if err := e.pruneStore(ctx); err != nil {
			return err
		}
		e.answer()
		if progress {
			e.shippedAt = began
		}
		// What was committed meanwhile and nobody waits for goes with the next
		// upload: a request each time would never end while somebody writes.
		if named || progress && (len(e.waiting) > 0 || e.uploaded.Sequence < horizon) {
			e.board.publish(e)
			continue
		}
		if release && e.idle() && e.lingers() {
			return nil // run looks again when pruning has ended
		}
		if release && e.idle() {
			if err := e.release(ctx); err != nil {
				return err
			}
			if e.captured > e.acked.Sequence {
				continue
			}
		}
		return nil
	}
}

// idle says that everything captured is acknowledged and restorable.
func (e *engine) idle() bool {
	return e.captured == e.acked.Sequence && !e.needsFirst && e.snap == nil
}

// look reads how far the local log has come.
func (e *engine) look(ctx context.Context) error {
	newest, err := e.local.newest(ctx)
	if err != nil {
		return err
	}
	if newest < e.captured {
		return fmt.Errorf("the log ends at %d and had reached %d: %w", newest, e.captured, ErrLogDamaged)
	}
	e.captured = newest
	for _, r := range e.waiting {
		if r.target < 0 {
			r.target = newest
		}
	}
	e.drop(func(r *request) error {
		if r.at.Sequence > newest {
			return fmt.Errorf("sequence %d, the log ends at %d: %w", r.at.Sequence, newest, ErrPosition)
		}
		return nil
	})
	return nil
}

func (e *engine) accept(r *request) {
	r.target = -1 // read by look, which is after the call
	if r.at.Sequence > 0 {
		r.target = r.at.Sequence
	}
	e.waiting = append(e.waiting, r)
}

func (e *engine) takeRequests() {
	for {
		select {
		case r := <-e.requests:
			e.accept(r)
		default:
			return
		}
	}
}

// answer answers everyone whose wish is fulfilled or who has gone.
func (e *engine) answer() {
	drifted := e.watched.drift != nil
	e.drop(func(r *request) error {
		if err := r.gone(); err != nil {
			return err
		}
		if drifted {
			return nil // what the log does not tell of is not stored
		}
		if r.release {
			if e.releaseDue() || !e.idle() {
				return nil
			}
			if err := e.noteReleased(); err != nil { // the next start looks at the manifest for it
				e.o.Logger.Warn("cannot note that the name was released", "database", e.name, "error", err)
			}
			e.ended = true
			return errDone
		}
		if r.target < 0 || e.acked.Sequence < r.target || e.needsFirst || !e.sure() {
			return nil
		}
		if r.accept && (!r.accepted || e.watched.kept.Owed) {
			return nil
		}
		if r.snapshot && !e.hasSnapshot(r) {
			return nil
		}
		if r.edit != nil && !r.edited {
			return nil
		}
		if r.refused != nil {
			return r.refused
		}
		return errDone
	})
}

var errDone = errors.New("done")

// drop answers those of the waiting for whom verdict returns an error; errDone
// is success.
func (e *engine) drop(verdict func(*request) error) {
	if len(e.waiting) == 0 {
		return
	}
	e.board.publish(e) // who gets an answer finds it in the Status
	kept := e.waiting[:0]
	for _, r := range e.waiting {
		err := verdict(r)
		switch {
		case err == nil:
			kept = append(kept, r)
		case errors.Is(err, errDone):
			r.done <- nil
		default:
			r.done <- err
		}
	}
	clear(e.waiting[len(kept):])
	e.waiting = kept
}

func (e *engine) answerAll(err error) {
	e.takeRequests()
	e.drop(func(*request) error { return err })
}

// at is a point between two steps where tests let the engine die.
func (e *engine) at(point string) error {
	if e.hook == nil {
		return nil
	}
	return e.hook(point)
}

func (e *engine) event(v Event) {
	v.Time = e.o.Now()
	if e.claim != nil {
		v.Epoch = e.claim.Epoch
	}
	e.o.Events(v)
}
