//go:build s3integration

package s3store_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/storetest"
	"github.com/driftdb/driftdb/s3store"
)

// These run against the server that .ci/start-real-s3.sh has started, or any
// other that the variables S3_ENDPOINT, S3_CA (empty for http or a public
// certificate), AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION name.

// realTarget is a new bucket on the real server.
func realTarget(t *testing.T) target {
	t.Helper()
	is := is.New(t)
	need := func(name string) string {
		v := os.Getenv(name)
		if v == "" {
			t.Fatalf("%s is not set: start a server with .ci/start-real-s3.sh", name)
		}
		return v
	}
	g := target{
		bucket: "driftdb-test-" + strings.ToLower(rand.Text()),
		options: s3store.Options{
			Endpoint: need("S3_ENDPOINT"), Region: os.Getenv("AWS_REGION"), CAFile: os.Getenv("S3_CA"),
			AccessKeyID: need("AWS_ACCESS_KEY_ID"), SecretAccessKey: need("AWS_SECRET_ACCESS_KEY"),
		},
	}
	if os.Getenv("S3_SERVER") == "ceph" {
		g.again = 4 // under load it answers 404 without a body now and then: like any answer that is none of an S3 server it passes
	}
	g.forward = &http.Transport{}
	if g.options.CAFile != "" {
		pem, err := os.ReadFile(g.options.CAFile)
		is.NoErr(err)
		pool := x509.NewCertPool()
		is.True(pool.AppendCertsFromPEM(pem))
		g.forward.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	_, err := g.sdk().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &g.bucket})
	is.NoErr(err)
	t.Cleanup(func() { g.drop(t) })
	return g
}

// drop empties the bucket and removes it.
func (g target) drop(t *testing.T) {
	ctx := context.WithoutCancel(t.Context())
	o := g.options
	o.Prefix = "/"
	store, err := s3store.New(ctx, g.bucket, o)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = store.Close() }()
	var keys []string
	for info, err := range store.List(ctx, "", "") {
		if err != nil {
			t.Error(err)
			return
		}
		keys = append(keys, info.Key)
	}
	if err := store.Delete(ctx, keys...); err != nil {
		t.Error(err)
	}
	if _, err := g.sdk().DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &g.bucket}); err != nil {
		t.Error(err)
	}
	g.forward.CloseIdleConnections()
}

// The servers differ; docs/testing.md has the table that this is of.
//
// noTrailers refuses the checksums that the SDK sends by default over https.
func noTrailers() bool {
	return os.Getenv("S3_SERVER") == "ceph" && strings.HasPrefix(os.Getenv("S3_ENDPOINT"), "https:")
}

func realChecksums() map[string]s3store.Checksums {
	all := map[string]s3store.Checksums{"when supported": s3store.ChecksumsWhenSupported, "when required": s3store.ChecksumsWhenRequired}
	if noTrailers() {
		delete(all, "when supported")
	}
	return all
}

func TestRealStore(t *testing.T) {
	t.Parallel()
	for name, checksums := range realChecksums() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, n := realTarget(t), 0
			storetest.Run(t, func(t *testing.T) replicate.Store {
				n++
				o := g.options
				o.Checksums, o.Prefix = checksums, fmt.Sprintf("suite/%d", n)
				return g.open(t, o)
			})
		})
	}
}

func TestRealWireTraps(t *testing.T) { runWireTraps(t, realTarget) }

func TestRealCheck(t *testing.T) {
	g := realTarget(t)
	for _, checksums := range []s3store.Checksums{s3store.ChecksumsAuto, s3store.ChecksumsWhenSupported} {
		o := g.options
		o.Checksums = checksums
		store := g.open(t, o)
		err := store.Check(t.Context())
		if checksums == s3store.ChecksumsWhenSupported && noTrailers() { // a person is told what to set
			if !strings.Contains(permanent(err), "ChecksumsWhenRequired") {
				t.Fatal(err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		want := s3store.ConditionalIfMatch
		if os.Getenv("S3_SERVER") == "ceph" {
			want = s3store.ConditionalIfMatchUnquoted
		}
		if found := store.Conditional(); found != want {
			t.Errorf("conditional writes were found to be %v, not %v", found, want)
		}
	}
}

// TestRealRefusals: the server's own words for wrong keys, not a proxy's.
func TestRealRefusals(t *testing.T) {
	is := is.New(t)
	g := realTarget(t)
	put(t, g.open(t, g.options), "k", []byte("x"))
	for _, wrong := range []func(*s3store.Options){
		func(o *s3store.Options) { o.SecretAccessKey = "canary-" + rand.Text() },
		func(o *s3store.Options) { o.AccessKeyID = "canary" + rand.Text()[:14] },
	} {
		o := g.options
		wrong(&o)
		_, err := read(t, g.open(t, o), "k")
		is.True(permanent(err) != "")
		is.True(!strings.Contains(err.Error(), o.SecretAccessKey))
		is.True(!strings.Contains(err.Error(), o.AccessKeyID))
	}
}
