// Package acceptance runs over s3store what other libraries ask of an object store:
// objstore's acceptance test, and the conformance tests of gocloud.dev's blob drivers.
package acceptance

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb/examples/embeddeds3"
	"github.com/driftdb/driftdb/s3store"
)

// unlistable are keys with control characters, which the XML of a listing cannot
// carry. DriftDB makes none.
const unlistable = "TestBlob/TestListWeirdKeys|TestBlob/TestKeys/ascii-[12]$"

// unstorable are keys that a server does not take, by its name in S3_SERVER.
// DriftDB makes none of them either. Where a folder of the disk stands for what a key
// has before a slash, a key that ends in one cannot be written, and one that was not
// written can be read.
var unstorable = map[string]string{
	"versitygw": "|TestBlob/TestKeys/(ascii-3|dotdotslash)$",
	"minio":     "|TestBlob/TestKeys/(repeatedfwdslashes|dotdotslash|dotdotbackslash)$",
	"rclone":    "|TestBlob/TestKeys/(ascii-3|repeatedfwdslashes|dotdotslash)$|TestBlob/TestAttributes$",
}

func TestMain(m *testing.M) {
	flag.Parse()
	if skip := flag.Lookup("test.skip"); skip.Value.String() == "" {
		if err := skip.Value.Set(unlistable + unstorable[os.Getenv("S3_SERVER")]); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// options are those of the server in this process, or of the one that S3_ENDPOINT and
// the other variables of .ci/start-real-s3.sh name.
func options(t *testing.T) s3store.Options {
	t.Helper()
	o := s3store.Options{
		Endpoint: os.Getenv("S3_ENDPOINT"), Region: os.Getenv("AWS_REGION"), CAFile: os.Getenv("S3_CA"),
		AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"),
	}
	if o.Endpoint != "" {
		return o
	}
	server, err := embeddeds3.Start(embeddeds3.Options{TLS: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	o.Endpoint, o.AccessKeyID, o.SecretAccessKey = server.URL(), server.AccessKeyID(), server.SecretAccessKey()
	o.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(o.CAFile, server.CAPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return o
}

// newStore opens a new bucket, which is removed at the end.
func newStore(t *testing.T, o s3store.Options) *s3store.Store {
	t.Helper()
	bucket := "driftdb-test-" + strings.ToLower(rand.Text())
	client := sdk(t, o)
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	o.Prefix = "/"
	store, err := s3store.New(t.Context(), bucket, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		for info, err := range store.List(ctx, "", "") {
			if err == nil {
				err = store.Delete(ctx, info.Key)
			}
			if err != nil {
				t.Error(err)
			}
		}
		if _, err := client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &bucket}); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// sdk is the SDK's client, for what a store does not do.
func sdk(t *testing.T, o s3store.Options) *s3.Client {
	t.Helper()
	transport := &http.Transport{}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return s3.New(s3.Options{
		BaseEndpoint: &o.Endpoint, Region: cmp.Or(o.Region, "us-east-1"), UsePathStyle: true, HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider(o.AccessKeyID, o.SecretAccessKey, ""),
	})
}
