// Package s3store keeps a replica's objects in a bucket of Amazon S3, or of a
// server that speaks its protocol: a replicate.Store over the AWS SDK.
//
//	store, err := s3store.New(ctx, "my-app-backups", s3store.Options{Region: "eu-central-1"})
//
// Without AccessKeyID the credentials come from the SDK's default chain:
// environment, shared profile, web identity, instance role.
//
// # What it adds to the SDK
//
// One attempt per call: the engine owns retries, because an automatic retry
// turns one's own successful conditional write into a refusal. Parts of large
// uploads, which carry no condition, are tried again here.
//
// Errors are told apart: a missing object, a condition that does not hold, what
// a person must mend (with a sentence that says what), and everything else,
// which is worth another attempt. No error and no log line holds credentials.
//
// Objects come back byte for byte: nothing is decompressed on the way.
//
// # What the bucket's server must be able to do
//
// PutObject with If-None-Match: * and with If-Match, each checked and stored in
// one step; reads that see every finished write; listings in byte order. Store.Check
// tries it out. docs/s3.md lists providers, permissions and settings.
package s3store
