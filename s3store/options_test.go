package s3store

import (
	"strings"
	"testing"

	"github.com/matryer/is"
)

func TestValidate(t *testing.T) {
	tests := []struct {
		bucket string
		o      Options
		want   string // part of the error, empty for none
	}{
		{"bucket", Options{}, ""},
		{"bucket", Options{Prefix: "/"}, ""},
		{"bucket", Options{Prefix: "a/b/"}, ""},
		{"bucket", Options{Endpoint: "https://s3.example.com:9000"}, ""},
		{"", Options{}, "the bucket's name is empty"},
		{"s3://bucket", Options{}, "without s3://"},
		{"bucket/prefix", Options{}, "without s3:// or a path"},
		{"bucket", Options{Prefix: "/a"}, "begins with a slash"},
		{"bucket", Options{Prefix: "a//b"}, "empty part"},
		{"bucket", Options{Prefix: "a/../b"}, ".."},
		{"bucket", Options{Prefix: "a\nb"}, "control character"},
		{"bucket", Options{Prefix: "a\xff"}, "UTF-8"},
		{"bucket", Options{Prefix: strings.Repeat("a", 600)}, "600 bytes"},
		{"bucket", Options{Endpoint: "s3.example.com:9000"}, "scheme and host"},
		{"bucket", Options{Endpoint: "ftp://s3.example.com"}, "scheme and host"},
		{"bucket", Options{Endpoint: "https://"}, "scheme and host"},
		{"bucket", Options{Endpoint: "https://canaryuser:canarysecret@s3.example.com"}, "user name"},
		{"bucket", Options{Endpoint: "https://canaryuser:canarysecret@s3.example.com:port"}, "not a URL"},
		{"bucket", Options{Endpoint: "https://s3.example.com/?x=canarysecret"}, "query"},
		{"bucket", Options{AccessKeyID: "canaryuser"}, "set both or none"},
		{"bucket", Options{SecretAccessKey: "canarysecret"}, "set both or none"},
		{"bucket", Options{SessionToken: "canarysecret"}, "needs AccessKeyID"},
		{"bucket", Options{PathStyle: 3}, "PathStyle 3"},
		{"bucket", Options{Checksums: -1}, "Checksums -1"},
		{"bucket", Options{Conditional: 4}, "Conditional 4"},
		{"bucket", Options{Multipart: Multipart{PartSize: 1 << 20}}, "at least 5242880"},
		{"bucket", Options{Multipart: Multipart{Concurrency: -1}}, "Concurrency is -1"},
		{"bucket", Options{Headers: map[string]string{"Authorization": "canarysecret"}}, "\"Authorization\" is not"},
		{"bucket", Options{Headers: map[string]string{"X\r\nY": ""}}, "is not the name of a header"},
		{"bucket", Options{Headers: map[string]string{"X-Tigris-Consistent": "true"}}, ""},
	}
	for _, test := range tests {
		is := is.New(t)
		err := test.o.validate(test.bucket)
		if test.want == "" {
			is.NoErr(err)
			continue
		}
		is.True(err != nil)
		is.True(strings.Contains(err.Error(), test.want))
		is.True(!strings.Contains(err.Error(), "canary")) // no credentials in messages
	}
	// All that is wrong at once.
	is := is.New(t)
	err := Options{Prefix: "//a", Endpoint: "x", AccessKeyID: "a"}.validate("")
	is.Equal(len(strings.Split(err.Error(), "\n")), 4)
}

func TestDefaults(t *testing.T) {
	is := is.New(t)
	for given, want := range map[string]string{"": "driftdb/", "/": "", "//": "", "a": "a/", "a/": "a/", "a/b//": "a/b/"} {
		is.Equal(Options{Prefix: given}.withDefaults().Prefix, want)
	}
	o := Options{}.withDefaults()
	is.Equal(o.ReadTimeout, defaultReadTimeout)
	is.True(o.Multipart.PartSize*int64(o.Multipart.Concurrency+2) <= 24<<20) // all buffers of one upload
	is.Equal(Options{ReadTimeout: -1}.withDefaults().ReadTimeout, Options{ReadTimeout: -1}.ReadTimeout)
}

func TestAutomaticChoices(t *testing.T) {
	tests := []struct {
		endpoint     string
		pathStyle    bool
		whenRequired bool
	}{
		{"", false, false},
		{"https://s3.eu-central-1.amazonaws.com", false, false},
		{"https://bucket.vpce-1a2b.s3.us-east-1.vpce.amazonaws.com", false, false},
		{"https://s3.cn-north-1.amazonaws.com.cn", false, false},
		{"https://amazonaws.com.evil.example", false, true},
		{"http://127.0.0.1:9000", true, true},
		{"https://[::1]:9000", true, true},
		{"http://localhost:9000", true, true},
		{"http://s3.localhost", true, true},
		{"http://minio:9000", true, true},
		{"https://minio.example.com", false, true},
		{"https://abc.r2.cloudflarestorage.com", false, true},
	}
	for _, test := range tests {
		is := is.New(t)
		is.Equal(Options{}.pathStyle(test.endpoint), test.pathStyle)
		is.Equal(Options{}.whenRequired(test.endpoint), test.whenRequired)
		is.Equal(Options{PathStyle: PathStyleOn}.pathStyle(test.endpoint), true)
		is.Equal(Options{PathStyle: PathStyleOff}.pathStyle(test.endpoint), false)
		is.Equal(Options{Checksums: ChecksumsWhenRequired}.whenRequired(test.endpoint), true)
		is.Equal(Options{Checksums: ChecksumsWhenSupported}.whenRequired(test.endpoint), false)
	}
}

func TestConditionsOfAmazon(t *testing.T) {
	is := is.New(t)
	for endpoint, asks := range map[string]bool{"": false, "https://s3.eu-central-1.amazonaws.com": false, "https://s3.example.com": true, "http://127.0.0.1:9000": true} {
		form, heeds := newConditions(ConditionalAuto, endpoint).known()
		is.Equal(heeds, !asks)
		is.Equal(form == ConditionalIfMatch, !asks)
	}
}
