package acceptance

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gocloud.dev/blob/driver"
	"gocloud.dev/blob/drivertest"
	"gocloud.dev/gcerrors"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/s3store"
)

func TestBlob(t *testing.T) {
	o := options(t)
	drivertest.RunConformanceTests(t, func(_ context.Context, t *testing.T) (drivertest.Harness, error) {
		return &harness{store: newStore(t, o), options: o}, nil
	}, nil)
}

type harness struct {
	store   *s3store.Store
	options s3store.Options
}

func (h *harness) MakeDriver(context.Context) (driver.Bucket, error) {
	return &blobs{store: h.store}, nil
}

func (h *harness) MakeDriverForNonexistentBucket(ctx context.Context) (driver.Bucket, error) {
	o := h.options
	o.Prefix = "/"
	store, err := s3store.New(ctx, "driftdb-test-there-is-none", o)
	return &blobs{store: store, own: true}, err
}
func (h *harness) HTTPClient() *http.Client         { return nil }
func (h *harness) SupportsCopy() bool               { return true }
func (h *harness) SupportsNonSlashDelimiters() bool { return true }
func (h *harness) Close()                           {}

// described is what a blob has besides its bytes.
type described struct {
	CacheControl, ContentDisposition, ContentEncoding, ContentLanguage, ContentType string

	Metadata   map[string]string
	MD5        []byte
	CreateTime time.Time
}

// blobs is a driver.Bucket over a Store, which keeps bytes and nothing else: what a
// blob has besides is an object of its own.
type blobs struct {
	store *s3store.Store
	own   bool
}

const data, about = "data/", "about/"

func (b *blobs) ErrorCode(err error) gcerrors.ErrorCode {
	var permanent *replicate.PermanentError
	switch {
	case err == nil:
		return gcerrors.OK
	case errors.Is(err, replicate.ErrNotExist):
		return gcerrors.NotFound
	case errors.Is(err, replicate.ErrPrecondition):
		return gcerrors.FailedPrecondition
	case errors.Is(err, errors.ErrUnsupported):
		return gcerrors.Unimplemented
	case errors.Is(err, context.Canceled):
		return gcerrors.Canceled
	case errors.As(err, &permanent) && strings.Contains(err.Error(), "NoSuchBucket"):
		return gcerrors.NotFound
	}
	return gcerrors.Unknown
}
func (b *blobs) As(any) bool             { return false }
func (b *blobs) ErrorAs(error, any) bool { return false }

func (b *blobs) Close() error {
	if b.own {
		return b.store.Close()
	}
	return nil
}

func (b *blobs) SignedURL(context.Context, string, *driver.SignedURLOptions) (string, error) {
	return "", errors.ErrUnsupported
}

func notAs(any) bool { return false }

func (b *blobs) read(ctx context.Context, key string) ([]byte, replicate.Info, error) {
	body, info, err := b.store.Get(ctx, key)
	if err != nil {
		return nil, info, err
	}
	all, err := io.ReadAll(body)
	return all, info, errors.Join(err, body.Close())
}

// put tries again after errors that pass, which a Store leaves to its caller.
func (b *blobs) put(ctx context.Context, key string, content []byte, cond replicate.Condition) (err error) {
	for range 5 {
		_, err = b.store.Put(ctx, key, replicate.Body{
			Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }, Size: int64(len(content)),
		}, cond)
		if b.ErrorCode(err) != gcerrors.Unknown || errors.As(err, new(*replicate.PermanentError)) {
			return err
		}
	}
	return err
}

func (b *blobs) Attributes(ctx context.Context, key string) (*driver.Attributes, error) {
	body, info, err := b.store.Get(ctx, data+key)
	if err != nil {
		return nil, err
	}
	if err := body.Close(); err != nil {
		return nil, err
	}
	var kept described
	text, _, err := b.read(ctx, about+key)
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	return &driver.Attributes{
		CacheControl: kept.CacheControl, ContentDisposition: kept.ContentDisposition, ContentEncoding: kept.ContentEncoding, ContentLanguage: kept.ContentLanguage,
		ContentType: kept.ContentType, Metadata: kept.Metadata, MD5: kept.MD5, CreateTime: kept.CreateTime,
		Size: info.Size, ModTime: info.Modified, ETag: `"` + info.ETag + `"`, AsFunc: notAs,
	}, err
}

func (b *blobs) ListPaged(ctx context.Context, o *driver.ListOptions) (*driver.ListPage, error) {
	if o.BeforeList != nil {
		if err := o.BeforeList(notAs); err != nil {
			return nil, err
		}
	}
	size, page, folder := cmp.Or(o.PageSize, 1000), &driver.ListPage{}, ""
	for info, err := range b.store.List(ctx, data+o.Prefix, "") {
		if err != nil {
			return nil, err
		}
		key := strings.TrimPrefix(info.Key, data)
		item := &driver.ListObject{Key: key, ModTime: info.Modified, Size: info.Size, AsFunc: notAs}
		if o.Delimiter != "" {
			if first, _, nested := strings.Cut(strings.TrimPrefix(key, o.Prefix), o.Delimiter); nested {
				if item = (&driver.ListObject{Key: o.Prefix + first + o.Delimiter, IsDir: true, AsFunc: notAs}); item.Key == folder {
					continue
				}
				folder = item.Key
			}
		}
		if item.Key <= string(o.PageToken) {
			continue
		}
		if len(page.Objects) == size {
			page.NextPageToken = []byte(page.Objects[size-1].Key)
			break
		}
		page.Objects = append(page.Objects, item)
	}
	slices.SortFunc(page.Objects, func(a, b *driver.ListObject) int { return strings.Compare(a.Key, b.Key) })
	return page, nil
}

type blobReader struct {
	io.Reader
	io.Closer
	attributes driver.ReaderAttributes
}

func (r *blobReader) Attributes() *driver.ReaderAttributes { return &r.attributes }
func (r *blobReader) As(any) bool                          { return false }

func (b *blobs) NewRangeReader(ctx context.Context, key string, offset, length int64, o *driver.ReaderOptions) (driver.Reader, error) {
	if o.BeforeRead != nil {
		if err := o.BeforeRead(notAs); err != nil {
			return nil, err
		}
	}
	a, err := b.Attributes(ctx, key)
	if err != nil {
		return nil, err
	}
	r := &blobReader{attributes: driver.ReaderAttributes{ContentType: a.ContentType, ModTime: a.ModTime, Size: a.Size}}
	if offset >= a.Size || length == 0 {
		r.Reader, r.Closer = strings.NewReader(""), io.NopCloser(nil)
		return r, nil
	}
	body, _, err := b.store.GetFrom(ctx, data+key, offset)
	if err != nil {
		return nil, err
	}
	r.Reader, r.Closer = body, body
	if length >= 0 {
		r.Reader = io.LimitReader(body, length)
	}
	return r, nil
}

type blobWriter struct {
	bytes.Buffer
	ctx         context.Context
	b           *blobs
	key         string
	contentType string
	o           *driver.WriterOptions
}

func (b *blobs) NewTypedWriter(ctx context.Context, key, contentType string, o *driver.WriterOptions) (driver.Writer, error) {
	if key == "" {
		return nil, errors.New("a blob has a key")
	}
	if o.BeforeWrite != nil {
		if err := o.BeforeWrite(notAs); err != nil {
			return nil, err
		}
	}
	return &blobWriter{ctx: ctx, b: b, key: key, contentType: contentType, o: o}, nil
}

func (w *blobWriter) Close() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	sum := md5.Sum(w.Bytes())
	if len(w.o.ContentMD5) > 0 && !bytes.Equal(w.o.ContentMD5, sum[:]) {
		return errors.New("the content does not match its MD5")
	}
	text, err := json.Marshal(described{
		CacheControl: w.o.CacheControl, ContentDisposition: w.o.ContentDisposition, ContentEncoding: w.o.ContentEncoding, ContentLanguage: w.o.ContentLanguage,
		ContentType: w.contentType, Metadata: w.o.Metadata, MD5: sum[:], CreateTime: time.Now().Truncate(time.Second), // as S3 tells times
	})
	if err != nil {
		return err
	}
	if err := w.b.put(w.ctx, data+w.key, w.Bytes(), replicate.Condition{IfAbsent: w.o.IfNotExist}); err != nil {
		return err
	}
	return w.b.put(w.ctx, about+w.key, text, replicate.Condition{})
}

func (b *blobs) Copy(ctx context.Context, to, from string, o *driver.CopyOptions) error {
	if o.BeforeCopy != nil {
		if err := o.BeforeCopy(notAs); err != nil {
			return err
		}
	}
	for _, part := range []string{data, about} {
		content, _, err := b.read(ctx, part+from)
		if err == nil {
			err = b.put(ctx, part+to, content, replicate.Condition{})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *blobs) Delete(ctx context.Context, key string, o *driver.DeleteOptions) error {
	if o.BeforeDelete != nil {
		if err := o.BeforeDelete(notAs); err != nil {
			return err
		}
	}
	body, _, err := b.store.Get(ctx, data+key) // a Store deletes what is not there without a word
	if err != nil {
		return err
	}
	if err := body.Close(); err != nil {
		return err
	}
	return b.store.Delete(ctx, data+key, about+key)
}
