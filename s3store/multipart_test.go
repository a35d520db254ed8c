package s3store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
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

// zeros is a body of any size that nobody has to hold.
type zeros struct{}

func (zeros) Read(p []byte) (int, error)            { clear(p); return len(p), nil }
func (zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }
func (zeros) Close() error                          { return nil }

// sized ends a body.
type sized struct {
	*io.SectionReader
	io.Closer
}

func zerosOf(size int64) replicate.Body {
	return replicate.Body{Size: size, Open: func() (io.ReadCloser, error) {
		return sized{io.NewSectionReader(zeros{}, 0, size), zeros{}}, nil
	}}
}

// TestPartSizeGrows: S3 takes 10,000 parts of an object, so a large one has large parts,
// and what cannot be stored at all is refused before anything is sent.
func TestPartSizeGrows(t *testing.T) {
	is := is.New(t)
	parts := make(chan string, 1)
	var requests atomic.Int64
	store := open(t, stub(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.Method {
		case http.MethodHead:
			w.WriteHeader(http.StatusNotFound)
		case http.MethodPost:
			_, _ = io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
		case http.MethodPut:
			size := r.Header.Get("X-Amz-Decoded-Content-Length")
			if size == "" {
				size = strconv.FormatInt(r.ContentLength, 10)
			}
			parts <- size
			answer(w, http.StatusForbidden, "AccessDenied", "enough was seen")
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	for size, want := range map[int64]int{6 << 20: 5, 48 << 30: 5, 60 << 30: 7, 100 << 30: 11, 200 << 30: 21} {
		_, err := store.Put(t.Context(), "k", zerosOf(size), replicate.Condition{})
		is.True(err != nil)
		is.Equal(<-parts, strconv.Itoa(want<<20))
	}
	requests.Store(0)
	_, err := store.Put(t.Context(), "k", zerosOf(5<<40+1), replicate.Condition{})
	var permanent *replicate.PermanentError
	is.True(errors.As(err, &permanent))
	is.True(strings.Contains(err.Error(), "S3 stores 5497558138880 at most"))
	is.Equal(requests.Load(), int64(0))
}

// badPlaces fails at an offset.
type badPlaces struct {
	*bytes.Reader
	from int64
}

func (b badPlaces) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.from {
		return 0, errDisk
	}
	return b.Reader.ReadAt(p, off)
}

var errDisk = errors.New("the disk is gone")

// TestPlacedBodies: what can be read at any place arrives whole, in parts that are read
// there; one that has another size than it says, or cannot be read, stores nothing.
func TestPlacedBodies(t *testing.T) {
	is := is.New(t)
	g := embedded(t)
	store, proxy := g.proxied(t)
	data := noise(1, 12<<20)
	file := func(size int64) replicate.Body {
		return replicate.Body{Size: size, Open: func() (io.ReadCloser, error) {
			return sized{io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))), zeros{}}, nil
		}}
	}
	proxy.Set(faultproxy.Rule{Method: http.MethodPut, URL: "partNumber=2", Fault: faultproxy.Drop}) // read again
	_, err := store.Put(t.Context(), "k", file(12<<20), ifAbsent)
	is.NoErr(err)
	is.Equal(proxy.Fired(), 1)
	got, err := read(t, store, "k")
	is.NoErr(err)
	is.True(bytes.Equal(got, data))

	for _, size := range []int64{12<<20 - 1, 12<<20 + 1, 20 << 20} {
		_, err := store.Put(t.Context(), "l", file(size), ifAbsent)
		is.True(err != nil)
		is.True(strings.Contains(err.Error(), "it has not the "+strconv.FormatInt(size, 10)+" bytes announced"))
	}
	_, err = store.Put(t.Context(), "l", replicate.Body{Size: 12 << 20, Open: func() (io.ReadCloser, error) {
		return struct {
			badPlaces
			io.Closer
		}{badPlaces{bytes.NewReader(data), 9 << 20}, zeros{}}, nil
	}}, ifAbsent)
	is.True(errors.Is(err, errDisk))
	_, err = read(t, store, "l")
	is.True(errors.Is(err, replicate.ErrNotExist))
	g.noUploads(t)
}
