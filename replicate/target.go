package replicate

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/driftdb/driftdb/internal/changelog"
)

// target is the point that a restore ends at. It always ends at the end of a
// transaction.
type target struct {
	sequence int64 // the last sequence wanted; math.MaxInt64 for all
	millis   int64 // the last time wanted, Unix ms; math.MaxInt64 for all
	exact    *link // of a named point
	low      int64 // a way to it begins here or later: what comes before leads to a gap
	next     int64 // the time of the first transaction that was too late; 0: none was found yet
}

func newestState() target { return target{sequence: math.MaxInt64, millis: math.MaxInt64} }

// target returns where a restore of m by o ends.
func (o RestoreOptions) target(m *manifest) (target, error) {
	t := newestState()
	given := 0
	if !o.At.IsZero() {
		given++
		t.millis = o.At.UnixMilli()
	}
	if o.Sequence != 0 {
		given++
		if t.sequence = o.Sequence; t.sequence < 0 {
			return t, fmt.Errorf("option Sequence is %d", o.Sequence)
		}
	}
	if o.Point != "" {
		given++
		i := slices.IndexFunc(m.Points, func(p pointEntry) bool { return p.Name == o.Point })
		if i < 0 {
			return t, fmt.Errorf("no point %q was marked: %w", o.Point, ErrNoPoint)
		}
		at := m.Points[i].link()
		t.sequence, t.exact = at.Sequence, &at
	}
	if given > 1 {
		return t, errors.New("options At, Sequence and Point exclude each other")
	}
	return t, m.withinGaps(&t)
}

// String names the target for a person.
func (t target) String() string {
	switch {
	case t.millis != math.MaxInt64:
		return time.UnixMilli(t.millis).UTC().Format(time.RFC3339Nano)
	case t.sequence != math.MaxInt64:
		return fmt.Sprintf("sequence %d", t.sequence)
	}
	return "the newest state"
}

// reaches says whether a restore to t may begin at p.
func (t target) reaches(p plan) bool {
	return p.start.Sequence >= t.low && p.start.Sequence <= t.sequence && (p.start.Sequence == 0 || p.start.MaxTime <= t.millis)
}

// within returns the last sequence of d that is wanted, d.From-1 for none, and
// whether anything behind it is not; late is the time of the first transaction that
// is too late, 0 for none.
func (t target) within(d *changelog.Document) (to int64, ended bool, late int64, err error) {
	if d.To <= t.sequence && d.MaxTime <= t.millis {
		return d.To, false, 0, nil
	}
	to = d.From - 1
	more := d.Part < d.Parts
	err = d.Boundaries(more, func(b changelog.Boundary) bool {
		if b.Sequence > t.sequence || b.Time > t.millis {
			if ended = true; b.Time > t.millis {
				late = b.Time
			}
			return false
		}
		to = b.Sequence
		return true
	})
	if more && !ended && d.To <= t.sequence {
		return d.To, false, 0, err // what its last transaction's time is, the last part says
	}
	return to, to < d.To, late, err
}

// missed says why a restore that came to got did not reach t. ended says that
// there is more, which was not wanted.
func (t target) missed(got link, ended bool) error {
	switch {
	case t.exact != nil && !t.exact.is(got):
		return fmt.Errorf("the chain has another link than the point at %d: %w", t.exact.Sequence, ErrCorrupt)
	case t.sequence != math.MaxInt64 && got.Sequence < t.sequence && !ended:
		return fmt.Errorf("the backup ends at %d, before %d: %w", got.Sequence, t.sequence, ErrNoPoint)
	}
	return nil
}

// tooOld is the error for a target that lies before every starting point.
func (t target) tooOld(m *manifest) error {
	oldest := m.Floor
	if len(m.Snapshots) > 0 && m.Floor.Sequence > 0 {
		oldest = m.Snapshots[0].link()
	}
	return fmt.Errorf("the oldest point that can be restored is %d (%s): %w", oldest.Sequence, time.UnixMilli(oldest.MaxTime).UTC().Format(time.RFC3339), ErrNoPoint)
}
