package replicate

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/driftdb/driftdb/internal/envelope"
)

// What the schedules of schedule_test.go see of the bucket. Nothing here asks an
// engine: it reads what is stored.

// SetFan lets tests have packs of n batches. To be called before Start.
func (r *Replica) SetFan(n int) { r.fan = n }

// LinkView is a point of the chain.
type LinkView struct {
	Sequence int64
	Hash     string
}

func viewLink(l link) LinkView { return LinkView{l.Sequence, string(l.Hash[:])} }

// FirstLink is where the chain of db begins.
func FirstLink(db string) LinkView { return viewLink(link{Hash: hash0(db)}) }

// EpochView is an epoch of one node.
type EpochView struct {
	Node  string
	Epoch uint32
}

// BatchView is what a schedule wants to know of a stored batch.
type BatchView struct {
	EpochView
	Prev, Link LinkView
	Entries    []string // what each entry holds
	Rows       []int64  // the keys of inserted rows
}

// ViewBatch reads the stored bytes of a batch.
func ViewBatch(key string, stored []byte) (*BatchView, error) {
	k, err := parseKey(key)
	if err != nil {
		return nil, err
	}
	d, err := parseStored(&bucket{}, k, stored)
	if err != nil {
		return nil, err
	}
	v := &BatchView{EpochView: EpochView{k.node, k.epoch}}
	v.Prev = LinkView{d.From - 1, string(d.PrevHash[:])}
	v.Link = viewLink(link{Sequence: d.To, Hash: d.Hash()})
	for e, err := range d.Entries() {
		if err != nil {
			return nil, err
		}
		v.Entries = append(v.Entries, fmt.Sprint(e.Op, e.Time, e.Key, e.New, e.Schema))
		if len(e.New) > 0 {
			id, err := strconv.ParseInt(e.New[0], 10, 64)
			if err != nil {
				return nil, err
			}
			v.Rows = append(v.Rows, id)
		}
	}
	return v, nil
}

// KindOf says what is stored under a key.
func KindOf(key string) string {
	k, err := parseKey(key)
	switch {
	case err != nil && strings.HasSuffix(key, "/manifest.json"):
		return "manifest"
	case err != nil:
		return "?"
	case k.kind == envelope.Batch:
		return "batch"
	case k.kind == envelope.Pack:
		return "pack"
	}
	return "snapshot"
}

// ShortKey is a key without what all of them begin with.
func ShortKey(key string) string {
	return strings.TrimPrefix(strings.TrimPrefix(key, root), "bank/")
}

// Claim is what a schedule wants to know of a manifest.
type Claim struct {
	EpochView
	Token       string
	Released    bool
	Open        *EpochView // an epoch that a take-over has fenced and not frozen
	Head, Floor LinkView
	Gaps        []GapView
	Nothing     bool // can be restored
}

// GapView is a gap in the history, between two points.
type GapView struct{ From, To LinkView }

// ViewClaim reads the stored bytes of a manifest.
func ViewClaim(b []byte, db string) (*Claim, error) {
	m, err := parseManifest(b, db)
	if err != nil {
		return nil, err
	}
	c := &Claim{EpochView: EpochView{m.NodeID, m.Epoch}, Token: m.ClaimToken.String(), Released: m.Released, Head: viewLink(m.Head), Floor: viewLink(m.Floor), Nothing: m.promisesNothing()}
	if i := m.open(); i >= 0 {
		c.Open = &EpochView{m.Lineage[i].Node, m.Lineage[i].Epoch}
	}
	for _, g := range m.Gaps {
		c.Gaps = append(c.Gaps, GapView{viewLink(g.From), viewLink(g.To)})
	}
	return c, nil
}

// Reach follows what is stored under db, from each point where a restore may
// begin, and returns where it ends: the same for all. It is what a restore does
// that nothing disturbs, without a file.
func Reach(ctx context.Context, store Store, db string) (LinkView, error) {
	b := &bucket{Store: store}
	m, err := readManifest(ctx, b, db)
	if err != nil {
		return LinkView{}, err
	}
	if m == nil {
		return LinkView{}, ErrNoBackup
	}
	points := m.startingPoints()
	if len(points) == 0 {
		return LinkView{}, ErrNoRestorePoint
	}
	var end, low link
	if n := len(m.Gaps); n > 0 {
		low = m.Gaps[n-1].To
	}
	found := false
	for i := range points {
		at, err := points[i].reach(ctx, b, m)
		if err != nil {
			return LinkView{}, fmt.Errorf("from %d: %w", points[i].start.Sequence, err)
		}
		if points[i].start.Sequence < low.Sequence {
			continue // it leads up to a gap
		}
		if found && !at.is(end) {
			return LinkView{}, fmt.Errorf("one restore ends at %d, another one at %d", end.Sequence, at.Sequence)
		}
		end, found = at, true
	}
	if !found {
		return LinkView{}, ErrNoRestorePoint
	}
	return viewLink(end), nil
}

func (p *plan) reach(ctx context.Context, b *bucket, m *versioned) (link, error) {
	if p.snapshot != nil {
		body, info, err := b.Get(ctx, p.snapshot.Key)
		if err != nil {
			return link{}, err
		}
		if err := body.Close(); err != nil || info.Size != p.snapshot.StoredSize {
			return link{}, errors.Join(err, fmt.Errorf("snapshot of %d bytes: %w", info.Size, ErrCorrupt))
		}
	}
	if err := p.fill(ctx, b, m, true); err != nil {
		return link{}, err
	}
	want := m.reach(p.start)
	at, err := p.start, error(nil)
	for _, path := range p.paths {
		at = p.start
		for _, k := range path {
			if at, err = p.followKey(ctx, b, k, at); err != nil {
				break
			}
		}
		if err == nil && at.is(want) {
			break
		}
	}
	if err != nil {
		return link{}, err
	}
	if !at.is(want) {
		return link{}, fmt.Errorf("no way leads to %d: %w", want.Sequence, ErrCorrupt)
	}
	if !want.is(m.Head) {
		return at, nil
	}
	whole := at
	for {
		k, ok := p.tail[at.Sequence+1]
		if !ok {
			return whole, nil
		}
		next, err := followLink(ctx, b, k, at)
		if isAny(err, errBroken, ErrCorrupt) {
			return whole, nil
		}
		if err != nil {
			return link{}, err
		}
		if at = next; k.part == k.parts {
			whole = at
		}
	}
}

// Touch writes the manifest of db again, as a tool that works for its owner
// does.
func Touch(ctx context.Context, store Store, db string) error {
	b := &bucket{Store: store}
	m, err := readManifest(ctx, b, db)
	if err != nil {
		return err
	}
	_, err = swap(ctx, b, m, m.clone(), time.Now())
	return err
}
