package replicate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/sqlite"
)

// VerifyOptions of Verify. The zero value reads everything.
type VerifyOptions struct {
	// Quick reads the newest snapshot and what follows it only: what a restore
	// of the newest state needs. Defaults to false: every snapshot, and every
	// batch from the oldest point that can be restored.
	Quick bool

	// Sample reads a part of what Quick, or not, would read, chosen at random:
	// 0.05 is every twentieth snapshot, batch and pack, and one of each at
	// least. What is not read is looked for in the store: that it is there and
	// how large it is. Run often, it finds in time what a full verification is
	// too dear for. There is no trial. Defaults to 0: everything is read.
	Sample float64

	// NoTrial leaves out the trial: a restore into a temporary file, which is
	// checked in full. Defaults to false.
	NoTrial bool

	// Dir is where the temporary file of the trial is made. Defaults to the
	// system's directory for such files.
	Dir string

	Retry      Retry                // as in Options
	Encryption Encryption           // as in Options
	Logger     *slog.Logger         // defaults to none
	Progress   func(VerifyProgress) // called after every object; defaults to none
}

// VerifyProgress is how far a verification has come.
type VerifyProgress struct {
	Sequence int64 // of the chain, checked
	Target   int64 // head
	Bytes    int64 // read from the store
}

// VerifyReport is what Verify found. It encodes as JSON.
type VerifyReport struct {
	Name     string `json:"name"`
	NodeID   string `json:"nodeId"`
	Epoch    uint32 `json:"epoch"`
	Revision int64  `json:"revision"`
	From     int64  `json:"from"` // the chain was followed from here
	Head     int64  `json:"head"` // to here

	Sample    float64 `json:"sample,omitempty"` // the share that was to be read
	Unread    int     `json:"unread,omitempty"` // objects of a sample that were looked for and not read
	Snapshots int     `json:"snapshots"`        // read whole
	Batches   int     `json:"batches"`          // read, in packs or alone
	Entries   int64   `json:"entries"`
	Bytes     int64   `json:"bytes"` // read from the store

	Trial    *TrialReport    `json:"trial,omitempty"`
	Problems []VerifyProblem `json:"problems"`
	Seconds  float64         `json:"seconds"`
}

// TrialReport is how the trial restore went.
type TrialReport struct {
	Sequence             int64   `json:"sequence"` // where it ended
	Time                 string  `json:"time"`     // of the newest change, RFC 3339; empty for none
	ForeignKeyViolations int     `json:"foreignKeyViolations"`
	Superseded           int64   `json:"superseded"` // as in RestoreResult
	Seconds              float64 `json:"seconds"`
}

// VerifyProblem is an object that is not what it should be.
type VerifyProblem struct {
	Key   string `json:"key,omitempty"` // of the object; empty for what none is to blame for
	Error string `json:"error"`

	err error
}

// OK says that nothing is wrong.
func (r *VerifyReport) OK() bool { return len(r.Problems) == 0 }

// Verify reads the backup of the database called name and checks it: the
// manifest, the size and hash of every snapshot, every batch and its place in
// the hash chain, decryption, and that a restore into a temporary file gives a
// sound database. The error is about what could not be read, or joins what the
// report has as problems, so that errors.Is(err, ErrCorrupt) or ErrMissing tell.
func Verify(ctx context.Context, name string, store Store, o VerifyOptions) (*VerifyReport, error) {
	began := time.Now()
	v, err := newVerifier(ctx, name, store, o)
	if err != nil {
		return nil, fmt.Errorf("verify %q: %w", name, err)
	}
	for round := 0; ; round++ {
		err = v.run(ctx)
		if err != nil || v.report.OK() || round > 0 {
			break
		}
		// What is missing may have been pruned meanwhile: look at the manifest again.
		moved, err := v.again(ctx)
		if err != nil || !moved {
			break
		}
	}
	v.report.Seconds = time.Since(began).Seconds()
	var problems []error
	for _, p := range v.report.Problems {
		problems = append(problems, p.err)
	}
	if err = errors.Join(append(problems, err)...); err != nil {
		err = fmt.Errorf("verify %q: %w", name, err)
	}
	return &v.report, err
}

type verifier struct {
	o      VerifyOptions
	r      *restorer
	m      *versioned
	name   string
	from   Store
	report VerifyReport
}

func newVerifier(ctx context.Context, name string, store Store, o VerifyOptions) (*verifier, error) {
	if !(o.Sample >= 0 && o.Sample <= 1) {
		return nil, fmt.Errorf("option Sample is %v: a share from 0 to 1", o.Sample)
	}
	b, m, filled, err := openBackup(ctx, name, store, ReadOptions{Retry: o.Retry, Encryption: o.Encryption})
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = filled.Logger
	}
	return &verifier{o: o, name: name, from: store, m: m, r: &restorer{name: name, store: b, retry: filled.Retry, logger: o.Logger, now: filled.Now}}, nil
}

// again reads the manifest again, and says whether it has moved on.
func (v *verifier) again(ctx context.Context) (bool, error) {
	m, err := v.r.manifest(ctx, nil)
	if err != nil || m.Nonce == v.m.Nonce {
		return false, err
	}
	v.m = m
	return true, nil
}

func (v *verifier) run(ctx context.Context) error {
	bytes := v.report.Bytes
	v.report = VerifyReport{
		Name: v.name, NodeID: v.m.NodeID, Epoch: v.m.Epoch, Revision: v.m.Revision, Head: v.m.Head.Sequence, Bytes: bytes, Problems: []VerifyProblem{},
		Sample: v.o.Sample,
	}
	points := v.m.startingPoints()
	if len(points) == 0 {
		return ErrNoRestorePoint
	}
	if v.o.Quick {
		points = points[:1]
	}
	slices.Reverse(points) // oldest first
	v.report.From = points[0].start.Sequence
	if v.o.Sample > 0 {
		return v.sample(ctx, points)
	}
	for _, p := range points {
		if p.snapshot == nil {
			continue
		}
		if err := v.snapshot(ctx, p.snapshot); err != nil {
			return err
		}
	}
	if err := v.chain(ctx, points); err != nil {
		return err
	}
	if v.o.NoTrial {
		return nil
	}
	return v.trial(ctx)
}

// problem notes what is wrong with the object at key, or returns an error that
// says nothing about the backup: the network, the context, the keys.
func (v *verifier) problem(ctx context.Context, key string, err error) error {
	if errors.Is(err, ErrNotExist) {
		err = fmt.Errorf("%w: %w", ErrMissing, err)
	}
	// The keys have opened the manifest: an object that wants another one is
	// damaged, or cannot be restored with them.
	if ctx.Err() != nil || !unusable(err) {
		return err
	}
	v.report.Problems = append(v.report.Problems, VerifyProblem{Key: key, Error: err.Error(), err: err})
	return nil
}

func (v *verifier) snapshot(ctx context.Context, s *snapshotEntry) error {
	key, err := parseKey(s.Key)
	if err != nil {
		return err
	}
	err = v.r.retry.object(ctx, func() error {
		n, err := readSnapshot(ctx, v.r.store, key, s, io.Discard, func(int64) {})
		v.report.Bytes += n
		return err
	})
	if err != nil {
		return v.problem(ctx, s.Key, fmt.Errorf("snapshot %s: %w", s.Key, err))
	}
	v.report.Snapshots++
	v.progress(s.Sequence)
	return nil
}

// chain follows the batches from the oldest point on. Where it breaks off, or
// there is a gap, it is taken up again at the next point.
func (v *verifier) chain(ctx context.Context, points []plan) error {
	reached := int64(-1)
	for i := range points {
		p := &points[i]
		if p.start.Sequence <= reached {
			continue // was passed on the way
		}
		p.to = newestState()
		err := v.r.retry.do(ctx, func() error { return p.fill(ctx, v.r.store, v.m, false) })
		if err == nil {
			reached, err = v.follow(ctx, p)
		}
		if err == nil && p.end.is(v.m.Head) {
			return nil
		}
		if err == nil {
			continue
		}
		if err := v.problem(ctx, "", err); err != nil {
			return err
		}
		reached = max(reached, p.start.Sequence)
	}
	return nil
}

// follow reads the batches of p, and returns how far they are whole.
func (v *verifier) follow(ctx context.Context, p *plan) (reached int64, err error) {
	known := v.anchors()
	for _, path := range p.paths {
		b := &build{r: v.r, plan: p}
		at := p.start
		err = nil
		var batches int
		var entries int64
		for d, docErr := range b.documents(ctx, path, at.Sequence) {
			if err = docErr; err != nil {
				break
			}
			if at, err = checkLink(d, at, known); err != nil {
				break
			}
			batches++
			entries += d.To - d.From + 1
			v.progress(at.Sequence)
		}
		v.report.Bytes += b.result.Bytes
		if err == nil {
			err = p.arrived(at)
		}
		reached = max(reached, at.Sequence)
		if err == nil {
			v.report.Batches += batches
			v.report.Entries += entries
			return reached, nil
		}
		if !unusable(err) {
			break
		}
	}
	return reached, err
}

// anchors are the links that the manifest names.
func (v *verifier) anchors() map[int64]hash {
	known := map[int64]hash{v.m.Head.Sequence: v.m.Head.Hash}
	for _, s := range v.m.Snapshots {
		known[s.Sequence] = s.Hash
	}
	for _, p := range v.m.Points {
		known[p.Sequence] = p.Hash
	}
	for _, p := range v.m.Packs {
		known[p.To] = p.Hash
	}
	for _, g := range v.m.Gaps {
		known[g.From.Sequence], known[g.To.Sequence] = g.From.Hash, g.To.Hash
	}
	for _, l := range v.m.Lineage {
		if l.End != nil {
			known[l.End.Sequence] = l.End.Hash
		}
	}
	return known
}

// checkLink checks a batch whole: its place, every entry, and what is known of
// the chain where it ends.
func checkLink(d *changelog.Document, at link, known map[int64]hash) (link, error) {
	if d.From != at.Sequence+1 || d.PrevHash != at.Hash {
		return at, fmt.Errorf("batch %d-%d: %w: %w", d.From, d.To, errBroken, ErrCorrupt)
	}
	for _, err := range d.Entries() {
		if err != nil {
			return at, fmt.Errorf("batch %d-%d: %w: %w", d.From, d.To, err, ErrCorrupt)
		}
	}
	next := link{Sequence: d.To, Hash: d.Hash(), MaxTime: d.MaxTime}
	if want, ok := known[d.To]; ok && want != next.Hash {
		return at, fmt.Errorf("the chain has %s at %d, the manifest %s: %w", next.Hash, d.To, want, ErrCorrupt)
	}
	return next, nil
}

// trial restores into a temporary file and checks all of it.
func (v *verifier) trial(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp(v.o.Dir, "driftdb-verify-")
	if err != nil {
		return fmt.Errorf("make a directory for the trial: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "trial.sqlite")
	result, err := restore(ctx, v.name, v.from, path, RestoreOptions{Retry: v.o.Retry, Encryption: v.r.store.Encryption, Logger: v.o.Logger, DisableResume: true})
	if err == nil {
		err = integrity(ctx, path)
	}
	if err != nil {
		return v.problem(ctx, "", fmt.Errorf("trial restore: %w", err))
	}
	for _, key := range result.Damaged {
		if !slices.ContainsFunc(v.report.Problems, func(p VerifyProblem) bool { return p.Key == key }) {
			if err := v.problem(ctx, key, fmt.Errorf("trial restore: %s was passed over: %w", key, ErrCorrupt)); err != nil {
				return err
			}
		}
	}
	v.report.Bytes += result.Bytes
	v.report.Trial = &TrialReport{Sequence: result.Position.Sequence, ForeignKeyViolations: result.ForeignKeyViolations, Superseded: result.Superseded, Seconds: result.Duration.Seconds()}
	if !result.Time.IsZero() {
		v.report.Trial.Time = result.Time.UTC().Format(time.RFC3339Nano)
	}
	return nil
}

// integrity runs SQLite's full check.
func integrity(ctx context.Context, path string) (err error) {
	db := sql.OpenDB(sqlite.Connector(path, sqlite.Reader))
	defer func() { err = errors.Join(err, db.Close()) }()
	var first string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&first); err != nil {
		return damaged(err)
	}
	if first != "ok" {
		return fmt.Errorf("integrity check: %s: %w", first, ErrCorrupt)
	}
	return nil
}

func (v *verifier) progress(sequence int64) {
	if v.o.Progress != nil {
		v.o.Progress(VerifyProgress{Sequence: sequence, Target: v.m.Head.Sequence, Bytes: v.report.Bytes})
	}
}
