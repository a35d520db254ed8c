package replicate

import (
	"errors"
	"fmt"
	"time"

	"github.com/driftdb/driftdb/internal/envelope"
	"github.com/driftdb/driftdb/internal/sqlite"
)

// Errors that a caller may want to tell apart with errors.Is. Their texts say
// what to do.
var (
	// ErrFenced: another process has claimed the name. This one has stopped
	// shipping; local reads and writes go on.
	ErrFenced = errors.New("fenced: another process has claimed this name and this one has stopped shipping; " +
		"stop one of the two, then restart this one (with Options.TakeOver if it is to win)")

	// ErrForked: the local file and the bucket hold different histories. The
	// file is left as it is and nothing is shipped.
	ErrForked = errors.New("forked: the local file and the bucket hold different histories; " +
		"to go on with the bucket's, move the file away and restart; to keep the file's, replicate it under another name")

	// ErrBehind: the local file is an older state of what the bucket holds and
	// has no changes of its own.
	ErrBehind = errors.New("behind: the local file is an older state of what the bucket holds; " +
		"restart with Options.AutoRestore to have it moved aside and restored, or move it away")

	// ErrOwned: another node owns the name and has not released it. The error
	// is an *OwnedError.
	ErrOwned = errors.New("owned by another node")

	// ErrNoBackup: a successful look-up found no backup under the name.
	ErrNoBackup = errors.New("no backup exists under this name")

	// ErrManifestLost: objects are stored under the name, and its manifest is gone.
	// It is no ErrNoBackup: there is a history, which nothing leads to. It stops a
	// Replica, too: a new backup would hide that history, and prune it in the end.
	ErrManifestLost = errors.New("the manifest is gone and what it led to is not: " +
		"make it anew with RebuildManifest, or drift rebuild-manifest, and restart; or use another name; or delete the objects if nobody needs them")

	// ErrNoRestorePoint: the backup was begun on a database that already held
	// data and its first snapshot has not been stored yet. Nothing of it was ever
	// acknowledged: with Options.TakeOver the name can be had for another file.
	ErrNoRestorePoint = errors.New("no restorable point yet: the first snapshot of this backup has not been completed; " +
		"let the owner finish it (Snapshot or Flush), or take over with a database file if it will not come back")

	// ErrNoPoint: the point that was asked for is not in the backup: it lies
	// before the oldest that is kept, beyond the newest, or was never marked.
	ErrNoPoint = errors.New("the backup has no such point")

	// ErrMarked: a point of that name is there already.
	ErrMarked = errors.New("a point of that name is there already; remove it first (Unmark), or use another name")

	// ErrPosition: the position is of another file, or of this one before it
	// was restored, or lies beyond the end of its log.
	ErrPosition = errors.New("the position is not one of this file")

	// ErrCorrupt: stored bytes are not what the manifest and the hash chain
	// call for.
	ErrCorrupt = envelope.ErrCorrupt

	// ErrMissing: an object that the manifest calls for is not in the store.
	ErrMissing = errors.New("an object that the manifest calls for is missing")

	// ErrMoved: a restore was planned again and again, because the manifest
	// changed while it ran and what it had planned with was gone or did not count
	// any more. Nothing is wrong with the backup.
	ErrMoved = errors.New("the backup was changed, again and again, while it was being restored; begin again, with a larger Retry.MaxAttempts if it changes that fast")

	// ErrV1Manifest: the manifest was written by the original DriftDB, or there is
	// none and objects of the original are.
	ErrV1Manifest = errors.New("the manifest was written by version 1 of DriftDB; import it first, or use another name")

	// ErrForeignManifest: something that is not this version of DriftDB has
	// replaced or removed the manifest.
	ErrForeignManifest = errors.New("the manifest was replaced or removed by something else; " +
		"stop the other program that uses this name, make the manifest anew with drift rebuild-manifest, then restart this one")

	// ErrNoKey: an object is sealed with a key that was not given. The text
	// says which.
	ErrNoKey = envelope.ErrNoKey

	// ErrNotSealed: the manifest is in the clear although encryption is on.
	ErrNotSealed = fmt.Errorf("%w: set Encryption.AcceptPlain once if this backup is to be encrypted from now on", envelope.ErrNotSealed)

	// ErrVersion: the manifest or an object was written by a newer version.
	ErrVersion = envelope.ErrVersion

	// ErrNotSupported: the object uses a feature of the format that this
	// version does not read, encryption for one.
	ErrNotSupported = envelope.ErrNotSupported

	// ErrLogDamaged: the local change log is not what was sealed. Nothing more
	// is shipped.
	ErrLogDamaged = errors.New("the local change log was changed by something else; " +
		"to go on with what the bucket holds, move the file away and restart; to keep the file's rows, replicate it under another name")

	// ErrDamaged: SQLite cannot read the local file, or has found it broken: its disk,
	// or another program. Changes that can still be read are shipped; a snapshot
	// of a broken file is not.
	ErrDamaged = sqlite.ErrFileDamaged

	// ErrSchemaDrift: a table of a model, its columns or constraints, or a
	// trigger that writes the change log was changed by something other than a
	// migration. Nothing is shipped until that is undone or accepted.
	ErrSchemaDrift = errors.New("schema drift: what the change log depends on was changed by something other than a migration, and nothing more is shipped; " +
		"undo the change, or migrate to it, or take it as it is with Replica.AcceptSchema")

	// ErrLocked: another process ships or restores the same file.
	ErrLocked = errors.New("another process ships or restores this file")

	// ErrNotPrepared: the file is no database whose changes are logged.
	ErrNotPrepared = errors.New("the file has no change log; open it once with driftdb.Open")

	// ErrInTx says that Flush, Snapshot or Shutdown was called with the context
	// of a running write transaction on the same file. Nothing of it is
	// committed yet, and the seal would wait for its lock for ever.
	ErrInTx = errors.New("called inside a transaction of the same database: call it after the transaction has ended")

	// ErrClosed: the replica was closed or never started.
	ErrClosed = errors.New("the replica is not running")

	// ErrExists: a restore never writes over a file.
	ErrExists = errors.New("a file exists at the path; move it away first")
)

// OwnedError says which node owns a name. It is an [ErrOwned].
type OwnedError struct {
	Name  string    // the database's name
	Node  string    // the owner's node id
	Since time.Time // when the owner claimed it
}

func (e *OwnedError) Error() string {
	return fmt.Sprintf("%q is owned by node %s since %s and was not released: shut that node down cleanly; "+
		"or give both the same Options.NodeID if they are one and the same; or set Options.TakeOver, or run drift take-over, if it will never come back; "+
		"or use another name if this file is to go on by itself",
		e.Name, e.Node, e.Since.UTC().Format(time.RFC3339))
}

// Is makes errors.Is(err, ErrOwned) true.
func (e *OwnedError) Is(target error) bool { return target == ErrOwned }
