// Package faultstore wraps a replicate.Store and makes chosen calls go wrong,
// the way networks and servers do: refused, lost after success, cut short,
// stale, hanging. Tests script it with rules and read its counters.
//
//	store := faultstore.New(memstore.New(), faultstore.Rule{Op: faultstore.Put, Key: "/logs/", Nth: 3, Kind: faultstore.LostReply})
package faultstore
