package replicate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/driftdb/driftdb/internal/changelog"
)

// gapEntry is a piece of the history that was never stored: the changes behind
// From, up to To, were dropped (BacklogResnapshot). A snapshot stands at To, whose
// hash is no chain hash but a random one.
type gapEntry struct {
	From link  `json:"from"` // the last link before
	To   link  `json:"to"`   // the first link behind
	Time int64 `json:"time"` // of the first change that is lost, Unix ms; From's MaxTime when that is not known
}

// ErrGap says that what was asked for lies in a gap of the history, or across
// one: the changes there were dropped before they could be stored, as
// BacklogResnapshot asks for. The error is a *GapError; it is an ErrNoPoint, too.
var ErrGap = errors.New("the backup has a gap there")

// GapError says which points there are on both sides of a gap. It is an [ErrGap]
// and an [ErrNoPoint].
type GapError struct {
	Before     int64     // the last sequence before the gap that can be restored
	BeforeTime time.Time // of the newest change up to there
	After      int64     // the first sequence behind the gap that can be restored
	AfterTime  time.Time // of the newest change up to there

	what string
}

func (e *GapError) Error() string {
	return fmt.Sprintf("%s: the changes behind %d (%s), up to %d (%s), were dropped before they could be stored (Backlog.Policy); there is %d and what is older, and %d and what is newer: %v",
		e.what, e.Before, e.BeforeTime.UTC().Format(time.RFC3339), e.After, e.AfterTime.UTC().Format(time.RFC3339), e.Before, e.After, ErrGap)
}

// Is makes errors.Is(err, ErrGap) and errors.Is(err, ErrNoPoint) true.
func (e *GapError) Is(target error) bool { return target == ErrGap || target == ErrNoPoint }

func (g gapEntry) backup() BackupGap {
	return BackupGap{Before: g.From.point(), After: g.To.point(), Time: time.UnixMilli(g.Time)}
}

// err is the error of what leads into the gap, or across it.
func (g BackupGap) err(what string) error {
	return &GapError{
		Before: g.Before.Sequence, BeforeTime: g.Before.Time, After: g.After.Sequence, AfterTime: g.After.Time, what: what,
	}
}

// addGap notes that the history goes on at end, where the snapshot s stands,
// without what came between, unless m has that already.
func (m *manifest) addGap(end link, s snapshotEntry, d changelog.Dropped) {
	if m.Head.Sequence >= end.Sequence {
		return // an earlier write, whose answer was lost
	}
	g := gapEntry{From: m.Head, To: end, Time: m.Head.MaxTime}
	if d.After == m.Head.Sequence {
		g.Time = d.Time
	}
	m.Gaps, m.Head = append(m.Gaps, g), end
	m.addSnapshot(s)
}

// reach returns the link up to which batches lead from at: head, or the beginning
// of the next gap.
func (m *manifest) reach(at link) link {
	for _, g := range m.Gaps { // in order
		if g.From.Sequence >= at.Sequence {
			return g.From
		}
	}
	return m.Head
}

// gapAt returns the gap that begins at at.
func (m *manifest) gapAt(at link) (gapEntry, bool) {
	i := slices.IndexFunc(m.Gaps, func(g gapEntry) bool { return g.From.is(at) })
	if i < 0 {
		return gapEntry{}, false
	}
	return m.Gaps[i], true
}

// withinGaps finds out between which gaps t lies: t.low is the end of the last one
// before it. A target inside of a gap is a *GapError.
func (m *manifest) withinGaps(t *target) error {
	for _, g := range m.Gaps {
		switch {
		case t.sequence <= g.From.Sequence || t.millis < g.From.MaxTime || t.millis < g.Time && t.millis < g.To.MaxTime:
			return nil
		case t.sequence >= g.To.Sequence && t.millis >= g.To.MaxTime:
			t.low = g.To.Sequence
		default:
			return g.backup().err(t.String())
		}
	}
	return nil
}

// checkGaps: gaps follow each other, nothing else lies in one, and at the end of
// each stands a snapshot.
func (m *manifest) checkGaps() error {
	last := m.Floor.Sequence
	for _, g := range m.Gaps {
		if g.From.Sequence < last || g.To.Sequence <= g.From.Sequence || g.To.Sequence > m.Head.Sequence || g.To.MaxTime < g.From.MaxTime {
			return fmt.Errorf("gap %d-%d is out of order", g.From.Sequence, g.To.Sequence)
		}
		last = g.To.Sequence
		inside := func(n int64) bool { return n > g.From.Sequence && n < g.To.Sequence }
		wrong := slices.ContainsFunc(m.Snapshots, func(s snapshotEntry) bool { return inside(s.Sequence) }) ||
			slices.ContainsFunc(m.Points, func(p pointEntry) bool { return inside(p.Sequence) }) ||
			slices.ContainsFunc(m.Packs, func(p packEntry) bool { return p.To > g.From.Sequence && p.From <= g.To.Sequence }) ||
			slices.ContainsFunc(m.Lineage, func(l lineageEntry) bool { return l.End != nil && inside(l.End.Sequence) }) ||
			inside(m.Head.Sequence)
		if wrong {
			return fmt.Errorf("something stands in the gap %d-%d", g.From.Sequence, g.To.Sequence)
		}
		if !slices.ContainsFunc(m.Snapshots, func(s snapshotEntry) bool { return s.link().is(g.To) }) {
			return fmt.Errorf("no snapshot stands at the end of the gap %d-%d", g.From.Sequence, g.To.Sequence)
		}
	}
	return nil
}
