package storetest

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/driftdb/driftdb/replicate"
)

// rangeTests hold for stores that are a replicate.RangeStore.
var rangeTests = []test{
	{"the rest of an object", func(t *testing.T, s *suite) {
		ranges, ok := s.store.(replicate.RangeStore)
		if !ok {
			return
		}
		for _, size := range []int{1, 1000, 6<<20 + 1} {
			data := noise(uint64(size), size)
			s.put(t, "databases/app/x", data)
			for _, offset := range []int{0, 1, size / 2, size - 1} {
				if offset >= size {
					continue
				}
				body, info, err := ranges.GetFrom(t.Context(), "databases/app/x", int64(offset))
				if err != nil {
					t.Fatalf("%d bytes from %d: %v", size, offset, err)
				}
				got, err := io.ReadAll(body)
				if err = errors.Join(err, body.Close()); err != nil {
					t.Fatalf("%d bytes from %d: %v", size, offset, err)
				}
				if !bytes.Equal(got, data[offset:]) {
					t.Fatalf("%d bytes from %d: %d bytes that differ from the %d wanted", size, offset, len(got), size-offset)
				}
				if info.Size >= 0 && info.Size != int64(size) {
					t.Fatalf("%d bytes from %d: Info.Size is %d", size, offset, info.Size)
				}
			}
			for _, offset := range []int{size, size + 1} {
				body, _, err := ranges.GetFrom(t.Context(), "databases/app/x", int64(offset))
				if err == nil {
					err = body.Close()
				}
				if !errors.Is(err, replicate.ErrPrecondition) {
					t.Fatalf("%d bytes from %d: %v, want ErrPrecondition", size, offset, err)
				}
			}
		}
		if _, _, err := ranges.GetFrom(t.Context(), "databases/app/missing", 1); !errors.Is(err, replicate.ErrNotExist) {
			t.Fatalf("from byte 1 of what is not there: %v, want ErrNotExist", err)
		}
	}},
}
