package changelog

import (
	"context"
	"database/sql"
	"errors"
)

// SnapshotHeader is what a snapshot says of itself, in its _driftdb_meta.
type SnapshotHeader struct {
	DBName   string `json:"dbName"`
	NodeID   string `json:"nodeId"`
	Epoch    uint32 `json:"epoch"`
	Sequence int64  `json:"sequence"`
	Hash     Hash   `json:"hash"` // of the chain at Sequence
	MaxTime  int64  `json:"maxTime"`
}

// Detach makes a copy of a database file into a snapshot: it empties the queue,
// keeps only the newest row of the log, which must be h.Sequence, and writes
// the header. conn is a private connection to the copy.
func Detach(ctx context.Context, conn *sql.Conn, h SnapshotHeader) error {
	return errors.ErrUnsupported
}

// ReadSnapshotHeader returns the header of the snapshot that conn has open.
func ReadSnapshotHeader(ctx context.Context, conn *sql.Conn) (SnapshotHeader, error) {
	return SnapshotHeader{}, errors.ErrUnsupported
}
