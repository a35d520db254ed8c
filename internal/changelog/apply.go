package changelog

import (
	"context"
	"database/sql"
	"errors"
)

// ErrChain is a batch that does not follow what was applied before it.
var ErrChain = errors.New("the batch does not follow the one before it")

// ApplyOptions configures an Applier.
type ApplyOptions struct {
	// DDLOnly switches the connection's authorizer on and off: while it is on
	// the connection prepares DDL on anything but _driftdb_* tables and
	// nothing else. It is called before and after the SQL of a schema entry.
	DDLOnly func(on bool) error
}

// Applier replays batches into a private file: an empty one or a snapshot's.
type Applier struct{}

// NewApplier begins a replay on conn, which has foreign keys off and is used by
// nobody else until Finish or Close. start is the point of the chain that the
// file holds: Tip{Hash: Hash0(db)} for an empty one, otherwise the snapshot's
// (its SchemaVersion is read from the file). The file's triggers are set aside.
func NewApplier(ctx context.Context, conn *sql.Conn, start Tip, o ApplyOptions) (*Applier, error) {
	return nil, errors.ErrUnsupported
}

// Apply replays a batch. It is ErrChain if the batch does not follow the last
// one, by sequence and hash. After an error the file is worth nothing.
func (a *Applier) Apply(ctx context.Context, d *Document) error { return errors.ErrUnsupported }

// Tip returns the point of the chain that was reached.
func (a *Applier) Tip() Tip { return Tip{} }

// Changes returns how many rows were inserted, updated or deleted.
func (a *Applier) Changes() int64 { return 0 }

// Finish makes the triggers again, gives the file a new generation, its
// starting point in the queue and its newest log row, and commits. The caller
// then checks the file, closes conn and syncs it.
func (a *Applier) Finish(ctx context.Context) (Position, error) {
	return Position{}, errors.ErrUnsupported
}

// Close releases the prepared statements. After Finish it does nothing.
func (a *Applier) Close() error { return nil }
