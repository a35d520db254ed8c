package replicate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"

	"github.com/driftdb/driftdb/internal/v1"
)

// v1Piece is a batch, or the first part of one, to be applied.
type v1Piece struct {
	place v1.Place
	last  int64 // sequence
}

// branch is a batch as far as comparing it with others needs.
type branch struct {
	place v1.Place
	at    []float64 // times of the entries, Unix milliseconds
	what  []uint64  // of an entry: hash of time, table, operation
	sums  []uint64  // likewise with the data
}

// timeline returns the batches behind the snapshot, in order. The original gives
// a sequence out twice, after a restore or on two machines with one id: then some
// batches contradict each other, or the snapshot's own log. Of such histories
// the one counts that was written last, back to where it left the others.
func (i *importer) timeline(ctx context.Context, conn *sql.Conn) ([]v1Piece, error) {
	through := i.o.Through
	if through == 0 {
		through = math.MaxInt64
	}
	var logs, straddling []v1.Place
	overlap, end := false, int64(0)
	for _, p := range i.logs {
		if p.To <= i.report.Snapshot || p.From > through {
			continue
		}
		overlap = overlap || p.From <= end
		end = max(end, p.To)
		logs = append(logs, p)
		if p.From <= i.report.Snapshot {
			straddling = append(straddling, p)
		}
	}
	look := straddling
	if overlap {
		look = logs
	}
	all, contradict, err := i.branches(ctx, conn, look)
	if err != nil {
		return nil, err
	}
	if contradict && !overlap {
		i.report.Forked = nil
		if all, _, err = i.branches(ctx, conn, logs); err != nil {
			return nil, err
		}
	}
	if contradict {
		return i.newestHistory(all, through), nil
	}
	pieces := make([]v1Piece, len(logs))
	for n, p := range logs {
		pieces[n] = v1Piece{p, through}
	}
	return pieces, nil
}

// branches reads batches, leaves out those that contradict the snapshot, and says
// whether there are contradictions.
func (i *importer) branches(ctx context.Context, conn *sql.Conn, places []v1.Place) (all []branch, contradict bool, err error) {
	for _, p := range places {
		b, err := i.batch(ctx, p.Key)
		if err != nil {
			return nil, false, err
		}
		br := newBranch(p, b)
		same, err := i.ofSnapshot(ctx, conn, &br)
		if err != nil {
			return nil, false, err
		}
		if !same {
			contradict = true
			i.report.Forked = append(i.report.Forked, p.Key)
			continue
		}
		for _, other := range all {
			contradict = contradict || !br.agrees(&other)
		}
		all = append(all, br)
	}
	return all, contradict, nil
}

// newBranch describes a batch.
func newBranch(p v1.Place, b *v1.Batch) branch {
	br := branch{place: v1.Place{Key: p.Key, From: b.From, To: b.To, Modified: p.Modified}}
	for n := range b.Entries {
		e := &b.Entries[n]
		h := fnv.New64a()
		_, _ = fmt.Fprintf(h, "%v %q %q ", int64(e.Timestamp), e.Table, e.Operation)
		br.what = append(br.what, h.Sum64())
		_, _ = h.Write(e.Data)
		br.sums = append(br.sums, h.Sum64())
		br.at = append(br.at, e.Timestamp)
	}
	return br
}

// ofSnapshot compares the entries that the snapshot covers with its own log.
func (i *importer) ofSnapshot(ctx context.Context, conn *sql.Conn, b *branch) (same bool, err error) {
	if b.place.From > i.report.Snapshot {
		return true, nil
	}
	rows, err := conn.QueryContext(ctx, "SELECT sequence, CAST(timestamp AS INTEGER), \"table\", operation FROM _driftdb_log WHERE sequence BETWEEN ? AND ?",
		b.place.From, min(b.place.To, i.report.Snapshot))
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var sequence, at int64
		var table, operation string
		if err := rows.Scan(&sequence, &at, &table, &operation); err != nil {
			return false, err
		}
		h := fnv.New64a()
		_, _ = fmt.Fprintf(h, "%v %q %q ", at, table, operation)
		if h.Sum64() != b.what[sequence-b.place.From] {
			return false, nil
		}
	}
	return true, rows.Err()
}

// agrees says whether the sequences that both have are the same entries.
func (b *branch) agrees(o *branch) bool {
	for s := max(b.place.From, o.place.From); s <= min(b.place.To, o.place.To); s++ {
		if b.sums[s-b.place.From] != o.sums[s-o.place.From] {
			return false
		}
	}
	return true
}

func (b *branch) has(sequence int64) bool { return b.place.From <= sequence && sequence <= b.place.To }

// newestHistory goes from the batch that was written last back to the snapshot.
func (i *importer) newestHistory(all []branch, through int64) (pieces []v1Piece) {
	if len(all) == 0 {
		return nil
	}
	newer := func(a, b branch) int {
		if at, bt := a.at[len(a.at)-1], b.at[len(b.at)-1]; at != bt {
			return int(at - bt)
		}
		return int(a.place.To - b.place.To)
	}
	head := slices.MaxFunc(all, newer)
	last := head.place.To
	used := map[string]int64{}
	for {
		pieces = append(pieces, v1Piece{head.place, min(last, through)})
		used[head.place.Key] = last
		last = head.place.From - 1
		if last <= i.report.Snapshot {
			break
		}
		// What came before: the newest that is not newer than what follows.
		var before *branch
		for n := range all {
			b := &all[n]
			if !b.has(last) || b.at[last-b.place.From] > head.at[0] {
				continue
			}
			if before == nil || b.at[last-b.place.From] > before.at[last-before.place.From] {
				before = b
			}
		}
		if before == nil {
			break // a gap, which applying will find
		}
		head = *before
	}
	slices.Reverse(pieces)
	for _, b := range all {
		if !b.within(all, used, i.report.Snapshot) {
			i.report.Forked = append(i.report.Forked, b.place.Key)
		}
	}
	slices.Sort(i.report.Forked)
	return pieces
}

// within says whether all entries of b behind the sequence after are among those
// of the branches that are used, up to their last.
func (b *branch) within(all []branch, used map[string]int64, after int64) bool {
	for s := max(b.place.From, after+1); s <= b.place.To; s++ {
		if !slices.ContainsFunc(all, func(o branch) bool {
			return s <= used[o.place.Key] && o.has(s) && o.sums[s-o.place.From] == b.sums[s-b.place.From]
		}) {
			return false
		}
	}
	return true
}
