package replicate

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
)

// ReadOptions of functions that only read a backup.
type ReadOptions struct {
	Retry      Retry      // as in Options
	Encryption Encryption // as in Options
}

// Backup is what the manifest of a database says. It encodes as JSON.
type Backup struct {
	Name     string    `json:"name"`
	Revision int64     `json:"revision"`         // of the manifest: it counts writes
	Updated  time.Time `json:"updated,omitzero"` // when it was written, by the writer's clock

	NodeID   string    `json:"nodeId"`           // the owner
	Epoch    uint32    `json:"epoch"`            // of its claim
	Claimed  time.Time `json:"claimed,omitzero"` // when it was claimed
	Released bool      `json:"released"`         // by a clean shutdown: any node may go on
	Fenced   bool      `json:"fenced"`           // a take-over was begun and has not ended

	Head  BackupPoint `json:"head"`  // acknowledged; a restore may come further
	Floor BackupPoint `json:"floor"` // the oldest point that can be restored, as soon as there is a snapshot or Sequence is 0

	Snapshots []BackupSnapshot `json:"snapshots"` // oldest first
	Points    []BackupPoint    `json:"points"`    // that Mark has named, oldest first
	Gaps      []BackupGap      `json:"gaps"`      // oldest first
	Epochs    []BackupEpoch    `json:"epochs"`    // before the owner's, oldest first
	Packs     int              `json:"packs"`
}

// BackupPoint is a point of the chain.
type BackupPoint struct {
	Name     string    `json:"name,omitzero"` // of a named point
	Sequence int64     `json:"sequence"`
	Hash     string    `json:"hash"`            // of the chain, 64 hex digits
	Time     time.Time `json:"time,omitzero"`   // of the newest change up to there; zero before the first
	Marked   time.Time `json:"marked,omitzero"` // of a named point: when Mark was called
}

// BackupGap is a piece of the history that was dropped before it could be stored
// (BacklogResnapshot). Both ends can be restored, and nothing between them.
type BackupGap struct {
	Before BackupPoint `json:"before"` // the last point before it
	After  BackupPoint `json:"after"`  // the first point behind it
	Time   time.Time   `json:"time"`   // of the first change that is lost, or of the last one before it
}

// BackupSnapshot is a snapshot that the manifest names.
type BackupSnapshot struct {
	Key        string    `json:"key"`
	Sequence   int64     `json:"sequence"`
	Time       time.Time `json:"time,omitzero"` // of the newest change in it
	Taken      time.Time `json:"taken,omitzero"`
	Length     int64     `json:"length"`     // bytes of the database file
	StoredSize int64     `json:"storedSize"` // bytes of the object
}

// BackupEpoch is an epoch that has ended.
type BackupEpoch struct {
	NodeID string `json:"nodeId"`
	Epoch  uint32 `json:"epoch"`
	End    int64  `json:"end"` // the last sequence that counts; -1 while a take-over has not ended it
}

// ReadBackup returns what the manifest of the database called name says.
// ErrNoBackup: the store was read and there is none. ErrManifestLost: there is
// one, and its manifest is gone.
func ReadBackup(ctx context.Context, name string, store Store, o ReadOptions) (Backup, error) {
	_, m, _, err := openBackup(ctx, name, store, o)
	if err != nil {
		return Backup{}, fmt.Errorf("read the backup %q: %w", name, err)
	}
	return m.backup(), nil
}

// openBackup reads the manifest, with the keys that o has.
func openBackup(ctx context.Context, name string, store Store, o ReadOptions) (*bucket, *versioned, Options, error) {
	filled := Options{Retry: o.Retry, Encryption: o.Encryption}.withDefaults()
	if err := errors.Join(checkName("database name", name), filled.validate()); err != nil {
		return nil, nil, filled, err
	}
	b := &bucket{store, o.Encryption}
	if err := b.unlock(ctx); err != nil {
		return nil, nil, filled, err
	}
	var m *versioned
	err := filled.Retry.do(ctx, func() (err error) {
		m, err = lookUp(ctx, b, name)
		return err
	})
	return b, m, filled, err
}

func (m *manifest) backup() Backup {
	b := Backup{
		Name: m.DBName, Revision: m.Revision, Updated: time.UnixMilli(m.UpdatedAt),
		NodeID: m.NodeID, Epoch: m.Epoch, Claimed: time.UnixMilli(m.ClaimedAt), Released: m.Released, Fenced: m.open() >= 0,
		Head: m.Head.point(), Floor: m.Floor.point(), Packs: len(m.Packs),
	}
	b.Snapshots, b.Points, b.Gaps, b.Epochs = []BackupSnapshot{}, []BackupPoint{}, []BackupGap{}, []BackupEpoch{}
	for _, s := range m.Snapshots {
		b.Snapshots = append(b.Snapshots, BackupSnapshot{
			Key: s.Key, Sequence: s.Sequence, Time: s.link().point().Time, Taken: time.UnixMilli(s.Time), Length: s.Length, StoredSize: s.StoredSize,
		})
	}
	for _, p := range m.Points {
		at := p.link().point()
		at.Name, at.Marked = p.Name, time.UnixMilli(p.Time)
		b.Points = append(b.Points, at)
	}
	for _, g := range m.Gaps {
		b.Gaps = append(b.Gaps, g.backup())
	}
	for _, l := range m.Lineage {
		e := BackupEpoch{NodeID: l.Node, Epoch: l.Epoch, End: -1}
		if l.End != nil {
			e.End = l.End.Sequence
		}
		b.Epochs = append(b.Epochs, e)
	}
	return b
}

func (l link) point() BackupPoint {
	p := BackupPoint{Sequence: l.Sequence, Hash: l.Hash.String()}
	if l.Sequence > 0 {
		p.Time = time.UnixMilli(l.MaxTime)
	}
	return p
}

// Databases yields the names under which something is stored, in order. It asks
// once for each.
func Databases(ctx context.Context, store Store) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		after := ""
		for {
			found := ""
			for info, err := range store.List(ctx, root, after) {
				if err != nil {
					yield("", fmt.Errorf("list the databases: %w", err))
					return
				}
				found = info.Key
				break
			}
			if found == "" {
				return
			}
			name, _, _ := strings.Cut(strings.TrimPrefix(found, root), "/")
			if checkName("", name) == nil && !yield(name, nil) {
				return
			}
			// Everything of this name lies before what follows "/".
			after = max(root+name+"0", found)
		}
	}
}
