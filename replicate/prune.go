package replicate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/driftdb/driftdb/internal/envelope"
)

// pruneAge is how old an object is at least, by the store's clock, before it is
// deleted: a restore under way may have planned with it.
const pruneAge = 24 * time.Hour

// PruneOptions of Prune.
type PruneOptions struct {
	Retention  Retention    // as in Options
	DryRun     bool         // says what would be done, by this machine's clock; the store is not changed
	Retry      Retry        // as in Options
	Encryption Encryption   // as in Options
	Logger     *slog.Logger // defaults to none

	// Now tells the time that Retention.Window counts back from, unless the
	// store's clock says that it is earlier. Defaults to time.Now.
	Now func() time.Time
}

// PruneReport is what Prune did, or would do.
type PruneReport struct {
	Floor      int64     // the oldest point that can be restored from now on
	FloorTime  time.Time // of the newest change there; zero for an empty database
	HeldBy     string    // the named point that keeps the floor from rising further; empty for none
	Objects    int       // deleted, or to be deleted
	Bytes      int64     // of these
	Young      int       // objects that are needed for nothing and younger than 24 hours
	NotAllowed error     // why nothing could be deleted: credentials that may not
}

// Prune deletes what is stored under name and needed for no point that
// retention keeps. A Replica does that by itself; this is for operators. It
// first moves the floor, the oldest point that can be restored, and deletes
// only after the manifest that says so is confirmed: a crash in between leaves
// objects that the next Prune finds. Never deleted is what is younger than 24
// hours by the store's clock, which counts for the window too where it is behind
// this machine's; where the two are a day and more apart nothing is done.
func Prune(ctx context.Context, name string, store Store, o PruneOptions) (PruneReport, error) {
	report, err := prune(ctx, name, store, o)
	if err != nil {
		return report, fmt.Errorf("prune %q: %w", name, err)
	}
	return report, nil
}

func prune(ctx context.Context, name string, store Store, o PruneOptions) (report PruneReport, err error) {
	filled := Options{Retry: o.Retry, Logger: o.Logger, Encryption: o.Encryption, Retention: o.Retention, Now: o.Now}.withDefaults()
	if err := errors.Join(checkName("database name", name), filled.validate()); err != nil {
		return report, err
	}
	b := &bucket{store, o.Encryption}
	if err := b.unlock(ctx); err != nil {
		return report, err
	}
	var m *versioned
	if err := filled.Retry.do(ctx, func() error {
		m, report, err = raiseFloor(ctx, b, name, filled, o.DryRun)
		return err
	}); err != nil {
		return report, err
	}
	p := pruner{store: b, m: m, retry: filled.Retry, dry: o.DryRun, report: report}
	err = p.run(ctx)
	return p.report, err
}

// raiseFloor moves the floor of the manifest, in the name of its owner. The store's
// clock is learnt before, from a write of the manifest as it is: the last one may
// have been made long ago.
func raiseFloor(ctx context.Context, store *bucket, name string, o Options, dry bool) (*versioned, PruneReport, error) {
	m, err := lookUp(ctx, store, name)
	if err != nil {
		return nil, PruneReport{}, err
	}
	floor, report, err := m.floorFor(ctx, store, o.Retention, o.Now())
	if err != nil {
		return nil, report, err
	}
	next, written := m.clone(), time.UnixMilli(m.UpdatedAt)
	if dry || floor.is(m.Floor) && !written.After(o.Now()) {
		next.setFloor(floor)
		next.trim()
		return &versioned{manifest: next, etag: m.etag}, report, nil
	}
	// The time in it stays, unless it lies ahead of ours: it may be our clock that is wrong.
	if m, err = rewrite(ctx, store, m, next, earlier(written, o.Now())); err != nil {
		return nil, report, err
	}
	clock, err := storeClock(ctx, store, name)
	if err == nil {
		err = m.believes(clock)
	}
	if err != nil {
		return nil, report, err
	}
	now := earlier(clock, o.Now())
	floor, report, err = m.floorFor(ctx, store, o.Retention, now)
	if err != nil || floor.is(m.Floor) {
		return m, report, err
	}
	next = m.clone()
	next.setFloor(floor)
	m, err = rewrite(ctx, store, m, next, now)
	return m, report, err
}

// rewrite is swap for one who plans again if somebody else was faster.
func rewrite(ctx context.Context, store *bucket, m *versioned, next *manifest, now time.Time) (*versioned, error) {
	v, err := swap(ctx, store, m, next, now)
	if errors.Is(err, errConflict) {
		return nil, errors.New("the manifest has changed meanwhile")
	}
	return v, err
}

// floorFor returns the oldest point that has to be restorable: a snapshot from
// which every point of the window and every named one can be reached, and which
// is one of the newest that are kept in any case. now must not be later than it is.
func (m *manifest) floorFor(ctx context.Context, store *bucket, r Retention, now time.Time) (link, PruneReport, error) {
	report := PruneReport{}
	floor := m.Floor
	begins := now.Add(-r.Window)
	point := int64(-1)
	if len(m.Points) > 0 {
		point = m.Points[0].Sequence
	}
	for i, s := range m.Snapshots {
		if len(m.Snapshots)-i < r.Snapshots || m.open() >= 0 {
			break
		}
		if s.Sequence <= m.Floor.Sequence {
			continue // the floor has reached it already
		}
		age, err := ageOf(ctx, store, s, begins, now)
		if err != nil {
			return floor, report, err
		}
		if age.IsZero() || age.After(begins) {
			break
		}
		if point >= 0 && s.Sequence > point {
			report.HeldBy = m.Points[0].Name
			break
		}
		floor = s.link()
	}
	report.Floor = floor.Sequence
	if floor.Sequence > 0 {
		report.FloorTime = time.UnixMilli(floor.MaxTime)
	}
	return floor, report, nil
}

// setFloor raises the floor, and drops what lies below it.
func (m *manifest) setFloor(floor link) {
	if floor.Sequence < m.Floor.Sequence {
		return // somebody has raised it further meanwhile, and deleted what lay below
	}
	m.Floor = floor
	m.Snapshots = slices.DeleteFunc(m.Snapshots, func(s snapshotEntry) bool { return s.Sequence < floor.Sequence })
	m.Packs = slices.DeleteFunc(m.Packs, func(p packEntry) bool { return p.To <= floor.Sequence })
}

// pruner deletes what the confirmed manifest m needs no more.
type pruner struct {
	store  *bucket
	m      *versioned
	retry  Retry
	dry    bool
	clock  time.Time // the store's, no later than now; zero: to be read
	report PruneReport
}

// run lists everything under the name and deletes what nothing needs.
func (p *pruner) run(ctx context.Context) error {
	if p.m.open() >= 0 {
		return nil // a take-over is under way: it counts on what is there
	}
	if p.clock.IsZero() {
		if err := p.retry.do(ctx, func() (err error) {
			p.clock, err = storeClock(ctx, p.store, p.m.DBName)
			return err
		}); err != nil {
			return err
		}
		if err := p.m.believes(p.clock); err != nil && !p.dry {
			return err
		}
	}
	// A thousand at a time, so that something is done before the program ends.
	for after, more := "", true; more; {
		var spare []Info
		young, last := 0, ""
		if err := p.retry.do(ctx, func() error {
			spare, young, more = spare[:0], 0, false
			for info, err := range p.store.List(ctx, root+p.m.DBName+"/nodes/", after) {
				if err != nil {
					return fmt.Errorf("list what is stored: %w", err)
				}
				last = info.Key
				k, err := parseKey(info.Key)
				if err != nil || !p.m.spares(k) {
					continue
				}
				// The manifest was written at or before now, so that this is no
				// less than the age by the store's clock.
				if info.Modified.IsZero() || p.clock.Sub(info.Modified) < pruneAge {
					young++
					continue
				}
				if spare = append(spare, info); len(spare) == pruneKeys {
					more = true
					break
				}
			}
			return nil
		}); err != nil {
			return err
		}
		p.report.Young += young
		if after = last; len(spare) > 0 {
			if err := p.delete(ctx, spare); err != nil {
				return err
			}
		}
	}
	return nil
}

// pruneKeys is how many objects one request deletes.
const pruneKeys = 1000

func (p *pruner) delete(ctx context.Context, spare []Info) error {
	keys := make([]string, len(spare))
	var bytes int64
	for i, info := range spare {
		keys[i] = info.Key
		bytes += info.Size
	}
	if !p.dry {
		err := p.retry.do(ctx, func() error { return p.store.Delete(ctx, keys...) })
		if _, permanent := errors.AsType[*PermanentError](err); permanent {
			p.report.NotAllowed = err // the report says what would have been deleted
		} else if err != nil {
			return fmt.Errorf("delete %d objects: %w", len(keys), err)
		}
	}
	p.report.Objects += len(keys)
	p.report.Bytes += bytes
	return nil
}

// spares says whether nothing needs the object at k: it lies below the floor, a
// named pack holds it, or it is left over from an epoch before m's own.
func (m *manifest) spares(k objectKey) bool {
	if k.epoch > m.Epoch || k.epoch == m.Epoch && k.node != m.NodeID {
		return false
	}
	own := k.epoch == m.Epoch
	inPack := slices.ContainsFunc(m.Packs, func(p packEntry) bool {
		at, err := parseKey(p.Key)
		return err == nil && at.node == k.node && at.epoch == k.epoch && p.From <= k.from && k.to <= p.To && at != k
	})
	switch k.kind {
	case envelope.Snapshot:
		return !m.names(k.String()) && (!own || k.to < m.Floor.Sequence)
	case envelope.Pack:
		named := slices.ContainsFunc(m.Packs, func(p packEntry) bool { return p.Key == k.String() })
		return !named && (!own || inPack || k.to <= m.Floor.Sequence)
	case envelope.Batch:
		if own || inPack || k.to <= m.Floor.Sequence {
			return inPack || k.to <= m.Floor.Sequence
		}
		i := slices.IndexFunc(m.Lineage, func(l lineageEntry) bool { return l.Node == k.node && l.Epoch == k.epoch })
		return i < 0 || k.to > m.Lineage[i].End.Sequence
	}
	return false
}

// pruneJob is pruning under way, in a goroutine of its own.
type pruneJob struct {
	job
	report PruneReport // set when it has ended
	err    error
}

// pruneDue says whether it is time to look for what nothing needs: after a
// snapshot, and once a day while changes flow. The manifest says when that was
// done last, for programs that never live for a day. A time that lies ahead is of
// a clock that was wrong.
func (e *engine) pruneDue() bool {
	if e.o.Retention.Disabled || e.claim == nil || e.prune != nil || e.snap != nil || e.needsFirst || e.prunedAt != 0 || time.Now().Before(e.pruneNext) {
		return false
	}
	since := e.o.Now().Sub(time.UnixMilli(e.claim.PrunedAt))
	return since >= pruneAge || since < -time.Hour || e.pruneSoon && since >= time.Hour
}

// pruneLinger is how long a release waits for pruning that is under way: programs
// that live for seconds have no other time for it. What it does not come to, the
// next start does.
const pruneLinger = 5 * time.Second

// lingers says whether a release is to wait for pruning.
func (e *engine) lingers() bool {
	if e.prune == nil {
		return false
	}
	if e.linger.IsZero() {
		e.linger = time.Now().Add(pruneLinger)
	}
	return time.Now().Before(e.linger)
}

// pruneStore moves pruning along: the store's clock is asked, the floor is raised
// with a write of the manifest, and what lies below is deleted in a goroutine after
// that.
func (e *engine) pruneStore(ctx context.Context) error {
	if job := e.prune; job != nil {
		if !job.ended() {
			return nil
		}
		e.prune = nil
		e.pruned(job)
	}
	if !e.pruneDue() {
		return nil
	}
	clock, floor, report, err := e.floorDue(ctx)
	if err != nil {
		e.pruned(&pruneJob{err: err})
		return ctx.Err()
	}
	if !floor.is(e.claim.Floor) {
		if err := e.acknowledge(ctx, func(m *manifest) error {
			m.setFloor(floor)
			return nil
		}); err != nil {
			return err
		}
	}
	if err := e.at("floor-raised"); err != nil {
		return err
	}
	e.pruneSoon = false
	p := pruner{store: e.store, m: &versioned{manifest: e.claim.clone(), etag: e.claim.etag}, retry: e.o.Retry, clock: clock, report: report}
	job := &pruneJob{}
	job.job = begin(ctx, func(ctx context.Context) {
		job.err = p.run(ctx)
		job.report = p.report
	})
	e.prune = job
	return nil
}

// floorDue returns where the floor is to be, and the store's clock.
func (e *engine) floorDue(ctx context.Context) (clock time.Time, floor link, report PruneReport, err error) {
	if clock, err = storeClock(ctx, e.store, e.name); err != nil {
		return clock, floor, report, err
	}
	if err = e.claim.believes(clock); err != nil {
		return clock, floor, report, err
	}
	floor, report, err = e.claim.floorFor(ctx, e.store, e.o.Retention, earlier(clock, e.o.Now()))
	return clock, floor, report, err
}

func (e *engine) pruned(job *pruneJob) {
	e.prunedAt = e.o.Now().UnixMilli()
	switch {
	case job.err != nil:
		e.prunedAt, e.pruneNext = 0, time.Now().Add(time.Hour)
		e.o.Logger.Warn("pruning failed; it is tried again later", "database", e.name, "node", e.side.id(), "error", job.err)
	case job.report.NotAllowed != nil:
		e.o.Logger.Info("these credentials may not delete; prune with others", "database", e.name, "node", e.side.id(), "objects", job.report.Objects, "bytes", job.report.Bytes)
	case job.report.Objects > 0:
		e.event(Event{Kind: EventPruned, To: job.report.Floor, Bytes: job.report.Bytes})
	}
}

// stopPrune ends pruning under way and waits for its goroutine.
func (e *engine) stopPrune() {
	if e.prune != nil {
		e.prune.stop()
		e.prune = nil
	}
}
