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
	p, err := s.part(ctx, key, offset, "")
	if err != nil {
		return nil, replicate.Info{}, err
	}
	b := newBody(ctx, s, key, p.src, p.begins, p.left, p.info.ETag)
	if p.begins < offset { // the server knows no ranges and sends all of it
		if _, err := io.CopyN(io.Discard, b, offset); err != nil {
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("s3 get %q from byte %d: %w", key, offset, replicate.ErrPrecondition)
			}
			return nil, replicate.Info{}, errors.Join(err, b.Close())
		}
	}
	return b, p.info, nil
}

// part is what a server sends of an object.
type part struct {
	src    io.ReadCloser
	begins int64          // the byte of the object that comes first
	left   int64          // bytes to come, -1 if not known
	info   replicate.Info // of the whole object
}

// part asks for the object from the byte offset on, and for the version etag of
// it unless that is empty. A server that knows no ranges begins at 0.
func (s *Store) part(ctx context.Context, key string, offset int64, etag string) (p part, err error) {
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: s.key(key), Range: aws.String(fmt.Sprintf("bytes=%d-", offset))}
	if etag != "" {
		in.IfMatch = aws.String(`"` + etag + `"`)
	}
	// A checksum, should the server send one, is that of the whole object.
	out, err := s.client.GetObject(ctx, in, func(o *s3.Options) { o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired })
	if err != nil {
		a, _ := answerOf(err)
		switch {
		case a.status == http.StatusRequestedRangeNotSatisfiable:
			return p, fmt.Errorf("s3 get %q from byte %d: %w", key, offset, replicate.ErrPrecondition)
		case a.status == http.StatusPreconditionFailed && etag != "":
			return p, fmt.Errorf("s3 get %q: %w", key, replicate.ErrPrecondition)
		}
		return p, s.fail(ctx, opGet, key, err)
	}
	p = part{src: out.Body, left: -1, info: replicate.Info{Key: key, Size: -1, ETag: unquote(out.ETag), Modified: aws.ToTime(out.LastModified)}}
	if out.ContentLength != nil {
		p.left = *out.ContentLength
	}
	begins, size, ok := contentRange(aws.ToString(out.ContentRange))
	switch {
	case ok && begins == offset:
		p.begins, p.info.Size = offset, size
	case ok:
		return part{}, errors.Join(fmt.Errorf("s3 get %q: asked from byte %d, answered from %d", key, offset, begins), out.Body.Close())
	default:
		p.info.Size = p.left
	}
	return p, nil
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
