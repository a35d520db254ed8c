// Package replicate ships the change log of a SQLite database to an object
// store and rebuilds the database from there.
//
// A [Replica] owns one background goroutine. It wakes after a commit, seals
// what was committed (forces it to the local disk and fixes the boundaries of
// its batches), uploads the batches under keys that are never overwritten and
// then acknowledges them by a compare-and-swap of one small manifest:
//
//	store, err := filestore.New("/mnt/backup", filestore.Options{})
//	replica, err := replicate.New("myapp", store, replicate.Options{AutoRestore: true})
//	db, err := driftdb.Open(ctx, "myapp.sqlite", models.Schema, driftdb.Options{Replica: replica})
//	…
//	err = replica.Flush(ctx) // everything committed before is in the store
//
// What is guaranteed:
//
//   - Flush returns nil only when everything committed before the call is in
//     the store and covered by a manifest that this replica wrote.
//   - Nothing is uploaded that the local disk could still forget.
//   - Two processes that write under one name never lose what either was told
//     is safe: the one that was replaced gets [ErrFenced].
//   - A restore ends at a transaction boundary and is verified against the hash
//     chain, or fails with a named error and leaves no file at the path. A store
//     that cannot be read is never taken for an empty one.
//   - No request is made while nothing changes.
//
// docs/format.md describes every byte that is written.
package replicate
