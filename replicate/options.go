package replicate

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Options of a Replica. The zero value is good.
type Options struct {
	// AutoRestore makes Prepare restore a missing file from the bucket when
	// this node owns the name or the last owner has released it, and start
	// with a new file when the bucket holds no backup. Defaults to false: a
	// missing file is a new file.
	AutoRestore bool

	// TakeOver claims the name from another node that has not released it.
	// For platforms that guarantee a single instance. Each start asks the store
	// who owns the name, even when this node did last, before the file is opened:
	// another machine may have taken over since, and what was written to the old
	// file then would be lost to the backup. That is one request while nobody has.
	// Defaults to false: the error is ErrOwned.
	TakeOver bool

	// NodeID names this node, as in [a-z0-9][a-z0-9._-]{0,62}. Defaults to a
	// random one that is kept in the directory beside the file.
	NodeID string

	Sync     Sync         // when changes are shipped
	Snapshot SnapshotRule // when the whole database is stored
	Retry    Retry        // how a failed request is tried again

	Retention Retention // what is kept in the store

	Drill Drill // how often the backup is restored on trial

	Encryption Encryption // with which keys what is stored is sealed

	// LogTail is how many acknowledged entries stay in the local log. Defaults
	// to 10,000; a negative number keeps only the newest entry.
	LogTail int64

	Backlog Backlog // what happens when much of the log waits for upload

	// DisableCompression stores batches and snapshots as they are. Defaults to
	// false: gzip.
	DisableCompression bool

	// Logger receives what a person should know: claims, restores, errors.
	// Never row values. Defaults to none.
	Logger *slog.Logger

	// Events receives everything of note, in order: from the engine's own
	// goroutine, and what Prepare does from Prepare's caller. It must not block
	// and must not call back. Defaults to none.
	Events func(Event)

	// Now tells the time for the times in the manifest; nothing is ordered by
	// it. Defaults to time.Now.
	Now func() time.Time
}

// Sync says when changes are shipped.
type Sync struct {
	// Interval is how often the local file is looked at for changes that
	// Notify did not tell of, another process's for instance. Nothing is
	// requested from the store when there are none. Defaults to 5 s.
	Interval time.Duration

	// Debounce is how long a commit waits for others before they are shipped
	// together. Defaults to 50 ms.
	Debounce time.Duration

	// MinInterval is the shortest time between the beginnings of two uploads
	// while changes flow: a bucket bills requests. The first change after a rest
	// waits for Debounce only, and Flush, WaitDurable, Snapshot and Shutdown for
	// nothing. Defaults to 1 s.
	MinInterval time.Duration

	// ManifestInterval is how often the manifest is written at most while
	// changes flow; Flush, Snapshot and Shutdown do not wait for it. Defaults
	// to 10 s.
	ManifestInterval time.Duration

	// CloseTimeout bounds Close, which ships what is left. Defaults to 10 s.
	CloseTimeout time.Duration

	// Manual ships only on Flush, Snapshot and Shutdown. Defaults to false.
	Manual bool
}

// SnapshotRule says when the whole database is stored, beside on
// Replica.Snapshot.
type SnapshotRule struct {
	// Every is the number of log entries after which a snapshot is due, as soon
	// as the log stored since the last one is also worth it (MinLogRatio).
	// Defaults to 1000.
	Every int64

	// MinLogRatio is how many bytes of log must be stored since the last
	// snapshot for each byte the last one took. Defaults to 0.5.
	MinLogRatio float64

	// Disabled takes no snapshot but the first one of a database that held
	// data before its log began, and those asked for. Defaults to false.
	Disabled bool

	// Anew makes Replica.Snapshot store a copy even where the newest one has all
	// there is: after Verify has found that one damaged. Defaults to false.
	Anew bool
}

// Retention says what the store keeps. What is older than 24 hours and needed for
// nothing of it is deleted, after a snapshot was stored; points that Mark has
// named are kept until Unmark.
type Retention struct {
	// Window is how far back every point can be restored. Defaults to 7 days.
	Window time.Duration

	// Snapshots is how many of the newest snapshots are kept at least. Defaults
	// to 2.
	Snapshots int

	// Disabled deletes nothing. Defaults to false. Credentials that may not
	// delete do no harm: what is due is reported, and stays.
	Disabled bool

	// DisablePacks leaves batches as they are. Defaults to false: small ones
	// are put together, so that a restore reads few objects.
	DisablePacks bool
}

// Retry says how a failed request is tried again: after a random time up
// to Base × 2ⁿ, at most Max. The background never gives up.
type Retry struct {
	// Base is the longest wait before the second attempt. Defaults to 500 ms.
	Base time.Duration

	// Max bounds the wait. Defaults to 30 s.
	Max time.Duration

	// MaxAttempts is how many attempts one call of Flush, Snapshot, Prepare or
	// Restore makes before it returns the last error. Defaults to 5.
	MaxAttempts int

	// LockWait is how long Prepare waits for another process that ships or restores
	// the same file to end, for programs that run for seconds and may overlap, and
	// Restore for one that restores it. Defaults to not at all: ErrLocked.
	LockWait time.Duration
}

func (o Options) withDefaults() Options {
	set(&o.Sync.Interval, 5*time.Second)
	set(&o.Sync.Debounce, 50*time.Millisecond)
	set(&o.Sync.MinInterval, time.Second)
	set(&o.Sync.ManifestInterval, 10*time.Second)
	set(&o.Snapshot.Every, 1000)
	set(&o.Snapshot.MinLogRatio, 0.5)
	set(&o.Retention.Window, 7*24*time.Hour)
	set(&o.Retention.Snapshots, 2)
	set(&o.Retry.Base, 500*time.Millisecond)
	set(&o.Retry.Max, 30*time.Second)
	set(&o.Retry.MaxAttempts, 5)
	set(&o.LogTail, 10_000)
	set(&o.Backlog.Alarm, 256<<20)
	set(&o.Backlog.Policy, BacklogAlarm)
	set(&o.Backlog.Bound, 1<<30)
	set(&o.Backlog.Wait, 10*time.Second)
	set(&o.Sync.CloseTimeout, 10*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Events == nil {
		o.Events = func(Event) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (o Options) validate() error {
	var errs []error
	if o.NodeID != "" {
		if err := checkName("Options.NodeID", o.NodeID); err != nil {
			errs = append(errs, err)
		}
	}
	positive := func(name string, ok bool) {
		if !ok {
			errs = append(errs, fmt.Errorf("option %s must be positive", name))
		}
	}
	errs = append(errs, o.Encryption.validate(), o.Backlog.validate())
	positive("Sync.Interval", o.Sync.Interval > 0)
	positive("Sync.Debounce", o.Sync.Debounce > 0)
	positive("Sync.MinInterval", o.Sync.MinInterval > 0)
	positive("Sync.ManifestInterval", o.Sync.ManifestInterval > 0)
	positive("Snapshot.Every", o.Snapshot.Every > 0)
	positive("Snapshot.MinLogRatio", o.Snapshot.MinLogRatio > 0)
	positive("Retention.Window", o.Retention.Window > 0)
	positive("Retention.Snapshots", o.Retention.Snapshots > 0)
	positive("Retry.Base", o.Retry.Base > 0)
	positive("Retry.Max", o.Retry.Max > 0)
	positive("Retry.MaxAttempts", o.Retry.MaxAttempts > 0)
	positive("Drill.Every", o.Drill.Every >= 0)
	positive("Retry.LockWait", o.Retry.LockWait >= 0)
	positive("Backlog.Alarm", o.Backlog.Alarm > 0)
	positive("Backlog.Bound", o.Backlog.Bound > 0)
	positive("Sync.CloseTimeout", o.Sync.CloseTimeout > 0)
	return errors.Join(errs...)
}
