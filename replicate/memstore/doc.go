// Package memstore is a replicate.Store in memory, for tests and for trying
// things out: a small real store that keeps every promise of the interface, not
// a recorder of calls. What it holds is gone with the process.
package memstore
