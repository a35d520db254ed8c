package changelog

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
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
// the header. conn is a private connection to the copy, outside any
// transaction. What is deleted is overwritten with zeros, so that it compresses
// to nothing.
func Detach(ctx context.Context, conn *sql.Conn, h SnapshotHeader) error {
	if err := detach(ctx, SQL(conn), h); err != nil {
		return fmt.Errorf("make the copy a snapshot: %w", err)
	}
	return nil
}

func detach(ctx context.Context, x Execer, h SnapshotHeader) error {
	newest, err := oneInt(ctx, x, NewestSQL)
	if err != nil {
		return err
	}
	if newest != h.Sequence {
		return fmt.Errorf("its newest change is %d where %d was expected", newest, h.Sequence)
	}
	header, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := x.Exec(ctx, `PRAGMA secure_delete = ON`); err != nil {
		return err
	}
	if err := x.Exec(ctx, `BEGIN IMMEDIATE`); err != nil {
		return err
	}
	if err := keepSchemaVersion(ctx, x, h.Sequence); err != nil {
		return err
	}
	for _, stmt := range []string{
		`DELETE FROM _driftdb_queue`,
		`DELETE FROM _driftdb_log WHERE sequence < (` + NewestSQL + `)`,
		`DELETE FROM _driftdb_meta WHERE key IN ('complete', 'floor', 'snapshotDue', 'dropped', 'gap')`,
	} {
		if err := x.Exec(ctx, stmt); err != nil {
			return err
		}
	}
	if err := x.Exec(ctx, setMeta, metaSnapshot, string(header)); err != nil {
		return err
	}
	return x.Exec(ctx, `COMMIT`)
}

// ReadSnapshotHeader returns the header of the snapshot that conn has open.
func ReadSnapshotHeader(ctx context.Context, conn *sql.Conn) (SnapshotHeader, error) {
	h, err := readSnapshotHeader(ctx, SQL(conn))
	if err != nil {
		return SnapshotHeader{}, fmt.Errorf("read the snapshot's header: %w", err)
	}
	return h, nil
}

func readSnapshotHeader(ctx context.Context, x Execer) (h SnapshotHeader, err error) {
	v, err := Meta(ctx, x, metaSnapshot)
	if err != nil {
		return h, err
	}
	if v == "" {
		return h, errors.New("the file is not a snapshot")
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(v)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&h); err != nil {
		return h, err
	}
	newest, err := oneInt(ctx, x, NewestSQL)
	if err != nil {
		return h, err
	}
	if newest != h.Sequence {
		return h, fmt.Errorf("its newest change is %d where the header says %d", newest, h.Sequence)
	}
	return h, nil
}
