package s3store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/faultproxy"
	"github.com/driftdb/driftdb/replicate"
)

// completes matches CompleteMultipartUpload, and no other POST.
const completes = "?uploadId="

func partsAgain(t *testing.T, g target) {
	is := is.New(t)
	store, proxy := g.proxied(t)
	data := noise(1, 12<<20)
	for _, fault := range []faultproxy.Rule{
		{Fault: faultproxy.Refuse, Status: 503, Code: "SlowDown"},
		{Fault: faultproxy.DropReply},
		{Fault: faultproxy.Drop},
	} {
		fault.Method, fault.URL = http.MethodPut, "partNumber=2"
		proxy.Set(fault)
		is.NoErr(store.Delete(t.Context(), "k"))
		_, err := store.Put(t.Context(), "k", streamOf(data), ifAbsent)
		is.NoErr(err)
		is.Equal(proxy.Fired(), 1)
		got, err := read(t, store, "k")
		is.NoErr(err)
		is.True(bytes.Equal(got, data))
	}
}

// lostComplete: the object is there, and the upload's id is not known any more.
func lostComplete(t *testing.T, g target) {
	is := is.New(t)
	store, proxy := g.proxied(t)
	for i, cond := range []replicate.Condition{ifAbsent, {}, ifMatch("")} {
		if i == 0 {
			is.NoErr(store.Delete(t.Context(), "k"))
		}
		if i == 2 {
			cond = ifMatch(put(t, store, "k", noise(9, 11<<20)))
		}
		for _, fault := range []faultproxy.Fault{faultproxy.DropReply, faultproxy.RefuseAfter} {
			data := noise(byte(10*i)+byte(fault), 11<<20)
			proxy.Set(
				faultproxy.Rule{Method: http.MethodPost, URL: completes, Fault: fault, Code: "InternalError"},
				faultproxy.Rule{Method: http.MethodPost, URL: completes, Times: -1, Fault: faultproxy.Refuse, Status: 404, Code: "NoSuchUpload"}, // as MinIO
			)
			etag, err := store.Put(t.Context(), "k", streamOf(data), cond)
			is.NoErr(err)
			is.Equal(proxy.Fired(), 1)
			proxy.Set()
			got, err := read(t, store, "k")
			is.NoErr(err)
			is.True(bytes.Equal(got, data))
			// The tag is the object's: the next swap needs it.
			next, err := store.Put(t.Context(), "k", bodyOf([]byte("next")), ifMatch(etag))
			is.NoErr(err)
			switch {
			case cond.IfAbsent:
				is.NoErr(store.Delete(t.Context(), "k"))
			case cond.IfMatch != "":
				cond = ifMatch(next)
			}
		}
	}
}

// failedComplete: nothing was stored, and an older object of the same size is
// not taken for ours.
func failedComplete(t *testing.T, g target) {
	is := is.New(t)
	store, proxy := g.proxied(t)
	old, data := noise(1, 11<<20), noise(2, 11<<20)
	put(t, store, "k", old)

	// Once: the second attempt makes it.
	proxy.Set(faultproxy.Rule{Method: http.MethodPost, URL: completes, Fault: faultproxy.Refuse, Code: "InternalError"})
	_, err := store.Put(t.Context(), "k", streamOf(data), replicate.Condition{})
	is.NoErr(err)
	got, err := read(t, store, "k")
	is.NoErr(err)
	is.True(bytes.Equal(got, data))

	// Always: an error, and the object as before.
	proxy.Set(faultproxy.Rule{Method: http.MethodPost, URL: completes, Times: -1, Fault: faultproxy.Refuse, Code: "InternalError"})
	_, err = store.Put(t.Context(), "k", streamOf(old), replicate.Condition{})
	transient(t, err)
	got, err = read(t, store, "k")
	is.NoErr(err)
	is.True(bytes.Equal(got, data))
	g.noUploads(t)
}

// foreignObject: what another writer puts at the key while our upload runs is
// not taken for ours when our Complete fails.
func foreignObject(t *testing.T, g target) {
	is := is.New(t)
	store, proxy := g.proxied(t)
	other := g.open(t, g.options)
	data := noise(1, 6<<20)
	proxy.Set(faultproxy.Rule{Method: http.MethodPost, URL: completes, Times: -1, Fault: faultproxy.Refuse, Code: "InternalError"})
	_, err := store.Put(t.Context(), "k", replicate.Body{Size: -1, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(data), &calling{func() { put(t, other, "k", []byte("theirs")) }}, bytes.NewReader(data))), nil
	}}, ifAbsent)
	transient(t, err)
	got, err := read(t, store, "k")
	is.NoErr(err)
	is.Equal(string(got), "theirs")
	proxy.Set()
	_, err = store.Put(t.Context(), "k", streamOf(data), ifAbsent)
	is.True(errors.Is(err, replicate.ErrPrecondition))
}

// noLeftovers: parts of uploads that came to nothing cost money until somebody
// aborts them.
func noLeftovers(t *testing.T, g target) {
	is := is.New(t)
	store, _ := g.proxied(t)
	put(t, store, "k", []byte("x"))
	data := noise(1, 17<<20)

	ctx, cancel := context.WithCancel(t.Context())
	_, err := store.Put(ctx, "k", replicate.Body{Size: -1, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(data), &calling{cancel}, bytes.NewReader(data))), nil
	}}, replicate.Condition{})
	is.True(errors.Is(err, context.Canceled))
	g.noUploads(t)

	broken := errors.New("read error")
	_, err = store.Put(t.Context(), "k", replicate.Body{Size: -1, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(data), &failing{broken})), nil
	}}, replicate.Condition{})
	is.True(errors.Is(err, broken))
	g.noUploads(t)

	got, err := read(t, store, "k")
	is.NoErr(err)
	is.Equal(string(got), "x")
}

// noUploads fails the test if a multipart upload is under way on the server.
func (g target) noUploads(t *testing.T) {
	t.Helper()
	out, err := g.sdk().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &g.bucket})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range out.Uploads {
		t.Errorf("upload of %q is left behind", *u.Key)
	}
}

type calling struct{ f func() }

func (c *calling) Read([]byte) (int, error) {
	c.f()
	return 0, io.EOF
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// TestEarlyRefusal: a condition that does not hold is seen before the parts of
// a large body are sent.
func TestEarlyRefusal(t *testing.T) {
	is := is.New(t)
	store, proxy := embedded(t).proxied(t)
	_, err := store.Put(t.Context(), "k", bodyOf([]byte("x")), ifMatch(put(t, store, "k", []byte("w"))))
	is.NoErr(err) // what is to be known of the server's conditions is known
	proxy.Forget()
	for _, cond := range []replicate.Condition{ifAbsent, ifMatch("other")} {
		_, err := store.Put(t.Context(), "k", streamOf(noise(1, 20<<20)), cond)
		is.True(errors.Is(err, replicate.ErrPrecondition))
	}
	is.Equal(len(proxy.Requests()), 2)
	is.Equal(proxy.Requests()[0].Method, http.MethodHead)
}

// TestPartSizeGrows: S3 takes 10,000 parts of an object. An upload whose end is not
// known has parts that are large enough for what it may come to, and what cannot be
// stored at all is refused before anything is sent.
func TestPartSizeGrows(t *testing.T) {
	is := is.New(t)
	store, proxy := embedded(t).proxied(t)
	data := noise(1, 16<<20)
	for _, test := range []struct {
		most  int64
		parts int
	}{
		{0, 4},         // 5, 5, 5 and 1 MiB
		{16 << 20, 4},  //
		{48 << 30, 4},  // just within 10,000 parts of 5 MiB
		{60 << 30, 3},  // 7, 7 and 2 MiB
		{100 << 30, 2}, // 11 and 5 MiB
		{200 << 30, 0}, // 21 MiB would hold it: no parts
	} {
		body := streamOf(data)
		body.AtMost = test.most
		is.NoErr(store.Delete(t.Context(), "k"))
		proxy.Forget()
		_, err := store.Put(t.Context(), "k", body, ifAbsent)
		is.NoErr(err)
		parts := 0
		for _, r := range proxy.Requests() {
			if r.Method == http.MethodPut && strings.Contains(r.URL, "partNumber=") {
				parts++
			}
		}
		is.Equal(parts, test.parts)
		got, err := read(t, store, "k")
		is.NoErr(err)
		is.True(bytes.Equal(got, data))
	}
	proxy.Forget()
	_, err := store.Put(t.Context(), "k", replicate.Body{Size: 5<<40 + 1, Open: streamOf(data).Open}, replicate.Condition{})
	var permanent *replicate.PermanentError
	is.True(errors.As(err, &permanent))
	is.True(strings.Contains(err.Error(), "S3 stores 5497558138880 at most"))
	is.Equal(len(proxy.Requests()), 0)
}
