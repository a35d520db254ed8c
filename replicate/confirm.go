package replicate

import (
	"context"
	"slices"
)

// sure says whether what the file takes for acknowledged is known to be in the
// bucket of this start. The file was told so once, perhaps by another bucket, or
// by this one before something was deleted there.
func (e *engine) sure() bool {
	return e.claim != nil || e.seen || e.acked.Sequence == 0
}

// confirmDue says whether somebody waits who is to be told about this bucket. A
// shutdown is not one of them: it has nothing to say about what was shipped before,
// and a program that has only read ends without a network.
func (e *engine) confirmDue() bool {
	return !e.sure() && slices.ContainsFunc(e.waiting, func(r *request) bool { return !r.release })
}

// confirm looks, if that is due, whether the bucket has what the file takes for
// acknowledged: its head is a link of our chain there or behind. Otherwise the
// claim says what is to be done, as it would if there were something to ship.
func (e *engine) confirm(ctx context.Context) (asked bool, err error) {
	if !e.confirmDue() {
		return false, nil
	}
	m, err := readManifest(ctx, e.store, e.name)
	if err != nil {
		return true, err
	}
	if m != nil && m.Head.Sequence >= e.acked.Sequence && e.chain.contains(m.Head) && (m.Floor.Sequence == 0 || len(m.Snapshots) > 0) {
		e.seen = true
		return true, nil
	}
	return true, e.claimName(ctx)
}
