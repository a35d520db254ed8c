package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matryer/is"
	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"

	"github.com/driftdb/driftdb/replicate"
)

// heedless is the URL of a bucket whose server ignores conditions.
func heedless(t *testing.T) string {
	t.Helper()
	inner := gofakes3.New(s3mem.New(), gofakes3.WithAutoBucket(true)).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("If-Match")
		r.Header.Del("If-None-Match")
		q := r.URL.Query()
		q.Del("start-after") // it would skip a key; without it all are listed
		r.URL.RawQuery = q.Encode()
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "canary-secret")
	return "s3://bucket/p?region=us-east-1&endpoint=" + url.QueryEscape(server.URL)
}

// checked runs drift check-bucket.
func checked(t *testing.T, store string) (map[string]any, error) {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"--json", "check-bucket", store}, &out, &errs); code != 0 {
		return nil, errors.New(errs.String())
	}
	var m map[string]any
	if err := json.Unmarshal(out.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	return m, nil
}

// A server without conditional writes is used if the URL says so, and only then.
func TestUnfencedURL(t *testing.T) {
	is := is.New(t)
	store := heedless(t)
	for _, options := range []string{"", "&unfenced=false", "&conditional=none", "&conditional=auto"} {
		err := runApp(t.Context(), store+options, "bank", filepath.Join(t.TempDir(), "bank.sqlite"), []string{"+1"})
		is.True(err != nil)
		is.True(strings.Contains(err.Error(), "Unfenced"))
	}
	_, err := checked(t, store)
	is.True(err != nil)
	file := filepath.Join(t.TempDir(), "bank.sqlite")
	is.NoErr(runApp(t.Context(), store+"&unfenced=true", "bank", file, []string{"+1"}))
	is.NoErr(runApp(t.Context(), store+"&unfenced=true&conditional=none", "bank", file, []string{"+2"}))

	s, closer, err := openStore(t.Context(), store+"&unfenced=true")
	is.NoErr(err)
	r, err := replicate.New("bank", s, replicate.Options{})
	is.NoErr(err)
	is.True(r.Status().Unfenced)
	is.NoErr(closer.Close())

	m, err := checked(t, store+"&unfenced=true")
	is.NoErr(err)
	is.Equal(m["conditional"], "none")
}

func TestMisspeltURL(t *testing.T) {
	for options, want := range map[string]string{
		"unfencd=true":                       `unknown option "unfencd"`,
		"unfenced=yes":                       "unfenced of the URL is true or false",
		"unfenced=true&unfenced=true":        "unfenced of the URL is true or false, once",
		"unfenced=true&conditional=if-mach":  "if-match-unquoted, none",
		"unfenced=true&conditional=if-match": "the option unfenced of the URL is for servers without conditional writes",
	} {
		_, _, err := openStore(t.Context(), "s3://bucket/p?"+options)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", options, err, want)
		}
	}
}
