package acceptance

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/thanos-io/objstore"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/s3store"
)

func TestObjstore(t *testing.T) {
	objstore.AcceptanceTest(t, &adapter{Store: newStore(t, options(t))})
}

// adapter is an objstore.Bucket over the four methods of a replicate.Store.
type adapter struct {
	*s3store.Store
}

func (a *adapter) Name() string                   { return "test" }
func (a *adapter) Provider() objstore.ObjProvider { return objstore.S3 }
func (a *adapter) SupportedIterOptions() []objstore.IterOptionType {
	return []objstore.IterOptionType{objstore.Recursive}
}
func (a *adapter) IsObjNotFoundErr(err error) bool { return errors.Is(err, replicate.ErrNotExist) }
func (a *adapter) IsAccessDeniedErr(err error) bool {
	var permanent *replicate.PermanentError
	return errors.As(err, &permanent) && strings.Contains(err.Error(), "AccessDenied")
}

// sized is a body that says how long it is.
type sized struct {
	io.Reader
	io.Closer
	size int64
}

func (s sized) ObjectSize() (int64, error) { return s.size, nil }

func (a *adapter) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	body, info, err := a.Store.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	return sized{body, body, info.Size}, nil
}

// GetRange reads from off on, by the range requests that a resumed restore makes.
func (a *adapter) GetRange(ctx context.Context, name string, off, length int64) (io.ReadCloser, error) {
	body, info, err := a.Store.GetFrom(ctx, name, off)
	if err != nil {
		return nil, err
	}
	left := info.Size - off
	if length < 0 || length > left {
		length = left
	}
	return sized{io.LimitReader(body, length), body, length}, nil
}

func (a *adapter) Attributes(ctx context.Context, name string) (objstore.ObjectAttributes, error) {
	body, info, err := a.Store.Get(ctx, name)
	if err != nil {
		return objstore.ObjectAttributes{}, err
	}
	return objstore.ObjectAttributes{Size: info.Size, LastModified: info.Modified}, body.Close()
}

func (a *adapter) Exists(ctx context.Context, name string) (bool, error) {
	_, err := a.Attributes(ctx, name)
	if a.IsObjNotFoundErr(err) {
		return false, nil
	}
	return err == nil, err
}

func (a *adapter) Upload(ctx context.Context, name string, r io.Reader, _ ...objstore.ObjectUploadOption) error {
	all, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	_, err = a.Put(ctx, name, replicate.Body{
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(all))), nil }, Size: int64(len(all)),
	}, replicate.Condition{})
	return err
}

func (a *adapter) Delete(ctx context.Context, name string) error { return a.Store.Delete(ctx, name) }

func (a *adapter) Iter(ctx context.Context, dir string, f func(name string) error, options ...objstore.IterOption) error {
	return a.IterWithAttributes(ctx, dir, func(o objstore.IterObjectAttributes) error { return f(o.Name) }, options...)
}

// IterWithAttributes makes folders of a flat listing.
func (a *adapter) IterWithAttributes(ctx context.Context, dir string, f func(objstore.IterObjectAttributes) error, options ...objstore.IterOption) error {
	if err := objstore.ValidateIterOptions(a.SupportedIterOptions(), options...); err != nil {
		return err
	}
	if dir != "" {
		dir = strings.TrimSuffix(dir, "/") + "/"
	}
	folder := ""
	for info, err := range a.List(ctx, dir, "") {
		if err != nil {
			return err
		}
		name := info.Key
		if first, _, nested := strings.Cut(strings.TrimPrefix(name, dir), "/"); nested && !objstore.ApplyIterOptions(options...).Recursive {
			if name = dir + first + "/"; name == folder {
				continue
			}
			folder = name
		}
		if err := f(objstore.IterObjectAttributes{Name: name}); err != nil {
			return err
		}
	}
	return nil
}
