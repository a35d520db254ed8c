package s3store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/s3store"
)

func TestParseURL(t *testing.T) {
	is := is.New(t)
	for text, want := range map[string]s3store.Options{
		"s3://b":           {},
		"s3://b/":          {Prefix: "/"},
		"s3://b/some/path": {Prefix: "some/path"},
		"s3://b/p/?endpoint=http%3A%2F%2F127.0.0.1%3A9000&region=eu&path-style=on&checksums=when-required": {
			Prefix: "p", Endpoint: "http://127.0.0.1:9000", Region: "eu", PathStyle: s3store.PathStyleOn, Checksums: s3store.ChecksumsWhenRequired,
		},
		"s3://b?endpoint=https://h:1&conditional=if-match-unquoted&read-timeout=5s&ca-file=/x.pem": {
			Endpoint: "https://h:1", Conditional: s3store.ConditionalIfMatchUnquoted, ReadTimeout: 5 * time.Second, CAFile: "/x.pem",
		},
	} {
		bucket, o, err := s3store.ParseURL(text)
		is.NoErr(err)
		is.Equal(bucket, "b")
		is.Equal(cmp.Diff(want, o), "")
		_, err = s3store.New(t.Context(), bucket, s3store.Options{Prefix: o.Prefix, Region: "eu-west-1"})
		is.NoErr(err)
	}
	for text, want := range map[string]string{
		"b/p":                       "begins with s3://",
		"s3:b":                      "begins with s3://",
		"s3:///p":                   "bucket's name",
		"s3://b:80/p":               "bucket's name",
		"s3://key:canary@b/p":       "no credentials",
		"s3://b?secret=canary":      "unknown option \"secret\"",
		"s3://b?region=a&region=b":  "stands twice",
		"s3://b?path-style=canary":  "auto, on, off",
		"s3://b?checksums=":         "when-supported",
		"s3://b?read-timeout=1":     "duration",
		"s3://b?conditional=canary": "if-match-unquoted, none",
		"s3://b#x":                  "#",
		"s3://b?%zz":                "behind ?",
		"s3://b\x7fcanary":          "not a URL",
	} {
		_, _, err := s3store.ParseURL(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func ExampleParseURL() {
	bucket, o, err := s3store.ParseURL("s3://backups/app?endpoint=https://minio.example:9000&region=eu-west-1")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(bucket, o.Prefix, o.Endpoint, o.Region)
	// Output: backups app https://minio.example:9000 eu-west-1
}
