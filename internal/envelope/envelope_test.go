package envelope

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sample() Header {
	return Header{Kind: Batch, Gzip: true, Epoch: 7, From: 11, To: 42, Part: 1, Parts: 1, Length: 5, DB: "myapp", Node: "0123456789ab"}
}

func TestHeaderRoundTrip(t *testing.T) {
	is := is.New(t)
	sealed := sample()
	sealed.Seal = &Seal{KeyID: [8]byte{1, 2}, Salt: [32]byte{3}, Commitment: [32]byte{4}}
	snapshot := sample()
	snapshot.Kind, snapshot.From = Snapshot, 0
	for _, h := range []Header{sample(), sealed, snapshot} {
		b, err := h.Append(nil)
		is.NoErr(err)
		is.True(len(b) <= MaxHeader)
		back, err := ParseHeader(b)
		is.NoErr(err)
		is.Equal(cmp.Diff(h, back), "")
	}
}

// The bytes of the header are the format: this test changes only with docs/format.md.
func TestHeaderGolden(t *testing.T) {
	is := is.New(t)
	h := sample()
	b, err := h.Append(nil)
	is.NoErr(err)
	is.Equal(string(b), "DRIFTDB\x00\x02\x01\x01\x00"+"\x00\x00\x00\x07"+
		"\x00\x00\x00\x00\x00\x00\x00\x0b"+"\x00\x00\x00\x00\x00\x00\x00\x2a"+"\x00\x01\x00\x01"+
		"\x00\x00\x00\x00\x00\x00\x00\x05"+"\x05myapp"+"\x0c0123456789ab")
}

func TestHeaderRefused(t *testing.T) {
	good := sample()
	b, err := good.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	change := func(at int, v byte) []byte {
		c := bytes.Clone(b)
		c[at] = v
		return c
	}
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"empty":          {nil, ErrCorrupt},
		"no magic":       {change(0, 'X'), ErrCorrupt},
		"newer":          {change(8, 3), ErrVersion},
		"older":          {change(8, 1), ErrCorrupt},
		"unknown flag":   {change(9, 5), ErrCorrupt},
		"kind 0":         {change(10, 0), ErrCorrupt},
		"kind 5":         {change(10, 5), ErrCorrupt},
		"reserved":       {change(11, 1), ErrCorrupt},
		"negative from":  {change(16, 0x80), ErrCorrupt},
		"to below from":  {change(31, 1), ErrCorrupt},
		"part 0":         {change(33, 0), ErrCorrupt},
		"part 2 of 1":    {change(33, 2), ErrCorrupt},
		"length":         {change(36, 0xff), ErrCorrupt},
		"trailing byte":  {append(bytes.Clone(b), 0), ErrCorrupt},
		"cut":            {b[:len(b)-1], ErrCorrupt},
		"cut in fixed":   {b[:20], ErrCorrupt},
		"db length":      {change(44, 200), ErrCorrupt},
		"sealed, no key": {change(9, 3), ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			_, err := ParseHeader(c.b)
			is.True(errors.Is(err, c.want))
		})
	}
}

func TestHeaderMatch(t *testing.T) {
	base := sample()
	for name, change := range map[string]func(*Header){
		"kind":     func(h *Header) { h.Kind = Pack },
		"gzip":     func(h *Header) { h.Gzip = false },
		"database": func(h *Header) { h.DB = "other" },
		"node":     func(h *Header) { h.Node = "other" },
		"epoch":    func(h *Header) { h.Epoch++ },
		"from":     func(h *Header) { h.From++ },
		"to":       func(h *Header) { h.To++ },
		"part":     func(h *Header) { h.Parts++ },
		"length":   func(h *Header) { h.Length++ },
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			h := base
			is.NoErr(h.Match(base))
			change(&h)
			is.True(errors.Is(h.Match(base), ErrCorrupt))
		})
	}
	is := is.New(t)
	h := base
	h.Length = 99
	whatever := base
	whatever.Length = -1
	is.NoErr(h.Match(whatever))
}

func write(t testing.TB, h Header, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, h, Key{})
	if err != nil {
		t.Fatal(err)
	}
	for len(plain) > 0 {
		n := min(len(plain), 70_001)
		if _, err := w.Write(plain[:n]); err != nil {
			t.Fatal(err)
		}
		plain = plain[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32() & 0x1f)
	}
	return b
}

func TestGzipRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, MemberSize - 1, MemberSize, MemberSize + 1, 3*MemberSize + 17} {
		is := is.New(t)
		h := sample()
		h.Length = int64(n)
		plain := noise(n)
		stored := write(t, h, plain)
		r, back, err := NewReader(bytes.NewReader(stored), int64(len(stored)), h, nil)
		is.NoErr(err)
		is.Equal(back.Length, int64(n))
		got, err := io.ReadAll(r)
		is.NoErr(err)
		is.True(bytes.Equal(got, plain))
	}
}

func TestWriterRefusesWrongLength(t *testing.T) {
	is := is.New(t)
	h := sample()
	w, err := NewWriter(io.Discard, h, Key{})
	is.NoErr(err)
	_, err = w.Write([]byte("1234"))
	is.NoErr(err)
	is.True(w.Close() != nil)
}

// Every truncation and every changed byte of an object is an error, and never
// more than the announced bytes come out.
func TestDamageIsSeen(t *testing.T) {
	is := is.New(t)
	h := sample()
	plain := noise(700)
	h.Length = int64(len(plain))
	stored := write(t, h, plain)
	try := func(b []byte) error {
		r, _, err := NewReader(bytes.NewReader(b), int64(len(b)), h, nil)
		if err != nil {
			return err
		}
		got, err := io.ReadAll(r)
		is.True(len(got) <= len(plain))
		if err == nil {
			is.True(bytes.Equal(got, plain)) // accepted means unchanged
		}
		return err
	}
	for i := range stored {
		is.True(errors.Is(try(stored[:i]), ErrCorrupt)) // cut
	}
	unseen := 0
	for i := range stored {
		c := bytes.Clone(stored)
		c[i] ^= 0x55
		if try(c) == nil {
			unseen++
		}
	}
	is.True(unseen <= 6) // gzip's own MTIME, XFL and OS mean nothing to us
	is.True(errors.Is(try(append(bytes.Clone(stored), "garbage"...)), ErrCorrupt))
	is.True(errors.Is(try(append(bytes.Clone(stored), stored...)), ErrCorrupt)) // a second copy
	is.True(errors.Is(try(append(bytes.Clone(stored), make([]byte, 64)...)), ErrCorrupt))
}

func TestBombIsCapped(t *testing.T) {
	is := is.New(t)
	h := sample()
	h.Length = 100
	var b bytes.Buffer
	w, err := NewWriter(&b, h, Key{})
	is.NoErr(err)
	_, err = w.Write(make([]byte, 8*MemberSize))
	is.NoErr(err)
	w.h.Length = w.total // the writer lies
	is.NoErr(w.Close())
	r, _, err := NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()), h, nil)
	is.NoErr(err)
	got, err := io.ReadAll(r)
	is.True(errors.Is(err, ErrCorrupt))
	is.Equal(len(got), 100)

	// A length that the stored bytes cannot hold is refused before a byte is read.
	h.Length = 1 << 40
	lie, err := extra(&h)
	is.NoErr(err)
	b.Reset()
	w, err = NewWriter(&b, h, Key{})
	is.NoErr(err)
	w.zip.Extra = lie
	is.NoErr(w.zip.Close())
	_, _, err = NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()), h, nil)
	is.True(errors.Is(err, ErrCorrupt))
}

// An error of the source is not corruption.
func TestSourceErrorPasses(t *testing.T) {
	is := is.New(t)
	reset := errors.New("connection reset")
	h := sample()
	plain := noise(300 << 10)
	h.Length = int64(len(plain))
	stored := write(t, h, plain)
	for _, at := range []int{0, 5, 100, len(stored) / 2, len(stored) - 1} {
		src := io.MultiReader(bytes.NewReader(stored[:at]), failing{reset})
		r, _, err := NewReader(src, int64(len(stored)), h, nil)
		if err == nil {
			_, err = io.ReadAll(r)
		}
		is.True(errors.Is(err, reset))
		is.True(!errors.Is(err, ErrCorrupt))
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func FuzzParseHeader(f *testing.F) {
	h := sample()
	b, err := h.Append(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	h.Seal = &Seal{}
	if b, err = h.Append(nil); err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, in []byte) {
		h, err := ParseHeader(in)
		if err != nil {
			return
		}
		out, err := h.Append(nil)
		if err != nil {
			t.Fatalf("accepted but not encodable: %v", err)
		}
		if !bytes.Equal(in, out) {
			t.Fatalf("accepted %x, encodes to %x", in, out)
		}
	})
}

func FuzzNewReader(f *testing.F) {
	h := sample()
	f.Add(write(f, h, []byte("hello")))
	f.Fuzz(func(t *testing.T, in []byte) {
		want := h
		want.Length = -1
		r, have, err := NewReader(bytes.NewReader(in), int64(len(in)), want, nil)
		if err != nil {
			return
		}
		n, err := io.Copy(io.Discard, r)
		if n > have.Length || err == nil && n != have.Length {
			t.Fatalf("%d bytes came out of an object of %d", n, have.Length)
		}
	})
}
