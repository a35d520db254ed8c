package s3store_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// page is one answer to a listing.
type page struct {
	keys []string
	next string // continuation token, empty at the end
}

// pages serves the listing from a script: token "" is the first.
func pages(t *testing.T, script map[string]page) func(prefix, after string) ([]string, error) {
	t.Helper()
	store := open(t, stub(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("delimiter") {
			answer(w, 500, "InternalError", "a folder view was asked for")
			return
		}
		p := script[r.URL.Query().Get("continuation-token")]
		var b strings.Builder
		for _, key := range p.keys {
			fmt.Fprintf(&b, "<Contents><Key>driftdb/%s</Key><Size>1</Size><ETag>&quot;x&quot;</ETag></Contents>", key)
		}
		if p.next != "" {
			fmt.Fprintf(&b, "<IsTruncated>true</IsTruncated><NextContinuationToken>%s</NextContinuationToken>", p.next)
		}
		_, _ = io.WriteString(w, "<ListBucketResult>"+b.String()+"</ListBucketResult>")
	}))
	return func(prefix, after string) (keys []string, err error) {
		for info, err := range store.List(t.Context(), prefix, after) {
			if err != nil {
				return keys, err
			}
			keys = append(keys, info.Key)
		}
		return keys, nil
	}
}

// TestOddListings: habits of servers that were met, and what would make a
// reader of the log miss entries.
func TestOddListings(t *testing.T) {
	is := is.New(t)

	// MinIO: an empty page before the end.
	keys, err := pages(t, map[string]page{"": {[]string{"a"}, "1"}, "1": {nil, "2"}, "2": {[]string{"b"}, "3"}, "3": {}})("", "")
	is.NoErr(err)
	is.Equal(keys, []string{"a", "b"})

	// A server that does not know start-after.
	list := pages(t, map[string]page{"": {[]string{"a", "b"}, "1"}, "1": {[]string{"c", "d"}, ""}})
	for after, want := range map[string]int{"": 4, "a": 3, "bb": 2, "c": 1, "d": 0, "z": 0} {
		keys, err = list("", after)
		is.NoErr(err)
		is.Equal(len(keys), want)
	}

	// One on a file system: order by path component, within a page.
	keys, err = pages(t, map[string]page{"": {[]string{"a/x", "a-b/x", "b"}, ""}})("", "")
	is.NoErr(err)
	is.Equal(keys, []string{"a-b/x", "a/x", "b"})

	for name, script := range map[string]map[string]page{
		"out of order across pages": {"": {[]string{"a/x"}, "1"}, "1": {[]string{"a-b/x"}, ""}},
		"a key twice":               {"": {[]string{"a", "a"}, ""}},
		"a key twice, two pages":    {"": {[]string{"a"}, "1"}, "1": {[]string{"a"}, ""}},
		"a key of elsewhere":        {"": {[]string{"a", "zz"}, ""}},
	} {
		prefix := ""
		if strings.HasSuffix(name, "elsewhere") {
			prefix = "a"
		}
		_, err = pages(t, script)(prefix, "")
		if permanent(err) == "" {
			t.Errorf("%s: %v, want a permanent error", name, err)
		}
	}

	// A token that leads nowhere would be an endless loop.
	_, err = pages(t, map[string]page{"": {[]string{"a"}, "1"}, "1": {[]string{"b"}, "1"}})("", "")
	transient(t, err)
}
