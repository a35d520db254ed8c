package s3store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/driftdb/driftdb/replicate"
)

var _ replicate.RangeStore = (*Store)(nil)

// GetFrom is Get from the byte offset on, by a Range header. ErrPrecondition:
// the object ends before it.
func (s *Store) GetFrom(ctx context.Context, key string, offset int64) (io.ReadCloser, replicate.Info, error) {
	if err := s.start(ctx, key); err != nil {
		return nil, replicate.Info{}, s.fail(ctx, opGet, key, err)
	}
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: s.key(key), Range: aws.String(fmt.Sprintf("bytes=%d-", offset))}
	// A checksum, should the server send one, is that of the whole object.
	out, err := s.client.GetObject(ctx, in, func(o *s3.Options) { o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired })
	if err != nil {
		if a, ok := answerOf(err); ok && a.status == http.StatusRequestedRangeNotSatisfiable {
			return nil, replicate.Info{}, fmt.Errorf("s3 get %q from byte %d: %w", key, offset, replicate.ErrPrecondition)
		}
		return nil, replicate.Info{}, s.fail(ctx, opGet, key, err)
	}
	info := replicate.Info{Key: key, Size: -1, ETag: unquote(out.ETag), Modified: aws.ToTime(out.LastModified)}
	b := &body{ctx: ctx, src: out.Body, store: s, key: key, left: -1}
	if out.ContentLength != nil {
		b.left = *out.ContentLength
	}
	begins, size, ok := contentRange(aws.ToString(out.ContentRange))
	switch {
	case ok && begins == offset:
		info.Size = size
	case ok:
		return nil, replicate.Info{}, errors.Join(fmt.Errorf("s3 get %q: asked from byte %d, answered from %d", key, offset, begins), out.Body.Close())
	default: // the server knows no ranges and sends all of it
		info.Size = b.left
		if _, err := io.CopyN(io.Discard, b, offset); err != nil {
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("s3 get %q from byte %d: %w", key, offset, replicate.ErrPrecondition)
			}
			return nil, replicate.Info{}, errors.Join(err, b.Close())
		}
	}
	return b, info, nil
}

// contentRange reads "bytes 7-99/100"; size is -1 where it is "*".
func contentRange(header string) (begins, size int64, ok bool) {
	bytes, total, ok := strings.Cut(strings.TrimPrefix(header, "bytes "), "/")
	if !ok {
		return 0, 0, false
	}
	first, _, _ := strings.Cut(bytes, "-")
	begins, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	if size, err = strconv.ParseInt(total, 10, 64); err != nil {
		size = -1
	}
	return begins, size, true
}
