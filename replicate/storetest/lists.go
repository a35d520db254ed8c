package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

var listTests = []test{
	{"list of an empty store", func(t *testing.T, s *suite) {
		s.lists(t, "", "")
		s.lists(t, "databases/app/", "")
		s.lists(t, "", "databases/app/x")
	}},
	{"list by prefix and after", listEdges},
	{"list in byte order", listOrder},
	{"list of more than a page", listPages},
	{"list stops when told to", func(t *testing.T, s *suite) {
		for i := range 5 {
			s.put(t, fmt.Sprintf("k%d", i), []byte("x"))
		}
		n := 0
		for _, err := range s.store.List(t.Context(), "", "") {
			if err != nil {
				t.Fatal(err)
			}
			if n++; n == 2 {
				break
			}
		}
		if n != 2 {
			t.Fatalf("the loop saw %d objects, want 2", n)
		}
	}},
	{"list tells what objects are", func(t *testing.T, s *suite) {
		etag := s.put(t, "databases/app/k", noise(1, 4321))
		for info, err := range s.store.List(t.Context(), "databases/", "") {
			switch {
			case err != nil:
				t.Fatal(err)
			case info.Size != 4321:
				t.Fatalf("Info.Size is %d, want 4321", info.Size)
			case info.ETag != "" && info.ETag != etag:
				t.Fatalf("Info.ETag is %q, by Put it was %q", info.ETag, etag)
			case info.Modified.IsZero():
				t.Fatal("Info.Modified is zero")
			}
		}
	}},
	{"the same sequence twice", func(t *testing.T, s *suite) {
		s.put(t, "a", []byte("x"))
		seq := s.store.List(t.Context(), "", "")
		for _, want := range []int{1, 2} {
			n := 0
			for _, err := range seq {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			if n != want {
				t.Fatalf("pass %d saw %d objects, want %d", want, n, want)
			}
			s.put(t, "b", []byte("x"))
		}
	}},
}

// lists fails the test unless the listing is exactly want.
func (s *suite) lists(t *testing.T, prefix, after string, want ...string) {
	t.Helper()
	got, err := s.keys(t, prefix, after)
	if err != nil {
		t.Fatalf("list %q after %q: %v", prefix, after, err)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("list %q after %q:\n got %q\nwant %q", prefix, after, got, want)
	}
}

func (s *suite) keys(t *testing.T, prefix, after string) ([]string, error) {
	var keys []string
	for info, err := range s.store.List(t.Context(), prefix, after) {
		if err != nil {
			return keys, err
		}
		keys = append(keys, info.Key)
	}
	return keys, nil
}

func listEdges(t *testing.T, s *suite) {
	a := []string{"databases/a/logs/000000000001-000000000009", "databases/a/logs/000000000010-000000000010", "databases/a/logs/000000000011-000000000020"}
	b := []string{"databases/ab/manifest.json", "databases/b/manifest.json"}
	for _, key := range slices.Concat(b, a) {
		s.put(t, key, []byte("x"))
	}
	all := slices.Concat(a, b)
	s.lists(t, "", "", all...)
	s.lists(t, "databases/", "", all...)
	s.lists(t, "databases/a", "", all[:4]...) // a prefix is text, not a directory
	s.lists(t, "databases/a/", "", a...)
	s.lists(t, "databases/a/logs/00000000001", "", a[1:]...)
	s.lists(t, a[1], "", a[1])
	s.lists(t, a[1]+"0", "")
	s.lists(t, "databases/a/nothing", "")
	s.lists(t, "atabases", "")

	s.lists(t, "databases/a/", a[0], a[1:]...)                            // an existing key is left out
	s.lists(t, "databases/a/", "databases/a/logs/000000000005", a[1:]...) // a missing one need not exist
	s.lists(t, "databases/a/", a[0][:len(a[0])-1], a...)
	s.lists(t, "databases/a/", a[0]+"0", a[1:]...)
	s.lists(t, "databases/a/", a[2])
	s.lists(t, "databases/a/", "databases/a/logs/9")
	s.lists(t, "databases/a/", "a", a...)           // before the prefix
	s.lists(t, "databases/a/", "databases/b")       // behind it
	s.lists(t, "", "databases/a0", b...)            // between two directories
	s.lists(t, "", "databases/a/", all...)          // a directory's name
	s.lists(t, "", "databases/a/logs/z", b...)      // the end of one
	s.lists(t, "databases/b", "databases/ab", b[1]) // another prefix's key
	s.lists(t, "", "zzz")
}

// listOrder: bytes, not path components, decide: "-" and "." come before "/".
func listOrder(t *testing.T, s *suite) {
	keys := []string{
		"databases/a-b/x", "databases/a.b/x", "databases/a/x", "databases/a/y-1", "databases/a/y.1", "databases/a/y1",
		"databases/a0/x", "databases/ab/x", "databases/b/00000002/x", "databases/b/00000010/x", "databases/b_/x",
	}
	for i := range keys {
		s.put(t, keys[(i*7)%len(keys)], []byte("x")) // 7 and 11 have no common divisor
	}
	s.lists(t, "", "", keys...)
	s.lists(t, "databases/a", "", keys[:8]...)
	for i := range keys {
		s.lists(t, "databases/", keys[i], keys[i+1:]...)
	}
}

func listPages(t *testing.T, s *suite) {
	const n = 2005 // S3 lists 1,000 at a time
	want := make([]string, n)
	for i := range want {
		want[i] = fmt.Sprintf("databases/app/logs/%012d", i*3)
	}
	errs := make([]error, 8)
	together(len(errs), func(w int) {
		for i := w; i < n && errs[w] == nil; i += len(errs) {
			_, errs[w] = s.store.Put(t.Context(), want[i], bodyOf([]byte("x")), ifAbsent)
		}
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	s.put(t, "databases/app/manifest.json", []byte("x")) // the next in order, outside
	s.lists(t, "databases/app/logs/", "", want...)
	s.lists(t, "databases/app/logs/", want[999], want[1000:]...)
	s.lists(t, "databases/app/logs/", want[4][:len(want[4])-1]+"3", want[5:]...) // 12 < 13 < 15

	if err := s.store.Delete(t.Context(), append(want[:n:n], "databases/app/logs/never")...); err != nil {
		t.Fatalf("delete of %d objects: %v", n+1, err)
	}
	s.lists(t, "databases/app/", "", "databases/app/manifest.json")
}
