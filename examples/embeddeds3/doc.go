// Package embeddeds3 serves S3 inside the process, over http or TLS on a
// loopback port: for examples and tests that want the real AWS SDK on a real
// wire without a server to install. Objects live in memory and are gone after
// Close.
//
// It is rclone's gofakes3 with two gaps closed: a conditional write is checked
// and stored in one step, and a listing may start after a key that does not
// exist.
//
//	server, err := embeddeds3.Start(embeddeds3.Options{Bucket: "demo"})
//	defer server.Close()
//	store, err := s3store.New(ctx, "demo", s3store.Options{
//		Endpoint: server.URL(), AccessKeyID: server.AccessKeyID(), SecretAccessKey: server.SecretAccessKey(),
//	})
package embeddeds3
