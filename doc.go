// Package driftdb opens local-first SQLite databases for generated models and,
// with a replica, ships every committed change to an object store and brings
// the database back from there when the file is lost.
//
// Models are structs with drift tags; the driftgen command writes their typed
// tables. See the package's example, the README and docs/ for the rest.
//
// What is guaranteed: a write returns at local SQLite speed, with no network
// on the caller's path; every committed change of a model's table is in the
// change log in the same transaction, however it was made; a restore ends at a
// transaction boundary, verified, or fails with a named error and leaves no
// file behind.
package driftdb
