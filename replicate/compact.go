package replicate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/driftdb/driftdb/internal/envelope"
)

const (
	// packFan is how many neighbours of one size are put together: 16 batches
	// make a pack, 16 such packs a larger one. So a day of a batch a second, 86,400
	// of them, is at most four times 15 objects and what the largest hold.
	packFan = 16

	// packBytes bounds a pack. What is larger alone stays as it is.
	packBytes = 32 << 20

	// packKept bounds the stored bytes of batches and packs that are kept in
	// memory until they are packed. What is beyond is read from the store again.
	packKept = 4 << 20
)

// member is a batch or a pack of our own epoch that has not been put into a
// larger pack: newest last.
type member struct {
	key    objectKey
	size   int64
	prev   hash
	end    link
	level  int
	stored []byte // if they are kept
}

// packJob is a pack under way, in a goroutine of its own.
type packJob struct {
	job
	members []member
	key     objectKey

	entry  packEntry // set when it has ended
	stored []byte
	err    error
}

// addMember notes an uploaded batch.
func (e *engine) addMember(m member) {
	if e.o.Retention.DisablePacks {
		return
	}
	if e.kept+m.size <= packKept {
		e.kept += m.size
	} else {
		m.stored = nil
	}
	e.members = append(e.members, m)
}

// dropMembers forgets batches and packs that are not to be packed.
func (e *engine) dropMembers(which func(member) bool) {
	e.members = slices.DeleteFunc(e.members, func(m member) bool {
		if !which(m) {
			return false
		}
		if m.stored != nil {
			e.kept -= m.size
		}
		return true
	})
}

// compact moves packing along: it names a pack that is stored with the next
// write of the manifest, and begins another one if enough of one size follow
// each other.
func (e *engine) compact(ctx context.Context) {
	if job := e.pack; job != nil {
		if !job.ended() {
			return
		}
		e.pack = nil
		if job.err != nil {
			// The batches are there as they were: nothing is lost, and the next
			// sixteen are tried again.
			e.o.Logger.Warn("a pack was not stored", "database", e.name, "node", e.side.id(), "error", job.err)
			e.dropMembers(func(m member) bool { return m.key.to <= job.key.to })
			return
		}
		e.packed(job)
	}
	run := e.packable()
	if len(run) == 0 {
		return
	}
	first, last := run[0], run[len(run)-1]
	job := &packJob{members: slices.Clone(run), key: objectKey{
		kind: envelope.Pack, db: e.name, node: e.claim.NodeID, epoch: e.claim.Epoch, from: first.key.from, to: last.key.to, part: 1, parts: 1,
	}}
	e.pack = job
	job.job = begin(ctx, func(ctx context.Context) { job.entry, job.stored, job.err = e.storePack(ctx, job) })
}

// packable returns the oldest run of e.fan neighbours of one level that are
// acknowledged: were it the newest, what is acknowledged beyond a run at the same
// time would stay alone for ever.
func (e *engine) packable() []member {
	for i := e.fan; i <= len(e.members); i++ {
		run := e.members[i-e.fan : i]
		var size int64
		same := true
		for j, m := range run {
			size += m.size
			same = same && m.level == run[0].level && (j == 0 || m.prev == run[j-1].end.Hash) // no gap between them
		}
		if same && size <= packBytes && run[e.fan-1].end.Sequence <= e.acked.Sequence {
			return run
		}
	}
	return nil
}

// packed notes that job's pack is stored. It takes the place of its members; the
// manifest names it with its next write.
func (e *engine) packed(job *packJob) {
	i := slices.IndexFunc(e.members, func(m member) bool { return m.key == job.members[0].key })
	if i < 0 {
		return
	}
	for _, m := range job.members {
		if m.stored != nil {
			e.kept -= m.size
		}
	}
	merged := member{
		key: job.key, size: job.entry.StoredSize, prev: job.entry.PrevHash, level: job.members[0].level + 1,
		end: link{Sequence: job.entry.To, Hash: job.entry.Hash, MaxTime: job.entry.MaxTime},
	}
	if job.stored != nil && e.kept+merged.size <= packKept {
		e.kept += merged.size
		merged.stored = job.stored
	}
	e.members = slices.Replace(e.members, i, i+len(job.members), merged)
	e.unnamed = append(e.unnamed, job.entry)
	e.event(Event{Kind: EventPacked, From: job.entry.From, To: job.entry.To, Key: job.entry.Key, Bytes: job.entry.StoredSize})
}

// namePacks adds the packs that are stored to m, in the place of what they hold.
func (e *engine) namePacks(m *manifest) {
	for _, p := range e.unnamed {
		if p.To > m.Head.Sequence || slices.ContainsFunc(m.Packs, func(have packEntry) bool { return have.Key == p.Key }) {
			continue
		}
		m.Packs = slices.DeleteFunc(m.Packs, func(have packEntry) bool { return have.From >= p.From && have.To <= p.To })
		i, _ := slices.BinarySearchFunc(m.Packs, p, func(a, b packEntry) int { return int(min(max(a.From-b.From, -1), 1)) })
		m.Packs = slices.Insert(m.Packs, i, p)
	}
}

// storePack runs in the goroutine of a pack: it collects the members' batches,
// byte for byte, and stores them as one object.
func (e *engine) storePack(ctx context.Context, job *packJob) (entry packEntry, stored []byte, err error) {
	pack := &packFile{dir: e.side.dir}
	defer func() { err = errors.Join(err, pack.close()) }()
	at := job.members[0].prev
	for _, m := range job.members {
		if at, err = e.collect(ctx, pack, m, at); err != nil {
			return entry, nil, err
		}
	}
	last := job.members[len(job.members)-1].end
	if at != last.Hash {
		return entry, nil, fmt.Errorf("the batches of pack %s end in another link: %w", job.key, ErrCorrupt)
	}
	if err := pack.finish(job.key); err != nil {
		return entry, nil, err
	}
	sum, err := pack.sum()
	if err != nil {
		return entry, nil, err
	}
	err = e.o.Retry.do(ctx, func() error {
		_, err := e.store.Put(ctx, job.key.String(), pack.body(), Condition{IfAbsent: true})
		if errors.Is(err, ErrPrecondition) {
			return e.recognisePack(ctx, job.key, sum)
		}
		return err
	})
	if err != nil {
		return entry, nil, fmt.Errorf("store pack %s: %w", job.key, err)
	}
	entry = packEntry{
		Key: job.key.String(), From: job.key.from, To: job.key.to, PrevHash: job.members[0].prev, Hash: last.Hash, MaxTime: last.MaxTime,
		StoredSize: pack.body().Size, StoredSHA256: sum,
	}
	return entry, pack.kept(), nil
}

// collect adds the batches of a member to pack, one at a time, and returns the hash
// that they make of at.
func (e *engine) collect(ctx context.Context, pack *packFile, m member, at hash) (end hash, err error) {
	before := pack.mark()
	read := func(src io.Reader) error {
		if err := pack.reset(before); err != nil { // what an attempt before has added
			return err
		}
		end = at
		return eachStored(src, m.key, func(k objectKey, stored []byte) error {
			d, err := parseStored(e.store, k, stored)
			if err != nil {
				return err
			}
			if d.PrevHash != end {
				return fmt.Errorf("batch %s: %w: %w", k, errBroken, ErrCorrupt)
			}
			end = d.Hash()
			return pack.add(path.Base(k.String()), stored)
		})
	}
	if m.stored != nil {
		err = read(bytes.NewReader(m.stored))
		return end, err
	}
	err = e.o.Retry.object(ctx, func() error {
		body, info, err := e.store.Get(ctx, m.key.String())
		if err != nil {
			return err
		}
		err = read(io.LimitReader(newBodyReader(body, info), packBytes+1))
		return errors.Join(err, body.Close())
	})
	return end, err
}

// recognisePack compares the pack that is there with the one that was to be
// stored.
func (e *engine) recognisePack(ctx context.Context, key objectKey, want hash) error {
	body, info, err := e.store.Get(ctx, key.String())
	if err != nil {
		return err
	}
	h := sha256.New()
	_, err = io.Copy(h, newBodyReader(body, info))
	if err = errors.Join(err, body.Close()); err != nil {
		return err
	}
	if hash(h.Sum(nil)) != want {
		return fmt.Errorf("it holds something else: %w", ErrForked)
	}
	return nil
}

// stopPack ends a pack under way and waits for its goroutine.
func (e *engine) stopPack() {
	if e.pack != nil {
		e.pack.stop()
		e.pack = nil
	}
}
