package replicate

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Backlog says what happens when much of the change log waits for upload: the
// bucket is away, or slower than the writers.
type Backlog struct {
	// Alarm is the number of bytes of log from which on an EventBacklog is sent
	// and a warning logged, once for each backlog. Defaults to 256 MiB.
	Alarm int64

	// Policy is what happens beyond Bound. Defaults to BacklogAlarm.
	Policy BacklogPolicy

	// Bound is the number of bytes of log from which on Policy counts. It is
	// looked at when a commit was notified, at most every Sync.Debounce, so that
	// the log may get a little longer. Defaults to 1 GiB.
	Bound int64

	// Wait is how long a write waits for room under BacklogBlock, if its context
	// does not end before; a negative one refuses it at once. Defaults to 10 s.
	Wait time.Duration
}

// BacklogPolicy is what happens to a backlog beyond Backlog.Bound.
type BacklogPolicy string

// Policies of a backlog.
const (
	// BacklogAlarm lets the log grow: nothing is refused and nothing dropped.
	BacklogAlarm BacklogPolicy = "alarm"

	// BacklogBlock makes write transactions wait before they begin, and refuses
	// them with ErrBacklog after Backlog.Wait: what the machine can lose is
	// bounded. Only writes through the database that driftdb.Open has returned
	// wait; those of DB.SQL and of other programs cannot be stopped. Nothing
	// waits while shipping has halted for good (ErrFenced for instance).
	BacklogBlock BacklogPolicy = "block"

	// BacklogResnapshot bounds the log instead, while the store fails or takes
	// less than is written: the oldest of what waits is dropped from the log, the
	// newest LogTail entries at most are kept. The rows are
	// not touched. When the store takes something again, a snapshot stands for
	// what was dropped, and the backup has a gap: points before it and behind it
	// can be restored, those inside of it are ErrGap. Readers of the local change
	// feed that were further behind get orm.ErrCursorLost. Nothing is dropped
	// while shipping has halted for good.
	BacklogResnapshot BacklogPolicy = "resnapshot"
)

// ErrBacklog says that a write was refused because too much of the log waits for
// upload: Backlog.Policy is BacklogBlock. Nothing was written.
var ErrBacklog = errors.New("too many changes wait for upload, and Options.Backlog refuses more until the store takes some")

func (b Backlog) validate() error {
	switch b.Policy {
	case BacklogAlarm, BacklogBlock, BacklogResnapshot:
		return nil
	}
	return fmt.Errorf("option Backlog.Policy is %q: want %q, %q or %q", b.Policy, BacklogAlarm, BacklogBlock, BacklogResnapshot)
}

// Admit waits until a write may begin: at once, but for a backlog beyond its
// bound under BacklogBlock. [driftdb.Open] has every write transaction ask before
// it takes the lock, so that whoever waits holds nothing up. ErrBacklog: there
// was no room in time.
//
// [driftdb.Open]: https://pkg.go.dev/github.com/driftdb/driftdb#Open
func (r *Replica) Admit(ctx context.Context) error {
	room := r.board.full()
	if room == nil {
		return nil
	}
	wait := time.NewTimer(max(r.o.Backlog.Wait, 0))
	defer wait.Stop()
	for ; room != nil; room = r.board.full() {
		var cause error
		select {
		case <-room:
			continue
		case <-ctx.Done():
			cause = ctx.Err()
		case <-wait.C:
		}
		s, m := r.board.read()
		err := fmt.Errorf("replicate: database %q, %d bytes wait, the bound is %d: %w", r.name, m.BacklogBytes, r.o.Backlog.Bound, ErrBacklog)
		if cause != nil {
			return fmt.Errorf("%w: %w", err, cause)
		}
		if s.LastError != nil {
			return fmt.Errorf("%w; the last attempt: %w", err, s.LastError)
		}
		return err
	}
	return nil
}

// measure tells how much waits for upload, and since when. stuck says that the
// store does not take it, or more slowly than it grows.
func (e *engine) measure(ctx context.Context, stuck bool) error {
	if e.captured <= e.uploaded.Sequence {
		e.board.backlog(0, 0, false)
		e.alarmed = false
		return nil
	}
	bytes, since, err := e.waits(ctx)
	if err != nil {
		return err
	}
	stuck = stuck || e.gapped() // nothing is shipped before a snapshot is
	if stuck && bytes >= e.o.Backlog.Bound && e.o.Backlog.Policy == BacklogResnapshot && e.halted == nil {
		if err := e.dropLog(ctx); err != nil {
			return err
		}
		if bytes, since, err = e.waits(ctx); err != nil {
			return err
		}
	}
	full := bytes >= e.o.Backlog.Bound && e.o.Backlog.Policy == BacklogBlock && e.halted == nil
	e.board.backlog(bytes, elapsed(time.UnixMilli(since), e.o.Now()), full)
	if bytes >= e.o.Backlog.Alarm && !e.alarmed {
		e.alarmed = true
		e.o.Logger.Warn("much of the log waits for upload", "database", e.name, "node", e.side.id(), "bytes", bytes)
		e.event(Event{Kind: EventBacklog, Bytes: bytes})
	}
	return nil
}

// waits returns how many bytes of log wait for upload, about, and since when,
// Unix ms.
func (e *engine) waits(ctx context.Context) (bytes, since int64, err error) {
	bytes, since, err = e.local.waits(ctx, max(e.uploaded.Sequence, e.dropped.To))
	if e.gapped() && e.dropped.After >= 0 {
		since = e.dropped.Time
	}
	return bytes, since, err
}

// observe keeps the figures true while no attempt is made: the next one is not
// due yet, or none will be. What goes wrong here the next attempt says.
func (e *engine) observe(ctx context.Context) {
	newest, err := e.local.newest(ctx)
	if err != nil {
		return
	}
	e.captured = max(e.captured, newest)
	_ = e.measure(ctx, !e.retryAt.IsZero())
}

// easing measures between two uploads while writers wait for room, or the log may
// come to be dropped.
func (e *engine) easing(ctx context.Context) error {
	if e.board.full() == nil && e.o.Backlog.Policy != BacklogResnapshot {
		return nil
	}
	bytes, _, err := e.waits(ctx)
	if err != nil {
		return err
	}
	stuck := e.baseline >= 0 && bytes > e.baseline
	if e.baseline < 0 {
		e.baseline = bytes
	}
	return e.measure(ctx, stuck)
}
