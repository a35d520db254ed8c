package replicate_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// errNet is what a request ends with that the schedule lets go wrong.
var errNet = errors.New("connection reset")

// post is a network before a bucket. No request happens by itself: each waits
// until the schedule lets it, in whatever order, and the schedule says what
// becomes of it.
type post struct {
	bucket *memstore.Store

	mu      sync.Mutex
	waiting []*call // sent, and neither done nor given up
	given   []*call // given up by a caller that has gone: may still arrive
}

// call is a request under way.
type call struct {
	from *port
	op   string
	key  string // a Delete's first key
	do   func() // carries it out at the bucket and keeps the answer
	err  error  // of do, or of the network

	answered chan struct{}
}

func (c *call) String() string {
	return fmt.Sprintf("%s %s %s", c.from.name, c.op, replicate.ShortKey(c.key))
}

// writes says whether the call changes the bucket.
func (c *call) writes() bool { return c.op == "put" || c.op == "delete" }

// port is the bucket as one process sees it.
type port struct {
	post    *post
	name    string
	machine int // -1: none of the two
	by      ownership
}

var _ replicate.Store = (*port)(nil)

// send waits until the schedule has let c happen.
func (p *port) send(ctx context.Context, c *call) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.from, c.answered = p, make(chan struct{})
	p.post.mu.Lock()
	p.post.waiting = append(p.post.waiting, c)
	p.post.mu.Unlock()
	select {
	case <-c.answered:
		return c.err
	case <-ctx.Done():
		p.post.giveUp(c)
		return ctx.Err()
	}
}

func (s *post) giveUp(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.waiting, c); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
		s.given = append(s.given, c)
	}
}

// pending returns what waits, in an order that does not depend on goroutines.
func (s *post) pending() []*call {
	s.mu.Lock()
	defer s.mu.Unlock()
	sortCalls(s.waiting)
	return slices.Clone(s.waiting)
}

// abandoned takes what callers have given up.
func (s *post) abandoned() []*call {
	s.mu.Lock()
	defer s.mu.Unlock()
	given := s.given
	s.given = nil
	sortCalls(given)
	return given
}

func sortCalls(c []*call) {
	slices.SortStableFunc(c, func(a, b *call) int {
		return cmp.Or(strings.Compare(a.from.name, b.from.name), strings.Compare(a.op, b.op), strings.Compare(a.key, b.key))
	})
}

// answer lets c's caller go on, with err if that is not nil.
func (s *post) answer(c *call, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.waiting, c); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
		if err != nil {
			c.err = err
		}
		close(c.answered)
	}
}

// Get implements replicate.Store.
func (p *port) Get(ctx context.Context, key string) (body io.ReadCloser, info replicate.Info, err error) {
	c := &call{op: "get", key: key}
	c.do = func() { body, info, c.err = p.post.bucket.Get(context.Background(), key) }
	err = p.send(ctx, c)
	return body, info, err
}

// Put implements replicate.Store.
func (p *port) Put(ctx context.Context, key string, body replicate.Body, cond replicate.Condition) (etag string, err error) {
	data, err := bytesOf(body)
	if err != nil {
		return "", err
	}
	c := &call{op: "put", key: key}
	c.do = func() {
		etag, c.err = p.post.bucket.Put(context.Background(), key, replicate.BytesBody(data), cond)
	}
	err = p.send(ctx, c)
	return etag, err
}

func bytesOf(body replicate.Body) ([]byte, error) {
	r, err := body.Open()
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

// List implements replicate.Store.
func (p *port) List(ctx context.Context, prefix, after string) iter.Seq2[replicate.Info, error] {
	return func(yield func(replicate.Info, error) bool) {
		var found []replicate.Info
		c := &call{op: "list", key: prefix}
		c.do = func() {
			for info, err := range p.post.bucket.List(context.Background(), prefix, after) {
				if err != nil {
					c.err = err
					return
				}
				found = append(found, info)
			}
		}
		if err := p.send(ctx, c); err != nil {
			yield(replicate.Info{}, err)
			return
		}
		for _, info := range found {
			if !yield(info, nil) {
				return
			}
		}
	}
}

// Delete implements replicate.Store.
func (p *port) Delete(ctx context.Context, keys ...string) error {
	c := &call{op: "delete"}
	if len(keys) > 0 {
		c.key = keys[0]
	}
	keys = slices.Clone(keys)
	c.do = func() { c.err = p.post.bucket.Delete(context.Background(), keys...) }
	return p.send(ctx, c)
}

// stored returns the bytes at key, nil for none.
func (s *post) stored(key string) []byte {
	body, _, err := s.bucket.Get(context.Background(), key)
	if err != nil {
		return nil
	}
	b, _ := io.ReadAll(body)
	return b
}

// later is a clock that runs with time.Now, in the years after everything that
// SQLite has written to a log: retention counts back from it.
func later() time.Time { return time.Now().AddDate(150, 0, 0) }
