// Package acceptance runs the acceptance test of objstore, which the object stores of
// Thanos and others have to pass, over s3store.
package acceptance

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/thanos-io/objstore"

	"github.com/driftdb/driftdb/examples/embeddeds3"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/s3store"
)

// The server is the one in this process, or the one that S3_ENDPOINT and the other
// variables of .ci/start-real-s3.sh name.
func TestObjstore(t *testing.T) {
	bucket := "driftdb-test-" + strings.ToLower(rand.Text())
	o := s3store.Options{
		Endpoint: os.Getenv("S3_ENDPOINT"), Region: os.Getenv("AWS_REGION"), CAFile: os.Getenv("S3_CA"),
		AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), Prefix: "/",
	}
	if o.Endpoint == "" {
		server, err := embeddeds3.Start(embeddeds3.Options{TLS: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Close)
		o.Endpoint, o.AccessKeyID, o.SecretAccessKey = server.URL(), server.AccessKeyID(), server.SecretAccessKey()
		o.CAFile = filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(o.CAFile, server.CAPEM(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	client := sdk(t, o)
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	store, err := s3store.New(t.Context(), bucket, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		for info, err := range store.List(ctx, "", "") {
			if err == nil {
				err = store.Delete(ctx, info.Key)
			}
			if err != nil {
				t.Error(err)
			}
		}
		if _, err := client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &bucket}); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	objstore.AcceptanceTest(t, &adapter{Store: store, name: bucket})
}

// sdk is the SDK's client, for what a store does not do.
func sdk(t *testing.T, o s3store.Options) *s3.Client {
	t.Helper()
	transport := &http.Transport{}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return s3.New(s3.Options{
		BaseEndpoint: &o.Endpoint, Region: cmp.Or(o.Region, "us-east-1"), UsePathStyle: true, HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider(o.AccessKeyID, o.SecretAccessKey, ""),
	})
}

// adapter is an objstore.Bucket over the four methods of a replicate.Store.
type adapter struct {
	*s3store.Store
	name string
}

func (a *adapter) Name() string                   { return a.name }
func (a *adapter) Provider() objstore.ObjProvider { return objstore.S3 }
func (a *adapter) SupportedIterOptions() []objstore.IterOptionType {
	return []objstore.IterOptionType{objstore.Recursive}
}
func (a *adapter) IsObjNotFoundErr(err error) bool { return errors.Is(err, replicate.ErrNotExist) }
func (a *adapter) IsAccessDeniedErr(err error) bool {
	var permanent *replicate.PermanentError
	return errors.As(err, &permanent)
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
