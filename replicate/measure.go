package replicate

import (
	"encoding/json"
	"time"
)

// Measurement is a figure of a Replica for a monitoring system. The nested
// modules replicate/prommetrics and replicate/otelmetrics export them;
// docs/operations.md says what to do about each.
type Measurement struct {
	Name    string // as in Prometheus, with the unit at its end
	Help    string
	Unit    string // as in UCUM: "s", "By", "1"
	Counter bool   // only rises while the Replica runs; else it is a gauge
	Value   float64
}

// Measurements returns the figures of r, always the same ones in the same order.
// Times are Unix seconds, 0 for never.
func (r *Replica) Measurements() []Measurement {
	s, m := r.board.read()
	unix := func(t time.Time) float64 {
		if t.IsZero() {
			return 0
		}
		return float64(t.UnixMilli()) / 1000
	}
	truth := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	return []Measurement{
		{"driftdb_up", "1 while the replica runs and is not halted.", "1", false, truth(m.IsRunning)},
		{"driftdb_halted", "1 when shipping has stopped for good: LastError says why.", "1", false, truth(s.State == StateHalted)},
		{"driftdb_retrying", "1 while the last attempt has failed.", "1", false, truth(s.State == StateRetry)},
		{"driftdb_lag_seconds", "Age of the oldest change that waits for upload.", "s", false, m.Lag.Seconds()},
		{"driftdb_pending_entries", "Log entries that are committed and not acknowledged.", "1", false, float64(m.PendingChanges)},
		{"driftdb_backlog_bytes", "Bytes of log that wait for upload.", "By", false, float64(m.BacklogBytes)},
		{"driftdb_dropped_entries_total", "Log entries dropped before they were stored.", "1", true, float64(m.DroppedEntries)},
		{"driftdb_gaps_total", "Gaps in the history for which a snapshot stands.", "1", true, float64(m.Gaps)},
		{"driftdb_synced_entries_total", "Log entries acknowledged.", "1", true, float64(m.TotalSynced)},
		{"driftdb_batches_total", "Batches uploaded.", "1", true, float64(m.Batches)},
		{"driftdb_batch_bytes_total", "Stored bytes of batches.", "By", true, float64(m.BatchBytes)},
		{"driftdb_snapshots_total", "Snapshots stored.", "1", true, float64(m.Snapshots)},
		{"driftdb_snapshot_bytes_total", "Stored bytes of snapshots.", "By", true, float64(m.SnapshotBytes)},
		{"driftdb_manifest_writes_total", "Writes of the manifest.", "1", true, float64(m.ManifestWrites)},
		{"driftdb_errors_total", "Attempts that failed.", "1", true, float64(m.SyncErrors)},
		{"driftdb_database_bytes", "Size of the file and its write-ahead log.", "By", false, float64(m.DBSizeBytes)},
		{"driftdb_last_sync_timestamp_seconds", "When changes were acknowledged last.", "s", false, unix(m.LastSyncAt)},
		{"driftdb_last_snapshot_timestamp_seconds", "When a snapshot was stored last.", "s", false, unix(m.LastSnapshotAt)},
		{"driftdb_last_restorable_timestamp_seconds", "Time of the newest change that a restore gives back.", "s", false, unix(m.LastRestorableAt)},
		{"driftdb_last_drill_timestamp_seconds", "When the last drill ended.", "s", false, unix(m.LastDrillAt)},
		{"driftdb_drill_failed", "1 if the last drill could not restore the backup.", "1", false, truth(m.LastDrillError != nil)},
		{"driftdb_epoch", "Epoch of our claim.", "1", false, float64(m.Epoch)},
	}
}

// MarshalJSON encodes errors as their texts and durations as seconds, for expvar:
//
//	expvar.Publish("driftdb", expvar.Func(func() any { return replica.Metrics() }))
func (m Metrics) MarshalJSON() ([]byte, error) {
	text := func(err error) string {
		if err == nil {
			return ""
		}
		return err.Error()
	}
	return json.Marshal(map[string]any{
		"isRunning": m.IsRunning, "pendingChanges": m.PendingChanges, "totalSynced": m.TotalSynced, "syncErrors": m.SyncErrors,
		"batches": m.Batches, "batchBytes": m.BatchBytes, "manifestWrites": m.ManifestWrites, "snapshots": m.Snapshots, "snapshotBytes": m.SnapshotBytes,
		"dbSizeBytes": m.DBSizeBytes, "backlogBytes": m.BacklogBytes, "droppedEntries": m.DroppedEntries, "gaps": m.Gaps, "lastSyncAt": m.LastSyncAt, "lastSnapshotAt": m.LastSnapshotAt,
		"lagSeconds": m.Lag.Seconds(), "lastError": text(m.LastError), "epoch": m.Epoch, "lastDrillAt": m.LastDrillAt,
		"lastDrillError": text(m.LastDrillError), "lastRestorable": m.LastRestorable, "lastRestorableAt": m.LastRestorableAt,
	})
}
