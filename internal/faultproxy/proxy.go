package faultproxy

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Proxy forwards requests to an S3 server, except where a rule applies.
type Proxy struct {
	server   *httptest.Server
	upstream *url.URL
	forward  *http.Transport

	mu      sync.Mutex
	rules   []Rule
	matched []int
	fired   int
	seen    []Request
}

// Request is one request as it came in.
type Request struct {
	Method string
	URL    string // path and query
	Header http.Header
	Fault  Fault // 0 when it was passed on unharmed
}

// Start forwards to the server at upstream, whose certificate transport trusts
// (nil for http). The proxy itself speaks http.
func Start(upstream string, transport *http.Transport) (*Proxy, error) {
	u, err := url.Parse(upstream)
	if err != nil {
		return nil, err
	}
	if transport == nil {
		transport = &http.Transport{}
	}
	transport = transport.Clone()
	transport.DisableCompression = true // bytes pass as they are
	p := &Proxy{upstream: u, forward: transport}
	p.server = httptest.NewServer(p)
	return p, nil
}

// URL is the proxy's endpoint.
func (p *Proxy) URL() string { return p.server.URL }

// Close ends the proxy.
func (p *Proxy) Close() {
	p.server.CloseClientConnections()
	p.server.Close()
	p.forward.CloseIdleConnections()
}

// Set replaces the rules and counts matching requests and faults from 0 again.
func (p *Proxy) Set(rules ...Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules, p.matched, p.fired = rules, make([]int, len(rules)), 0
}

// Fired returns how many requests went wrong since the rules were set.
func (p *Proxy) Fired() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fired
}

// Requests returns all requests so far, in the order in which they came.
func (p *Proxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

// Forget empties the list of requests.
func (p *Proxy) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = nil
}

// ServeHTTP forwards one request, or not.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rule := p.find(r)
	switch rule.Fault {
	case Refuse:
		_, _ = io.Copy(io.Discard, r.Body) // as servers do, so that the client reads the answer
		refuse(w, rule)
		return
	case Drop:
		drop(w, false)
		return
	case Hang:
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		return
	case Slow:
		select {
		case <-r.Context().Done():
			return
		case <-time.After(rule.Delay):
		}
	}
	resp, err := p.send(r)
	if err != nil {
		drop(w, false) // as if the server were away
		return
	}
	defer func() { _ = resp.Body.Close() }()
	switch rule.Fault {
	case RefuseAfter, DropReply:
		_, _ = io.Copy(io.Discard, resp.Body)
		if rule.Fault == DropReply {
			drop(w, false)
			return
		}
		refuse(w, rule)
		return
	case Edit:
		rule.Edit(resp)
	}
	reply(w, resp, rule.Fault == CutBody)
}

func (p *Proxy) find(r *http.Request) Rule {
	p.mu.Lock()
	defer p.mu.Unlock()
	target := r.URL.RequestURI()
	var found Rule
	for i, rule := range p.rules {
		if !rule.matches(r.Method, target) {
			continue
		}
		p.matched[i]++
		if found.Fault == 0 && rule.applies(p.matched[i]) {
			found = rule
		}
	}
	if found.Fault != 0 {
		p.fired++
	}
	p.seen = append(p.seen, Request{Method: r.Method, URL: target, Header: r.Header.Clone(), Fault: found.Fault})
	return found
}

// send passes the request on. Its Host stays the proxy's, which was signed.
func (p *Proxy) send(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host = p.upstream.Scheme, p.upstream.Host
	out.Host = r.Host
	out.RequestURI = ""
	if r.ContentLength == 0 {
		out.Body = http.NoBody
	}
	return p.forward.RoundTrip(out)
}

func refuse(w http.ResponseWriter, rule Rule) {
	status := rule.Status
	if status == 0 {
		status = http.StatusInternalServerError
	}
	if rule.Code == "" {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<html><body>no bucket here") // not even XML
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("X-Amz-Request-Id", "faultproxy")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>injected</Message><RequestId>faultproxy</RequestId></Error>", rule.Code)
}

func reply(w http.ResponseWriter, resp *http.Response, cut bool) {
	maps.Copy(w.Header(), resp.Header)
	if resp.ContentLength >= 0 {
		w.Header().Set("Content-Length", fmt.Sprint(resp.ContentLength))
	}
	w.WriteHeader(resp.StatusCode)
	if !cut {
		_, _ = io.Copy(w, resp.Body) // a client that has gone needs no answer
		return
	}
	_, _ = io.CopyN(w, resp.Body, resp.ContentLength/2)
	_ = http.NewResponseController(w).Flush()
	drop(w, true)
}

// drop closes the connection under the server's hands, with a reset if asked
// for.
func drop(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(errors.Join(http.ErrAbortHandler, err)) //nolint:forbidigo // net/http's way to end a connection
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
