package changelog

import "crypto/sha256"

// Boundary is the end of a transaction inside a batch.
type Boundary struct {
	Sequence int64
	Time     int64 // of the mark, or of the last entry where no mark stands; Unix milliseconds
}

// Boundaries calls each for the ends of transactions in d, in order, until it
// returns false. A transaction ends at a mark; what follows the last mark ends
// with the batch, unless more says that the batch is a part whose transaction
// goes on.
func (d *Document) Boundaries(more bool, each func(Boundary) bool) error {
	var last Boundary
	ended := true
	for e, err := range d.Entries() {
		if err != nil {
			return err
		}
		last, ended = Boundary{e.Sequence, e.Time}, e.Op == Mark
		if ended && !each(last) {
			return nil
		}
	}
	if !ended && !more {
		each(last)
	}
	return nil
}

// Detached returns a hash that no chain has, for a file that was restored to a
// point of the chain on purpose and is to have a history of its own.
func Detached(h Hash, sequence int64) Hash {
	b := append([]byte("driftdb2 detached\x00"), h[:]...)
	for i := range 8 {
		b = append(b, byte(sequence>>(56-8*i)))
	}
	return sha256.Sum256(b)
}
