package sqlite

import "errors"

// Mode is what a connection is for; it decides the pragmas.
type Mode int

// The modes. All but Replay and Plain insist on journal_mode=WAL.
const (
	// Writer reads and writes: the original's pragmas (WAL, synchronous=NORMAL,
	// foreign keys, 64 MB cache, temp_store=MEMORY) plus recursive_triggers
	// and a busy timeout of 5 s. It creates the file, 0600.
	Writer Mode = iota
	// Reader is Writer with query_only: it cannot change anything. It is not
	// opened read-only, because a reader of a WAL file must write to -shm.
	Reader
	// Seal commits durably: synchronous=FULL, and F_FULLFSYNC on macOS. It
	// gives up waiting for the write lock after 100 ms, so that its user can
	// look at a context between two attempts.
	Seal
	// Replay fills a private file that nobody else has open and that is
	// thrown away if anything fails: no journal, no syncing, no foreign keys,
	// exclusive lock, cells checked. It creates the file, 0600.
	Replay
	// Plain looks into a file of any journal mode, a copy most often: cells
	// checked, nothing trusted, nothing else set.
	Plain
)

// ErrJournalMode says that a file is not, and could not be put, in WAL mode,
// on which replication and concurrent readers depend.
var ErrJournalMode = errors.New("the database is not in WAL mode: network file systems cannot do it, and another program may have set a different journal_mode; run PRAGMA journal_mode=WAL on it with every other program closed")
