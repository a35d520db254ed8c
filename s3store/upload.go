package s3store

import (
	"context"
	"crypto/md5" //nolint:gosec // Content-MD5 is a checksum of the transport
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/driftdb/driftdb/replicate"
)

// uploader sends a body of any size, in parts where it is large, and returns
// the entity tag. It is the seam behind which the SDK's upload manager is used,
// in this file alone.
type uploader interface {
	upload(ctx context.Context, in *s3.PutObjectInput, body *source) (etag string, err error)
}

// managed is an uploader on feature/s3/manager. The SDK's authors call that
// package superseded by feature/s3/transfermanager, which is at v0 and has had
// deadlocks and wrong reads repaired in its last releases; manager goes on
// being released with the SDK. No exported name depends on the choice.
type managed struct {
	store       *Store
	partSize    int64
	concurrency int
}

func newUploader(s *Store, m Multipart) *managed {
	return &managed{store: s, partSize: m.PartSize, concurrency: m.Concurrency}
}

const (
	partAttempts  = 4                // of one part; the engine tries the whole again
	abortAttempts = 4                // of dropping an upload that failed
	afterDeadline = 20 * time.Second // for what must be done though the context has ended
	afterCancel   = 2 * time.Second  // for what should be, by a program that ends
)

func (m *managed) upload(ctx context.Context, in *s3.PutObjectInput, body *source) (string, error) {
	partSize, err := m.partSizeFor(body)
	if err != nil {
		return "", err
	}
	parts := &partClient{Client: m.store.client, store: m.store, body: body}
	if in.Body, err = body.parts(); err != nil {
		return "", err
	}
	if err := parts.lookBefore(ctx, in); err != nil {
		return "", err
	}
	//nolint:staticcheck // SA1019: superseded by a v0 package, see managed
	out, err := manager.NewUploader(parts, func(u *manager.Uploader) {
		u.PartSize = partSize
		u.Concurrency = m.concurrency
		// The uploader does not take it from the client.
		u.RequestChecksumCalculation = m.store.client.Options().RequestChecksumCalculation
	}).Upload(ctx, in)
	if err != nil {
		if body.failed(nil) == nil && body.n > partSize*maxParts {
			return "", tooLarge(fmt.Sprintf("it has more than %d parts of %d bytes", maxParts, partSize), "set Multipart.PartSize to a larger value")
		}
		return "", err
	}
	if etag := unquote(out.ETag); etag != "" {
		return etag, nil
	}
	return m.tagOf(ctx, in, body.n)
}

// partSizeFor returns the size of body's parts: PartSize, or as much more as it
// takes for the number of parts that S3 allows. What cannot be stored at all is
// refused before a byte of it is sent.
func (m *managed) partSizeFor(body *source) (int64, error) {
	if body.size > maxObject {
		return 0, tooLarge(fmt.Sprintf("it has %d bytes, and S3 stores %d at most", body.size, int64(maxObject)), "a database of this size needs another store")
	}
	least := (max(body.size, 0) + maxParts - 1) / maxParts
	if least <= m.partSize {
		return m.partSize, nil
	}
	return (least + 1<<20 - 1) >> 20 << 20, nil
}

func tooLarge(what, do string) error {
	return replicate.Permanent(fmt.Errorf("the object is too large: %s", what), do)
}

// tagOf asks for the entity tag of an upload that the server did not name, as
// Ceph does not when it completes one.
func (m *managed) tagOf(ctx context.Context, in *s3.PutObjectInput, size int64) (string, error) {
	head, err := m.store.head(ctx, in.Key)
	switch {
	case err != nil:
		return "", err
	case head.ETag == "" || head.Size != size:
		return "", fmt.Errorf("of %d bytes that were uploaded %d are there: another writer, or the server has lost them", size, head.Size)
	}
	return head.ETag, nil
}

// partClient is what the manager sends its requests through: the store's
// client, with the parts of a multipart upload made safe. It serves one upload.
type partClient struct {
	*s3.Client
	store *Store
	body  *source

	looked bool           // the server said what was there before
	before replicate.Info // what was there; no entity tag: nothing
}

// lookBefore asks what stands at the key. It refuses an upload whose condition
// does not hold before its bytes are sent, and lets a Complete whose reply is
// lost be recognised by what has changed.
func (p *partClient) lookBefore(ctx context.Context, in *s3.PutObjectInput) error {
	head, err := p.store.head(ctx, in.Key)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return nil // the upload itself will say what is wrong
	}
	p.looked, p.before = true, head
	exists := head.ETag != ""
	switch {
	case in.IfNoneMatch != nil && exists:
		return replicate.ErrPrecondition
	case in.IfMatch != nil && unquote(in.IfMatch) != head.ETag:
		return replicate.ErrPrecondition
	}
	return nil
}

// PutObject sends a body that turned out to fit into one part.
func (p *partClient) PutObject(ctx context.Context, in *s3.PutObjectInput, opts ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	if p.store.whenRequired {
		sum, err := md5Of(in.Body)
		if err != nil {
			return nil, err
		}
		in.ContentMD5 = sum
	}
	return p.Client.PutObject(ctx, in, opts...)
}

// UploadPart sends a part, again if need be: parts carry no condition, so a
// lost reply does no harm. The SDK's bucket of retries is not used, because
// after a long outage it is empty for ever.
func (p *partClient) UploadPart(ctx context.Context, in *s3.UploadPartInput, opts ...func(*s3.Options)) (*s3.UploadPartOutput, error) {
	if p.store.whenRequired {
		sum, err := md5Of(in.Body)
		if err != nil {
			return nil, err
		}
		in.ContentMD5 = sum
	}
	return p.Client.UploadPart(ctx, in, append(opts, func(o *s3.Options) {
		o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) {
			r.MaxAttempts = partAttempts
			r.RateLimiter = ratelimit.None
			r.Backoff = retry.BackoffDelayerFunc(func(attempt int, _ error) (time.Duration, error) { return backoff(attempt), nil })
		})
	})...)
}

// CompleteMultipartUpload makes the object visible. When its reply is lost, or
// an attempt after it finds the upload gone, the object itself is asked: it is
// ours if it is new since the upload began and has our size.
func (p *partClient) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput, opts ...func(*s3.Options)) (*s3.CompleteMultipartUploadOutput, error) {
	for attempt := 1; ; attempt++ {
		out, err := p.Client.CompleteMultipartUpload(ctx, in, opts...)
		if err == nil {
			return out, nil
		}
		a, answered := answerOf(err)
		unsure := !answered || a.status >= http.StatusInternalServerError || a.code == "NoSuchUpload"
		if !unsure || ctx.Err() != nil || !p.looked {
			return nil, err
		}
		head, headErr := p.store.head(ctx, in.Key)
		switch {
		case headErr == nil && head.ETag != "" && head.ETag != p.before.ETag && head.Size == p.body.n:
			return &s3.CompleteMultipartUploadOutput{ETag: aws.String(head.ETag)}, nil
		case attempt >= partAttempts || a.code == "NoSuchUpload":
			return nil, err
		}
		if waitErr := wait(ctx, backoff(attempt)); waitErr != nil {
			return nil, waitErr
		}
	}
}

// backoff is the time before another attempt, after so many: random, up to
// twice as long each time.
func backoff(attempts int) time.Duration {
	return rand.N(200*time.Millisecond<<min(attempts, 5)) + time.Millisecond //nolint:gosec // jitter, no secret
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// AbortMultipartUpload drops the parts of an upload that failed, also when it
// failed because its context has ended: the manager would leave them behind,
// and they cost money. A part that was on its way is stored after an abort, or
// makes it fail, so it is repeated until the server knows the upload no more;
// a server that says yes each time is believed in the end.
func (p *partClient) AbortMultipartUpload(ctx context.Context, in *s3.AbortMultipartUploadInput, opts ...func(*s3.Options)) (*s3.AbortMultipartUploadOutput, error) {
	within, attempts := afterDeadline, abortAttempts
	if ctx.Err() != nil { // the caller is on its way out: what stays is for the bucket's rule on incomplete uploads
		within, attempts = afterCancel, 1
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	for attempt := 1; ; attempt++ {
		out, err := p.Client.AbortMultipartUpload(ctx, in, opts...)
		if a, ok := answerOf(err); ok && a.code == "NoSuchUpload" {
			return &s3.AbortMultipartUploadOutput{}, nil
		}
		if attempt == attempts {
			return out, err
		}
		if waitErr := wait(ctx, backoff(attempt)); waitErr != nil {
			return out, err
		}
	}
}

// md5Of hashes a body of one part and rewinds it.
func md5Of(r io.Reader) (*string, error) {
	seeker, ok := r.(io.ReadSeeker)
	if !ok {
		return nil, errors.New("the SDK's uploader has changed: a part cannot be read twice")
	}
	sum := md5.New() //nolint:gosec // see the import
	_, err := io.Copy(sum, seeker)
	if err == nil {
		_, err = seeker.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, fmt.Errorf("hash a part: %w", err)
	}
	return aws.String(base64.StdEncoding.EncodeToString(sum.Sum(nil))), nil
}
