package memstore_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
	"github.com/driftdb/driftdb/replicate/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) replicate.Store { return memstore.New() })
}

func TestBytesAreCopied(t *testing.T) {
	is := is.New(t)
	store := memstore.New()
	data := []byte("before")
	put(t, store, "k", data)
	copy(data, "after!")
	body, _, err := store.Get(t.Context(), "k")
	is.NoErr(err)
	put(t, store, "k", []byte("another"))
	is.NoErr(store.Delete(t.Context(), "k"))
	got, err := io.ReadAll(body)
	is.NoErr(err)
	is.Equal(string(got), "before") // neither the caller's slice nor later writes reach an open body
}

func TestClock(t *testing.T) {
	is := is.New(t)
	at := time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)
	store := memstore.NewWithOptions(memstore.Options{Now: func() time.Time { return at }})
	put(t, store, "k", []byte("x"))
	body, info, err := store.Get(t.Context(), "k")
	is.NoErr(err)
	is.NoErr(body.Close())
	is.Equal(info.Modified, at)
}

func put(t *testing.T, store *memstore.Store, key string, data []byte) {
	t.Helper()
	_, err := store.Put(t.Context(), key, replicate.Body{
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }, Size: int64(len(data)),
	}, replicate.Condition{})
	if err != nil {
		t.Fatal(err)
	}
}
