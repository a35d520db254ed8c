package changelog

import (
	"context"
	"database/sql"
	"errors"
)

// Status is how far a sealed batch got.
type Status string

// The states of a sealed batch.
const (
	Pending    Status = "pending"    // sealed
	Processing Status = "processing" // an upload was begun; blocks nothing after a restart
	Failed     Status = "failed"     // the last attempt failed; tried again at NextRetryAt
	Uploaded   Status = "uploaded"   // the object is stored
	Done       Status = "done"       // acknowledged: a manifest covers it
)

// Seal is the record of a sealed batch: its boundaries, hashes and encoder
// version are final. A record with Parts 0 is a starting point, no batch: From
// and To are the sequence it stands for.
type Seal struct {
	From, To int64
	Part     int
	Parts    int
	PrevHash Hash
	Hash     Hash
	MaxTime  int64 // Unix milliseconds
	Encoder  int

	Status      Status
	Attempts    int
	NextRetryAt int64  // Unix milliseconds, 0 for none
	Error       string // of the last failed attempt
}

// IsBase says that s is a starting point, no batch.
func (s Seal) IsBase() bool { return s.Parts == 0 }

// ErrLocked says that another connection held the write lock for as long as
// the context allowed.
var ErrLocked = errors.New("the database stayed locked by another transaction")

// Queue reads and writes the seal records on one connection, outside any
// transaction. Its writing methods wait for the write lock for as long as their
// context lives.
type Queue struct {
	conn   *sql.Conn
	isBusy func(error) bool
}

// NewQueue returns the queue of the file that conn has open. Seal and Begin
// are only as durable as conn: they want a connection with synchronous=FULL;
// the other methods do not. isBusy recognises SQLITE_BUSY.
func NewQueue(conn *sql.Conn, isBusy func(error) bool) *Queue {
	return &Queue{conn: conn, isBusy: isBusy}
}

// Begin returns where this file's chain begins, and records it if the file has
// no chain yet: {0, Hash0(db)} if the log alone rebuilds the file, otherwise
// {newest sequence, Hash0(db)} — a snapshot must then carry what was there.
func (q *Queue) Begin(ctx context.Context, db string) (Tip, error) {
	return Tip{}, errors.ErrUnsupported
}

// Seal records a batch in a commit of its own. Once it returns nil everything
// up to s.To is on the disk and the batch is final. A record that does not
// follow the last one is refused.
func (q *Queue) Seal(ctx context.Context, s Seal) error { return errors.ErrUnsupported }

// Records returns the newest done record, if any, and everything after it, in
// order.
func (q *Queue) Records(ctx context.Context) ([]Seal, error) { return nil, errors.ErrUnsupported }

// Tip returns the end of the sealed chain, complete with the schema version
// that the next batch needs.
func (q *Queue) Tip(ctx context.Context) (Tip, error) { return Tip{}, errors.ErrUnsupported }

// ByTo returns the record that ends at sequence.
func (q *Queue) ByTo(ctx context.Context, sequence int64) (Seal, bool, error) {
	return Seal{}, false, errors.ErrUnsupported
}

// Update stores the Status, Attempts, NextRetryAt and Error of the record that
// begins at s.From.
func (q *Queue) Update(ctx context.Context, s Seal) error { return errors.ErrUnsupported }

// Ack marks every record up to the sequence upTo as done and deletes done
// records older than the newest.
func (q *Queue) Ack(ctx context.Context, upTo int64) error { return errors.ErrUnsupported }

// PruneLog deletes log rows, oldest first in short transactions, but keeps the
// newest keep rows, the newest row in any case, and everything that is not
// acknowledged. It returns how many rows it deleted.
func (q *Queue) PruneLog(ctx context.Context, keep int64) (int64, error) {
	return 0, errors.ErrUnsupported
}
