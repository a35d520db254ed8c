package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/driftdb/driftdb/replicate"
)

var raceTests = []test{
	{"32 puts if absent have one winner", func(t *testing.T, s *suite) {
		raceIfAbsent(t, s, 32, func(i int) replicate.Body { return bodyOf(noise(uint64(i), 2000)) }, func(i int) []byte { return noise(uint64(i), 2000) })
	}},
	{"3 puts if absent in parts have one winner", func(t *testing.T, s *suite) {
		raceIfAbsent(t, s, 3, func(i int) replicate.Body { return streamOf(noise(uint64(i), 6<<20)) }, func(i int) []byte { return noise(uint64(i), 6<<20) })
	}},
	{"8 writers swap 10 times each", raceSwap},
	{"readers see whole objects", wholeObjects},
	{"everything at once", everythingAtOnce},
}

func raceIfAbsent(t *testing.T, s *suite, writers int, body func(int) replicate.Body, data func(int) []byte) {
	errs := make([]error, writers)
	together(writers, func(i int) { _, errs[i] = s.store.Put(t.Context(), "k", body(i), ifAbsent) })
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			t.Fatalf("writers %d and %d both won", winner, i)
		case err == nil:
			winner = i
		case errors.Is(err, replicate.ErrPrecondition):
		default:
			// Transient is allowed (S3's 409), but then it must not have won.
			if _, ok := errors.AsType[*replicate.PermanentError](err); ok {
				t.Fatalf("writer %d: %v", i, err)
			}
		}
	}
	if winner < 0 {
		t.Fatalf("nobody won: %v", errors.Join(errs...))
	}
	s.holds(t, "k", data(winner))
}

// raceSwap counts to 80 by compare-and-swap: a lost update or a swap that was
// refused and done all the same shows in the sum.
func raceSwap(t *testing.T, s *suite) {
	const writers, times = 8, 10
	s.put(t, "k", []byte("0"))
	errs := make([]error, writers)
	together(writers, func(i int) {
		for range times {
			if errs[i] = s.increment(t.Context(), "k"); errs[i] != nil {
				return
			}
		}
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	s.holds(t, "k", []byte(strconv.Itoa(writers*times)))
}

// increment adds 1 to the number at key, as often as it takes to succeed once.
func (s *suite) increment(ctx context.Context, key string) error {
	for range 100_000 {
		data, info, err := s.read(ctx, key)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(data))
		if err != nil {
			return err
		}
		_, err = s.store.Put(ctx, key, bodyOf([]byte(strconv.Itoa(n+1))), ifMatch(info.ETag))
		var permanent *replicate.PermanentError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &permanent):
			return err
		}
	}
	return errors.New("100,000 swaps were refused")
}

// wholeObjects overwrites an object while others read and list it.
func wholeObjects(t *testing.T, s *suite) {
	version := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i)}, 1000+i*40_000) }
	s.put(t, "k", version(0))
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	errs := make([]error, 4)
	for r := range errs {
		readers.Go(func() {
			for errs[r] == nil && ctx.Err() == nil {
				errs[r] = s.whole(t.Context(), "k", version)
			}
		})
	}
	for i := range 20 {
		s.put(t, "k", version(i%5))
	}
	stop()
	readers.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func (s *suite) whole(ctx context.Context, key string, version func(int) []byte) error {
	data, _, err := s.read(ctx, key)
	switch {
	case err != nil:
		return fmt.Errorf("an object that is overwritten, never deleted, cannot be read: %w", err)
	case len(data) == 0 || !bytes.Equal(data, version(int(data[0]-'a'))):
		return fmt.Errorf("a read saw %d bytes that are no version of the object", len(data))
	}
	n := 0
	for _, err := range s.store.List(ctx, key, "") {
		if err != nil {
			return err
		}
		n++
	}
	if n != 1 {
		return fmt.Errorf("a listing saw the object %d times while it was overwritten", n)
	}
	return nil
}

// everythingAtOnce: 12 goroutines on their own keys; each sees its own writes.
func everythingAtOnce(t *testing.T, s *suite) {
	const workers = 12
	errs := make([]error, workers)
	together(workers, func(i int) { errs[i] = s.work(t.Context(), i) })
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func (s *suite) work(ctx context.Context, worker int) error {
	prefix := fmt.Sprintf("databases/app/nodes/n%02d/", worker)
	for round := range 6 {
		key, data := fmt.Sprintf("%s%012d", prefix, round), noise(uint64(worker*100+round), 5000)
		if _, err := s.store.Put(ctx, key, bodyOf(data), ifAbsent); err != nil {
			return err
		}
		got, _, err := s.read(ctx, key)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, data) {
			return fmt.Errorf("%q came back changed", key)
		}
		listed := false
		for info, err := range s.store.List(ctx, prefix, "") {
			if err != nil {
				return err
			}
			listed = listed || info.Key == key
		}
		if !listed {
			return fmt.Errorf("%q is not listed after its put", key)
		}
		if round%2 == 1 {
			if err := s.store.Delete(ctx, key); err != nil {
				return err
			}
			if _, _, err := s.read(ctx, key); !errors.Is(err, replicate.ErrNotExist) {
				return fmt.Errorf("%q after its delete: %s, want ErrNotExist", key, fmt.Sprint(err)) // nil too
			}
		}
	}
	return nil
}

// together runs f(0) … f(n-1) at once and waits.
func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}
