package replicate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// RebuildOptions of RebuildManifest.
type RebuildOptions struct {
	// DryRun says what would be written, and writes nothing.
	DryRun bool

	// Replace rebuilds although a manifest of this format is there and can be
	// read. Defaults to false: it is refused.
	Replace bool

	// Choose is the history to go on with where the store holds several, as
	// NODE/EPOCH of its newest batch: see AmbiguousError. Defaults to none.
	Choose string

	// Dir is where snapshots are put while they are looked into. Defaults to
	// the system's directory for temporary files.
	Dir string

	Retry      Retry        // as in Options
	Encryption Encryption   // as in Options
	Logger     *slog.Logger // defaults to none

	// Now tells the time for the manifest. Defaults to time.Now.
	Now func() time.Time
}

// RebuildReport is the manifest that RebuildManifest has written, or would
// write. It encodes as JSON.
type RebuildReport struct {
	Name      string    `json:"name"`
	NodeID    string    `json:"nodeId"` // the owner: who stored the newest batch
	Epoch     uint32    `json:"epoch"`
	Floor     int64     `json:"floor"` // the oldest point that can be restored
	Head      int64     `json:"head"`
	HeadTime  time.Time `json:"headTime"`
	Snapshots int       `json:"snapshots"`
	Batches   int       `json:"batches"` // links of the chain from floor to head
	Packs     int       `json:"packs"`
	Damaged   []string  `json:"damaged"` // objects that cannot be used
	Written   bool      `json:"written"`

	// LeftOut are histories that are stored and not in the manifest. Nothing
	// leads to them any more: pruning, the owner's own too, deletes them as soon
	// as they are 24 hours old. Copy the objects before, or set
	// Retention.Disabled, if they may be wanted: with Choose, a copy leads to
	// one that is Complete.
	LeftOut []RebuildBranch `json:"leftOut"`
}

// RebuildBranch is a history that the store holds, from where it leaves the one
// that was taken.
type RebuildBranch struct {
	Node     string    `json:"node"` // of its newest batch
	Epoch    uint32    `json:"epoch"`
	From     int64     `json:"from"` // sequences
	To       int64     `json:"to"`
	Time     time.Time `json:"time"`     // of its newest change
	Complete bool      `json:"complete"` // it can be restored
}

func (b RebuildBranch) String() string {
	s := fmt.Sprintf("%s/%d (%d-%d, until %s", b.Node, b.Epoch, b.From, b.To, b.Time.UTC().Format(time.RFC3339))
	if !b.Complete {
		s += ", nothing to begin a restore with"
	}
	return s + ")"
}

// ErrAmbiguous says that the store holds several histories under one name, and
// nothing that is stored tells which of them counts. The error is an
// *AmbiguousError.
var ErrAmbiguous = errors.New("the store holds several histories under this name")

// AmbiguousError lists the histories that RebuildManifest could go on with. It
// is an [ErrAmbiguous].
type AmbiguousError struct {
	Name    string
	Choices []RebuildBranch // newest epoch first
}

func (e *AmbiguousError) Error() string {
	list := make([]string, len(e.Choices))
	for i, c := range e.Choices {
		list[i] = c.String()
	}
	return fmt.Sprintf("%q: %v and nothing tells which one counts: choose one of those that can be restored (NODE/EPOCH): %s", e.Name, ErrAmbiguous, strings.Join(list, ", "))
}

// Is makes errors.Is(err, ErrAmbiguous) true.
func (e *AmbiguousError) Is(target error) bool { return target == ErrAmbiguous }

// rebuildEpochs is how far the rebuilt manifest's epoch lies above the highest
// one that has left an object: claims that stored nothing are not met again.
const rebuildEpochs = 1000

// RebuildManifest makes the manifest of name anew from what is stored, after it
// was deleted, damaged, or overwritten by a program of another format
// (ErrForeignManifest, ErrV1Manifest). It reads every batch, pack and snapshot,
// follows the hash chain from its newest batch back, and writes a manifest whose
// head is the end of that chain; nothing else is changed. Whoever runs with the
// old manifest is fenced; restart the owner afterwards. The names that Mark has
// given are lost where the old manifest cannot be read.
//
// ErrAmbiguous: there are several histories. ErrNoBackup: nothing is stored under
// the name. ErrMissing: nothing that is stored can be restored. ErrNoKey: a key
// is wanted.
func RebuildManifest(ctx context.Context, name string, store Store, o RebuildOptions) (*RebuildReport, error) {
	report, err := rebuild(ctx, name, store, o)
	if err != nil {
		return nil, fmt.Errorf("rebuild the manifest of %q: %w", name, err)
	}
	return report, nil
}

func rebuild(ctx context.Context, name string, store Store, o RebuildOptions) (*RebuildReport, error) {
	filled := Options{Retry: o.Retry, Logger: o.Logger, Encryption: o.Encryption, Now: o.Now}.withDefaults()
	if err := errors.Join(checkName("database name", name), filled.validate()); err != nil {
		return nil, err
	}
	b := &bucket{store, o.Encryption}
	if err := b.unlock(ctx); err != nil {
		return nil, err
	}
	r := &rebuilder{name: name, store: b, o: filled, replace: o.Replace, choose: o.Choose, dir: o.Dir}
	if err := filled.Retry.do(ctx, func() error { return r.old(ctx) }); err != nil {
		return nil, err
	}
	if err := r.scan(ctx); err != nil {
		return nil, err
	}
	next, err := r.decide()
	if err != nil {
		return nil, err
	}
	if err := filled.Retry.do(ctx, func() error { return r.leads(ctx, next) }); err != nil {
		return nil, err
	}
	r.report.Name, r.report.NodeID, r.report.Epoch = name, next.NodeID, next.Epoch
	r.report.Floor, r.report.Head, r.report.HeadTime = next.Floor.Sequence, next.Head.Sequence, time.UnixMilli(next.Head.MaxTime)
	r.report.Snapshots, r.report.Packs = len(next.Snapshots), len(next.Packs)
	if o.DryRun {
		return &r.report, nil
	}
	err = filled.Retry.do(ctx, func() error {
		_, err := swap(ctx, b, r.prev, next, filled.Now())
		if isAny(err, errConflict, ErrV1Manifest, ErrCorrupt) {
			return Permanent(errors.New("the manifest has changed meanwhile"), "stop whatever writes to it, and begin again")
		}
		return err
	})
	r.report.Written = err == nil
	return &r.report, err
}

// rebuilder makes one manifest anew.
type rebuilder struct {
	name    string
	store   *bucket
	o       Options
	replace bool
	choose  string
	dir     string

	prev   *versioned // what the new manifest replaces; nil for none
	known  *manifest  // prev, if it can be read
	found  stored
	report RebuildReport
}

// old looks at what stands where the manifest belongs.
func (r *rebuilder) old(ctx context.Context) error {
	r.prev, r.known = nil, nil
	body, info, err := r.store.Get(ctx, manifestKey(r.name))
	if errors.Is(err, ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the manifest: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(newBodyReader(body, info), maxManifest+1))
	if err = errors.Join(err, body.Close()); err != nil {
		return fmt.Errorf("read the manifest: %w", err)
	}
	m, err := r.store.openManifest(b, r.name)
	switch {
	case err == nil && !r.replace:
		return Permanent(errors.New("the manifest is there and sound"), "there is nothing to rebuild; Replace does it all the same")
	case err == nil:
		r.known = m
	case isAny(err, ErrV1Manifest, ErrCorrupt), errors.Is(err, ErrNotSealed) && r.replace:
	default:
		return err
	}
	r.prev = &versioned{manifest: &manifest{}, etag: info.ETag}
	if m != nil {
		r.prev.manifest = m
	}
	return nil
}

// leads makes sure that a restore by m finds its way from the oldest point.
func (r *rebuilder) leads(ctx context.Context, m *manifest) error {
	points := m.startingPoints()
	if len(points) == 0 {
		return ErrNoRestorePoint
	}
	return points[len(points)-1].fill(ctx, r.store, &versioned{manifest: m}, false)
}

// decide returns the manifest of the history that counts.
func (r *rebuilder) decide() (*manifest, error) {
	lines := r.found.lines(r.store)
	if len(lines) == 0 && len(r.found.ending) > 0 {
		return nil, fmt.Errorf("there are only batches in the clear, and parts of a transaction: %w", ErrNotSealed)
	}
	if len(lines) == 0 {
		return nil, ErrNoBackup
	}
	taken, err := r.pick(lines)
	if err != nil {
		return nil, err
	}
	m := &manifest{Version: formatVersion, DBName: r.name, NodeID: taken.node, ClaimToken: newToken(), ClaimedAt: r.o.Now().UnixMilli()}
	m.Epoch = r.found.epoch + rebuildEpochs
	if r.known != nil {
		m.Epoch = max(m.Epoch, r.known.Epoch+rebuildEpochs)
	}
	m.Head, m.Floor = taken.head, taken.floor()
	if err := r.found.lineage(m, taken); err != nil {
		return nil, err
	}
	for _, at := range taken.path { // oldest first
		if list := r.found.snapshots[at.id()]; at.Sequence >= m.Floor.Sequence && len(list) > 0 {
			m.Snapshots = append(m.Snapshots, list...)
		}
		if at.Sequence > m.Floor.Sequence {
			r.report.Batches++
		}
	}
	if r.known != nil {
		for _, p := range r.known.Points {
			if p.Sequence >= m.Floor.Sequence && slices.ContainsFunc(taken.path, p.link().is) {
				m.Points = append(m.Points, p)
			}
		}
	}
	m.Revision, m.Nonce = 1, newToken() // for the check; swap gives its own
	return m, m.check(r.name)
}

// pick returns the history that counts, and notes the others.
func (r *rebuilder) pick(lines []line) (*line, error) {
	slices.SortStableFunc(lines, func(a, b line) int {
		if a.epoch != b.epoch {
			return int(int64(b.epoch) - int64(a.epoch))
		}
		return int(max(min(b.head.Sequence-a.head.Sequence, 1), -1))
	})
	ambiguous := &AmbiguousError{Name: r.name}
	for i := range lines {
		l := &lines[i]
		ambiguous.Choices = append(ambiguous.Choices, l.branch(l.path[0].Sequence+1))
	}
	at := slices.IndexFunc(lines, func(l line) bool {
		return l.anchored() && (r.choose == "" || r.choose == fmt.Sprintf("%s/%d", l.node, l.epoch))
	})
	switch {
	case at < 0 && r.choose != "":
		return nil, fmt.Errorf("no history that can be restored ends with %q: %w", r.choose, ambiguous)
	case at < 0:
		return nil, fmt.Errorf("there is no snapshot and no beginning to restore from, only %v: %w", ambiguous.Choices, ErrMissing)
	}
	taken := &lines[at]
	r.report.LeftOut, r.report.Damaged = []RebuildBranch{}, append([]string{}, r.report.Damaged...)
	for i := range lines {
		if i == at {
			continue
		}
		from, sure := r.found.superseded(&lines[i], taken)
		if !sure && r.choose == "" {
			return nil, ambiguous
		}
		r.report.LeftOut = append(r.report.LeftOut, lines[i].branch(from))
	}
	return taken, nil
}
