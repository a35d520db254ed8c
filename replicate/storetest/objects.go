package storetest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/driftdb/driftdb/replicate"
)

var objectTests = []test{
	{"get of a missing object", func(t *testing.T, s *suite) {
		s.missing(t, "databases/app/manifest.json")
		s.put(t, "databases/app/manifest.json", []byte("x"))
		for _, key := range []string{"databases/app/manifest.jso", "databases/app/manifest.json2", "databases/app", "databases/app/nodes/n"} {
			s.missing(t, key)
		}
	}},
	{"bytes come back as they went", exactBytes},
	{"a compressed object stays compressed", staysCompressed},
	{"a put replaces the object", func(t *testing.T, s *suite) {
		before := s.put(t, "k", noise(1, 3000))
		after := s.put(t, "k", noise(2, 20))
		if before == after {
			t.Fatalf("two contents have one entity tag, %q", after)
		}
		if info := s.holds(t, "k", noise(2, 20)); info.ETag != after {
			t.Fatalf("entity tag is %q by Put and %q by Get", after, info.ETag)
		}
	}},
	{"the time of an object", func(t *testing.T, s *suite) {
		start := time.Now()
		s.put(t, "k", []byte("x"))
		info := s.holds(t, "k", []byte("x"))
		// By the store's clock: a day apart is a store without one.
		if d := info.Modified.Sub(start).Abs(); d > 24*time.Hour {
			t.Fatalf("Info.Modified is %v, now is %v", info.Modified, start)
		}
	}},
	{"bodies are opened anew and closed", closesBodies},
	{"a body that fails stores nothing", failingBodies},
	{"a body of another size stores nothing", wrongSizes},
}

func exactBytes(t *testing.T, s *suite) {
	for _, size := range []int{0, 1, 1000, 1 << 20, 5 << 20, 5<<20 + 1, 12 << 20} {
		data := noise(uint64(size), size)
		for name, body := range map[string]replicate.Body{"known": bodyOf(data), "unknown": streamOf(data)} {
			key := fmt.Sprintf("databases/app/%s-%d", name, size)
			etag, err := s.store.Put(t.Context(), key, body, always)
			if err != nil {
				t.Fatalf("put of %d bytes, size %s: %v", size, name, err)
			}
			if info := s.holds(t, key, data); info.ETag != etag {
				t.Fatalf("%d bytes, size %s: entity tag is %q by Put and %q by Get", size, name, etag, info.ETag)
			}
		}
	}
}

// staysCompressed: a client that asks for gzip, or does not say that it does
// not, gets such objects unpacked by some servers and by Go's HTTP client.
func staysCompressed(t *testing.T, s *suite) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(bytes.Repeat([]byte("row after row "), 10_000))
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	const key = "databases/app/nodes/n1/00000001/logs/000000000001-000000000002.json.gz"
	s.put(t, key, b.Bytes())
	s.holds(t, key, b.Bytes())
}

func closesBodies(t *testing.T, s *suite) {
	for _, body := range []replicate.Body{bodyOf(noise(1, 1000)), streamOf(noise(1, 1000)), bodyOf(noise(1, 6<<20)), streamOf(noise(1, 6<<20))} {
		b := track(body)
		for range 2 { // the same Body serves a second attempt
			if _, err := s.store.Put(t.Context(), "k", b.Body, always); err != nil {
				t.Fatal(err)
			}
			if o, c := b.opened.Load(), b.closed.Load(); o != c || o == 0 {
				t.Fatalf("a body was opened %d times and closed %d times", o, c)
			}
		}
	}
	b := track(bodyOf([]byte("y")))
	if _, err := s.store.Put(t.Context(), "k", b.Body, ifAbsent); !errors.Is(err, replicate.ErrPrecondition) {
		t.Fatalf("put if absent: %v, want ErrPrecondition", err)
	}
	if o, c := b.opened.Load(), b.closed.Load(); o != c {
		t.Fatalf("the body of a refused put was opened %d times and closed %d times", o, c)
	}
}

var errBody = errors.New("the disk that the body is on")

// failsAfter is a body whose reader fails after the data.
func failsAfter(data []byte, size int64) replicate.Body {
	return replicate.Body{Size: size, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(data), iotestErr{})), nil
	}}
}

type iotestErr struct{}

func (iotestErr) Read([]byte) (int, error) { return 0, errBody }

func failingBodies(t *testing.T, s *suite) {
	s.put(t, "old", []byte("old"))
	big := noise(1, 11<<20)
	bodies := []replicate.Body{
		failsAfter(big[:1000], 2000), failsAfter(big[:1000], -1), failsAfter(big, int64(len(big))+1), failsAfter(big, -1),
		{Size: 3, Open: func() (io.ReadCloser, error) { return nil, errBody }},
	}
	for i, body := range bodies {
		for _, key := range []string{"new", "old"} {
			if _, err := s.store.Put(t.Context(), key, body, always); !errors.Is(err, errBody) {
				t.Fatalf("body %d: put returned %v, want the body's error", i, err)
			}
		}
		s.missing(t, "new")
		s.holds(t, "old", []byte("old"))
	}
}

func wrongSizes(t *testing.T, s *suite) {
	s.put(t, "old", []byte("old"))
	for _, have := range []int{0, 1000, 6 << 20} {
		for _, say := range []int64{int64(have) - 1, int64(have) + 1} {
			if say < 0 {
				continue
			}
			body := bodyOf(noise(1, have))
			body.Size = say
			for _, key := range []string{"new", "old"} {
				if _, err := s.store.Put(t.Context(), key, body, always); err == nil {
					t.Fatalf("put of %d bytes announced as %d succeeded", have, say)
				}
			}
			s.missing(t, "new")
			s.holds(t, "old", []byte("old"))
		}
	}
}
