package replicate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/driftdb/driftdb/internal/v1"
)

const (
	// v1Fresh bounds how long after its last entry an object was stored, for the
	// store's time to count as that of its upload. A copied bucket has the times
	// of the copy, which come in any order.
	v1Fresh = 15 * time.Minute

	// v1Wait is how long a process of the original waits for SQLite's write lock,
	// in milliseconds: its entry has the time from before that.
	v1Wait = 5000
)

// v1Front is the entry that the next batch has to follow: of a batch, or the
// newest in the snapshot's own log.
type v1Front struct {
	key    string
	at     float64   // Unix milliseconds
	stored time.Time // zero if the store's time is not that of the upload
}

// uploadTime returns when an object was uploaded, or zero if the store does not
// tell. made is when its newest content was made, by the machine's clock.
func uploadTime(p v1.Place, made int64) time.Time {
	if p.Modified.IsZero() || p.Modified.Sub(time.UnixMilli(made)) > v1Fresh {
		return time.Time{}
	}
	return p.Modified
}

// snapshotFront returns the newest entry that the snapshot has in its log, or nil.
// A snapshot that was replaced is an error.
func (i *importer) snapshotFront(ctx context.Context, conn *sql.Conn, snapshot v1.Place) (*v1Front, error) {
	if i.report.Snapshot == 0 || i.o.Through < 0 {
		return nil, nil //nolint:nilnil // nothing to follow
	}
	f := &v1Front{key: snapshot.Key, stored: uploadTime(snapshot, snapshot.Time)}
	err := conn.QueryRowContext(ctx, `SELECT CAST(timestamp AS REAL) FROM _driftdb_log WHERE sequence = ?`, i.report.Snapshot).Scan(&f.at)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // somebody has pruned it
	}
	if err != nil {
		return nil, err
	}
	return f, i.replaced(ctx, conn, f)
}

// replaced refuses a snapshot whose last entries a restored machine has given to
// others since: what is stored behind it goes on from these. front is its newest.
func (i *importer) replaced(ctx context.Context, conn *sql.Conn, front *v1Front) error {
	for _, p := range i.logs {
		if p.To != i.report.Snapshot {
			continue
		}
		b, err := i.batch(ctx, p.Key)
		if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNoKey) {
			continue // nothing of it is needed
		}
		if err != nil {
			return err
		}
		if b.Entries[len(b.Entries)-1].Timestamp <= front.at {
			continue
		}
		br := newBranch(p, b)
		same, err := i.ofSnapshot(ctx, conn, &br)
		if err != nil {
			return err
		}
		if !same {
			return fmt.Errorf("%s: a restored machine has replaced its last entries, see %s (ImportV1Options.Through: -1 takes the snapshot alone): %w", front.key, p.Key, ErrMissing)
		}
	}
	return nil
}

// apply applies batches, up to where those of another history begin.
func (i *importer) apply(ctx context.Context, replayer *v1.Replayer, pieces []v1Piece, front *v1Front) error {
	slack := 0.0
	for n, p := range pieces {
		if min(p.place.To, p.last) <= replayer.Report().Last {
			continue
		}
		batch, err := i.batch(ctx, p.place.Key)
		if err != nil {
			return err
		}
		slack = max(slack, stepBack(batch))
		left, err := i.leftBehind(ctx, batch, pieces[n:], front, replayer.Report().Last, slack)
		if err != nil {
			return err
		}
		if left {
			for _, old := range pieces[n:] {
				i.report.Forked = append(i.report.Forked, old.place.Key)
			}
			slices.Sort(i.report.Forked)
			return nil
		}
		err = replayer.Apply(ctx, batch, p.last)
		switch {
		case errors.Is(err, v1.ErrGap):
			return fmt.Errorf("%s: %w (ImportV1Options.Through: %d stops before it): %w", p.place.Key, err, replayer.Report().Last, ErrMissing)
		case errors.Is(err, v1.ErrNoTable):
			return fmt.Errorf("%s: %w: give its CREATE statement (ImportV1Options.Schema): %w", p.place.Key, err, ErrCorrupt)
		case err != nil:
			return fmt.Errorf("%s: %w (ImportV1Options.Through stops before it): %w", p.place.Key, err, ErrCorrupt)
		}
		last := batch.Entries[min(batch.To, p.last)-batch.From].Timestamp
		front = &v1Front{key: p.place.Key, at: last, stored: uploadTime(p.place, int64(batch.Entries[len(batch.Entries)-1].Timestamp))}
	}
	return nil
}

// leftBehind says whether a batch, and all behind it, belong to a history that a
// restored machine has replaced. The original gives the same sequences out again
// then, and where its batches end at the same ones, it writes over the old
// objects, key for key: those behind the last that it has written still lie there
// and seem to go on from it. They are older, and were stored earlier.
//
// Either alone happens to a single history, too: a clock is set back, two
// processes store a batch twice, a copied bucket has the times of the copy. So
// both have to say it. Where the store's times are not those of the uploads, or
// are the same, the entries' times have to say it for everything that follows: a
// history that goes on comes to times beyond those from before its clock was set
// back. And it has to be by more than slack, in milliseconds, which the clock was
// seen to go back inside a batch, that is on one machine.
func (i *importer) leftBehind(ctx context.Context, batch *v1.Batch, rest []v1Piece, front *v1Front, at int64, slack float64) (bool, error) {
	newest := newestEntry(batch)
	if front == nil || batch.From <= at || newest >= front.at {
		return false, nil
	}
	stored := uploadTime(rest[0].place, int64(newest))
	known := !stored.IsZero() && !front.stored.IsZero() && !stored.Equal(front.stored)
	if known && stored.After(front.stored) || !known && newest >= front.at-slack {
		return false, nil
	}
	newer, err := i.anyNewer(ctx, rest[1:], front.at)
	if err != nil || !newer {
		return err == nil, err
	}
	if known && newest < front.at-v1Wait {
		return false, fmt.Errorf("%s is older than %s, which a restored machine has written over what came before it (ImportV1Options.Through: %d stops there): %w",
			rest[0].place.Key, front.key, at, ErrMissing)
	}
	return false, nil
}

// anyNewer says whether any of the batches, or one beyond what shall be applied,
// has an entry of that time or later.
func (i *importer) anyNewer(ctx context.Context, rest []v1Piece, at float64) (bool, error) {
	keys := []string{}
	for _, p := range rest {
		keys = append(keys, p.place.Key)
	}
	for _, p := range i.logs {
		if i.o.Through > 0 && p.From > i.o.Through {
			keys = append(keys, p.Key)
		}
	}
	for _, key := range keys {
		b, err := i.batch(ctx, key)
		if err != nil {
			return false, err
		}
		if newestEntry(b) >= at {
			return true, nil
		}
	}
	return false, nil
}

// newestEntry returns the latest time of a batch's entries, Unix milliseconds.
func newestEntry(b *v1.Batch) float64 {
	at := b.Entries[0].Timestamp
	for n := range b.Entries {
		at = max(at, b.Entries[n].Timestamp)
	}
	return at
}

// stepBack returns how far the clock went back at most between two entries of a
// batch, in milliseconds.
func stepBack(b *v1.Batch) (step float64) {
	for n := range b.Entries[1:] {
		step = max(step, b.Entries[n].Timestamp-b.Entries[n+1].Timestamp)
	}
	return step
}
