package replicate

import (
	"context"
	"errors"
	"time"
)

// Drill says how often a running replica proves that its backup can be restored:
// it runs Verify, with a trial restore into a temporary file, in the background.
// Metrics.LastDrillAt and EventDrilled tell how it went. It costs the requests
// and the transfer of a restore.
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
	d := &drillJob{}
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
	if d.err != nil {
		e.o.Logger.Error("the backup could not be restored in a drill", "database", e.name, "node", e.side.id(), "error", d.err)
	}
	now := e.o.Now()
	e.board.update(func(_ *Status, m *Metrics) { m.LastDrillAt, m.LastDrillError = now, d.err })
	e.event(event)
}

// stopDrill ends a drill under way and waits for its goroutine.
func (e *engine) stopDrill() {
	if e.drill != nil {
		e.drill.stop()
		e.drill = nil
	}
}
