package replicate

import (
	"context"
	"errors"
)

// poison says whether err is about an object that stands under a key of our own
// epoch and cannot be read as what belongs there. Nobody but us has that epoch, so
// a program has gone wrong, or the store has, and time does not mend it. A batch
// that can be read and holds other changes is none: see recognise.
func poison(err error) bool {
	return unusable(err) && !isAny(err, ErrNotExist, ErrMissing)
}

// errEpochMoved says that the manifest has a newer epoch of ours than we knew of: the
// answer to changing it was lost. What follows is done with the next attempt.
var errEpochMoved = errors.New("our own change of the epoch has arrived, though its answer was lost; it goes on from there")

// evade goes around the object at key, which cause says is not ours. It is not
// written over: nothing is. Our epoch is closed at the last whole transaction that
// is stored, as a restart would do it, and the rest is shipped under the next one,
// where the key is another. No restore looks at the object, which lies beyond the
// end of a closed epoch, and pruning removes it in time.
func (e *engine) evade(ctx context.Context, key objectKey, cause error) error {
	old, failed := e.claim.Epoch, e.failed
	err := e.acknowledge(ctx, func(m *manifest) error {
		m.closeEpoch(m.NodeID, m.Epoch, m.Head)
		m.Epoch = old + 1
		return nil
	})
	if e.claim.Epoch == old {
		return err
	}
	// A second one without an upload in between waits for its turn like any failure,
	// and longer each time: epochs and requests are not spent without end.
	e.evaded, e.failed = true, failed
	e.o.Logger.Error("an object that is not ours stands where the next batch belongs; it is left alone and shipping goes on under a new epoch",
		"database", e.name, "node", e.side.id(), "key", key.String(), "epoch", e.claim.Epoch, "error", cause)
	e.event(Event{Kind: EventClaimed, To: e.claim.Head.Sequence, Key: key.String(), Err: cause})
	if errors.Is(err, errEpochMoved) {
		return nil
	}
	return err
}

// enter takes v, which carries our token, as the manifest to go on from. It
// reports whether v has another epoch of ours. Then nothing of the old one goes on:
// what was uploaded there beyond head does not count, and a pack holds batches of
// one epoch only.
func (e *engine) enter(v *versioned) (moved bool) {
	moved = v.Epoch != e.claim.Epoch
	if e.claim = v; moved {
		e.uploaded, e.whole = v.Head, v.Head
		e.members, e.kept = nil, 0
		e.stopSnapshot() // its key is of the old epoch; it is begun again
	}
	return moved
}
