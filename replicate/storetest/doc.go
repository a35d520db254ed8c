// Package storetest checks an implementation of replicate.Store against every
// promise of the interface.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) replicate.Store { return mystore.New(t.TempDir()) })
//	}
package storetest
