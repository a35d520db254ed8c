package changelog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math"
)

// Tip is a point of the chain, and what the next batch needs to know of
// everything before it.
type Tip struct {
	Sequence      int64
	Hash          Hash
	MaxTime       int64 // largest timestamp up to Sequence, Unix milliseconds
	SchemaVersion int64 // sequence of the last schema entry up to Sequence, 0 for none
}

// CutOptions says where batches end. A batch ends at the first transaction
// boundary at or after either limit, and inside of a transaction, as one of its
// parts, at either limit of a part.
type CutOptions struct {
	Entries int // Defaults to 10,000.
	Bytes   int // of log text; defaults to 1 MiB.

	PartEntries int // Defaults to 20,000.
	PartBytes   int // Defaults to 2 MiB.

	To int64 // the last sequence to cut, an end that a snapshot forces; 0 is everything visible
}

// Cut yields the batches that follow tip, cut from what conn sees. The caller
// holds a read transaction on conn. Breaking out of the loop is allowed: the
// first batches are the same whatever comes later. The parts of a transaction
// that is too long for one batch come one after another, without their plaintext:
// they are encoded again, one by one. conn must not be used inside the loop.
func Cut(ctx context.Context, conn *sql.Conn, tip Tip, o CutOptions) iter.Seq2[*Batch, error] {
	o = o.withDefaults()
	return func(yield func(*Batch, error) bool) {
		e := new(encoder)
		e.begin(tip)
		var parts []*Batch // of the transaction under way
		cut := func() bool {
			b := e.finish()
			e.begin(b.end)
			if len(parts) == 0 {
				return yield(b, nil)
			}
			b.canonical = nil
			parts = append(parts, b)
			if len(parts) > maxParts {
				yield(nil, fmt.Errorf("the transaction that ends at %d is too long: %d parts are the most", b.To, maxParts))
				return false
			}
			for i, b := range parts {
				b.Part, b.Parts = i+1, len(parts)
				if !yield(b, nil) {
					return false
				}
			}
			parts = nil
			return true
		}
		part := func() {
			b := e.finish()
			e.begin(b.end)
			b.canonical = nil
			parts = append(parts, b)
		}
		inside := false // a transaction
		for r, err := range Rows(ctx, conn, tip.Sequence, o.To) {
			if err != nil {
				yield(nil, err)
				return
			}
			// A schema entry is the first of its transaction, so its beginning
			// is a boundary. Rows of both sides of it never share a batch.
			if r.Op == Schema && e.rows && !cut() {
				return
			}
			if inside && (e.count() >= o.PartEntries || e.text >= o.PartBytes) {
				part()
			}
			if err := e.add(&r); err != nil {
				yield(nil, err)
				return
			}
			inside = r.Op != Mark
			if !inside && (e.count() >= o.Entries || e.text >= o.Bytes || len(parts) > 0) && !cut() {
				return
			}
		}
		if !e.empty() {
			cut() // the end of what the transaction sees is a boundary
			return
		}
		if err := checkNewest(ctx, conn, tip.Sequence); err != nil {
			yield(nil, err)
		}
	}
}

// checkNewest makes sure that the log has not lost its end: the newest row is
// never pruned, so a log that ends before sequence is another log.
func checkNewest(ctx context.Context, conn *sql.Conn, sequence int64) error {
	newest, err := oneInt(ctx, SQL(conn), NewestSQL)
	if err != nil {
		return fmt.Errorf("read the change log: %w", err)
	}
	if newest < sequence {
		return fmt.Errorf("the newest row is %d where %d was sealed: %w", newest, sequence, ErrLogGap)
	}
	return nil
}

func (o CutOptions) withDefaults() CutOptions {
	if o.Entries <= 0 {
		o.Entries = 10_000
	}
	if o.Bytes <= 0 {
		o.Bytes = 1 << 20
	}
	if o.PartEntries <= 0 {
		o.PartEntries = 20_000
	}
	if o.PartBytes <= 0 {
		o.PartBytes = 2 << 20
	}
	return o
}

// ErrSealed says that the log no longer holds what was sealed.
var ErrSealed = errors.New("the log differs from what was sealed")

// Encode makes the batch of a sealed range again from the log that conn sees.
// It is the same to the last byte; a hash that differs is ErrSealed. The caller
// holds a read transaction on conn.
func Encode(ctx context.Context, conn *sql.Conn, s Seal) (*Batch, error) {
	if s.Encoder != Encoder || s.IsBase() {
		return nil, fmt.Errorf("batch %d-%d was sealed with encoder version %d, this program has %d: use a newer version", s.From, s.To, s.Encoder, Encoder)
	}
	schema, err := schemaVersion(ctx, SQL(conn), 0, s.From-1)
	if err != nil {
		return nil, err
	}
	e := new(encoder)
	e.begin(Tip{Sequence: s.From - 1, Hash: s.PrevHash, MaxTime: math.MinInt64, SchemaVersion: schema})
	for r, err := range Rows(ctx, conn, s.From-1, s.To) {
		if err != nil {
			return nil, err
		}
		if err := e.add(&r); err != nil {
			return nil, err
		}
	}
	if e.to != s.To {
		return nil, fmt.Errorf("the log ends at row %d where %d was sealed: %w", e.to, s.To, ErrLogGap)
	}
	if e.maxTime > s.MaxTime {
		return nil, fmt.Errorf("batch %d-%d: %w", s.From, s.To, ErrSealed)
	}
	e.maxTime = s.MaxTime // the maximum over the whole chain
	b := e.finish()
	if b.Hash != s.Hash {
		return nil, fmt.Errorf("batch %d-%d: %w", s.From, s.To, ErrSealed)
	}
	return b, nil
}

// schemaVersion returns the sequence of the last schema entry up to sequence,
// looking only beyond after. What is no longer in the log is in _driftdb_meta.
func schemaVersion(ctx context.Context, x Execer, after, sequence int64) (int64, error) {
	v, err := oneInt(ctx, x, `SELECT coalesce(
	(SELECT sequence FROM _driftdb_log WHERE operation = 'schema' AND sequence > ?1 AND sequence <= ?2 ORDER BY sequence DESC LIMIT 1),
	(SELECT CAST(value AS INTEGER) FROM _driftdb_meta WHERE key = 'schemaVersion'), 0)`, after, sequence)
	if err != nil {
		return 0, fmt.Errorf("look for the last schema entry: %w", err)
	}
	return v, nil
}

// maxParts is the largest number of parts of one transaction.
const maxParts = 1<<16 - 1

// Batch is one link of the chain, encoded.
type Batch struct {
	From, To      int64
	PrevHash      Hash
	Hash          Hash
	SchemaVersion int64 // sequence of the last schema entry before From
	Time          int64 // of the first entry, Unix milliseconds
	MaxTime       int64 // largest timestamp up to To over the whole chain
	Encoder       int
	Part, Parts   int // 1 of 1, but for the parts of one transaction

	canonical []byte
	end       Tip
}

// Canonical returns the canonical plaintext, which the hash covers; nil for a
// part that Cut has yielded. It must not be changed.
func (b *Batch) Canonical() []byte { return b.canonical }

// Tip returns the point of the chain after b.
func (b *Batch) Tip() Tip { return b.end }

// Seal returns b's record for Queue.Seal.
func (b *Batch) Seal() Seal {
	return Seal{From: b.From, To: b.To, Part: b.Part, Parts: b.Parts, PrevHash: b.PrevHash, Hash: b.Hash, MaxTime: b.MaxTime, Encoder: b.Encoder, Status: Pending}
}
