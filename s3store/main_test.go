package s3store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb/examples/embeddeds3"
	"github.com/driftdb/driftdb/internal/faultproxy"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/s3store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wires are the ways to a server. Over https the SDK frames uploads
// differently, and each checksum mode sends other headers.
var wires = map[string]struct {
	tls       bool
	checksums s3store.Checksums
}{
	"http":                 {false, s3store.ChecksumsAuto},
	"http, when supported": {false, s3store.ChecksumsWhenSupported},
	"tls":                  {true, s3store.ChecksumsAuto},
	"tls, when supported":  {true, s3store.ChecksumsWhenSupported},
}

const bucket = "bucket"

// server starts an S3 server in the process, for the length of the test.
func server(t *testing.T, tls bool) *embeddeds3.Server {
	t.Helper()
	s, err := embeddeds3.Start(embeddeds3.Options{TLS: tls, Bucket: bucket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// options leads to the server.
func options(t *testing.T, s *embeddeds3.Server) s3store.Options {
	t.Helper()
	o := s3store.Options{Endpoint: s.URL(), AccessKeyID: s.AccessKeyID(), SecretAccessKey: s.SecretAccessKey()}
	if s.CAPEM() != nil {
		o.CAFile = filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(o.CAFile, s.CAPEM(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// target is a server that a fault proxy stands before.
type target struct {
	bucket  string
	options s3store.Options
	forward *http.Transport // to the server, nil for http
	again   int             // attempts more that an answer needs which lacks its words
}

// embedded is the server in the process as a target.
func embedded(t *testing.T) target {
	return target{bucket: bucket, options: options(t, server(t, false))}
}

// proxied puts a fault proxy before the target and opens a store behind it.
func (g target) proxied(t *testing.T, adjust ...func(*s3store.Options)) (*s3store.Store, *faultproxy.Proxy) {
	t.Helper()
	proxy, err := faultproxy.Start(g.options.Endpoint, g.forward)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	o := g.options
	o.Endpoint, o.CAFile = proxy.URL(), ""
	for _, f := range adjust {
		f(&o)
	}
	return g.open(t, o), proxy
}

func (g target) open(t *testing.T, o s3store.Options) *s3store.Store {
	t.Helper()
	store, err := s3store.New(t.Context(), g.bucket, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func open(t *testing.T, o s3store.Options) *s3store.Store {
	t.Helper()
	return target{bucket: bucket}.open(t, o)
}

// sdk is a plain client of the target, without the store's code.
func (g target) sdk() *s3.Client {
	o := s3.Options{
		BaseEndpoint: &g.options.Endpoint, Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(g.options.AccessKeyID, g.options.SecretAccessKey, ""),
	}
	if g.forward != nil {
		o.HTTPClient = &http.Client{Transport: g.forward}
	}
	return s3.New(o)
}

var ifAbsent = replicate.Condition{IfAbsent: true}

func ifMatch(etag string) replicate.Condition { return replicate.Condition{IfMatch: etag} }

func bodyOf(data []byte) replicate.Body {
	return replicate.Body{
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
		Size: int64(len(data)),
	}
}

// streamOf is a body of unknown size.
func streamOf(data []byte) replicate.Body {
	b := bodyOf(data)
	b.Size = -1
	return b
}

func put(t *testing.T, store replicate.Store, key string, data []byte) string {
	t.Helper()
	etag, err := store.Put(t.Context(), key, bodyOf(data), replicate.Condition{})
	if err != nil {
		t.Fatal(err)
	}
	return etag
}

func read(t *testing.T, store replicate.Store, key string) ([]byte, error) {
	t.Helper()
	body, _, err := store.Get(t.Context(), key)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(body)
	return data, errors.Join(err, body.Close())
}

// permanent returns what a person must do, "" for a transient error.
func permanent(err error) string {
	if p, ok := errors.AsType[*replicate.PermanentError](err); ok {
		return p.Reason
	}
	return ""
}

// transient fails the test unless the engine would try again after err.
func transient(t *testing.T, err error) {
	t.Helper()
	switch {
	case err == nil:
		t.Fatal("no error, want a transient one")
	case permanent(err) != "", errors.Is(err, replicate.ErrNotExist), errors.Is(err, replicate.ErrPrecondition),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		t.Fatalf("%v: not taken as transient", err)
	}
}

// noise is n bytes that differ by seed.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return b
}
