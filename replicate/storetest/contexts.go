package storetest

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/driftdb/driftdb/replicate"
)

var contextTests = []test{
	{"a cancelled context starts nothing", cancelledBefore},
	{"a context that ends during a put", cancelledDuring},
	{"a failed call harms no later one", func(t *testing.T, s *suite) {
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		for range 20 {
			if _, err := s.store.Put(cancelled, "k", bodyOf([]byte("x")), always); err == nil {
				t.Fatal("put under a cancelled context succeeded")
			}
		}
		s.put(t, "k", []byte("y"))
		s.holds(t, "k", []byte("y"))
	}},
}

func cancelledBefore(t *testing.T, s *suite) {
	s.put(t, "old", []byte("old"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	want := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", what, err)
		}
	}
	body, _, err := s.store.Get(ctx, "old")
	want("get", err)
	if body != nil {
		t.Errorf("get returned a body and an error")
	}
	for _, b := range []replicate.Body{bodyOf([]byte("new")), streamOf(noise(1, 6<<20))} {
		tracked := track(b)
		for _, cond := range []replicate.Condition{always, ifAbsent, ifMatch("x")} {
			_, err = s.store.Put(ctx, "new", tracked.Body, cond)
			want("put", err)
		}
		if n := tracked.opened.Load(); n > 0 {
			t.Errorf("put opened the body %d times", n)
		}
	}
	n := 0
	for _, err := range s.store.List(ctx, "", "") {
		want("list", err)
		n++
	}
	if n != 1 {
		t.Errorf("list yielded %d times, want the error alone", n)
	}
	want("delete", s.store.Delete(ctx, "old"))
	want("delete of two", s.store.Delete(ctx, "old", "new"))

	s.missing(t, "new")
	s.holds(t, "old", []byte("old"))
}

// cancelledDuring ends the context in the middle of the body.
func cancelledDuring(t *testing.T, s *suite) {
	for _, size := range []int{1000, 12 << 20} {
		for _, known := range []bool{true, false} {
			ctx, cancel := context.WithCancel(t.Context())
			data := noise(1, size)
			body := replicate.Body{Size: -1, Open: func() (io.ReadCloser, error) {
				return &cancelling{trickle: trickle{data}, half: size / 2, cancel: cancel}, nil
			}}
			if known {
				body.Size = int64(size)
			}
			_, err := s.store.Put(ctx, "new", body, ifAbsent)
			cancel()
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("put of %d bytes whose context ends half way: %v, want context.Canceled", size, err)
			}
			s.missing(t, "new")
		}
	}
}

type cancelling struct {
	trickle
	half   int
	cancel func()
}

func (c *cancelling) Read(p []byte) (int, error) {
	if len(c.data) <= c.half {
		c.cancel()
	}
	return c.trickle.Read(p)
}
