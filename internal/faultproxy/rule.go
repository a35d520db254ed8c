package faultproxy

import (
	"net/http"
	"strings"
	"time"
)

// Fault is what happens to a request.
type Fault int

const (
	// Refuse answers with Rule.Status and Rule.Code; the server sees nothing.
	Refuse Fault = iota + 1
	// RefuseAfter lets the server do it, then answers as Refuse does.
	RefuseAfter
	// DropReply lets the server do it, then closes the connection.
	DropReply
	// Drop closes the connection; the server sees nothing.
	Drop
	// CutBody sends the reply's headers and half of its body, then resets the
	// connection.
	CutBody
	// Hang holds the request until the client gives up; the server sees nothing.
	Hang
	// Edit calls Rule.Edit on the reply.
	Edit
	// Slow lets the server do it after Rule.Delay.
	Slow
)

// Rule says which requests go wrong, and how. The first that applies to a
// request is used.
type Rule struct {
	Method string // empty matches all
	// URL is a part of path?query as the client sent it; empty matches all.
	URL string

	// Nth is the first matching request that goes wrong, from 1; 0 is the
	// first. Times is how many do: 0 means one, below 0 all.
	Nth, Times int

	Fault  Fault
	Status int    // of Refuse and RefuseAfter; 500 by default
	Code   string // S3's; empty sends a page that is not S3's
	Edit   func(*http.Response)
	Delay  time.Duration // of Slow
}

func (r Rule) matches(method, url string) bool {
	return (r.Method == "" || r.Method == method) && strings.Contains(url, r.URL)
}

func (r Rule) applies(nth int) bool {
	first := max(r.Nth, 1)
	return nth >= first && (r.Times < 0 || nth < first+max(r.Times, 1))
}
