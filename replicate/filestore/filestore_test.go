package filestore_test

import (
	"testing"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/filestore"
	"github.com/driftdb/driftdb/replicate/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) replicate.Store { return open(t, t.TempDir(), filestore.Options{}) })
}

// open returns a store that is closed at the end of the test.
func open(t *testing.T, dir string, o filestore.Options) *filestore.Store {
	t.Helper()
	store, err := filestore.New(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}
