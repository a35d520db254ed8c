package replicate

import (
	"sync"
	"time"
)

// board is what the engine's goroutine shows to everyone else.
type board struct {
	mu      sync.Mutex
	status  Status
	metrics Metrics
	size    func() int64
	room    chan struct{} // closed when writers may go on; nil while they may
	sure    bool          // what is acknowledged is in the bucket of this start, and can be restored
}

func (b *board) update(f func(s *Status, m *Metrics)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.status, &b.metrics)
}

func (b *board) read() (Status, Metrics) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.metrics
	m.LastError, m.Epoch = b.status.LastError, b.status.Epoch
	m.PendingChanges = max(b.status.Captured-b.status.Acknowledged, 0)
	if b.size != nil {
		m.DBSizeBytes = b.size()
	}
	return b.status, m
}

// safe says whether everything up to sequence is known to be acknowledged by the
// bucket of this start, and can be restored from there.
func (b *board) safe(sequence int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sure && b.status.Acknowledged >= sequence
}

// starts counts from 0 for a new engine.
func (b *board) starts(size func() int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.metrics, b.size = Metrics{}, size
}

// publish copies where the engine stands.
func (b *board) publish(e *engine) {
	b.update(func(s *Status, m *Metrics) {
		b.sure = e.sure() && !e.needsFirst // before the first snapshot the bucket has nothing that can be restored
		s.Name, s.NodeID, s.RetryAt = e.name, e.side.id(), e.retryAt
		s.Captured, s.Sealed = e.captured, e.chain.last().Sequence
		s.Uploaded, s.Acknowledged = e.uploaded.Sequence, e.acked.Sequence
		if e.needsFirst { // where the chain begins is not stored before the first snapshot is
			s.Uploaded, s.Acknowledged = 0, 0
		}
		if s.Dropped = 0; e.gapped() {
			s.Dropped = e.dropped.To
		}
		if e.claim != nil {
			s.Epoch = e.claim.Epoch
			if newest, ok := e.claim.newest(); ok {
				s.Snapshot = newest.Sequence
			}
			if !e.needsFirst {
				m.LastRestorable, m.LastRestorableAt = e.whole.Sequence, time.UnixMilli(e.whole.MaxTime)
			}
		}
		switch {
		case e.halted != nil:
			s.State = StateHalted
		case !e.retryAt.IsZero():
			s.State = StateRetry
		case e.captured > e.acked.Sequence || e.snap != nil || e.needsFirst:
			s.State = StateSyncing
		default:
			s.State = StateIdle
		}
		m.IsRunning = e.halted == nil && !e.ended
	})
}

func (b *board) succeeded() { b.update(func(s *Status, _ *Metrics) { s.LastError = nil }) }

func (b *board) failed(err error) {
	b.update(func(s *Status, m *Metrics) {
		s.LastError = err
		m.SyncErrors++
	})
}

func (b *board) uploaded(bytes int) {
	b.update(func(_ *Status, m *Metrics) {
		m.Batches++
		m.BatchBytes += int64(bytes)
	})
}

func (b *board) manifestWrite() { b.update(func(_ *Status, m *Metrics) { m.ManifestWrites++ }) }

func (b *board) acknowledged(entries int64, now time.Time) {
	b.update(func(_ *Status, m *Metrics) {
		m.TotalSynced += entries
		m.LastSyncAt = now
	})
}

func (b *board) snapshot(s snapshotEntry) {
	b.update(func(_ *Status, m *Metrics) {
		m.Snapshots++
		m.SnapshotBytes += s.StoredSize
		m.LastSnapshotAt = time.UnixMilli(s.Time)
	})
}

func (b *board) dropped(entries int64) {
	b.update(func(_ *Status, m *Metrics) { m.DroppedEntries += entries })
}

// backlog keeps what waits for upload; full says that writers have to wait.
func (b *board) backlog(bytes int64, lag time.Duration, full bool) {
	b.update(func(_ *Status, m *Metrics) { m.BacklogBytes, m.Lag = bytes, lag })
	b.block(full)
}

// block makes writers wait, or lets them go on.
func (b *board) block(full bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case full && b.room == nil:
		b.room = make(chan struct{})
	case !full && b.room != nil:
		close(b.room)
		b.room = nil
	}
}

// full returns a channel that is closed when writers may go on, nil when they
// need not wait.
func (b *board) full() chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.room
}

func (b *board) stopped() {
	b.block(false)
	b.update(func(s *Status, m *Metrics) {
		m.IsRunning = false
		if s.State != StateHalted {
			s.State = StateStopped
		}
	})
}
