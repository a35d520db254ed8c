package faultproxy_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb/internal/faultproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// upstream counts what reached it and answers 10,000 bytes.
func upstream(t *testing.T) (*faultproxy.Proxy, *atomic.Int64) {
	t.Helper()
	var reached atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		reached.Add(1)
		w.Header().Set("X-Host", r.Host)
		w.Header().Set("Content-Length", "10000")
		_, _ = io.WriteString(w, strings.Repeat("x", 10_000))
	}))
	proxy, err := faultproxy.Start(server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		proxy.Close()
		server.Close()
	})
	return proxy, &reached
}

func send(t *testing.T, ctx context.Context, method, url string) (status int, body string, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), errors.Join(err, resp.Body.Close())
}

func TestFaults(t *testing.T) {
	tests := map[string]struct {
		rule    faultproxy.Rule
		reached int64
		status  int
		broken  bool
		body    string
	}{
		"none":               {faultproxy.Rule{Method: http.MethodGet, Fault: faultproxy.Drop}, 1, 200, false, "xxx"},
		"refuse":             {faultproxy.Rule{Fault: faultproxy.Refuse, Status: 403, Code: "AccessDenied"}, 0, 403, false, "<Code>AccessDenied</Code>"},
		"refuse with a page": {faultproxy.Rule{Fault: faultproxy.Refuse, Status: 404}, 0, 404, false, "<html>"},
		"refuse after":       {faultproxy.Rule{Fault: faultproxy.RefuseAfter, Code: "InternalError"}, 1, 500, false, "InternalError"},
		"drop":               {faultproxy.Rule{Fault: faultproxy.Drop}, 0, 0, true, ""},
		"drop the reply":     {faultproxy.Rule{Fault: faultproxy.DropReply}, 1, 0, true, ""},
		"cut the body":       {faultproxy.Rule{Fault: faultproxy.CutBody}, 1, 200, true, ""},
		"edit":               {faultproxy.Rule{Fault: faultproxy.Edit, Edit: func(r *http.Response) { r.StatusCode = 299 }}, 1, 299, false, "xxx"},
		"slow":               {faultproxy.Rule{Fault: faultproxy.Slow, Delay: time.Millisecond}, 1, 200, false, "xxx"},
		"another URL":        {faultproxy.Rule{URL: "partNumber=3", Fault: faultproxy.Drop}, 1, 200, false, "xxx"},
		"this URL":           {faultproxy.Rule{URL: "partNumber=2", Fault: faultproxy.Drop}, 0, 0, true, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			proxy, reached := upstream(t)
			proxy.Set(test.rule)
			status, body, err := send(t, t.Context(), http.MethodPut, proxy.URL()+"/bucket/key?partNumber=2")
			is.Equal(err != nil, test.broken)
			is.Equal(status, test.status)
			is.True(strings.Contains(body, test.body))
			is.True(len(body) < 10_000 || !test.broken)
			is.Equal(reached.Load(), test.reached)
			is.Equal(proxy.Requests()[0].URL, "/bucket/key?partNumber=2")
			_, _, err = send(t, t.Context(), http.MethodPut, proxy.URL()+"/bucket/key?partNumber=2")
			is.NoErr(err) // once only
		})
	}
}

func TestHang(t *testing.T) {
	is := is.New(t)
	proxy, reached := upstream(t)
	proxy.Set(faultproxy.Rule{Fault: faultproxy.Hang})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, _, err := send(t, ctx, http.MethodPut, proxy.URL()+"/k")
		done <- err
	}()
	for proxy.Fired() == 0 { // it has come in, and does not come out
		select {
		case err := <-done:
			t.Fatalf("answered: %v", err)
		default:
		}
	}
	cancel()
	is.True(errors.Is(<-done, context.Canceled))
	is.Equal(reached.Load(), int64(0))
}
