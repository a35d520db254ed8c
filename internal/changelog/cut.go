package changelog

import (
	"context"
	"database/sql"
	"errors"
	"iter"
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
// boundary at or after either limit.
type CutOptions struct {
	Entries int   // Defaults to 10,000.
	Bytes   int   // of log text; defaults to 1 MiB.
	To      int64 // the last sequence to cut, an end that a snapshot forces; 0 is everything visible
}

// Cut yields the batches that follow tip, cut from what conn sees. The caller
// holds a read transaction on conn. Breaking out of the loop is allowed: the
// first batches are the same whatever comes later. conn must not be used inside
// the loop.
func Cut(ctx context.Context, conn *sql.Conn, tip Tip, o CutOptions) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) { yield(nil, errors.ErrUnsupported) }
}

// Encode makes the batch of a sealed range again from the log that conn sees.
// It is the same to the last byte; a hash that differs is ErrSealed. The caller
// holds a read transaction on conn.
func Encode(ctx context.Context, conn *sql.Conn, s Seal) (*Batch, error) {
	return nil, errors.ErrUnsupported
}

// ErrSealed says that the log no longer holds what was sealed.
var ErrSealed = errors.New("the log differs from what was sealed")

// Batch is one link of the chain, encoded.
type Batch struct {
	From, To      int64
	PrevHash      Hash
	Hash          Hash
	SchemaVersion int64 // sequence of the last schema entry before From
	Time          int64 // of the first entry, Unix milliseconds
	MaxTime       int64 // largest timestamp up to To over the whole chain
	Encoder       int

	canonical []byte
	end       Tip
}

// Canonical returns the canonical plaintext, which the hash covers. It must not
// be changed.
func (b *Batch) Canonical() []byte { return b.canonical }

// Tip returns the point of the chain after b.
func (b *Batch) Tip() Tip { return b.end }

// Seal returns b's record for Queue.Seal.
func (b *Batch) Seal() Seal {
	return Seal{From: b.From, To: b.To, Part: 1, Parts: 1, PrevHash: b.PrevHash, Hash: b.Hash, MaxTime: b.MaxTime, Encoder: b.Encoder, Status: Pending}
}
