package s3store_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/faultproxy"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/s3store"
)

// wireTraps are what has gone wrong between replicators and S3 servers. They
// run against the server in the process, and with the tag s3integration
// against a real one.
var wireTraps = map[string]func(*testing.T, target){
	"compressed objects stay compressed":               identityEncoding,
	"a read that is forbidden is not a missing object": forbiddenRead,
	"an answer of no S3 server is not a missing one":   strangeAnswers,
	"a bucket that does not exist":                     missingBucket,
	"a put whose reply is lost":                        lostReply,
	"refusals that pass":                               passingRefusals,
	"an outage leaves retries alone":                   longOutage,
	"a body that breaks off":                           brokenBody,
	"a body of an object that is replaced":             brokenBodyChanged,
	"a rest that breaks off":                           brokenRest,
	"a server that does not answer":                    silentServer,
	"parts are sent again":                             partsAgain,
	"a complete whose reply is lost":                   lostComplete,
	"a complete that fails":                            failedComplete,
	"an object of another writer":                      foreignObject,
	"no parts are left behind":                         noLeftovers,
}

func TestWireTraps(t *testing.T) { runWireTraps(t, embedded) }

// runWireTraps runs most of them at once. What becomes of the parts that are on their
// way when an upload is cancelled depends on time, which that trap has to itself: one
// that arrives behind the only attempt to drop them stays.
func runWireTraps(t *testing.T, newTarget func(*testing.T) target) {
	const alone = "no parts are left behind"
	for name, trap := range wireTraps {
		t.Run(name, func(t *testing.T) {
			if name != alone {
				t.Parallel()
			}
			trap(t, newTarget(t))
		})
	}
}

func identityEncoding(t *testing.T, g target) {
	is := is.New(t)
	store, proxy := g.proxied(t)
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(bytes.Repeat([]byte("text "), 1000))
	is.NoErr(errors.Join(err, w.Close()))
	put(t, store, "k", b.Bytes())
	proxy.Forget()
	// Some servers and gateways label what looks like gzip. Go's client then
	// unpacks it, unless the request said that it would not.
	proxy.Set(faultproxy.Rule{Method: http.MethodGet, Times: -1, Fault: faultproxy.Edit, Edit: func(r *http.Response) {
		r.Header.Set("Content-Encoding", "gzip")
	}})
	got, err := read(t, store, "k")
	is.NoErr(err)
	is.True(bytes.Equal(got, b.Bytes()))
	for info, err := range store.List(t.Context(), "", "") {
		is.NoErr(err)
		is.Equal(info.Key, "k")
	}
	is.Equal(len(proxy.Requests()), 2)
	for _, r := range proxy.Requests() {
		is.Equal(r.Header.Values("Accept-Encoding"), []string{"identity"})
	}
}

// forbiddenRead: taken for a missing manifest, it would make an empty database.
func forbiddenRead(t *testing.T, g target) {
	is := is.New(t)
	store, proxy := g.proxied(t)
	put(t, store, "databases/app/manifest.json", []byte("{}"))
	for code, advice := range map[string]string{
		"AccessDenied":          "s3:ListBucket",
		"InvalidAccessKeyId":    "AWS_ACCESS_KEY_ID",
		"SignatureDoesNotMatch": "secret access key",
		"AllAccessDisabled":     "account",
		"":                      "credentials",
	} {
		proxy.Set(faultproxy.Rule{Method: http.MethodGet, Times: -1, Fault: faultproxy.Refuse, Status: http.StatusForbidden, Code: code})
		_, _, err := store.Get(t.Context(), "databases/app/manifest.json")
		is.True(strings.Contains(permanent(err), advice))
		is.True(!errors.Is(err, replicate.ErrNotExist))
		is.True(strings.Contains(err.Error(), "driftdb/databases/app/manifest.json")) // which object
		for _, err = range store.List(t.Context(), "databases/", "") {
			is.True(permanent(err) != "")
		}
		is.True(err != nil)
	}
	proxy.Set()
	_, err := read(t, store, "databases/app/manifest.json")
	is.NoErr(err) // healed without a new store
}

// strangeAnswers: a gateway's 404 page says nothing about the object.
func strangeAnswers(t *testing.T, g target) {
	is := is.New(t)
	store, proxy := g.proxied(t)
	put(t, store, "k", []byte("x"))
	for _, status := range []int{http.StatusNotFound, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGone} {
		proxy.Set(faultproxy.Rule{Times: -1, Fault: faultproxy.Refuse, Status: status})
		_, err := read(t, store, "k")
		transient(t, err)
		_, err = store.Put(t.Context(), "k", bodyOf([]byte("y")), replicate.Condition{})
		transient(t, err)
		_, err = store.Put(t.Context(), "k", bodyOf([]byte("y")), ifMatch("x"))
		transient(t, err)
		for _, err := range store.List(t.Context(), "", "") {
			transient(t, err)
		}
		transient(t, store.Delete(t.Context(), "k"))
		transient(t, store.Delete(t.Context(), "k", "l"))
	}
	proxy.Set()
	got, err := read(t, store, "k")
	is.NoErr(err)
	is.Equal(string(got), "x")
}

func missingBucket(t *testing.T, g target) {
	is := is.New(t)
	g.bucket = "no-such-bucket-of-ours"
	store := g.open(t, g.options)
	check := func(do func() error) {
		t.Helper()
		err := do()
		for range g.again {
			if permanent(err) != "" {
				break
			}
			transient(t, err)
			err = do()
		}
		if !strings.Contains(permanent(err), "create it or correct the name") || !strings.Contains(err.Error(), g.bucket) {
			t.Fatalf("no word of a missing bucket: %v", err)
		}
	}
	put := func(body replicate.Body, cond replicate.Condition) func() error {
		return func() error {
			_, err := store.Put(t.Context(), "k", body, cond)
			return err
		}
	}
	check(func() error {
		_, _, err := store.Get(t.Context(), "k")
		is.True(!errors.Is(err, replicate.ErrNotExist))
		return err
	})
	for _, cond := range []replicate.Condition{{}, ifAbsent, ifMatch("x")} {
		check(put(bodyOf([]byte("x")), cond))
	}
	check(put(streamOf(noise(1, 6<<20)), replicate.Condition{}))
	check(func() error {
		for _, err := range store.List(t.Context(), "", "") {
			return err
		}
		return nil
	})
	check(func() error { return store.Check(t.Context()) })
}

// lostReply: the next attempt of a conditional put that had succeeded is
// refused; that must reach the engine, which then compares what is there.
func lostReply(t *testing.T, g target) {
	is := is.New(t)
	store, proxy := g.proxied(t)
	first := put(t, store, "old", []byte("old"))
	first, err := store.Put(t.Context(), "old", bodyOf([]byte("older")), ifMatch(first))
	is.NoErr(err) // what is to be known of the server's conditions is known
	for key, cond := range map[string]replicate.Condition{"new": ifAbsent, "old": ifMatch(first)} {
		for _, fault := range []faultproxy.Fault{faultproxy.DropReply, faultproxy.RefuseAfter} {
			is.NoErr(store.Delete(t.Context(), "new"))
			cond.IfMatch = ""
			if key == "old" {
				cond = ifMatch(put(t, store, "old", []byte("old")))
			}
			data := noise(byte(fault), 3000)
			proxy.Set(faultproxy.Rule{Method: http.MethodPut, Fault: fault, Code: "InternalError"})
			proxy.Forget()
			_, err := store.Put(t.Context(), key, bodyOf(data), cond)
			transient(t, err)
			is.Equal(len(proxy.Requests()), 1) // the SDK does not try again by itself
			_, err = store.Put(t.Context(), key, bodyOf(data), cond)
			is.True(errors.Is(err, replicate.ErrPrecondition))
			got, err := read(t, store, key)
			is.NoErr(err)
			is.True(bytes.Equal(got, data))
		}
	}
}

// passingRefusals: what the engine should try again, and the SDK must not have.
func passingRefusals(t *testing.T, g target) {
	is := is.New(t)
	store, proxy := g.proxied(t)
	put(t, store, "k", []byte("x"))
	for code, status := range map[string]int{
		"InternalError": 500, "SlowDown": 503, "ServiceUnavailable": 503, "TooManyRequests": 429,
		"ConditionalRequestConflict": 409, "OperationAborted": 409, "RequestTimeout": 400, "BadDigest": 400,
		"IncompleteBody": 400, "RequestTimeTooSkewed": 403,
	} {
		proxy.Set(faultproxy.Rule{Times: -1, Fault: faultproxy.Refuse, Status: status, Code: code})
		proxy.Forget()
		_, err := read(t, store, "k")
		transient(t, err)
		is.True(strings.Contains(err.Error(), code))
		_, err = store.Put(t.Context(), "k", bodyOf([]byte("y")), ifAbsent)
		transient(t, err)
		for _, err := range store.List(t.Context(), "", "") {
			transient(t, err)
		}
		transient(t, store.Delete(t.Context(), "k"))
		transient(t, store.Delete(t.Context(), "k", "l"))
		is.Equal(len(proxy.Requests()), 5) // one attempt each
	}
	proxy.Set()
	got, err := read(t, store, "k")
	is.NoErr(err)
	is.Equal(string(got), "x")
}

// longOutage: the SDK's own retries share a bucket of tokens, which an outage
// empties for good.
func longOutage(t *testing.T, g target) {
	is := is.New(t)
	store, proxy := g.proxied(t)
	put(t, store, "k", []byte("x"))
	proxy.Set(faultproxy.Rule{Times: -1, Fault: faultproxy.Drop})
	for range 120 {
		_, err := read(t, store, "k")
		transient(t, err)
	}
	// One hiccup after it, and the parts of a large upload still recover.
	proxy.Set(faultproxy.Rule{Method: http.MethodPut, URL: "partNumber=2", Times: 2, Fault: faultproxy.Drop})
	_, err := store.Put(t.Context(), "large", streamOf(noise(1, 11<<20)), ifAbsent)
	is.NoErr(err)
	is.Equal(proxy.Fired(), 2)
}

// brokenBody: the rest is asked for, of the same version; a line that carries
// nothing to the end is not tried for ever.
func brokenBody(t *testing.T, g target) {
	is := is.New(t)
	store, proxy := g.proxied(t)
	data := noise(1, 300_000)
	etag := put(t, store, "k", data)
	proxy.Forget()
	proxy.Set(faultproxy.Rule{Method: http.MethodGet, Fault: faultproxy.CutBody, Times: 2})
	body, info, err := store.Get(t.Context(), "k")
	is.NoErr(err)
	is.Equal(info.Size, int64(len(data)))
	got, err := io.ReadAll(body)
	is.NoErr(errors.Join(err, body.Close()))
	is.True(bytes.Equal(got, data))
	seen := proxy.Requests()
	is.Equal(len(seen), 3)
	is.Equal(seen[0].Header.Get("Range"), "")
	for _, r := range seen[1:] {
		is.True(strings.HasPrefix(r.Header.Get("Range"), "bytes=") && r.Header.Get("Range") != "bytes=0-")
		is.Equal(r.Header.Get("If-Match"), `"`+etag+`"`)
	}

	proxy.Set(faultproxy.Rule{Method: http.MethodGet, Fault: faultproxy.CutBody, Times: -1})
	proxy.Forget()
	body, _, err = store.Get(t.Context(), "k")
	is.NoErr(err)
	got, err = io.ReadAll(body)
	transient(t, err)
	is.True(len(got) < len(data))
	is.True(bytes.Equal(got, data[:len(got)]))
	is.Equal(len(proxy.Requests()), 5) // it was asked for, and four times for the rest
	_, again := body.Read(make([]byte, 1))
	is.Equal(again, err) // it stays broken
	is.NoErr(body.Close())
	got, err = read(t, store, "k")
	transient(t, err)
	is.True(len(got) < len(data))
	proxy.Set()
	got, err = read(t, store, "k")
	is.NoErr(err)
	is.True(bytes.Equal(got, data))
}

// brokenBodyChanged: what has come is never put together with another version.
func brokenBodyChanged(t *testing.T, g target) {
	is := is.New(t)
	store, proxy := g.proxied(t)
	for name, change := range map[string]func(){
		"replaced": func() { put(t, store, "k", noise(2, 300_000)) },
		"deleted":  func() { is.NoErr(store.Delete(t.Context(), "k")) },
	} {
		put(t, store, "k", noise(1, 300_000))
		proxy.Set(faultproxy.Rule{Method: http.MethodGet, Fault: faultproxy.CutBody})
		body, _, err := store.Get(t.Context(), "k")
		is.NoErr(err)
		change()
		got, err := io.ReadAll(body)
		transient(t, err)
		if !strings.Contains(err.Error(), "replaced or deleted while it was read") {
			t.Errorf("%s: %v", name, err)
		}
		is.True(bytes.Equal(got, noise(1, 300_000)[:len(got)]))
		is.NoErr(body.Close())
	}
}

// brokenRest: the rest of an object goes on as the whole does.
func brokenRest(t *testing.T, g target) {
	is := is.New(t)
	store, proxy := g.proxied(t)
	data := noise(1, 300_000)
	put(t, store, "k", data)
	proxy.Forget()
	proxy.Set(faultproxy.Rule{Method: http.MethodGet, Fault: faultproxy.CutBody},
		faultproxy.Rule{Method: http.MethodGet, Nth: 2, Fault: faultproxy.Refuse, Status: http.StatusServiceUnavailable, Code: "SlowDown"})
	body, info, err := store.GetFrom(t.Context(), "k", 100_000)
	is.NoErr(err)
	is.Equal(info.Size, int64(len(data)))
	got, err := io.ReadAll(body)
	is.NoErr(errors.Join(err, body.Close()))
	is.True(bytes.Equal(got, data[100_000:]))
	is.Equal(len(proxy.Requests()), 3)
}

func silentServer(t *testing.T, g target) {
	store, proxy := g.proxied(t, func(o *s3store.Options) { o.ReadTimeout = 150 * time.Millisecond })
	put(t, g.open(t, g.options), "k", []byte("x"))
	proxy.Set(faultproxy.Rule{Times: -1, Fault: faultproxy.Hang})
	_, err := read(t, store, "k")
	transient(t, err)
	_, err = store.Put(t.Context(), "k", bodyOf([]byte("x")), replicate.Condition{})
	transient(t, err)
	for _, err := range store.List(t.Context(), "", "") {
		transient(t, err)
	}
	// The caller's own end is the caller's.
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, _, err = store.Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("get under a deadline: %v, want context.DeadlineExceeded", err)
	}
	proxy.Set()
	for try := 1; ; try++ { // not every server is so quick each time
		if _, err = store.Put(t.Context(), "k", bodyOf([]byte("y")), replicate.Condition{}); err == nil {
			return
		}
		if transient(t, err); try == 50 {
			t.Fatal(err)
		}
	}
}
