package replicate_test

import (
	"context"
	"slices"

	"github.com/driftdb/driftdb/replicate"
)

// rules watches what happens to the bucket and what machines are told, and says
// which invariant of the protocol is broken:
//
//	I1  no acknowledged row is absent from a later successful restore
//	I2  a restore is one linear history, never two forks mixed
//	I3  no two contents are accepted for one node, epoch and sequence
//	I4  after a take-over nothing that the old owner uploads later appears, and
//	    it never acknowledges again
//	I5  the rightful owner can always go on: after a crash, a power loss, a restart
//	I6  a restore never fails for ever on a healthy store, and never returns
//	    nothing when acknowledged rows exist
//	I7  pruning and packs keep I1 and I6, with a slow restore and an upload in
//	    flight too
type rules struct {
	fail func(format string, args ...any)

	links map[string]*node // by hash
	held  map[place]string // I3: what each place was first stored with
	acked []int64          // the longest history that somebody was told is safe
	claim *replicate.Claim // the manifest now
	epoch map[uint32]string
	owner map[string]ownership // by claim token
	gaps  map[string][]int64   // by the hash at which a gap may end: what the file held there
	bases map[string][]int64   // by the hash with which a chain may begin: what the file held there
}

// node is a link of some chain that was ever stored, with everything before it.
type node struct {
	parent *node
	at     replicate.LinkView
	rows   []int64 // that exist there, in the order in which they were written
	late   bool    // stored only by a writer that had been replaced, beyond where its epoch ends
}

type place struct {
	replicate.EpochView
	sequence int64
}

// ownership is who has made a claim, and with which of the files it has had.
type ownership struct{ machine, file int }

func newRules(fail func(string, ...any)) *rules {
	first := replicate.FirstLink(dbName)
	return &rules{
		fail: fail, links: map[string]*node{first.Hash: {at: first}}, held: map[place]string{},
		epoch: map[uint32]string{}, owner: map[string]ownership{}, gaps: map[string][]int64{}, bases: map[string][]int64{},
	}
}

// contains says whether p is x or one of its ancestors.
func (x *node) contains(p *node) bool {
	for ; x != nil; x = x.parent {
		if x == p {
			return true
		}
	}
	return false
}

// isPrefix says whether a is how b begins.
func isPrefix(a, b []int64) bool { return len(a) <= len(b) && slices.Equal(a, b[:len(a)]) }

// batchLanded is called for every batch that has been stored.
func (r *rules) batchLanded(key string, stored []byte) {
	b, err := replicate.ViewBatch(key, stored)
	if err != nil {
		r.fail("a batch that cannot be read: %v", err)
		return
	}
	for i, e := range b.Entries {
		at := place{b.EpochView, b.Prev.Sequence + 1 + int64(i)}
		if was, ok := r.held[at]; ok && was != e {
			r.fail("I3: %v holds %s and %s", at, was, e)
		}
		r.held[at] = e
	}
	parent := r.links[b.Prev.Hash]
	if parent == nil || parent.at.Sequence != b.Prev.Sequence {
		r.fail("I2: batch %s follows a link that was never stored", key)
		return
	}
	n := r.links[b.Link.Hash]
	if n == nil {
		n = &node{parent: parent, at: b.Link, rows: append(slices.Clip(parent.rows), b.Rows...), late: true}
		r.links[b.Link.Hash] = n
	}
	if c := r.claim; c == nil || b.Epoch >= c.Epoch || c.Open != nil || r.head().contains(n) {
		n.late = false
	}
}

// packLanded is called for every pack that has been stored.
func (r *rules) head() *node { return r.links[r.claim.Head.Hash] }

// manifestLanded is called for every manifest that has been written. by has sent
// it, with the file that it has now.
func (r *rules) manifestLanded(stored []byte, by ownership) {
	c, err := replicate.ViewClaim(stored, dbName)
	if err != nil {
		r.fail("a manifest that cannot be read: %v", err)
		return
	}
	r.baseLanded(c)
	r.gapLanded(c)
	head := r.links[c.Head.Hash]
	if head == nil || head.at != c.Head {
		r.fail("I1: the manifest's head %d was never stored", c.Head.Sequence)
		return
	}
	if head.late {
		r.fail("I4: the manifest's head %d was uploaded by a writer that had been replaced", c.Head.Sequence)
	}
	if was := r.claim; was != nil && !(was.Nothing && c.Head == c.Floor) {
		if !head.contains(r.links[was.Head.Hash]) {
			r.fail("I1: the manifest's head %d does not follow %d, which it replaces", c.Head.Sequence, was.Head.Sequence)
		}
		if c.Floor.Sequence < was.Floor.Sequence {
			r.fail("I7: the floor went back from %d to %d", was.Floor.Sequence, c.Floor.Sequence)
		}
	}
	if !head.contains(r.links[c.Floor.Hash]) {
		r.fail("I7: the floor %d is not on the way to head", c.Floor.Sequence)
	}
	if was, ok := r.epoch[c.Epoch]; ok && was != c.Token {
		r.fail("I3: two claims of epoch %d", c.Epoch)
	}
	r.epoch[c.Epoch] = c.Token
	if _, ok := r.owner[c.Token]; !ok {
		r.owner[c.Token] = by
	}
	r.claim = c
}

// baseLanded takes the head of a manifest as where a chain begins: on the rows of a
// file that was there before, or on nothing.
func (r *rules) baseLanded(c *replicate.Claim) {
	if was := r.claim; was != nil && (!was.Nothing || was.Head == c.Head) {
		return
	}
	if rows, ok := r.bases[c.Head.Hash]; ok && r.links[c.Head.Hash] == nil {
		r.links[c.Head.Hash] = &node{at: c.Head, rows: rows}
	}
}

// rebased is called when a machine lets its chain begin anew.
func (r *rules) rebased(hash string, rows []int64) { r.bases[hash] = rows }

// gapLanded takes the newest gap of c as a link, when the history goes on at its
// end from now on: a snapshot stands for what a machine had dropped.
func (r *rules) gapLanded(c *replicate.Claim) {
	if len(c.Gaps) == 0 {
		return
	}
	g := c.Gaps[len(c.Gaps)-1]
	parent, rows := r.links[g.From.Hash], r.gaps[g.To.Hash]
	switch {
	case r.links[g.To.Hash] != nil:
		return
	case parent == nil || parent.at != g.From:
		r.fail("I1: a gap begins at %d, which was never stored", g.From.Sequence)
	case rows == nil || g.To != c.Head:
		r.fail("I2: a gap ends at %d, where no file stood, head is %d", g.To.Sequence, c.Head.Sequence)
	case !isPrefix(parent.rows, rows):
		r.fail("I2: a gap leads from %v to %v", parent.rows, rows)
	default:
		r.links[g.To.Hash] = &node{parent: parent, at: g.To, rows: rows}
	}
}

// gapSealed is called when a machine has fixed at which hash a gap is to end.
func (r *rules) gapSealed(hash string, rows []int64) { r.gaps[hash] = rows }

// acknowledged is called when a machine was told that rows are safe: all that
// its file held when it asked.
func (r *rules) acknowledged(who string, rows []int64) {
	if r.claim == nil {
		if len(rows) > 0 {
			r.fail("I6: %s was told that %v is safe, and there is no manifest", who, rows)
		}
		return
	}
	if !isPrefix(rows, r.head().rows) {
		r.fail("I4: %s was told that %v is safe, the manifest covers %v", who, rows, r.head().rows)
	}
	if !isPrefix(rows, r.acked) && !isPrefix(r.acked, rows) {
		r.fail("I1: two forks are acknowledged: %v and %v", r.acked, rows)
	}
	if len(rows) > len(r.acked) {
		r.acked = rows
	}
}

// bucket is checked after every change of it: a restore that nothing disturbs
// succeeds, from every point that is kept, and has everything acknowledged.
func (r *rules) bucket(store replicate.Store) {
	end, err := replicate.Reach(context.Background(), store, dbName)
	if isOne(err, replicate.ErrNoBackup, replicate.ErrNoRestorePoint) && len(r.acked) == 0 {
		return
	}
	if err != nil {
		r.fail("I6, I7: the bucket cannot be restored: %v", err)
		return
	}
	r.reached(r.links[end.Hash], r.acked, "the bucket restores to")
}

// reached checks the history that a restore has ended with. acked is what was
// acknowledged when it began.
func (r *rules) reached(n *node, acked []int64, what string) {
	if n == nil {
		r.fail("I2: %s a history that nobody has written", what)
		return
	}
	for x := n; x != nil; x = x.parent {
		if x.late {
			r.fail("I4: %s %d, with what a replaced writer has uploaded since up to %d", what, n.at.Sequence, x.at.Sequence)
			return
		}
	}
	if !isPrefix(acked, n.rows) {
		r.fail("I1: %s %v without what was acknowledged: %v", what, n.rows, acked)
	}
}

// restored checks a file that a restore has made, which stands at sequence and
// holds rows.
func (r *rules) restored(sequence int64, rows, acked []int64) {
	for _, n := range r.links {
		if n.at.Sequence == sequence && slices.Equal(n.rows, rows) && !n.late {
			r.reached(n, acked, "a restore ends at")
			return
		}
	}
	for _, n := range r.links {
		if n.at.Sequence == sequence && slices.Equal(n.rows, rows) {
			r.reached(n, acked, "a restore ends at")
			return
		}
	}
	r.fail("I2: a restore ends at %d with %v, which nobody has written", sequence, rows)
}

// refused checks an error that stops machine by, which has seen the manifest
// with the claim token last.
func (r *rules) refused(who string, by ownership, saw string, err error) {
	if saw != "" && r.owner[saw] == by {
		r.fail("I5: %s, the owner, is refused: %v", who, err)
	}
}
