package s3store

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // Content-MD5 is a checksum of the transport, not a secret's guard
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/driftdb/driftdb/replicate"
)

// Store is a replicate.Store in a bucket. All methods may be called
// concurrently.
type Store struct {
	client       *s3.Client
	bucket       string
	prefix       string // empty or with a slash at its end
	whenRequired bool   // no default checksums: Content-MD5 goes with every upload
	conditions   *conditions
	partSize     int64
	large        uploader
	counters     *counters
	secrets      *secrets
	encryption   ServerEncryption
	class        string
	staticKeys   bool // credentials are fixed: an expired one stays so
	log          *slog.Logger
	closeIdle    func()
}

var _ replicate.Store = (*Store)(nil)

// New returns a store of bucket. It sends nothing: the first call, or Check,
// shows whether the bucket can be used. ctx bounds the reading of the
// configuration.
func New(ctx context.Context, bucket string, o Options) (*Store, error) {
	if err := o.validate(bucket); err != nil {
		return nil, fmt.Errorf("s3store: %w", err)
	}
	o = o.withDefaults()
	client, closeIdle, err := newClient(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("s3store: %w", err)
	}
	endpoint := aws.ToString(client.Options().BaseEndpoint)
	s := &Store{
		conditions: newConditions(o.Conditional, endpoint), log: o.Logger,
		bucket: bucket, prefix: o.Prefix, partSize: o.Multipart.PartSize,
		whenRequired: o.whenRequired(endpoint),
		counters:     &counters{}, secrets: &secrets{}, staticKeys: o.AccessKeyID != "",
		closeIdle: closeIdle, encryption: o.Encryption, class: o.StorageClass,
	}
	s.client = own(client, o, s.whenRequired, s.counters, s.secrets)
	s.large = newUploader(s, o.Multipart)
	return s, nil
}

// Close closes connections that are idle. Calls after it open new ones.
func (s *Store) Close() error {
	s.closeIdle()
	return nil
}

// Get opens the object at key. Info.Size is -1 if the server does not say it.
// A body that breaks off goes on with the rest of the same version; where that
// fails too it ends with an error that is worth another attempt.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, replicate.Info, error) {
	if err := s.start(ctx, key); err != nil {
		return nil, replicate.Info{}, s.fail(ctx, opGet, key, err)
	}
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: s.key(key)})
	if err != nil {
		return nil, replicate.Info{}, s.fail(ctx, opGet, key, err)
	}
	info := replicate.Info{Key: key, Size: -1, ETag: unquote(out.ETag), Modified: aws.ToTime(out.LastModified)}
	if out.ContentLength != nil {
		info.Size = *out.ContentLength
	}
	return newBody(ctx, s, key, out.Body, 0, info.Size, info.ETag), info, nil
}

// Put stores body at key if cond holds. A body of unknown size, or one larger
// than a part, is sent in parts.
func (s *Store) Put(ctx context.Context, key string, body replicate.Body, cond replicate.Condition) (string, error) {
	if err := s.start(ctx, key); err != nil {
		return "", s.fail(ctx, opPut, key, err)
	}
	if cond.IfAbsent && cond.IfMatch != "" {
		return "", fmt.Errorf("s3 put %q: IfAbsent and IfMatch exclude each other", key)
	}
	if cond == (replicate.Condition{}) {
		return s.putOnce(ctx, key, body, cond, ConditionalAuto)
	}
	return s.putIf(ctx, key, body, cond)
}

// putOnce makes one attempt, with the condition in the given form.
func (s *Store) putOnce(ctx context.Context, key string, body replicate.Body, cond replicate.Condition, form Conditional) (string, error) {
	r, err := body.Open()
	if err != nil {
		return "", fmt.Errorf("s3 put %q: open the body: %w", key, err)
	}
	src := &source{r: r, size: body.Size}
	etag, err := s.put(ctx, key, src, cond, form)
	bodyErr := src.failed(nil) // before Close: a request that was refused may still be reading
	closeErr := r.Close()
	var permanent *replicate.PermanentError
	switch {
	case bodyErr != nil: // before the SDK's rendering of it
		return "", fmt.Errorf("s3 put %q: read the body: %w", key, bodyErr)
	case errors.As(err, &permanent): // of ours, before anything was sent
		return "", fmt.Errorf("s3 put %q in bucket %q: %w", s.prefix+key, s.bucket, err)
	case err != nil:
		return "", s.failPut(ctx, key, cond, err)
	case closeErr != nil:
		return "", fmt.Errorf("s3 put %q: close the body: %w", key, closeErr)
	}
	return etag, nil
}

func (s *Store) put(ctx context.Context, key string, src *source, cond replicate.Condition, form Conditional) (string, error) {
	in := &s3.PutObjectInput{Bucket: &s.bucket, Key: s.key(key)}
	writeCondition(in, cond, form)
	in.StorageClass = types.StorageClass(s.class)
	in.ServerSideEncryption = types.ServerSideEncryption(s.encryption.Algorithm)
	if s.encryption.KMSKeyID != "" {
		in.SSEKMSKeyId = &s.encryption.KMSKeyID
	}
	if !s.inOne(src.size) {
		return s.large.upload(ctx, in, src)
	}
	// In memory as a whole: the SDK reads it twice, for hash and transfer.
	data, err := io.ReadAll(src)
	if err != nil {
		return "", err
	}
	in.Body = bytes.NewReader(data)
	in.ContentLength = aws.Int64(int64(len(data)))
	if s.whenRequired {
		in.ContentMD5 = aws.String(contentMD5(data))
	}
	out, err := s.client.PutObject(ctx, in)
	if err != nil {
		return "", err
	}
	return unquote(out.ETag), nil
}

// inOne says whether a body of size bytes, -1 for unknown, is sent in one
// request for sure.
func (s *Store) inOne(size int64) bool { return size >= 0 && size <= s.partSize }

// start refuses what must not reach the server.
func (s *Store) start(ctx context.Context, key string) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case key == "":
		return errors.New("the key is empty")
	case !utf8.ValidString(key):
		return errors.New("the key is not UTF-8")
	case len(s.prefix)+len(key) > maxKey:
		return fmt.Errorf("the key has %d bytes with the prefix; S3 takes %d", len(s.prefix)+len(key), maxKey)
	}
	return nil
}

func (s *Store) key(key string) *string { return aws.String(s.prefix + key) }

func unquote(etag *string) string {
	return strings.Trim(strings.TrimPrefix(aws.ToString(etag), "W/"), `"`)
}

func contentMD5(data []byte) string {
	sum := md5.Sum(data) //nolint:gosec // see the import
	return base64.StdEncoding.EncodeToString(sum[:])
}
