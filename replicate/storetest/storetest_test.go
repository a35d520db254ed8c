package storetest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
	"github.com/driftdb/driftdb/replicate/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// flaws are stores that break one promise each, and the check that must notice.
var flaws = map[string]struct {
	make  func(*memstore.Store) replicate.Store
	check string
}{
	"checks, then acts":         {func(m *memstore.Store) replicate.Store { return &checksThenActs{flawed{m}} }, "one winner"},
	"ignores IfMatch":           {func(m *memstore.Store) replicate.Store { return &ignoresIfMatch{flawed{m}} }, "if unchanged"},
	"ignores IfAbsent in parts": {func(m *memstore.Store) replicate.Store { return &lastPartWins{flawed{m}} }, "if absent, in parts"},
	"skips after a missing key": {func(m *memstore.Store) replicate.Store { return &skips{flawed{m}} }, "list by prefix and after"},
	"lists the key after":       {func(m *memstore.Store) replicate.Store { return &inclusive{flawed{m}} }, "list by prefix and after"},
	"lists one page":            {func(m *memstore.Store) replicate.Store { return &onePage{flawed{m}} }, "more than a page"},
	"lists by path component":   {func(m *memstore.Store) replicate.Store { return &byComponent{flawed{m}} }, "list in byte order"},
	"prefix is a directory":     {func(m *memstore.Store) replicate.Store { return &directories{flawed{m}} }, "list by prefix and after"},
	"delete misses":             {func(m *memstore.Store) replicate.Store { return &deleteMisses{flawed{m}} }, "delete of what is not there"},
	"stores what it got":        {func(m *memstore.Store) replicate.Store { return &storesParts{flawed{m}} }, "a body that fails stores nothing"},
	"does not count":            {func(m *memstore.Store) replicate.Store { return &doesNotCount{flawed{m}} }, "a body of another size"},
	"unpacks":                   {func(m *memstore.Store) replicate.Store { return &unpacks{flawed{m}} }, "stays compressed"},
	"forgets the context":       {func(m *memstore.Store) replicate.Store { return &noContext{flawed{m}} }, "cancelled context"},
	"any error is a miss":       {func(m *memstore.Store) replicate.Store { return &plainMiss{flawed{m}} }, "get of a missing object"},
	"other tag on read":         {func(m *memstore.Store) replicate.Store { return &otherTag{flawed{m}} }, "entity tag is"},
	"leaves bodies open":        {func(m *memstore.Store) replicate.Store { return &leaves{flawed{m}} }, "opened anew and closed"},
}

const flawEnv = "STORETEST_FLAW"

// TestFlawed is run by TestFlawsAreNoticed in a process of its own.
func TestFlawed(t *testing.T) {
	name := os.Getenv(flawEnv)
	if name == "" {
		t.Skip("run by TestFlawsAreNoticed")
	}
	storetest.Run(t, func(*testing.T) replicate.Store { return flaws[name].make(memstore.New()) })
}

// TestFlawsAreNoticed: a suite that cannot fail proves nothing.
func TestFlawsAreNoticed(t *testing.T) {
	for name, flaw := range flaws {
		t.Run(name, func(t *testing.T) {
			only := strings.ReplaceAll(flaw.check, " ", "_")
			if flaw.check == "entity tag is" {
				only = "a_put_replaces" // known by its message, in several tests
			}
			cmd := exec.Command(os.Args[0], "-test.run=^TestFlawed$/"+only, "-test.v")
			cmd.Env = append(os.Environ(), flawEnv+"="+name)
			out, err := cmd.CombinedOutput()
			if _, ok := errors.AsType[*exec.ExitError](err); !ok {
				t.Fatalf("the suite passes (%v)", err)
			}
			var failures strings.Builder
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, "--- FAIL") || strings.Contains(line, ".go:") {
					failures.WriteString(strings.ReplaceAll(line, "_", " "))
				}
			}
			if !strings.Contains(failures.String(), flaw.check) {
				t.Fatalf("not noticed by %q, but by\n%s", flaw.check, failures.String())
			}
		})
	}
}

type flawed struct{ *memstore.Store }

type checksThenActs struct{ flawed }

func (s *checksThenActs) Put(ctx context.Context, key string, b replicate.Body, c replicate.Condition) (string, error) {
	if c.IfAbsent {
		body, _, err := s.Get(ctx, key)
		if err == nil {
			return "", errors.Join(replicate.ErrPrecondition, body.Close())
		}
		for range 2000 {
			runtime.Gosched() // others look as well
		}
		c.IfAbsent = false
	}
	return s.Store.Put(ctx, key, b, c)
}

type ignoresIfMatch struct{ flawed }

func (s *ignoresIfMatch) Put(ctx context.Context, key string, b replicate.Body, c replicate.Condition) (string, error) {
	c.IfMatch = ""
	return s.Store.Put(ctx, key, b, c)
}

type lastPartWins struct{ flawed }

func (s *lastPartWins) Put(ctx context.Context, key string, b replicate.Body, c replicate.Condition) (string, error) {
	if b.Size < 0 {
		c.IfAbsent = false
	}
	return s.Store.Put(ctx, key, b, c)
}

// list changes what memstore lists.
func list(ctx context.Context, s *memstore.Store, prefix, after string, change func([]replicate.Info) []replicate.Info) iter.Seq2[replicate.Info, error] {
	return func(yield func(replicate.Info, error) bool) {
		var all []replicate.Info
		for info, err := range s.List(ctx, prefix, after) {
			if err != nil {
				yield(info, err)
				return
			}
			all = append(all, info)
		}
		for _, info := range change(all) {
			if !yield(info, nil) {
				return
			}
		}
	}
}

type skips struct{ flawed }

func (s *skips) List(ctx context.Context, prefix, after string) iter.Seq2[replicate.Info, error] {
	return list(ctx, s.Store, prefix, after, func(all []replicate.Info) []replicate.Info {
		if body, _, err := s.Get(ctx, after); err == nil {
			_ = body.Close()
		} else if after != "" && len(all) > 0 {
			return all[1:]
		}
		return all
	})
}

type inclusive struct{ flawed }

func (s *inclusive) List(ctx context.Context, prefix, after string) iter.Seq2[replicate.Info, error] {
	if after != "" {
		after = after[:len(after)-1] + string(after[len(after)-1]-1) + "\xff"
	}
	return s.Store.List(ctx, prefix, after)
}

type onePage struct{ flawed }

func (s *onePage) List(ctx context.Context, prefix, after string) iter.Seq2[replicate.Info, error] {
	return list(ctx, s.Store, prefix, after, func(all []replicate.Info) []replicate.Info { return all[:min(len(all), 1000)] })
}

type byComponent struct{ flawed }

func (s *byComponent) List(ctx context.Context, prefix, after string) iter.Seq2[replicate.Info, error] {
	return list(ctx, s.Store, prefix, after, func(all []replicate.Info) []replicate.Info {
		for i := range all {
			for j := i; j > 0 && strings.ReplaceAll(all[j].Key, "/", "\x00") < strings.ReplaceAll(all[j-1].Key, "/", "\x00"); j-- {
				all[j], all[j-1] = all[j-1], all[j]
			}
		}
		return all
	})
}

type directories struct{ flawed }

func (s *directories) List(ctx context.Context, prefix, after string) iter.Seq2[replicate.Info, error] {
	return list(ctx, s.Store, prefix, after, func(all []replicate.Info) (kept []replicate.Info) {
		for _, info := range all {
			if rest := strings.TrimPrefix(info.Key, prefix); prefix == "" || strings.HasSuffix(prefix, "/") || rest == "" || rest[0] == '/' {
				kept = append(kept, info)
			}
		}
		return kept
	})
}

type deleteMisses struct{ flawed }

func (s *deleteMisses) Delete(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		body, _, err := s.Get(ctx, key)
		if err != nil {
			return err
		}
		_ = body.Close()
	}
	return s.Store.Delete(ctx, keys...)
}

type storesParts struct{ flawed }

func (s *storesParts) Put(ctx context.Context, key string, b replicate.Body, c replicate.Condition) (string, error) {
	r, err := b.Open()
	if err != nil {
		return "", err
	}
	data, readErr := io.ReadAll(r)
	b = replicate.Body{Size: -1, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}
	etag, err := s.Store.Put(ctx, key, b, c)
	return etag, errors.Join(readErr, err, r.Close())
}

type doesNotCount struct{ flawed }

func (s *doesNotCount) Put(ctx context.Context, key string, b replicate.Body, c replicate.Condition) (string, error) {
	b.Size = -1
	return s.Store.Put(ctx, key, b, c)
}

type unpacks struct{ flawed }

func (s *unpacks) Get(ctx context.Context, key string) (io.ReadCloser, replicate.Info, error) {
	body, info, err := s.Store.Get(ctx, key)
	if err != nil || !strings.HasSuffix(key, ".gz") {
		return body, info, err
	}
	r, err := gzip.NewReader(body)
	info.Size = -1
	return io.NopCloser(r), info, err
}

type noContext struct{ flawed }

func (s *noContext) Put(_ context.Context, key string, b replicate.Body, c replicate.Condition) (string, error) {
	return s.Store.Put(context.Background(), key, b, c)
}

type plainMiss struct{ flawed }

func (s *plainMiss) Get(ctx context.Context, key string) (io.ReadCloser, replicate.Info, error) {
	body, info, err := s.Store.Get(ctx, key)
	if err != nil {
		err = fmt.Errorf("get: %s", err.Error())
	}
	return body, info, err
}

type otherTag struct{ flawed }

func (s *otherTag) Get(ctx context.Context, key string) (io.ReadCloser, replicate.Info, error) {
	body, info, err := s.Store.Get(ctx, key)
	info.ETag = `"` + info.ETag + `"`
	return body, info, err
}

type leaves struct{ flawed }

func (s *leaves) Put(ctx context.Context, key string, b replicate.Body, c replicate.Condition) (string, error) {
	inner := b.Open
	b.Open = func() (io.ReadCloser, error) {
		r, err := inner()
		return io.NopCloser(r), err
	}
	return s.Store.Put(ctx, key, b, c)
}
