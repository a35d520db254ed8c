package s3store_test

import (
	"testing"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/storetest"
	"github.com/driftdb/driftdb/s3store"
)

func TestStore(t *testing.T) {
	t.Parallel()
	for name, wire := range wires {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if raceDetector && wire.tls != (wire.checksums == s3store.ChecksumsWhenSupported) {
				t.Skip("the race detector makes this slow; the two other wires run the same code of ours")
			}
			storetest.Run(t, func(t *testing.T) replicate.Store {
				o := options(t, server(t, wire.tls))
				o.Checksums = wire.checksums
				return open(t, o)
			})
		})
	}
}

func TestCheck(t *testing.T) {
	for name, wire := range wires {
		t.Run(name, func(t *testing.T) {
			o := options(t, server(t, wire.tls))
			o.Checksums = wire.checksums
			store := open(t, o)
			if err := store.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			for info, err := range store.List(t.Context(), "", "") {
				t.Fatalf("Check left %v behind (%v)", info, err)
			}
		})
	}
}
