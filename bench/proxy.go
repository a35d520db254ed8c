package main

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// kind is what S3 bills a request as.
type kind string

const (
	kindPut    kind = "PUT" // objects, parts and the calls around multipart uploads
	kindGet    kind = "GET" // objects, and HEAD
	kindList   kind = "LIST"
	kindDelete kind = "DELETE"
)

// request is one request that passed the proxy.
type request struct {
	Kind         kind
	Key          string // of the object; the prefix of a LIST
	Began, Ended time.Time
	Up, Down     int64 // bytes of the bodies
	Status       int
}

// proxy counts what goes to the S3 server behind it. Each side of each experiment
// has its own.
type proxy struct {
	url      string
	upstream *url.URL
	server   *http.Server
	forward  *http.Transport
	delay    time.Duration // before each PUT is passed on: the way to a bucket
	away     atomic.Bool   // the bucket is away: connections break

	mu   sync.Mutex
	seen []request
}

func newProxy(upstream string, delay time.Duration) (*proxy, error) {
	u, err := url.Parse(upstream)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{
		url: "http://" + listener.Addr().String(), upstream: u, delay: delay,
		forward: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64, WriteBufferSize: 256 << 10, ReadBufferSize: 256 << 10},
	}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	go func() { _ = p.server.Serve(listener) }() // Close ends it
	return p, nil
}

func (p *proxy) close() {
	_ = p.server.Close()
	p.forward.CloseIdleConnections()
}

// ServeHTTP passes a request on and counts it.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seen := request{Kind: kindOf(r), Key: keyOf(r), Began: time.Now()}
	if p.away.Load() {
		p.note(seen)
		panic(http.ErrAbortHandler) // net/http's way to break a connection
	}
	up := &countedReader{r: r.Body}
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host = p.upstream.Scheme, p.upstream.Host
	out.Host, out.RequestURI = r.Host, "" // the host was signed
	if out.Body = up; r.ContentLength == 0 {
		out.Body = http.NoBody
	}
	if seen.Kind == kindPut && p.delay > 0 {
		select {
		case <-time.After(p.delay):
		case <-r.Context().Done():
		}
	}
	resp, err := p.forward.RoundTrip(out)
	if err != nil {
		p.note(seen)
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = resp.Body.Close() }()
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	seen.Down, _ = io.CopyBuffer(onlyWriter{w}, resp.Body, make([]byte, 256<<10)) // a client that has gone needs no answer
	seen.Up, seen.Status = up.n.Load(), resp.StatusCode
	p.note(seen)
}

func (p *proxy) note(r request) {
	r.Ended = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, r)
}

// requests returns what has passed since a time, in the order of the answers.
func (p *proxy) requests(since time.Time) []request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.seen), func(r request) bool { return r.Began.Before(since) })
}

// tally sums requests.
type tally struct {
	Put, Get, List, Delete int
	Up, Down               int64
}

func sum(all []request) (t tally) {
	for _, r := range all {
		switch r.Kind {
		case kindPut:
			t.Put++
		case kindGet:
			t.Get++
		case kindList:
			t.List++
		case kindDelete:
			t.Delete++
		}
		t.Up += r.Up
		t.Down += r.Down
	}
	return t
}

func (t tally) String() string {
	return fmt.Sprintf("%d PUT, %d GET, %d LIST, %d DELETE", t.Put, t.Get, t.List, t.Delete)
}

func kindOf(r *http.Request) kind {
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodDelete, r.Method == http.MethodPost && q.Has("delete"):
		return kindDelete
	case r.Method == http.MethodPut, r.Method == http.MethodPost:
		return kindPut
	case q.Has("list-type"), q.Has("prefix"), q.Has("uploads"):
		return kindList
	}
	return kindGet
}

func keyOf(r *http.Request) string {
	if kindOf(r) == kindList {
		return r.URL.Query().Get("prefix")
	}
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/") // the bucket's name stands first
	return key
}

type countedReader struct {
	r io.ReadCloser
	n atomic.Int64
}

func (c *countedReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}

func (c *countedReader) Close() error { return c.r.Close() }

// onlyWriter hides ReadFrom, whose small buffer CopyBuffer would use.
type onlyWriter struct{ io.Writer }
