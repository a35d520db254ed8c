//go:build s3integration

package main

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/matryer/is"
)

// TestQuickstartOnARealServer runs the whole path against the server that
// .ci/start-real-s3.sh has started, with the flags and the environment that a
// person would use: -endpoint and -bucket, AWS_* for the rest.
func TestQuickstartOnARealServer(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	endpoint := os.Getenv("S3_ENDPOINT")
	if endpoint == "" {
		t.Fatal("S3_ENDPOINT is not set: start a server with .ci/start-real-s3.sh")
	}
	t.Setenv("AWS_CA_BUNDLE", os.Getenv("S3_CA")) // empty for http or a public certificate
	cfg, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(awshttp.NewBuildableClient()))
	is.NoErr(err)
	client := s3.NewFromConfig(cfg, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = &endpoint, true })
	bucket := "driftdb-quickstart-" + strings.ToLower(rand.Text())
	_, err = client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket})
	is.NoErr(err)

	is.NoErr(run(ctx, bucketFlags{endpoint: endpoint, bucket: bucket, region: cfg.Region}))

	stored, err := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &bucket})
	is.NoErr(err)
	is.True(len(stored.Contents) >= 3) // a manifest, batches, a snapshot
}
