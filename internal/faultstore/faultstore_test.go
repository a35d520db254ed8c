package faultstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
	"github.com/driftdb/driftdb/replicate/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestHealthy: without rules it is the store it wraps.
func TestHealthy(t *testing.T) {
	storetest.Run(t, func(*testing.T) replicate.Store { return faultstore.New(memstore.New()) })
}

func body(s string) replicate.Body {
	return replicate.Body{Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader([]byte(s))), nil }, Size: int64(len(s))}
}

func put(ctx context.Context, s replicate.Store, key, data string) error {
	_, err := s.Put(ctx, key, body(data), replicate.Condition{})
	return err
}

func read(ctx context.Context, s replicate.Store, key string) (string, error) {
	r, _, err := s.Get(ctx, key)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(r)
	return string(data), errors.Join(err, r.Close())
}

func keys(ctx context.Context, s replicate.Store) (all []string, err error) {
	for info, err := range s.List(ctx, "", "") {
		if err != nil {
			return all, err
		}
		all = append(all, info.Key)
	}
	return all, nil
}

// calls makes one call of each operation on key.
func calls(ctx context.Context, s replicate.Store, key string) map[faultstore.Op]error {
	_, getErr := read(ctx, s, key)
	_, listErr := keys(ctx, s)
	return map[faultstore.Op]error{
		faultstore.Put: put(ctx, s, key, "new"), faultstore.Get: getErr, faultstore.List: listErr, faultstore.Delete: s.Delete(ctx, key),
	}
}

func TestErrorKinds(t *testing.T) {
	for _, kind := range []faultstore.Kind{faultstore.Error, faultstore.Permanent, faultstore.LostReply} {
		is := is.New(t)
		inner := memstore.New()
		is.NoErr(put(t.Context(), inner, "k", "old"))
		s := faultstore.New(inner, faultstore.Always(faultstore.Any, "", kind))
		for op, err := range calls(t.Context(), s, "k") {
			var permanent *replicate.PermanentError
			if !errors.Is(err, faultstore.ErrInjected) || errors.As(err, &permanent) != (kind == faultstore.Permanent) {
				t.Errorf("%v, %v: %v", kind, op, err)
			}
		}
		is.Equal(s.Fired(), 4)
		got, err := keys(t.Context(), inner)
		is.NoErr(err)
		is.Equal(len(got) == 0, kind == faultstore.LostReply) // the delete was done, or nothing was
	}
}

func TestLostReply(t *testing.T) {
	is := is.New(t)
	s := faultstore.New(memstore.New(), faultstore.Rule{Op: faultstore.Put, Kind: faultstore.LostReply})
	_, err := s.Put(t.Context(), "k", body("x"), replicate.Condition{IfAbsent: true})
	is.True(errors.Is(err, faultstore.ErrInjected))
	_, err = s.Put(t.Context(), "k", body("x"), replicate.Condition{IfAbsent: true})
	is.True(errors.Is(err, replicate.ErrPrecondition))
	got, err := read(t.Context(), s, "k")
	is.NoErr(err)
	is.Equal(got, "x")
}

func TestPrecondition(t *testing.T) {
	is := is.New(t)
	s := faultstore.New(memstore.New(), faultstore.Always(faultstore.Any, "", faultstore.Precondition))
	is.True(errors.Is(put(t.Context(), s, "k", "x"), replicate.ErrPrecondition))
	_, err := read(t.Context(), s, "k")
	is.True(errors.Is(err, replicate.ErrNotExist)) // puts only, and not done
}

func TestBodies(t *testing.T) {
	is := is.New(t)
	s := faultstore.New(memstore.New())
	is.NoErr(put(t.Context(), s, "k", "0123456789"))
	s.Set(faultstore.Rule{Kind: faultstore.ShortBody})
	got, err := read(t.Context(), s, "k")
	is.NoErr(err) // looks like the end
	is.Equal(got, "01234")
	s.Set(faultstore.Rule{Kind: faultstore.Reset, Err: io.ErrUnexpectedEOF})
	got, err = read(t.Context(), s, "k")
	is.True(errors.Is(err, io.ErrUnexpectedEOF))
	is.Equal(got, "01234")
	s.Set()
	got, err = read(t.Context(), s, "k")
	is.NoErr(err)
	is.Equal(got, "0123456789")
}

func TestStaleList(t *testing.T) {
	is := is.New(t)
	s := faultstore.New(memstore.New())
	is.NoErr(put(t.Context(), s, "a", "x"))
	s.Set(faultstore.Rule{Kind: faultstore.StaleList})
	is.NoErr(put(t.Context(), s, "b", "x"))
	got, err := keys(t.Context(), s)
	is.NoErr(err)
	is.Equal(got, []string{"a"})
	got, err = keys(t.Context(), s) // once
	is.NoErr(err)
	is.Equal(got, []string{"a", "b"})
}

func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		release := make(chan struct{})
		s := faultstore.New(memstore.New(), faultstore.Rule{Op: faultstore.Put, Kind: faultstore.Hang, Release: release})
		done := make(chan error, 1)
		go func() { done <- put(t.Context(), s, "k", "x") }()
		synctest.Wait()
		_, err := read(t.Context(), s, "k")
		is.True(errors.Is(err, replicate.ErrNotExist)) // has not begun
		close(release)
		is.NoErr(<-done)
		_, err = read(t.Context(), s, "k")
		is.NoErr(err)

		s.Set(faultstore.Rule{Op: faultstore.Put, Kind: faultstore.Hang}) // never released
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- put(ctx, s, "k", "y") }()
		synctest.Wait()
		cancel()
		is.True(errors.Is(<-done, context.Canceled))
	})
}

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := is.New(t)
		s := faultstore.New(memstore.New())
		s.Set(faultstore.Rule{Times: -1, Kind: faultstore.Slow, Delay: time.Minute})
		began := time.Now()
		is.NoErr(put(t.Context(), s, "k", "x"))
		is.Equal(time.Since(began), time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		is.True(errors.Is(put(ctx, s, "k", "y"), context.DeadlineExceeded))
		got, err := read(t.Context(), s, "k")
		is.NoErr(err)
		is.Equal(got, "x")
	})
}

func TestForget(t *testing.T) {
	is := is.New(t)
	s := faultstore.New(memstore.New())
	is.NoErr(put(t.Context(), s, "k", "x"))
	s.Forget()
	is.Equal(len(s.Calls()), 0)
	is.Equal(s.Count(faultstore.Put), 1)
}

func TestWhichCalls(t *testing.T) {
	is := is.New(t)
	s := faultstore.New(memstore.New())
	fails := func(n int, key string) (failed []int) {
		for i := range n {
			if put(t.Context(), s, key, "x") != nil {
				failed = append(failed, i+1)
			}
		}
		return failed
	}
	s.Set(faultstore.Rule{Nth: 3, Kind: faultstore.Error})
	is.Equal(fails(6, "k"), []int{3})
	s.Set(faultstore.Rule{Nth: 2, Times: 3, Kind: faultstore.Error})
	is.Equal(fails(6, "k"), []int{2, 3, 4})
	s.Set(faultstore.Rule{Nth: 5, Times: -1, Kind: faultstore.Error})
	is.Equal(fails(6, "k"), []int{5, 6})
	s.Set(faultstore.Always(faultstore.Put, "/logs/", faultstore.Error))
	is.Equal(fails(2, "a/snapshots/1"), nil)
	is.Equal(fails(2, "a/logs/1"), []int{1, 2})
	s.Set(faultstore.Always(faultstore.Get, "", faultstore.Error), faultstore.Rule{Nth: 2, Kind: faultstore.Error})
	is.Equal(fails(3, "k"), []int{2}) // rules count apart
	is.Equal(s.Fired(), 1)
	is.Equal(s.Count(faultstore.Put), 6+6+6+4+3)
	is.Equal(s.Count(faultstore.Any), s.Count(faultstore.Put))
	all := s.Calls()
	is.Equal(all[len(all)-2], faultstore.Call{Op: faultstore.Put, Key: "k", Fault: faultstore.Error})
	is.Equal(all[len(all)-1], faultstore.Call{Op: faultstore.Put, Key: "k"})
}

func TestCancelledCallsAreNotCounted(t *testing.T) {
	is := is.New(t)
	s := faultstore.New(memstore.New(), faultstore.Always(faultstore.Any, "", faultstore.Error))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range calls(ctx, s, "k") {
		is.True(errors.Is(err, context.Canceled))
	}
	is.Equal(s.Count(faultstore.Any), 0)
}

func TestNames(t *testing.T) {
	is := is.New(t)
	seen := map[string]bool{}
	for _, k := range faultstore.Kinds() {
		seen[k.String()] = true
	}
	is.Equal(len(seen), 9)
	is.Equal(faultstore.Hang.String(), "hang")
	is.Equal(faultstore.Delete.String(), "delete")
}
