package storetest

import (
	"fmt"
	"testing"

	"github.com/driftdb/driftdb/replicate"
)

var conditionTests = []test{
	{"if absent", putIfAbsent},
	{"if absent, in parts", func(t *testing.T, s *suite) {
		first, second := noise(1, 12<<20), noise(2, 12<<20)
		if _, err := s.store.Put(t.Context(), "k", streamOf(first), ifAbsent); err != nil {
			t.Fatal(err)
		}
		for _, body := range []replicate.Body{streamOf(second), bodyOf(second), bodyOf([]byte("x")), bodyOf(nil)} {
			_, err := s.store.Put(t.Context(), "k", body, ifAbsent)
			refused(t, "put over an object in parts", err)
		}
		s.holds(t, "k", first)
	}},
	{"if unchanged", putIfMatch},
	{"if unchanged, in parts", func(t *testing.T, s *suite) {
		first := s.put(t, "k", []byte("1"))
		second, err := s.store.Put(t.Context(), "k", streamOf(noise(2, 12<<20)), ifMatch(first))
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.store.Put(t.Context(), "k", streamOf(noise(3, 12<<20)), ifMatch(first))
		refused(t, "put under an old tag, in parts", err)
		s.holds(t, "k", noise(2, 12<<20))
		if _, err = s.store.Put(t.Context(), "k", bodyOf([]byte("4")), ifMatch(second)); err != nil {
			t.Fatalf("put under the tag of an object in parts: %v", err)
		}
	}},
	{"both conditions", func(t *testing.T, s *suite) {
		etag := s.put(t, "k", []byte("1"))
		if _, err := s.store.Put(t.Context(), "k", bodyOf([]byte("2")), replicate.Condition{IfAbsent: true, IfMatch: etag}); err == nil {
			t.Fatal("a put under conditions that exclude each other succeeded")
		}
		s.holds(t, "k", []byte("1"))
	}},
}

func putIfAbsent(t *testing.T, s *suite) {
	ctx := t.Context()
	etag, err := s.store.Put(ctx, "k", bodyOf([]byte("first")), ifAbsent)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{"second", "first", ""} {
		_, err = s.store.Put(ctx, "k", bodyOf([]byte(data)), ifAbsent)
		refused(t, fmt.Sprintf("put %q over \"first\"", data), err)
	}
	if info := s.holds(t, "k", []byte("first")); info.ETag != etag {
		t.Fatalf("a refused put changed the entity tag from %q to %q", etag, info.ETag)
	}
	if err := s.store.Delete(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	if _, err = s.store.Put(ctx, "k", bodyOf([]byte("third")), ifAbsent); err != nil {
		t.Fatalf("put if absent after a delete: %v", err)
	}
	s.holds(t, "k", []byte("third"))
	// An empty object is an object.
	if _, err = s.store.Put(ctx, "empty", bodyOf(nil), ifAbsent); err != nil {
		t.Fatal(err)
	}
	_, err = s.store.Put(ctx, "empty", bodyOf([]byte("x")), ifAbsent)
	refused(t, "put over an empty object", err)
}

func putIfMatch(t *testing.T, s *suite) {
	ctx := t.Context()
	_, err := s.store.Put(ctx, "k", bodyOf([]byte("0")), ifMatch("00000000000000000000000000000000"))
	refused(t, "put under a tag where nothing is", err)
	s.missing(t, "k")

	tags := []string{s.put(t, "k", []byte("0"))}
	for i := 1; i <= 5; i++ {
		data := []byte(fmt.Sprint(i))
		etag, err := s.store.Put(ctx, "k", bodyOf(data), ifMatch(tags[len(tags)-1]))
		if err != nil {
			t.Fatalf("put %d under the newest tag: %v", i, err)
		}
		if info := s.holds(t, "k", data); info.ETag != etag {
			t.Fatalf("entity tag is %q by Put and %q by Get", etag, info.ETag)
		}
		for _, old := range tags {
			_, err := s.store.Put(ctx, "k", bodyOf([]byte("old")), ifMatch(old))
			refused(t, "put under an old tag", err)
		}
		s.holds(t, "k", data)
		tags = append(tags, etag)
	}
	if err := s.store.Delete(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	_, err = s.store.Put(ctx, "k", bodyOf([]byte("x")), ifMatch(tags[len(tags)-1]))
	refused(t, "put under the tag of a deleted object", err)
	s.missing(t, "k")
}
