package main

import (
	"context"
	"fmt"

	"github.com/driftdb/driftdb/examples/embeddeds3"
	"github.com/driftdb/driftdb/s3store"
)

// bucketFlags say which bucket to ship to.
type bucketFlags struct {
	endpoint, bucket, region string
}

// open returns the store, and what to call when it is no longer needed.
func (b bucketFlags) open(ctx context.Context) (*s3store.Store, func(), error) {
	if b.bucket != "" {
		store, err := s3store.New(ctx, b.bucket, s3store.Options{Region: b.region, Endpoint: b.endpoint})
		if err != nil {
			return nil, nil, err
		}
		fmt.Printf("bucket %s\n", b.bucket)
		return store, func() {}, nil
	}
	server, err := embeddeds3.Start(embeddeds3.Options{Bucket: "quickstart"})
	if err != nil {
		return nil, nil, err
	}
	store, err := s3store.New(ctx, "quickstart", s3store.Options{
		Region: b.region, Endpoint: server.URL(),
		AccessKeyID: server.AccessKeyID(), SecretAccessKey: server.SecretAccessKey(),
	})
	if err != nil {
		server.Close()
		return nil, nil, err
	}
	fmt.Printf("bucket: an S3 server inside this process, at %s\n", server.URL())
	return store, server.Close, nil
}
