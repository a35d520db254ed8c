package s3store_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/faultproxy"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/s3store"
)

// sent collects the If-Match headers of puts, with where they went.
type sent struct {
	mu   sync.Mutex
	puts []string
}

func (s *sent) note(habit func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if m := r.Header.Get("If-Match"); r.Method == http.MethodPut && m != "" {
			form := "unquoted"
			if strings.HasPrefix(m, `"`) {
				form = "quoted"
			}
			what := "real"
			if strings.Contains(r.URL.Path, "/check/") {
				what = "probe"
			}
			s.mu.Lock()
			s.puts = append(s.puts, what+" "+form)
			s.mu.Unlock()
		}
		return habit(w, r)
	}
}

func ordinary(http.ResponseWriter, *http.Request) bool { return false }

func matchRefused(w http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get("If-Match") != "" && r.Method == http.MethodPut {
		_, _ = io.Copy(io.Discard, r.Body)
		answer(w, http.StatusPreconditionFailed, "PreconditionFailed", "")
		return true
	}
	return false
}

// unquotedIgnored refuses quoted tags and does not see others.
func unquotedIgnored(w http.ResponseWriter, r *http.Request) bool {
	if quotesRefused(w, r) {
		return true
	}
	r.Header.Del("If-Match")
	return false
}

func keys(t *testing.T, store replicate.Store) (all []string) {
	t.Helper()
	for info, err := range store.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, info.Key)
	}
	return all
}

// One request before the first conditional write, which stores nothing, tells
// whether conditions count; the form shows itself.
func TestConditionalAuto(t *testing.T) {
	for name, c := range map[string]struct {
		habit func(http.ResponseWriter, *http.Request) bool
		form  s3store.Conditional
		want  []string // of a swap, a stale one, and another swap
		logs  int
	}{
		"as S3":             {ordinary, s3store.ConditionalAuto, []string{"probe quoted", "real quoted", "real quoted", "real quoted"}, 0},
		"as S3, told":       {ordinary, s3store.ConditionalIfMatch, []string{"real quoted", "real quoted", "real quoted"}, 0},
		"no quotes":         {quotesRefused, s3store.ConditionalAuto, []string{"probe quoted", "real quoted", "probe unquoted", "real unquoted", "real unquoted", "real unquoted"}, 1},
		"no quotes, told":   {quotesRefused, s3store.ConditionalIfMatchUnquoted, []string{"real unquoted", "real unquoted", "real unquoted"}, 0},
		"no quotes, opened": {ordinary, s3store.ConditionalIfMatchUnquoted, []string{"real unquoted", "real unquoted", "real unquoted"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			var s sent
			var log bytes.Buffer
			o := lax(t, s.note(c.habit))
			o.Conditional, o.Logger = c.form, slog.New(slog.NewTextHandler(&log, nil))
			store := open(t, o)
			first := put(t, store, "k", []byte("1"))
			second, err := store.Put(t.Context(), "k", bodyOf([]byte("2")), ifMatch(first))
			is.NoErr(err)
			_, err = store.Put(t.Context(), "k", bodyOf([]byte("stale")), ifMatch(first))
			is.True(errors.Is(err, replicate.ErrPrecondition))
			_, err = store.Put(t.Context(), "k", bodyOf([]byte("3")), ifMatch(second))
			is.NoErr(err)
			got, err := read(t, store, "k")
			is.NoErr(err)
			is.Equal(string(got), "3")
			is.Equal(s.puts, c.want)
			is.Equal(keys(t, store), []string{"k"}) // nothing else was stored
			is.Equal(strings.Count(log.String(), "\n"), c.logs)
			found := s3store.ConditionalIfMatch
			if strings.HasPrefix(name, "no quotes") {
				found = s3store.ConditionalIfMatchUnquoted
			}
			is.Equal(store.Conditional(), found)
		})
	}
}

// A refusal that was one stays one, whatever is known of the server.
func TestConditionalAutoFirstIsStale(t *testing.T) {
	for _, habit := range []func(http.ResponseWriter, *http.Request) bool{ordinary, quotesRefused} {
		is := is.New(t)
		var s sent
		store := open(t, lax(t, s.note(habit)))
		first := put(t, store, "k", []byte("1"))
		put(t, store, "k", []byte("2"))
		for range 2 {
			_, err := store.Put(t.Context(), "k", bodyOf([]byte("stale")), ifMatch(first))
			is.True(errors.Is(err, replicate.ErrPrecondition))
			_, err = store.Put(t.Context(), "gone", bodyOf([]byte("stale")), ifMatch(first))
			is.True(errors.Is(err, replicate.ErrPrecondition))
		}
		is.Equal(s.puts, []string{"probe quoted", "real quoted", "real quoted", "real quoted", "real quoted"})
		got, err := read(t, store, "k")
		is.NoErr(err)
		is.Equal(string(got), "2")
	}
}

// A server that ignores conditions is refused before anything of ours is
// written, and what the question left there is taken away.
func TestConditionalIgnored(t *testing.T) {
	for name, c := range map[string]struct {
		habit func(http.ResponseWriter, *http.Request) bool
		cond  func(etag string) replicate.Condition
		want  string
	}{
		"if-match": {func(_ http.ResponseWriter, r *http.Request) bool {
			r.Header.Del("If-Match")
			return false
		}, ifMatch, "did not hold"},
		"both": {func(_ http.ResponseWriter, r *http.Request) bool {
			r.Header.Del("If-Match")
			r.Header.Del("If-None-Match")
			return false
		}, func(string) replicate.Condition { return ifAbsent }, "did not hold"},
		"unquoted": {unquotedIgnored, ifMatch, "did not hold"},
		"refused":  {matchRefused, ifMatch, "with quotes and without"},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			store := open(t, lax(t, c.habit))
			etag := put(t, store, "k", []byte("1"))
			for range 2 { // it does not come to be known by asking twice
				_, err := store.Put(t.Context(), "k", bodyOf([]byte("2")), c.cond(etag))
				is.True(strings.Contains(permanent(err), "replicate.Unfenced"))
				is.True(strings.Contains(err.Error(), c.want))
			}
			got, err := read(t, store, "k")
			is.NoErr(err)
			is.Equal(string(got), "1")
			is.Equal(keys(t, store), []string{"k"})
		})
	}
}

// An outage during the question is no answer.
func TestConditionalAutoOutage(t *testing.T) {
	is := is.New(t)
	var s sent
	out := true
	store := open(t, lax(t, s.note(func(w http.ResponseWriter, r *http.Request) bool {
		if !out {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		answer(w, http.StatusServiceUnavailable, "SlowDown", "")
		return true
	})))
	_, err := store.Put(t.Context(), "k", bodyOf([]byte("1")), ifAbsent)
	transient(t, err)
	out = false
	for i := range 3 {
		_, err = store.Put(t.Context(), strings.Repeat("k", i+1), bodyOf([]byte("1")), ifAbsent)
		is.NoErr(err)
	}
	is.Equal(s.puts, []string{"probe quoted", "probe quoted"})
}

// Many writers at once ask once.
func TestConditionalAutoAtOnce(t *testing.T) {
	is := is.New(t)
	var s sent
	store := open(t, lax(t, s.note(quotesRefused)))
	etag := put(t, store, "k", []byte("0"))
	var group sync.WaitGroup
	won := make(chan bool, 8)
	for i := range 8 {
		group.Go(func() {
			_, err := store.Put(t.Context(), "k", bodyOf([]byte{byte(i + 'a')}), ifMatch(etag))
			if err != nil && !errors.Is(err, replicate.ErrPrecondition) {
				t.Error(err)
			}
			won <- err == nil
		})
	}
	group.Wait()
	close(won)
	wins := 0
	for w := range won {
		if w {
			wins++
		}
	}
	is.Equal(wins, 1)
	asked := slices.DeleteFunc(slices.Clone(s.puts), func(p string) bool { return p != "probe quoted" })
	is.Equal(len(asked), 1)
}

// ConditionalNone writes only where replicate.Unfenced looks first.
func TestConditionalNone(t *testing.T) {
	is := is.New(t)
	o := lax(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("If-Match") == "" && r.Header.Get("If-None-Match") == "" {
			return false
		}
		answer(w, http.StatusNotImplemented, "NotImplemented", "")
		return true
	})
	o.Conditional = s3store.ConditionalNone
	store := open(t, o)
	for _, cond := range []replicate.Condition{ifAbsent, ifMatch("x")} {
		_, err := store.Put(t.Context(), "k", bodyOf([]byte("1")), cond)
		is.True(strings.Contains(permanent(err), "replicate.Unfenced"))
	}
	loose := replicate.Unfenced(store)
	etag, err := loose.Put(t.Context(), "k", bodyOf([]byte("1")), ifAbsent)
	is.NoErr(err)
	_, err = loose.Put(t.Context(), "k", bodyOf([]byte("2")), ifAbsent)
	is.True(errors.Is(err, replicate.ErrPrecondition))
	_, err = loose.Put(t.Context(), "k", bodyOf([]byte("2")), ifMatch(etag))
	is.NoErr(err)
}

// A server that names no entity tag when it completes an upload is asked for it.
func TestCompleteWithoutTag(t *testing.T) {
	is := is.New(t)
	store, proxy := embedded(t).proxied(t)
	untagged := faultproxy.Rule{Method: http.MethodPost, URL: "uploadId=", Times: -1, Fault: faultproxy.Edit, Edit: func(r *http.Response) {
		const reply = "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>"
		_ = r.Body.Close()
		r.Header.Del("ETag")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(reply)), int64(len(reply))
	}}
	proxy.Set(untagged)
	etag, err := store.Put(t.Context(), "k", streamOf(noise(1, 6<<20)), replicate.Condition{})
	is.NoErr(err)
	body, info, err := store.Get(t.Context(), "k")
	is.NoErr(err)
	is.NoErr(body.Close())
	is.True(etag != "")
	is.Equal(etag, info.ETag)
}

// A server that knows no ranges sends all of it again, and one that knows no
// If-Match may send another version.
func TestResumeFromStrangeServers(t *testing.T) {
	data := noise(1, 10_000)
	for name, c := range map[string]struct {
		etags  []string
		ranges bool
		want   string
	}{
		"no ranges":             {[]string{"a", "a"}, false, ""},
		"ranges":                {[]string{"a", "a"}, true, ""},
		"no ranges, another":    {[]string{"a", "b"}, false, "replaced or deleted"},
		"ranges, another":       {[]string{"a", "b"}, true, "replaced or deleted"},
		"no entity tags at all": {[]string{"", ""}, true, "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			n := 0
			var log bytes.Buffer
			o := stub(t, func(w http.ResponseWriter, r *http.Request) {
				etag := c.etags[n]
				n++
				if etag != "" {
					w.Header().Set("ETag", `"`+etag+`"`)
				}
				switch {
				case n == 1:
					w.Header().Set("Content-Length", "10000")
					_, _ = w.Write(data[:5000])
				case c.ranges:
					is.Equal(r.Header.Get("Range"), "bytes=5000-")
					w.Header().Set("Content-Range", "bytes 5000-9999/10000")
					w.Header().Set("Content-Length", "5000")
					w.WriteHeader(http.StatusPartialContent)
					_, _ = w.Write(data[5000:])
				default:
					w.Header().Set("Content-Length", "10000")
					_, _ = w.Write(data)
				}
			})
			o.Logger = slog.New(slog.NewTextHandler(&log, nil))
			got, err := read(t, open(t, o), "k")
			if c.want == "" {
				is.NoErr(err)
				is.True(bytes.Equal(got, data))
				is.True(strings.Contains(log.String(), "a read broke off and goes on"))
				is.True(!strings.Contains(log.String(), "canary"))
				return
			}
			transient(t, err)
			is.True(strings.Contains(err.Error(), c.want))
		})
	}
}
