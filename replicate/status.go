package replicate

import "time"

// State is what the engine of a Replica is doing.
type State string

// States of an engine.
const (
	StateStopped State = "stopped" // not started, or shut down
	StateIdle    State = "idle"    // everything committed is acknowledged, or waits for the next look
	StateSyncing State = "syncing" // changes are on their way
	StateRetry   State = "retry"   // the last attempt failed; it is made again at Status.RetryAt
	StateHalted  State = "halted"  // LastError is final for this start: fenced, forked, behind, …
)

// Status is where replication stands. Sequences count log entries; each is at
// least as large as the next.
type Status struct {
	State  State
	Name   string // the database's name in the bucket
	NodeID string
	Epoch  uint32 // of our claim; 0 while nothing was claimed

	Captured     int64 // newest sequence in the local log when last looked
	Sealed       int64 // forced to the local disk, batch boundaries fixed
	Uploaded     int64 // stored
	Acknowledged int64 // covered by a manifest that we wrote

	// Dropped is the sequence up to which the log was dropped before it was
	// stored (BacklogResnapshot), until a snapshot stands for it; 0 for nothing.
	Dropped int64

	Snapshot  int64 // sequence of the newest snapshot that the manifest names; 0 for none
	Unfenced  bool  // the store is one of Unfenced: nothing tells two writers at one moment apart
	LastError error // of the last attempt; nil once an attempt succeeded
	RetryAt   time.Time
}

// Metrics counts since the Replica was started.
type Metrics struct {
	IsRunning        bool
	PendingChanges   int64 // log entries committed and not yet acknowledged
	TotalSynced      int64 // log entries acknowledged since the start
	SyncErrors       int64 // failed attempts
	Batches          int64 // batches uploaded
	BatchBytes       int64 // stored bytes of these
	ManifestWrites   int64
	Snapshots        int64
	SnapshotBytes    int64
	DBSizeBytes      int64 // file and write-ahead log
	BacklogBytes     int64 // bytes of log that wait for upload, when last looked
	DroppedEntries   int64 // log entries that were dropped before they were stored: BacklogResnapshot
	Gaps             int64 // gaps in the history for which a snapshot stands since
	LastSyncAt       time.Time
	LastSnapshotAt   time.Time
	Lag              time.Duration // age of the oldest change that waits for upload when last looked; 0 for none
	LastError        error
	Epoch            uint32
	LastDrillAt      time.Time // when the last drill ended; zero before the first
	LastDrillError   error     // of the last drill; nil if the backup was sound
	LastRestorable   int64     // sequence up to which a restore comes now
	LastRestorableAt time.Time // time of the newest change up to there
}

// EventKind says what an Event tells of.
type EventKind string

// Kinds of events.
const (
	EventClaimed      EventKind = "claimed"      // the name is ours; Epoch. With Err the epoch was changed because what stands at Key is not ours
	EventSealed       EventKind = "sealed"       // From–To are on the local disk
	EventUploaded     EventKind = "uploaded"     // a batch is stored; From–To, Key, Bytes
	EventAdopted      EventKind = "adopted"      // a batch was found stored already, by an attempt whose answer was lost
	EventAcknowledged EventKind = "acknowledged" // the manifest covers everything up to To
	EventSnapshot     EventKind = "snapshot"     // a snapshot at To is stored and named; Key, Bytes
	EventRestored     EventKind = "restored"     // the file was restored up to To
	EventMovedAside   EventKind = "moved-aside"  // a local file was renamed before a restore; Key is its new path
	EventRetry        EventKind = "retry"        // an attempt failed and is made again; Err
	EventHalted       EventKind = "halted"       // shipping has stopped; Err says why and what to do
	EventRebased      EventKind = "rebased"      // the bucket is new to a file that was replicated before: the chain begins anew at To
	EventBacklog      EventKind = "backlog"      // more than Backlog.Alarm bytes wait for upload; Bytes
	EventDropped      EventKind = "dropped"      // log entries From–To were dropped before they were stored; a snapshot will stand for them
	EventGap          EventKind = "gap"          // the history has a gap: the snapshot at To stands for the changes From–To
	EventSchema       EventKind = "schema"       // something else has made, changed or dropped what Key names; the next snapshot carries it
	EventPacked       EventKind = "packed"       // batches From–To were put together as one object; Key, Bytes
	EventPruned       EventKind = "pruned"       // nothing before To is kept any more; Bytes were deleted
	EventDrilled      EventKind = "drilled"      // a drill has ended: restored up to To, Bytes were read; Err says what is wrong
	EventReleased     EventKind = "released"     // the name was released; another node may claim it
)

// Event is something of note. Fields that the kind does not mention are zero.
type Event struct {
	Kind     EventKind
	Time     time.Time
	Epoch    uint32
	From, To int64
	Key      string
	Bytes    int64
	Err      error
}
