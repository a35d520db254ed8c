package replicate

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Drill says how often a running replica proves that its backup can be restored:
// it runs Verify, with a trial restore into a temporary file, in the background.
// Metrics.LastDrillAt and EventDrilled tell how it went. It costs the requests
// and the transfer of a restore. Where the newest state cannot be restored as it
// should be, a new snapshot of the file is stored at once (with Sync.Manual by the
// next Flush), unless SnapshotRule.Disabled.
type Drill struct {
	// Every is the time between the beginnings of two drills; the first one is
	// due after it, too. Defaults to 0: none.
	Every time.Duration

	// Full reads every snapshot and batch. Defaults to false: what a restore of
	// the newest state needs.
	Full bool

	// Dir is where the temporary file is made. Defaults to the system's
	// directory for such files.
	Dir string
}

// drillJob is a drill under way, in a goroutine of its own.
type drillJob struct {
	job
	newest string        // key of the newest snapshot when it began; empty for none
	report *VerifyReport // set when it has ended
	err    error
}

// drillTicks returns a channel that says when a drill is due, nil for never.
func (e *engine) drillTicks() (ticks <-chan time.Time, stop func()) {
	if e.o.Drill.Every <= 0 {
		return nil, func() {}
	}
	t := time.NewTicker(e.o.Drill.Every)
	return t.C, t.Stop
}

// drillDone is closed when the drill under way has ended; nil for none.
func (e *engine) drillDone() chan struct{} {
	if e.drill == nil {
		return nil
	}
	return e.drill.done
}

// beginDrill verifies what is acknowledged, unless nothing is or a drill is
// under way.
func (e *engine) beginDrill(ctx context.Context) {
	if e.drill != nil || e.claim == nil || e.needsFirst || e.acked.Sequence == 0 {
		return
	}
	s, _ := e.claim.newest()
	d := &drillJob{newest: s.Key}
	o := VerifyOptions{Quick: !e.o.Drill.Full, Dir: e.o.Drill.Dir, Retry: e.o.Retry, Encryption: e.store.Encryption, Logger: e.o.Logger}
	name, store := e.name, e.store.Store
	d.job = begin(ctx, func(ctx context.Context) { d.report, d.err = Verify(ctx, name, store, o) })
	e.drill = d
}

// endDrill tells how the drill went.
func (e *engine) endDrill() {
	d := e.drill
	e.drill = nil
	d.stop()
	if errors.Is(d.err, context.Canceled) {
		return
	}
	event := Event{Kind: EventDrilled, Err: d.err}
	if d.report != nil {
		event.Bytes = d.report.Bytes
		if d.report.Trial != nil {
			event.To = d.report.Trial.Sequence
		}
	}
	if d.report != nil && d.report.spoils(d.newest) {
		e.drilled = &d.newest
	}
	if d.err != nil {
		e.o.Logger.Error("the backup could not be restored in a drill", "database", e.name, "node", e.side.id(), "error", d.err)
	}
	now := e.o.Now()
	e.board.update(func(_ *Status, m *Metrics) { m.LastDrillAt, m.LastDrillError = now, d.err })
	e.event(event)
}

// spoils says whether a problem concerns the newest state: the newest snapshot, or
// the trial restore, which needs what follows it.
func (r *VerifyReport) spoils(newest string) bool {
	return !r.OK() && (r.Trial == nil || slices.ContainsFunc(r.Problems, func(p VerifyProblem) bool { return p.Key == newest }))
}

// stopDrill ends a drill under way and waits for its goroutine.
func (e *engine) stopDrill() {
	if e.drill != nil {
		e.drill.stop()
		e.drill = nil
	}
}
