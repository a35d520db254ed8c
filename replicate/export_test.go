package replicate

import "context"

// Kill is what a crash of the process leaves.
func (r *Replica) Kill() error { return r.kill() }

// SetHook lets tests stop between any two steps. To be called before Prepare.
func (r *Replica) SetHook(f func(point string) error) { r.hook = f }

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

// WaitForPack waits until no pack is under way.
func (r *Replica) WaitForPack() {
	r.run.RLock()
	e := r.run.engine
	r.run.RUnlock()
	var done chan struct{}
	_ = r.ask(context.Background(), &request{edit: func(*manifest, bool) error { // on the engine's goroutine
		if e.pack != nil {
			done = e.pack.done
		}
		return errDone
	}})
	if done != nil {
		<-done
	}
}
