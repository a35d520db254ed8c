package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestKindOf(t *testing.T) {
	is := is.New(t)
	for _, c := range []struct {
		method, url string
		want        kind
		key         string
	}{
		{http.MethodPut, "/figures/app/databases/app/manifest.json?x-id=PutObject", kindPut, "app/databases/app/manifest.json"},
		{http.MethodPost, "/figures/app/x?uploads=", kindPut, "app/x"},
		{http.MethodPut, "/figures/app/x?partNumber=1&uploadId=7", kindPut, "app/x"},
		{http.MethodPost, "/figures/?delete=", kindDelete, ""},
		{http.MethodDelete, "/figures/app/x", kindDelete, "app/x"},
		{http.MethodGet, "/figures/?list-type=2&prefix=app%2F0000", kindList, "app/0000"},
		{http.MethodGet, "/figures/app/x", kindGet, "app/x"},
		{http.MethodHead, "/figures/app/x", kindGet, "app/x"},
	} {
		r := httptest.NewRequest(c.method, c.url, nil)
		is.Equal(kindOf(r), c.want) // kind
		is.Equal(keyOf(r), c.key)   // key
	}
}

// TestProxyCounts bytes and requests, delays PUT alone, and breaks connections
// while the bucket is away.
func TestProxyCounts(t *testing.T) {
	is := is.New(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = w.Write(make([]byte, 1000))
		}
	}))
	defer server.Close()
	p, err := newProxy(server.URL, 20*time.Millisecond)
	is.NoErr(err)
	defer p.close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	send := func(method, body string) error {
		r, err := http.NewRequestWithContext(t.Context(), method, p.url+"/figures/key", strings.NewReader(body))
		is.NoErr(err)
		resp, err := client.Do(r)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	began := time.Now()
	is.NoErr(send(http.MethodPut, "twelve bytes"))
	is.NoErr(send(http.MethodGet, ""))
	p.away.Store(true)
	is.True(send(http.MethodGet, "") != nil)
	p.away.Store(false)
	is.NoErr(send(http.MethodDelete, ""))

	all := p.requests(began)
	is.Equal(sum(all), tally{Put: 1, Get: 2, Delete: 1, Up: 12, Down: 1000})
	is.True(all[0].Ended.Sub(all[0].Began) >= 20*time.Millisecond)
	is.Equal(sum(p.requests(time.Now())), tally{})
}

func TestLags(t *testing.T) {
	is := is.New(t)
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	batch := func(key string, began, ended int64) request {
		return request{Kind: kindPut, Key: key, Began: at(began), Ended: at(ended), Status: 200}
	}
	commits := []commit{{At: at(100).UnixNano(), Sequence: 3}, {At: at(150).UnixNano(), Sequence: 5}}
	drift, err := driftLags(commits, []request{
		batch("databases/app/nodes/n/00000001/logs/000000000001-000000000004.json.gz", 130, 160),
		batch("databases/app/nodes/n/00000001/logs/000000000005-000000000005.json.gz", 170, 200),
	})
	is.NoErr(err)
	is.Equal(drift, []time.Duration{60 * time.Millisecond, 50 * time.Millisecond})
	_, err = driftLags([]commit{{Sequence: 6}}, nil)
	is.True(err != nil) // not stored

	// What was begun before the commit cannot hold it; higher levels say nothing.
	peer, err := peerLags(commits[:1], []request{batch("app/0000/1-1.ltx", 90, 110), batch("app/0001/1-1.ltx", 101, 105), batch("app/0000/2-2.ltx", 120, 145)})
	is.NoErr(err)
	is.Equal(peer, []time.Duration{45 * time.Millisecond})
}

func TestTable(t *testing.T) {
	is := is.New(t)
	page := filepath.Join(t.TempDir(), "page.md")
	is.NoErr(os.WriteFile(page, []byte("before\n"+beginMark+"\nold\n"+endMark+"\nafter\n"), 0o600))
	is.NoErr(replaceBetween(page, markdown([]row{{Figure: "lag", Goal: "≤ 1 s", Drift: "2 s", Met: missed, Name: "lag"}})))
	got, err := os.ReadFile(page)
	is.NoErr(err)
	is.True(strings.HasPrefix(string(got), "before\n"+beginMark+"\n| figure |"))
	is.True(strings.Contains(string(got), "| lag | ≤ 1 s | 2 s | **missed** | – | `FIGURES=lag` |\n"+endMark+"\nafter\n"))
	is.True(!strings.Contains(string(got), "old"))
	is.True(replaceBetween(filepath.Join(t.TempDir(), "none"), "") != nil)

	ms := []time.Duration{5, 1, 4, 2, 3}
	is.Equal(percentile(ms, 0.5), time.Duration(3))
	is.Equal(percentile(ms, 1), time.Duration(5))
	is.Equal(percentile(nil, 0.5), time.Duration(0))
	is.Equal(hourly(4, 30*time.Second), 480)
}

// TestTheDocsHaveThePlace where -write puts the table.
func TestTheDocsHaveThePlace(t *testing.T) {
	is := is.New(t)
	page, err := os.ReadFile("../docs/performance.md")
	is.NoErr(err)
	is.True(strings.Index(string(page), beginMark) > 0)
	is.True(strings.Index(string(page), endMark) > strings.Index(string(page), beginMark))
}
