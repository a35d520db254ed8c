package storetest

import "testing"

var deleteTests = []test{
	{"delete", func(t *testing.T, s *suite) {
		ctx := t.Context()
		for _, key := range []string{"databases/app/a", "databases/app/b", "databases/app/c", "databases/app2/a"} {
			s.put(t, key, []byte("x"))
		}
		if err := s.store.Delete(ctx, "databases/app/a"); err != nil {
			t.Fatal(err)
		}
		s.missing(t, "databases/app/a")
		s.lists(t, "", "", "databases/app/b", "databases/app/c", "databases/app2/a")
		if err := s.store.Delete(ctx, "databases/app/b", "databases/app/c"); err != nil {
			t.Fatal(err)
		}
		s.lists(t, "", "", "databases/app2/a")
		s.put(t, "databases/app/a", []byte("again"))
		s.holds(t, "databases/app/a", []byte("again"))
	}},
	{"delete of what is not there", func(t *testing.T, s *suite) {
		ctx := t.Context()
		s.put(t, "databases/app/a", []byte("x"))
		for _, keys := range [][]string{
			nil, {"never"}, {"never", "neither"}, {"databases/app"}, {"databases"},
			{"databases/app/a/b"}, {"databases/app/a", "never"}, {"databases/app/a"}, {"databases/app/a", "databases/app/a"},
		} {
			if err := s.store.Delete(ctx, keys...); err != nil {
				t.Fatalf("delete %q: %v", keys, err)
			}
			if len(keys) == 0 || keys[0] != "databases/app/a" {
				s.holds(t, "databases/app/a", []byte("x"))
			}
		}
		s.missing(t, "databases/app/a")
		s.lists(t, "", "")
	}},
}
