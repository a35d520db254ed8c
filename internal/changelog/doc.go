// Package changelog is the contract between the orm, which fills the change
// log inside the database file, and the replica, which ships it. The two meet
// only in the file.
//
// Triggers write one row of _driftdb_log for every change, in the change's own
// transaction. From there a change goes
//
//	Rows    log rows of one read transaction, gapless
//	Cut     batches that end on transaction boundaries, encoded and chained by hash
//	Queue   the seal: boundaries and hash on the disk before anything is uploaded
//	Encode  the same bytes again, after any restart
//	ParseBatch, Applier   a batch read back and replayed into an empty file
//
// The package works on *sql.Conn and imports no SQLite driver. docs/format.md
// describes every byte it writes.
package changelog
