package faultstore

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"sync"
	"time"

	"github.com/driftdb/driftdb/replicate"
)

// Store passes calls on to another store, except where a rule applies.
type Store struct {
	inner replicate.Store

	mu      sync.Mutex
	rules   []Rule
	matched []int           // calls that matched, for each rule
	fired   int             // calls that went wrong
	recent  map[string]bool // keys put since the rules were set
	calls   map[Op]int
	log     []Call
}

// Call is one call that reached the store.
type Call struct {
	Op    Op
	Key   string // a List's prefix, a Delete's first key
	Fault Kind   // 0 when it was passed on unharmed
}

var _ replicate.Store = (*Store)(nil)

// New wraps inner.
func New(inner replicate.Store, rules ...Rule) *Store {
	s := &Store{inner: inner, calls: map[Op]int{}}
	s.Set(rules...)
	return s
}

// Set replaces the rules and counts matching calls and faults from 0 again;
// without any the store is healed. Counts of calls go on.
func (s *Store) Set(rules ...Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules, s.matched, s.fired, s.recent = rules, make([]int, len(rules)), 0, map[string]bool{}
}

// Fired returns how many calls went wrong since the rules were set. A loop over
// Nth is at its end when a run has none.
func (s *Store) Fired() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fired
}

// Count returns how many calls of op were made in all, faulted ones included.
func (s *Store) Count(op Op) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if op != Any {
		return s.calls[op]
	}
	n := 0
	for v := range maps.Values(s.calls) {
		n += v
	}
	return n
}

// Calls returns every call in the order in which they arrived.
func (s *Store) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.log...)
}

// Forget empties the list that Calls returns.
func (s *Store) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
}

// Get implements replicate.Store.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, replicate.Info, error) {
	rule, err := s.enter(ctx, Get, key)
	if err != nil {
		return nil, replicate.Info{}, err
	}
	body, info, err := s.inner.Get(ctx, key)
	if err != nil || rule.Kind == 0 {
		return body, info, err
	}
	switch rule.Kind {
	case LostReply:
		_ = body.Close() // nobody will read it
		return nil, replicate.Info{}, rule.err(Get, key)
	case ShortBody:
		return &cutBody{body: body, left: info.Size / 2, err: io.EOF}, info, nil
	case Reset:
		return &cutBody{body: body, left: info.Size / 2, err: rule.err(Get, key)}, info, nil
	}
	return body, info, nil
}

// Put implements replicate.Store.
func (s *Store) Put(ctx context.Context, key string, body replicate.Body, cond replicate.Condition) (string, error) {
	rule, err := s.enter(ctx, Put, key)
	if err != nil {
		return "", err
	}
	etag, err := s.inner.Put(ctx, key, body, cond)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	s.recent[key] = true
	s.mu.Unlock()
	if rule.Kind == LostReply {
		return "", rule.err(Put, key)
	}
	return etag, nil
}

// List implements replicate.Store.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[replicate.Info, error] {
	return func(yield func(replicate.Info, error) bool) {
		rule, err := s.enter(ctx, List, prefix)
		if err != nil {
			yield(replicate.Info{}, err)
			return
		}
		for info, err := range s.inner.List(ctx, prefix, after) {
			if rule.Kind == StaleList && err == nil && s.isRecent(info.Key) {
				continue
			}
			if !yield(info, err) {
				return
			}
		}
		if rule.Kind == LostReply {
			yield(replicate.Info{}, rule.err(List, prefix))
		}
	}
}

// Delete implements replicate.Store.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	rule, err := s.enter(ctx, Delete, keys...)
	if err != nil {
		return err
	}
	if err := s.inner.Delete(ctx, keys...); err != nil {
		return err
	}
	if rule.Kind == LostReply {
		return rule.err(Delete, first(keys))
	}
	return nil
}

// enter counts the call and finds its fault. Faults that keep the operation
// from being done end here with their error; the others are the caller's to
// carry out.
func (s *Store) enter(ctx context.Context, op Op, keys ...string) (Rule, error) {
	if err := ctx.Err(); err != nil {
		return Rule{}, err
	}
	rule := s.find(op, keys)
	switch rule.Kind {
	case Error:
		return rule, rule.err(op, first(keys))
	case Permanent:
		return rule, replicate.Permanent(rule.err(op, first(keys)), "the test's rule says so")
	case Precondition:
		return rule, fmt.Errorf("put %q: %w", first(keys), replicate.ErrPrecondition)
	case Hang:
		select {
		case <-ctx.Done():
			return rule, ctx.Err()
		case <-rule.Release:
		}
	case Slow:
		delay := time.NewTimer(rule.Delay)
		defer delay.Stop()
		select {
		case <-ctx.Done():
			return rule, ctx.Err()
		case <-delay.C:
		}
	}
	return rule, nil
}

// find returns the rule that applies to the call, the zero Rule if none does.
func (s *Store) find(op Op, keys []string) Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[op]++
	var found Rule
	for i, r := range s.rules {
		if !r.matches(op, keys) {
			continue
		}
		s.matched[i]++
		if found.Kind == 0 && r.applies(s.matched[i]) {
			found = r
		}
	}
	if found.Kind != 0 {
		s.fired++
	}
	s.log = append(s.log, Call{Op: op, Key: first(keys), Fault: found.Kind})
	return found
}

func (s *Store) isRecent(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recent[key]
}

func first(keys []string) string {
	if len(keys) == 0 {
		return ""
	}
	return keys[0]
}

// cutBody ends with err after left bytes.
type cutBody struct {
	body io.ReadCloser
	left int64
	err  error
}

func (c *cutBody) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, c.err
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.body.Read(p)
	c.left -= int64(n)
	return n, err
}

func (c *cutBody) Close() error { return c.body.Close() }
