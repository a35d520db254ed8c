package replicate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/envelope"
)

// sample reads some of the objects and looks for the others.
func (v *verifier) sample(ctx context.Context, points []plan) error {
	var snapshots []*snapshotEntry
	for _, p := range points {
		if p.snapshot != nil {
			snapshots = append(snapshots, p.snapshot)
		}
	}
	chosen := choose(len(snapshots), v.o.Sample)
	for i, s := range snapshots {
		check := v.lookFor
		if chosen[i] {
			check = func(ctx context.Context, _ string, _ int64) error { return v.snapshot(ctx, s) }
		}
		if err := check(ctx, s.Key, s.StoredSize); err != nil {
			return err
		}
	}
	reached := int64(-1)
	for i := range points {
		p := &points[i]
		if p.start.Sequence <= reached {
			continue // was passed on the way
		}
		if err := v.sampleWay(ctx, p); err != nil {
			return err
		}
		reached = p.end.Sequence
	}
	return nil
}

// sampleWay is sample for the batches that lead from p to head, or to the next
// gap. That nothing is missing on the way, the keys say.
func (v *verifier) sampleWay(ctx context.Context, p *plan) error {
	p.to = newestState()
	if err := v.r.retry.do(ctx, func() error { return p.fill(ctx, v.r.store, v.m, false) }); err != nil {
		return v.problem(ctx, "", err)
	}
	path := p.paths[0]
	chosen := choose(len(path), v.o.Sample)
	known := v.anchors()
	for i, k := range path {
		var err error
		switch e, packed := p.packs[k]; {
		case chosen[i]:
			err = v.sampled(ctx, p, k, known)
		case packed:
			err = v.lookFor(ctx, k.String(), e.StoredSize)
		default: // was listed just now
			v.report.Unread++
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// choose picks a share of n at random, one at least.
func choose(n int, share float64) []bool {
	chosen := make([]bool, n)
	if n > 0 {
		chosen[rand.IntN(n)] = true //nolint:gosec // spreads what is read; nothing secret
	}
	for i := range chosen {
		chosen[i] = chosen[i] || rand.Float64() < share //nolint:gosec // as above
	}
	return chosen
}

// lookFor makes sure that an object is there with the size that the manifest
// says. Its body is not read.
func (v *verifier) lookFor(ctx context.Context, key string, size int64) error {
	v.report.Unread++
	err := v.r.retry.object(ctx, func() error {
		for info, err := range v.r.store.List(ctx, key, "") {
			switch {
			case err != nil:
				return err
			case info.Key != key:
				continue
			case info.Size != size:
				return fmt.Errorf("it has %d bytes, the manifest says %d: %w", info.Size, size, ErrCorrupt)
			}
			return nil
		}
		return ErrNotExist
	})
	if err != nil {
		return v.problem(ctx, key, fmt.Errorf("%s: %w", key, err))
	}
	return nil
}

// sampled reads one batch, or the batches of one pack, and checks them, and
// what the manifest says of the chain there.
func (v *verifier) sampled(ctx context.Context, p *plan, k objectKey, known map[int64]hash) error {
	b := &build{r: v.r, plan: p}
	var at *link // unknown before the first
	for d, err := range b.documents(ctx, []objectKey{k}, k.from-1) {
		if err == nil && at == nil {
			at, err = beginning(d, k, known)
		}
		if err == nil {
			*at, err = checkLink(d, *at, known)
		}
		if err != nil {
			v.report.Bytes += b.result.Bytes
			return v.problem(ctx, k.String(), fmt.Errorf("%s: %w", k, err))
		}
		v.report.Batches++
		v.report.Entries += d.To - d.From + 1
		v.progress(d.To)
	}
	v.report.Bytes += b.result.Bytes
	if k.kind == envelope.Pack && (at == nil || at.Sequence != k.to) {
		return v.problem(ctx, k.String(), errors.Join(fmt.Errorf("%s does not hold what its key says", k), ErrCorrupt))
	}
	return nil
}

// beginning is where the first batch of an object stands: what it says itself,
// where the manifest does not know better.
func beginning(d *changelog.Document, k objectKey, known map[int64]hash) (*link, error) {
	at := &link{Sequence: d.From - 1, Hash: d.PrevHash}
	if want, ok := known[at.Sequence]; ok && want != at.Hash {
		return at, fmt.Errorf("it follows %s at %d, the manifest has %s: %w", at.Hash, at.Sequence, want, ErrCorrupt)
	}
	if d.From > k.from && k.kind != envelope.Pack {
		return at, fmt.Errorf("it begins at %d: %w", d.From, ErrCorrupt)
	}
	return at, nil
}
