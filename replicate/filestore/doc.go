// Package filestore is a replicate.Store in a directory: on a second disk, a
// mounted share, or for tests that need objects to outlive the process.
//
// Each object is a plain file at its key's path, so a batch can be read with
// zcat. A file is written under a temporary name, synced, then given its name
// in one step: a crash at any moment leaves an object whole or absent. Changes
// are made under a lock file, so several processes may share the directory if
// its file system has working locks.
//
// The store's own files are in the directory .filestore; what a crash leaves
// there is removed by New when it is a day old. Keys are paths: no part of a key
// is empty, "." or "..", and no key is the directory of another.
package filestore
