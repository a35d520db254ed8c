package replicate

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/envelope"
	"github.com/driftdb/driftdb/internal/sqlite"
)

// linkID names a link of the hash chain: the hash alone says what came before.
type linkID struct {
	sequence int64
	hash     hash
}

func (l link) id() linkID { return linkID{l.Sequence, l.Hash} }

// piece is a batch that is stored, alone or in a pack.
type piece struct {
	key    objectKey // of the batch where it stood alone
	prev   linkID
	end    link
	packed bool
}

// stored is everything that is stored under a name, as far as it is sound.
type stored struct {
	root      link
	ending    map[linkID][]piece // by their ends
	followed  map[linkID]bool    // links that a batch follows
	snapshots map[linkID][]snapshotEntry
	packs     []packEntry
	epoch     uint32 // the highest
}

// scan reads every object.
func (r *rebuilder) scan(ctx context.Context) error {
	r.found = stored{root: link{Hash: hash0(r.name)}, ending: map[linkID][]piece{}, followed: map[linkID]bool{}, snapshots: map[linkID][]snapshotEntry{}}
	var list []objectKey
	if err := r.o.Retry.do(ctx, func() error {
		list = list[:0]
		for info, err := range r.store.List(ctx, root+r.name+"/nodes/", "") {
			if err != nil {
				return fmt.Errorf("list what is stored: %w", err)
			}
			if k, err := parseKey(info.Key); err == nil {
				list = append(list, k)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	for _, k := range list {
		r.found.epoch = max(r.found.epoch, k.epoch)
		err := r.o.Retry.object(ctx, func() error { return r.read(ctx, k) })
		if isAny(err, ErrCorrupt, ErrNotExist) {
			r.o.Logger.Warn("an object cannot be used", "database", r.name, "key", k.String(), "error", err)
			r.report.Damaged = append(r.report.Damaged, k.String())
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// read keeps what the object at k is a part of.
func (r *rebuilder) read(ctx context.Context, k objectKey) error {
	switch k.kind {
	case envelope.Snapshot:
		if !r.store.trusts(k) {
			return nil // in the clear where keys are given: nothing vouches for its rows
		}
		s, err := r.readSnapshot(ctx, k)
		if err == nil {
			r.found.snapshots[s.link().id()] = append(r.found.snapshots[s.link().id()], s)
		}
		return err
	case envelope.Pack:
		pieces, e, err := r.readPack(ctx, k)
		if err == nil {
			r.found.packs = append(r.found.packs, e)
			r.found.add(pieces...)
		}
		return err
	default:
		d, _, err := readBatch(ctx, r.store, k)
		if err == nil {
			r.found.add(pieceOf(k, d))
		}
		return err
	}
}

func pieceOf(k objectKey, d *changelog.Document) piece {
	return piece{key: k, prev: linkID{d.From - 1, d.PrevHash}, end: link{Sequence: d.To, Hash: d.Hash(), MaxTime: d.MaxTime}}
}

func (s *stored) add(pieces ...piece) {
	for _, p := range pieces {
		s.ending[p.end.id()] = append(s.ending[p.end.id()], p)
		s.followed[p.prev] = true
	}
}

// readPack returns the batches in a pack, and how a manifest names it.
func (r *rebuilder) readPack(ctx context.Context, k objectKey) (pieces []piece, e packEntry, err error) {
	body, info, err := r.store.Get(ctx, k.String())
	if err != nil {
		return nil, e, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	counted, sum := newBodyReader(body, info), sha256.New()
	p, err := openPack(io.TeeReader(counted, sum), k)
	for err == nil {
		var key objectKey
		var b []byte
		if key, b, err = p.next(0); err != nil {
			break
		}
		var d *changelog.Document
		if d, err = parseStored(r.store, key, b); err != nil {
			break
		}
		next := pieceOf(key, d)
		if next.packed = true; len(pieces) > 0 && pieces[len(pieces)-1].end.id() != next.prev {
			err = fmt.Errorf("its batches do not follow each other: %w", ErrCorrupt)
			break
		}
		pieces = append(pieces, next)
	}
	if !errors.Is(err, io.EOF) || len(pieces) == 0 {
		return nil, e, fmt.Errorf("pack %s: %w", k, err)
	}
	first, last := pieces[0], pieces[len(pieces)-1]
	return pieces, packEntry{
		Key: k.String(), From: k.from, To: k.to, PrevHash: first.prev.hash, Hash: last.end.Hash, MaxTime: last.end.MaxTime,
		StoredSize: counted.n, StoredSHA256: hash(sum.Sum(nil)),
	}, nil
}

// readSnapshot returns how a manifest names the snapshot at k. What it says of
// itself stands inside of it.
func (r *rebuilder) readSnapshot(ctx context.Context, k objectKey) (s snapshotEntry, err error) {
	dir, err := os.MkdirTemp(r.dir, "driftdb-rebuild-")
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "copy.sqlite")
	if s, err = r.fetch(ctx, k, path); err != nil {
		return s, fmt.Errorf("snapshot %s: %w", k, err)
	}
	db := sql.OpenDB(sqlite.Connector(path, sqlite.Plain))
	db.SetMaxOpenConns(1)
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return s, damaged(err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	h, err := changelog.ReadSnapshotHeader(ctx, conn)
	if err != nil {
		return s, fmt.Errorf("snapshot %s: %w: %w", k, err, ErrCorrupt)
	}
	if h.DBName != k.db || h.NodeID != k.node || h.Epoch != k.epoch || h.Sequence != k.to {
		return s, fmt.Errorf("snapshot %s says %+v: %w", k, h, ErrCorrupt)
	}
	s.Hash, s.MaxTime = h.Hash, h.MaxTime
	return s, nil
}

// fetch writes the file that a snapshot holds to path.
func (r *rebuilder) fetch(ctx context.Context, k objectKey, path string) (s snapshotEntry, err error) {
	body, info, err := r.store.Get(ctx, k.String())
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // in a directory of our own
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	whole, plain := sha256.New(), sha256.New()
	counted := newBodyReader(body, info)
	var content io.Reader = io.TeeReader(counted, whole)
	if k.gzip || k.sealed {
		if content, _, err = envelope.NewReader(content, info.Size, k.header(), envelope.Ring(r.store.Keys)); err != nil {
			return s, err
		}
	}
	n, err := io.Copy(io.MultiWriter(f, plain), content)
	return snapshotEntry{
		Key: k.String(), Sequence: k.to, Time: k.millis, Length: n, SHA256: hash(plain.Sum(nil)), StoredSize: counted.n, StoredSHA256: hash(whole.Sum(nil)),
	}, err
}

// line is one history: what leads to an end that nothing follows.
type line struct {
	path    []link // oldest first; the first one is where what is stored begins
	head    link
	node    string // of the newest batch, or the snapshot
	epoch   uint32
	anchors []int // indexes into path at which a restore can begin
}

func (l *line) anchored() bool { return len(l.anchors) > 0 }

// floor is the oldest point that can be restored.
func (l *line) floor() link { return l.path[l.anchors[0]] }

func (l *line) branch(from int64) RebuildBranch {
	return RebuildBranch{Node: l.node, Epoch: l.epoch, From: from, To: l.head.Sequence, Time: time.UnixMilli(l.head.MaxTime), Complete: l.anchored()}
}

// lines returns every history, each up to the end of its last whole transaction.
func (s *stored) lines(store *bucket) (lines []line) {
	ends := map[linkID]link{}
	for id, pieces := range s.ending {
		if !s.followed[id] {
			ends[id] = pieces[0].end
		}
	}
	for id, list := range s.snapshots {
		if !s.followed[id] {
			ends[id] = list[0].link()
		}
	}
	inside := map[linkID]bool{} // of another line
	for _, end := range ends {
		if l, ok := s.line(end, store); ok {
			lines = append(lines, l)
			for _, at := range l.path[:len(l.path)-1] {
				inside[at.id()] = true
			}
		}
	}
	seen := map[linkID]bool{}
	return slices.DeleteFunc(lines, func(l line) bool {
		id := l.head.id()
		drop := inside[id] || seen[id]
		seen[id] = true
		return drop
	})
}

// line follows the chain from end back to where what is stored begins.
func (s *stored) line(end link, store *bucket) (l line, ok bool) {
	for at := end; ; {
		if len(l.path) > 0 || s.counts(at, store) {
			l.path = append(l.path, at)
		}
		pieces := s.ending[at.id()]
		if len(pieces) == 0 {
			break
		}
		prev := pieces[0].prev
		at = link{Sequence: prev.sequence, Hash: prev.hash}
		if before := s.ending[prev]; len(before) > 0 {
			at = before[0].end
		} else if list := s.snapshots[prev]; len(list) > 0 {
			at = list[0].link()
		}
	}
	if len(l.path) == 0 {
		return l, false
	}
	slices.Reverse(l.path)
	l.head = l.path[len(l.path)-1]
	for i, at := range l.path {
		if len(s.snapshots[at.id()]) > 0 || at.is(s.root) {
			l.anchors = append(l.anchors, i)
		}
	}
	for _, p := range s.ending[l.head.id()] {
		if p.key.epoch >= l.epoch {
			l.node, l.epoch = p.key.node, p.key.epoch
		}
	}
	for _, e := range s.snapshots[l.head.id()] {
		if k, err := parseKey(e.Key); err == nil && k.epoch > l.epoch {
			l.node, l.epoch = k.node, k.epoch
		}
	}
	return l, true
}

// counts says whether a history may end at at: behind a whole transaction, and
// where there are keys, in something sealed that vouches for what came before.
func (s *stored) counts(at link, store *bucket) bool {
	if len(s.snapshots[at.id()]) > 0 {
		return true
	}
	return slices.ContainsFunc(s.ending[at.id()], func(p piece) bool { return p.key.part == p.key.parts && store.trusts(p.key) })
}

// superseded says from where on other is not in taken, and whether what is stored
// tells that it does not count: uploads of an owner that somebody has taken over
// from, or what lies before a gap that no restore of taken needs.
func (s *stored) superseded(other, taken *line) (from int64, sure bool) {
	on := map[linkID]int{}
	for i, at := range taken.path {
		on[at.id()] = i
	}
	fork, at := -1, 0
	for i, l := range slices.Backward(other.path) {
		if n, ok := on[l.id()]; ok {
			fork, at = n, i
			break
		}
	}
	if fork < 0 {
		return other.path[0].Sequence + 1, other.head.Sequence <= taken.floor().Sequence && other.epoch <= taken.epoch
	}
	from = taken.path[fork].Sequence + 1
	if taken.path[fork].is(s.root) || fork+1 >= len(taken.path) {
		return from, false
	}
	later := ^uint32(0)
	for _, p := range s.ending[taken.path[fork+1].id()] {
		later = min(later, p.key.epoch)
	}
	for _, l := range other.path[at+1:] {
		if len(s.snapshots[l.id()]) > 0 {
			return from, false // it had been acknowledged up to here, perhaps
		}
		for _, p := range s.ending[l.id()] {
			if p.packed || p.key.epoch >= later {
				return from, false
			}
		}
	}
	return from, true
}

// lineage gives m the epochs that hold the batches of l, each up to where it
// counts, and the packs among them.
func (s *stored) lineage(m *manifest, l *line) error {
	type owner struct {
		node  string
		epoch uint32
	}
	now := owner{epoch: ^uint32(0)}
	owners := make([]owner, len(l.path))
	var entries []lineageEntry // newest first
	for i, at := range slices.Backward(l.path) {
		if at.Sequence <= m.Floor.Sequence {
			break
		}
		best := owner{}
		for _, p := range s.ending[at.id()] {
			o := owner{p.key.node, p.key.epoch}
			if o.epoch > best.epoch && (o.epoch < now.epoch || o == now) || o == now {
				best = o
			}
		}
		if best.epoch == 0 {
			return fmt.Errorf("the batch that ends at %d is in no epoch at or before %d: %w", at.Sequence, now.epoch, ErrCorrupt)
		}
		if best != now {
			entries = append(entries, lineageEntry{Node: best.node, Epoch: best.epoch, End: &at})
		}
		now, owners[i] = best, best
	}
	slices.Reverse(entries)
	m.Lineage = entries
	index := map[linkID]int{}
	for i, at := range l.path {
		index[at.id()] = i
	}
	slices.SortFunc(s.packs, func(a, b packEntry) int {
		if a.From != b.From {
			return int(max(min(a.From-b.From, 1), -1))
		}
		return int(max(min(b.To-a.To, 1), -1))
	})
	last := int64(0)
	for _, e := range s.packs {
		k, err := parseKey(e.Key)
		if err != nil {
			return err
		}
		i, ok := index[linkID{e.To, e.Hash}]
		_, begins := index[linkID{e.From - 1, e.PrevHash}]
		if !ok || !begins || e.From <= last || e.To <= m.Floor.Sequence || owners[i] != (owner{k.node, k.epoch}) {
			continue
		}
		m.Packs, last = append(m.Packs, e), e.To
	}
	return nil
}
