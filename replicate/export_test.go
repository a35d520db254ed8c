package replicate

import (
	"context"
	"time"

	"github.com/driftdb/driftdb/internal/changelog"
)

// Kill is what a crash of the process leaves.
func (r *Replica) Kill() error { return r.kill() }

// SetHook lets tests stop between any two steps. To be called before Prepare.
func (r *Replica) SetHook(f func(point string) error) { r.hook = f }

// SetCut lets tests have small batches and parts. To be called before Start.
func (r *Replica) SetCut(entries, partEntries int) {
	r.cut = changelog.CutOptions{Entries: entries, PartEntries: partEntries}
}

// ManifestView is what tests want to know of a manifest.
type ManifestView struct {
	Epoch     uint32
	Node      string
	Revision  int64
	Released  bool
	Head      int64
	Floor     int64
	Snapshots []string
	Lineage   int
	Open      bool
}

// ReadManifestView reads the manifest, nil for none.
func ReadManifestView(ctx context.Context, s Store, db string) (*ManifestView, error) {
	m, err := readManifest(ctx, &bucket{Store: s}, db)
	if err != nil || m == nil {
		return nil, err
	}
	v := &ManifestView{
		Epoch: m.Epoch, Node: m.NodeID, Revision: m.Revision, Released: m.Released,
		Head: m.Head.Sequence, Floor: m.Floor.Sequence, Lineage: len(m.Lineage), Open: m.open() >= 0,
	}
	for _, s := range m.Snapshots {
		v.Snapshots = append(v.Snapshots, s.Key)
	}
	return v, nil
}

// ManifestKey is the key of the manifest of db.
func ManifestKey(db string) string { return manifestKey(db) }

// BatchRange returns the range of a batch's key.
func BatchRange(key string) (node string, epoch uint32, from, to int64, ok bool) {
	k, err := parseKey(key)
	if err != nil {
		return "", 0, 0, 0, false
	}
	return k.node, k.epoch, k.from, k.to, true
}

// BytesBody is a Body of b.
func BytesBody(b []byte) Body { return bytesBody(b) }

// onEngine runs f on the engine's goroutine.
func (r *Replica) onEngine(f func(e *engine)) {
	r.run.RLock()
	e := r.run.engine
	r.run.RUnlock()
	_ = r.ask(context.Background(), &request{edit: func(*manifest, bool) error {
		f(e)
		return errDone
	}})
}

// WaitForPack waits until no pack is under way.
func (r *Replica) WaitForPack() {
	var done chan struct{}
	r.onEngine(func(e *engine) {
		if e.pack != nil {
			done = e.pack.done
		}
	})
	if done != nil {
		<-done
	}
}

// PruneNow lets the next write of the manifest begin to prune.
func (r *Replica) PruneNow() {
	r.onEngine(func(e *engine) { e.claim.PrunedAt -= (48 * time.Hour).Milliseconds() })
}

// WaitForPrune waits until no pruning is under way.
func (r *Replica) WaitForPrune() {
	var done chan struct{}
	r.onEngine(func(e *engine) {
		if e.prune != nil {
			done = e.prune.done
		}
	})
	if done != nil {
		<-done
	}
}

// LocalExec runs a statement on each of the engine's own connections.
func (r *Replica) LocalExec(ctx context.Context, query string) error {
	r.run.RLock()
	defer r.run.RUnlock()
	for _, c := range r.run.engine.local.conns {
		if _, err := c.ExecContext(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// AwaitSnapshot waits until no snapshot is under way or due.
func (r *Replica) AwaitSnapshot(ctx context.Context) error {
	for {
		var done chan struct{}
		busy := false
		r.onEngine(func(e *engine) {
			if busy = e.snap != nil || e.owes(); e.snap != nil {
				done = e.snap.done
			}
		})
		if !busy {
			return ctx.Err()
		}
		if done != nil {
			<-done
		}
		if err := r.Flush(ctx); err != nil {
			return err
		}
	}
}
