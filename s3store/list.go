package s3store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/driftdb/driftdb/replicate"
)

// List yields the objects under prefix after the key after, a request for each
// 1,000. It never asks for a folder view: paging through those does not end on
// every server.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[replicate.Info, error] {
	return func(yield func(replicate.Info, error) bool) {
		l := listing{store: s, prefix: prefix, after: after}
		for {
			page, err := l.next(ctx)
			if err != nil {
				yield(replicate.Info{}, err)
				return
			}
			for _, info := range page {
				if !yield(info, nil) {
					return
				}
			}
			if l.done {
				return
			}
		}
	}
}

// listing is one List under way.
type listing struct {
	store  *Store
	prefix string
	after  string
	last   string // the greatest key so far
	token  *string
	done   bool
}

// next returns the next page, which may be empty without being the last.
func (l *listing) next(ctx context.Context) ([]replicate.Info, error) {
	s := l.store
	if ctx.Err() != nil {
		return nil, s.fail(ctx, opList, l.prefix, ctx.Err())
	}
	in := &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: aws.String(s.prefix + l.prefix), ContinuationToken: l.token}
	if l.token == nil && l.after != "" {
		in.StartAfter = s.key(l.after)
	}
	out, err := s.client.ListObjectsV2(ctx, in)
	if err != nil {
		return nil, s.fail(ctx, opList, l.prefix, err)
	}
	more := aws.ToBool(out.IsTruncated)
	if more && (out.NextContinuationToken == nil || aws.ToString(l.token) == *out.NextContinuationToken) {
		return nil, s.fail(ctx, opList, l.prefix, errors.New("the server says that there is more but not where"))
	}
	l.token, l.done = out.NextContinuationToken, !more
	page := make([]replicate.Info, 0, len(out.Contents))
	for _, item := range out.Contents {
		key := strings.TrimPrefix(aws.ToString(item.Key), s.prefix)
		if l.after != "" && key <= l.after {
			continue // from a server that does not know start-after
		}
		page = append(page, replicate.Info{
			Key:  key,
			Size: aws.ToInt64(item.Size), ETag: unquote(item.ETag), Modified: aws.ToTime(item.LastModified),
		})
	}
	return l.order(page)
}

// order puts a page into byte order, which servers on a file system get wrong
// between "a-b" and "a/b". What is out of order across pages cannot be mended,
// and a reader of the log that took it would miss entries.
func (l *listing) order(page []replicate.Info) ([]replicate.Info, error) {
	slices.SortFunc(page, func(a, b replicate.Info) int { return strings.Compare(a.Key, b.Key) })
	for i, info := range page {
		switch {
		case !strings.HasPrefix(info.Key, l.prefix):
			return nil, l.disorder("a key outside of the prefix", info.Key)
		case i > 0 && info.Key == page[i-1].Key:
			return nil, l.disorder("a key twice", info.Key)
		case i == 0 && l.last != "" && info.Key <= l.last:
			return nil, l.disorder("keys out of byte order", info.Key)
		}
	}
	if len(page) > 0 {
		l.last = page[len(page)-1].Key
	}
	return page, nil
}

func (l *listing) disorder(what, key string) error {
	return replicate.Permanent(fmt.Errorf("s3 list %q in bucket %q: the server lists %s: %q", l.store.prefix+l.prefix, l.store.bucket, what, key),
		"use a server that lists keys as Amazon S3 does")
}
