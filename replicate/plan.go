package replicate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/driftdb/driftdb/internal/envelope"
)

// plan is what a restore reads, in order. Making one lists keys and opens no
// object: the hash chain decides while it is executed.
type plan struct {
	m        *versioned
	snapshot *snapshotEntry // nil: begins at start with an empty database
	start    link           // where the batches begin
	end      link           // to where they lead: the manifest's head, or the beginning of a gap

	// paths are the ways from start to end by sequence numbers, nearly always
	// one. The one whose chain ends in end's hash counts.
	paths [][]objectKey

	// tail holds the batches of the manifest's own node and epoch that begin
	// beyond head, by first sequence. Those that chain count, from an epoch
	// that no take-over has fenced.
	tail map[int64]objectKey

	to      target                  // where it ends
	packs   map[objectKey]packEntry // those on the way
	without map[objectKey]bool      // packs that are damaged
	alone   bool                    // leave all packs aside
	sizes   map[objectKey]int64     // of the batches, as the store has listed them
}

// maxPaths bounds the ways that are tried. More than one needs two batches of
// one range, which no writer of this format leaves behind.
const maxPaths = 8

// startingPoints returns where a restore of m may begin, the best first.
func (m *manifest) startingPoints() []plan {
	var points []plan
	for _, s := range slices.Backward(m.Snapshots) {
		points = append(points, plan{snapshot: &s, start: s.link()})
	}
	if m.Floor.Sequence == 0 {
		points = append(points, plan{start: m.Floor})
	}
	return points
}

// fill lists the batches that lead from p.start to the head of m, and beyond if
// wanted, or to the next gap.
func (p *plan) fill(ctx context.Context, store *bucket, m *versioned, beyond bool) error {
	p.m, p.sizes, p.packs = m, map[objectKey]int64{}, map[objectKey]packEntry{}
	p.end = m.reach(p.start)
	next := map[int64][]objectKey{}
	between, err := p.usePacks(next)
	if err != nil {
		return err
	}
	begins := p.start.Sequence // of the epoch: behind the end of the closed one before
	for _, l := range m.Lineage {
		end := p.end.Sequence // of an open epoch, everything up to head counts
		if l.End != nil {
			end = min(l.End.Sequence, end)
		}
		for _, g := range between {
			if g.after >= end || g.to <= begins {
				continue
			}
			to := min(g.to, end)
			if err := listBatches(ctx, store, m.DBName, l.Node, l.Epoch, g.after, func(k objectKey, size int64) bool {
				if k.to <= to {
					p.sizes[k] = size
					next[k.from] = append(next[k.from], k)
				}
				return k.from <= to
			}); err != nil {
				return err
			}
		}
		if l.End != nil {
			begins = max(begins, end)
		}
	}
	p.tail = map[int64]objectKey{}
	beyond = beyond && m.open() < 0 && p.end.is(m.Head)
	for i, g := range between {
		last := i == len(between)-1 // it reaches to head, and goes on behind it
		if g.to <= begins && !last || last && !beyond && g.after >= g.to {
			continue
		}
		if err := listBatches(ctx, store, m.DBName, m.NodeID, m.Epoch, g.after, func(k objectKey, size int64) bool {
			p.sizes[k] = size
			if k.to <= g.to {
				next[k.from] = append(next[k.from], k)
			} else if last && k.from > m.Head.Sequence && beyond && store.trusts(k) {
				p.tail[k.from] = k
			}
			return last && beyond || k.from <= g.to
		}); err != nil {
			return err
		}
	}
	p.paths = findPaths(next, p.start.Sequence, p.end.Sequence)
	if len(p.paths) == 0 {
		return fmt.Errorf("no batches lead from %d to %d: %w", p.start.Sequence, p.end.Sequence, ErrMissing)
	}
	return nil
}

// arrived asserts that the batches have led to at.
func (p *plan) arrived(at link) error {
	if at.is(p.end) {
		return nil
	}
	return fmt.Errorf("the batches lead to %d with hash %s, the manifest says %d with %s: %w", at.Sequence, at.Hash, p.end.Sequence, p.end.Hash, ErrCorrupt)
}

// loose is a range of sequences that no pack holds: its batches have to be listed.
type loose struct {
	after, to int64 // from after+1 on
}

// usePacks adds the packs on the way to p.end and returns what lies between them.
// The last range ends at p.end, and is empty if a pack does. Batches that a pack
// holds may be gone.
func (p *plan) usePacks(next map[int64][]objectKey) (between []loose, err error) {
	after := p.start.Sequence
	for _, e := range p.m.Packs { // in order
		k, err := parseKey(e.Key)
		if err != nil {
			return nil, err
		}
		if e.To <= after || e.To > p.end.Sequence || p.alone || p.without[k] {
			continue
		}
		if e.From > after+1 {
			between = append(between, loose{after, e.From - 1})
		}
		from := max(e.From, after+1) // a way may begin inside of a pack
		next[from] = append(next[from], k)
		p.packs[k], p.sizes[k] = e, e.StoredSize
		after = e.To
	}
	return append(between, loose{after, max(p.end.Sequence, after)}), nil
}

// leaveOut lets the next fill pass over the pack that err is about, or over all
// of them if it does not say.
func (p *plan) leaveOut(err error) {
	bad, ok := errors.AsType[*packError](err)
	if !ok || p.without[bad.key] {
		p.alone = true
		return
	}
	if p.without == nil {
		p.without = map[objectKey]bool{}
	}
	p.without[bad.key] = true
}

// preview says what the first path would read.
func (p *plan) preview() (r RestoreResult) {
	r.NodeID, r.Epoch, r.Position.Sequence = p.m.NodeID, p.m.Epoch, p.start.Sequence
	r.Time = time.UnixMilli(p.start.MaxTime)
	if p.snapshot != nil {
		r.Snapshot, r.Bytes = p.snapshot.Sequence, p.snapshot.StoredSize
	}
	read := func(k objectKey) {
		r.Batches++
		r.Bytes += p.sizes[k]
		r.Entries += k.to - r.Position.Sequence
		r.Position.Sequence = k.to
	}
	for _, k := range p.paths[0] {
		if r.Position.Sequence >= p.to.sequence {
			return r
		}
		read(k)
	}
	for {
		k, ok := p.tail[r.Position.Sequence+1]
		if !ok || r.Position.Sequence >= p.to.sequence {
			return r
		}
		r.Tail += k.to - k.from + 1
		read(k)
	}
}

// listBatches calls each for the batches of one epoch that begin above after,
// in order of their keys, until each returns false. Keys that are not of this
// format are passed over.
func listBatches(ctx context.Context, store *bucket, db, node string, epoch uint32, after int64, each func(k objectKey, size int64) bool) error {
	for info, err := range store.List(ctx, logsPrefix(db, node, epoch), logsAfter(db, node, epoch, after)) {
		if err != nil {
			return fmt.Errorf("list the batches of node %s, epoch %d: %w", node, epoch, err)
		}
		k, err := parseKey(info.Key)
		if err != nil || k.kind != envelope.Batch || k.from <= after {
			continue
		}
		if !each(k, info.Size) {
			break
		}
	}
	return nil
}

// findPaths returns the sequences of batches that lead from the position at to
// the position end without a gap, at most maxPaths.
func findPaths(next map[int64][]objectKey, at, end int64) [][]objectKey {
	var paths [][]objectKey
	dead := map[int64]bool{}
	// walk recurses only where the way forks: a day of batches is a long way.
	var walk func(path []objectKey, at int64) bool
	walk = func(path []objectKey, at int64) bool {
		start := at
		for at < end && !dead[at] && len(next[at+1]) == 1 {
			path = append(path, next[at+1][0])
			at = next[at+1][0].to
		}
		if at == end {
			paths = append(paths, slices.Clone(path))
			return true
		}
		found := false
		if at < end && !dead[at] {
			c := next[at+1]
			slices.SortStableFunc(c, func(a, b objectKey) int { return cmp.Compare(b.epoch, a.epoch) })
			for _, k := range c {
				if len(paths) < maxPaths {
					found = walk(append(slices.Clip(path), k), k.to) || found
				}
			}
			dead[at] = !found
		}
		dead[start] = !found
		return found
	}
	walk(nil, at)
	return paths
}
