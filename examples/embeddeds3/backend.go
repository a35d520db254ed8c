package embeddeds3

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // S3's entity tags are MD5; nothing secret hangs on it
	"encoding/hex"
	"io"
	"strings"
	"sync"

	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"
)

// backend is s3mem with two gaps closed. Everything else is passed on.
type backend struct {
	*s3mem.Backend

	// writing is held from the check of a write's conditions to the write, and
	// by every other change, so that conditions are checked and objects stored
	// in one step.
	writing sync.Mutex
}

func newBackend() *backend { return &backend{Backend: s3mem.New()} }

// PutObject stores an object after checking the request's If-Match and
// If-None-Match once more, now that no other write can come between.
func (b *backend) PutObject(ctx context.Context, bucket, key string, meta map[string]string, input io.Reader, size int64) (gofakes3.PutObjectResult, error) {
	// The whole body first: a slow client must not hold up the others.
	data, err := gofakes3.ReadAll(input, size)
	if err != nil {
		return gofakes3.PutObjectResult{}, err
	}
	b.writing.Lock()
	defer b.writing.Unlock()
	if gofakes3.HasWriteConditions(ctx) {
		if err := b.check(ctx, bucket, key); err != nil {
			return gofakes3.PutObjectResult{}, err
		}
	}
	result, err := b.Backend.PutObject(ctx, bucket, key, meta, bytes.NewReader(data), int64(len(data)))
	// Without it the reply to a multipart upload carries another entity tag
	// than every later GET of the object.
	sum := md5.Sum(data) //nolint:gosec // see the import
	result.ETag = `"` + hex.EncodeToString(sum[:]) + `"`
	return result, err
}

func (b *backend) check(ctx context.Context, bucket, key string) error {
	obj, err := b.HeadObject(ctx, bucket, key)
	if gofakes3.HasErrorCode(err, gofakes3.ErrNoSuchKey) {
		return gofakes3.CheckWriteConditions(ctx, false, "")
	}
	if err != nil {
		return err
	}
	if err := obj.Contents.Close(); err != nil {
		return err
	}
	return gofakes3.CheckWriteConditions(ctx, true, hex.EncodeToString(obj.Hash))
}

// DeleteObject deletes one object.
func (b *backend) DeleteObject(ctx context.Context, bucket, key string) (gofakes3.ObjectDeleteResult, error) {
	b.writing.Lock()
	defer b.writing.Unlock()
	return b.Backend.DeleteObject(ctx, bucket, key)
}

// DeleteMulti deletes many objects.
func (b *backend) DeleteMulti(ctx context.Context, bucket string, keys ...string) (gofakes3.MultiDeleteResult, error) {
	b.writing.Lock()
	defer b.writing.Unlock()
	return b.Backend.DeleteMulti(ctx, bucket, keys...)
}

// ListBucket cuts pages itself: s3mem takes the marker for an existing key and
// skips the next real one when it is not.
func (b *backend) ListBucket(ctx context.Context, bucket string, prefix *gofakes3.Prefix, page gofakes3.ListBucketPage) (*gofakes3.ObjectList, error) {
	if prefix != nil && prefix.Delimiter != "" {
		return b.Backend.ListBucket(ctx, bucket, prefix, page) // a folder view; s3mem's own paging
	}
	if prefix != nil && prefix.HasDelimiter { // an empty one, as some clients send: none
		prefix = &gofakes3.Prefix{HasPrefix: prefix.HasPrefix, Prefix: prefix.Prefix}
	}
	all, err := b.Backend.ListBucket(ctx, bucket, prefix, gofakes3.ListBucketPage{})
	if err != nil {
		return nil, err
	}
	result := gofakes3.NewObjectList()
	for _, item := range all.Contents {
		if strings.Compare(item.Key, page.Marker) <= 0 && page.Marker != "" {
			continue
		}
		if page.MaxKeys > 0 && int64(len(result.Contents)) == page.MaxKeys {
			result.IsTruncated = true
			result.NextMarker = result.Contents[len(result.Contents)-1].Key
			break
		}
		result.Add(item)
	}
	return result, nil
}
