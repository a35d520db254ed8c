package s3store_test

import (
	"crypto/md5"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/s3store"
)

// recorder keeps the requests as they went out, signed.
type recorder struct {
	next http.RoundTripper
	mu   sync.Mutex
	seen []*http.Request
}

func (r *recorder) wrap(next http.RoundTripper) http.RoundTripper {
	r.next = next
	return r
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.seen = append(r.seen, req)
	r.mu.Unlock()
	return r.next.RoundTrip(req)
}

// uploads are the requests that carry an object's bytes.
func (r *recorder) uploads() []*http.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.seen), func(q *http.Request) bool { return q.Method != http.MethodPut })
}

// exercise makes one request of each kind.
func exercise(t *testing.T, store *s3store.Store) {
	t.Helper()
	is := is.New(t)
	put(t, store, "small", []byte("small"))
	for _, size := range []int{100, 11 << 20} {
		_, err := store.Put(t.Context(), "stream", streamOf(noise(1, size)), replicate.Condition{})
		is.NoErr(err)
	}
	_, err := read(t, store, "stream")
	is.NoErr(err)
	for _, err := range store.List(t.Context(), "", "") {
		is.NoErr(err)
	}
	is.NoErr(store.Delete(t.Context(), "small", "stream"))
}

// TestWhenRequired: what compatible servers refuse is not sent, and Content-MD5
// keeps a body that was cut on the way from becoming an object.
func TestWhenRequired(t *testing.T) {
	for _, tls := range []bool{false, true} {
		is := is.New(t)
		o, r := options(t, server(t, tls)), &recorder{}
		o.Transport = r.wrap
		exercise(t, open(t, o)) // Auto: not Amazon's endpoint
		for _, q := range r.seen {
			for name := range q.Header {
				lower := strings.ToLower(name)
				is.True(!strings.HasPrefix(lower, "x-amz-checksum") && !strings.HasPrefix(lower, "x-amz-sdk-checksum") && lower != "x-amz-trailer") // on any request
			}
			is.True(!strings.Contains(q.Header.Get("Content-Encoding"), "aws-chunked"))
			is.Equal(q.Header.Get("Expect"), "")
		}
		sum := md5.Sum([]byte("small"))
		is.Equal(r.uploads()[0].Header.Get("Content-MD5"), base64.StdEncoding.EncodeToString(sum[:]))
		is.Equal(len(r.uploads()), 5) // small, small stream, three parts
		for _, q := range r.uploads() {
			is.True(q.Header.Get("Content-MD5") != "")
		}
		last := r.seen[len(r.seen)-1]
		is.True(strings.Contains(last.URL.RawQuery, "delete"))
		is.True(last.Header.Get("Content-MD5") != "")
	}
}

// TestWhenSupported: every upload carries a CRC32, parts included; over https
// it comes in a trailer.
func TestWhenSupported(t *testing.T) {
	for _, tls := range []bool{false, true} {
		is := is.New(t)
		o, r := options(t, server(t, tls)), &recorder{}
		o.Transport, o.Checksums = r.wrap, s3store.ChecksumsWhenSupported
		exercise(t, open(t, o))
		for _, q := range r.uploads() {
			is.Equal(q.Header.Get("X-Amz-Trailer") != "", tls)
			is.Equal(q.Header.Get("X-Amz-Checksum-Crc32") != "", !tls)
		}
		is.Equal(len(r.uploads()), 5)
		gets := slices.DeleteFunc(slices.Clone(r.seen), func(q *http.Request) bool { return q.Method != http.MethodGet || q.URL.Query().Has("list-type") })
		is.Equal(gets[0].Header.Get("X-Amz-Checksum-Mode"), "ENABLED")
	}
}

func TestHeadersAreSentAndSigned(t *testing.T) {
	is := is.New(t)
	o, r := options(t, server(t, true)), &recorder{}
	o.Transport, o.Headers = r.wrap, map[string]string{"X-Tigris-Consistent": "true"}
	exercise(t, open(t, o))
	is.True(len(r.seen) >= 10)
	for _, q := range r.seen {
		is.Equal(q.Header.Get("X-Tigris-Consistent"), "true")
		is.True(strings.Contains(q.Header.Get("Authorization"), "x-tigris-consistent"))
	}
}

// TestReadyClient: the store uses the caller's client, adds its own rules, and
// leaves the client as it was.
func TestReadyClient(t *testing.T) {
	is := is.New(t)
	s := server(t, true)
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(s.URL()), Region: "us-east-1", UsePathStyle: true, HTTPClient: s.Client(),
		Credentials: credentials.NewStaticCredentialsProvider(s.AccessKeyID(), s.SecretAccessKey(), ""),
	})
	store := open(t, s3store.Options{Client: client})
	exercise(t, store)
	is.NoErr(store.Check(t.Context()))
	is.Equal(client.Options().RequestChecksumCalculation, aws.RequestChecksumCalculation(0))
	is.Equal(client.Options().Retryer.MaxAttempts(), 3)
	is.True(store.Counters().Puts > 0)

	_, err := s3store.New(t.Context(), bucket, s3store.Options{Client: client, Region: "eu-central-1"})
	is.True(err != nil) // one place for one setting
}

// TestCABundle: AWS_CA_BUNDLE works besides CAFile.
func TestCABundle(t *testing.T) {
	is := is.New(t)
	o := options(t, server(t, true))
	t.Setenv("AWS_CA_BUNDLE", o.CAFile)
	o.CAFile = ""
	exercise(t, open(t, o))

	t.Setenv("AWS_CA_BUNDLE", "")
	_, err := read(t, open(t, o), "k")
	transient(t, err)
	is.True(strings.Contains(err.Error(), "certificate"))

	o.CAFile = "missing.pem"
	_, err = s3store.New(t.Context(), bucket, o)
	is.True(err != nil)
	o.CAFile = "doc.go"
	_, err = s3store.New(t.Context(), bucket, o)
	is.True(strings.Contains(err.Error(), "no certificate"))
}

// TestEnvironment: the usual variables lead to the bucket.
func TestEnvironment(t *testing.T) {
	is := is.New(t)
	s := server(t, false)
	t.Setenv("AWS_ENDPOINT_URL_S3", s.URL())
	t.Setenv("AWS_ACCESS_KEY_ID", s.AccessKeyID())
	t.Setenv("AWS_SECRET_ACCESS_KEY", s.SecretAccessKey())
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	t.Setenv("AWS_MAX_ATTEMPTS", "7") // not for this store: the engine owns retries
	r := &recorder{}
	exercise(t, open(t, s3store.Options{Transport: r.wrap}))
	is.Equal(r.seen[0].Header.Get("X-Amz-Checksum-Crc32"), "") // the endpoint of the environment is not Amazon's either
	is.True(strings.HasPrefix(r.seen[0].URL.Path, "/"+bucket+"/driftdb/"))

	t.Setenv("AWS_ENDPOINT_URL_S3", "")
	_, err := s3store.New(t.Context(), bucket, s3store.Options{})
	is.True(strings.Contains(err.Error(), "set Options.Region"))
}

func TestCounters(t *testing.T) {
	is := is.New(t)
	s := server(t, false)
	store := open(t, options(t, s))
	is.Equal(store.Counters(), s3store.Counters{})
	exercise(t, store)
	c, seen := store.Counters(), s.Requests()
	is.Equal(c.Gets, seen.Gets)
	is.Equal(c.Lists, seen.Lists)
	is.Equal(c.Heads, seen.Heads)
	is.Equal(c.Puts+c.Deletes, seen.Puts+seen.Posts+seen.Deletes)
	is.Equal(c.Gets, int64(1))
	is.Equal(c.Lists, int64(1))
	is.Equal(c.Deletes, int64(1))
	is.Equal(c.Puts, int64(1+1+5)) // small, small stream, create, three parts, complete
	is.Equal(c.Heads, int64(2))
	is.True(c.BytesUp >= 105+11<<20 && c.BytesUp < 105+11<<20+4096)
	is.True(c.BytesDown >= 11<<20 && c.BytesDown < 11<<20+8192)
}

func TestPrefix(t *testing.T) {
	is := is.New(t)
	o := options(t, server(t, false))
	all := func() (keys []string) {
		o := o
		o.Prefix = "/"
		for info, err := range open(t, o).List(t.Context(), "", "") {
			is.NoErr(err)
			keys = append(keys, info.Key)
		}
		return keys
	}
	for _, prefix := range []string{"", "/", "a/b", "a/c/"} {
		o := o
		o.Prefix = prefix
		store := open(t, o)
		put(t, store, "databases/x/manifest.json", []byte(prefix))
		for info, err := range store.List(t.Context(), "databases/", "") {
			is.NoErr(err)
			is.Equal(info.Key, "databases/x/manifest.json") // without the prefix
		}
	}
	is.Equal(all(), []string{"a/b/databases/x/manifest.json", "a/c/databases/x/manifest.json", "databases/x/manifest.json", "driftdb/databases/x/manifest.json"})
}
