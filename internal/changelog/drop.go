package changelog

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math"
)

// Dropped tells of entries that were deleted before they were stored anywhere,
// because too many waited. A link of the chain that nothing computes has to
// stand for them: see Queue.SealGap.
type Dropped struct {
	// To is the newest entry that is gone; 0 when none was dropped.
	To int64 `json:"to"`

	// After is what was stored when the first of them was dropped, and Time the
	// timestamp of the entry behind it, Unix milliseconds. After is -1 when that
	// is not known.
	After int64 `json:"after"`
	Time  int64 `json:"time"`

	// MaxTime is the newest timestamp of all that is gone, Unix milliseconds.
	MaxTime int64 `json:"maxTime"`
}

// Dropped returns what was dropped and no snapshot stands for yet.
func (q *Queue) Dropped(ctx context.Context) (Dropped, error) {
	return readDropped(ctx, SQL(q.conn))
}

func readDropped(ctx context.Context, x Execer) (d Dropped, err error) {
	v, err := Meta(ctx, x, metaDropped)
	if err != nil || v == "" {
		return d, err
	}
	if err := json.Unmarshal([]byte(v), &d); err != nil {
		return d, fmt.Errorf("_driftdb_meta: %s: %w: %w", metaDropped, err, ErrTables)
	}
	return d, nil
}

func writeMeta(ctx context.Context, x Execer, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return x.Exec(ctx, setMeta, key, string(b))
}

// Drop deletes the oldest rows of the log, stored or not, but for the newest
// keep rows and the newest row in any case, in short transactions each of which
// also notes what is gone. stored is the end of what is stored in whole
// transactions. The records of sealed batches stay: what they say may be stored.
func (q *Queue) Drop(ctx context.Context, stored, keep int64) (Dropped, error) {
	for {
		d, more, err := q.dropSome(ctx, stored, keep)
		if err != nil {
			return d, fmt.Errorf("drop the oldest of the change log: %w", err)
		}
		if !more {
			return d, nil
		}
	}
}

func (q *Queue) dropSome(ctx context.Context, stored, keep int64) (d Dropped, more bool, err error) {
	err = q.write(ctx, func(ctx context.Context, x Execer) error {
		if d, err = readDropped(ctx, x); err != nil {
			return err
		}
		row, err := x.QueryRow(ctx, `SELECT coalesce(min(sequence), 1), coalesce(max(sequence), 0) FROM _driftdb_log`)
		if err != nil {
			return err
		}
		low, _ := row[0].(int64)
		newest, _ := row[1].(int64)
		last := newest - max(keep, 1)
		if last < low {
			return nil
		}
		high := min(last, low+pruneRows-1)
		more = high < last
		first, err := x.QueryRow(ctx, `SELECT (SELECT max(timestamp) FROM _driftdb_log WHERE sequence <= ?1), (SELECT timestamp FROM _driftdb_log WHERE sequence = ?2)`, high, stored+1)
		if err != nil {
			return err
		}
		if d.To <= stored { // nothing that was not stored is gone yet
			var known bool
			if d.Time, known = first[1].(int64); known {
				d.After = stored
			} else {
				d.After = -1
			}
		}
		newer, _ := first[0].(int64)
		d.To, d.MaxTime = high, max(d.MaxTime, newer)
		if err := keepSchemaVersion(ctx, x, high); err != nil {
			return err
		}
		if err := writeMeta(ctx, x, metaDropped, d); err != nil {
			return err
		}
		// The log alone does not rebuild the file any more.
		if err := x.Exec(ctx, `DELETE FROM _driftdb_meta WHERE key = ?`, metaComplete); err != nil {
			return err
		}
		return x.Exec(ctx, `DELETE FROM _driftdb_log WHERE sequence <= ?`, high)
	})
	return d, more, err
}

// gapEnd is what _driftdb_meta keeps of the link at which a gap is to end.
type gapEnd struct {
	Sequence int64 `json:"sequence"`
	Hash     Hash  `json:"hash"`
	MaxTime  int64 `json:"maxTime"`
}

// SealGap records the link at which a gap in the chain is to end: the sequence
// to, up to which a snapshot holds everything, with a new random hash, for what
// was dropped has none. maxTime is that of what is stored. It is a commit of its
// own, like Seal: once it returns nil everything before it is on the disk. A link
// that was recorded before is given up.
func (q *Queue) SealGap(ctx context.Context, maxTime, to int64) (t Tip, err error) {
	end := gapEnd{Sequence: to, MaxTime: maxTime}
	rand.Read(end.Hash[:]) // never fails: see crypto/rand
	err = q.write(ctx, func(ctx context.Context, x Execer) error {
		d, err := readDropped(ctx, x)
		if err != nil {
			return err
		}
		newest, err := oneInt(ctx, x, `SELECT coalesce(max(timestamp), ?1) FROM _driftdb_log WHERE sequence <= ?2`, int64(math.MinInt64), to)
		if err != nil {
			return err
		}
		end.MaxTime = max(end.MaxTime, d.MaxTime, newest)
		return writeMeta(ctx, x, metaGap, end)
	})
	if err != nil {
		return Tip{}, fmt.Errorf("record the end of a gap at %d: %w", to, err)
	}
	return Tip{Sequence: end.Sequence, Hash: end.Hash, MaxTime: end.MaxTime}, nil
}

// GapEnd returns the link that SealGap has recorded, if any.
func (q *Queue) GapEnd(ctx context.Context) (t Tip, ok bool, err error) {
	v, err := Meta(ctx, SQL(q.conn), metaGap)
	if err != nil || v == "" {
		return t, false, err
	}
	var end gapEnd
	if err := json.Unmarshal([]byte(v), &end); err != nil {
		return t, false, fmt.Errorf("_driftdb_meta: %s: %w: %w", metaGap, err, ErrTables)
	}
	return Tip{Sequence: end.Sequence, Hash: end.Hash, MaxTime: end.MaxTime}, true, nil
}

// ForgetGap gives the link up that SealGap has recorded.
func (q *Queue) ForgetGap(ctx context.Context) error {
	err := q.write(ctx, func(ctx context.Context, x Execer) error {
		return x.Exec(ctx, `DELETE FROM _driftdb_meta WHERE key = ?`, metaGap)
	})
	if err != nil {
		return fmt.Errorf("give the end of a gap up: %w", err)
	}
	return nil
}

// CloseGap lets the chain go on from the link that SealGap has recorded, which a
// manifest covers now. It returns what was dropped behind it.
func (q *Queue) CloseGap(ctx context.Context, end Tip) (d Dropped, err error) {
	err = q.write(ctx, func(ctx context.Context, x Execer) error {
		if d, err = readDropped(ctx, x); err != nil {
			return err
		}
		if err := x.Exec(ctx, `DELETE FROM _driftdb_queue`); err != nil {
			return err
		}
		if err := insert(ctx, x, Seal{From: end.Sequence, To: end.Sequence, PrevHash: end.Hash, Hash: end.Hash, MaxTime: end.MaxTime, Status: Done}); err != nil {
			return err
		}
		if err := x.Exec(ctx, `DELETE FROM _driftdb_meta WHERE key = ?`, metaGap); err != nil {
			return err
		}
		if d.To <= end.Sequence {
			d = Dropped{}
			return x.Exec(ctx, `DELETE FROM _driftdb_meta WHERE key = ?`, metaDropped)
		}
		d.After = -1 // more was dropped since; when it began is not known
		return writeMeta(ctx, x, metaDropped, d)
	})
	if err != nil {
		return d, fmt.Errorf("close the gap at %d: %w", end.Sequence, err)
	}
	return d, nil
}
