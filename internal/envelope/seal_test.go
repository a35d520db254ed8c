package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/matryer/is"
)

func seal(t testing.TB, h Header, plain []byte, key Key) []byte {
	t.Helper()
	var b bytes.Buffer
	h.Length = int64(len(plain))
	w, err := NewWriter(&b, h, key)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sealed is h as a reader asks for it.
func sealed(h Header) Header {
	h.Seal, h.Length = &Seal{}, -1
	return h
}

func unseal(stored []byte, want Header, ring ...Key) ([]byte, error) {
	r, _, err := NewReader(bytes.NewReader(stored), int64(len(stored)), sealed(want), ring)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func TestSealRoundTrip(t *testing.T) {
	key := NewKey()
	for _, zip := range []bool{false, true} {
		for _, n := range []int{0, 1, ChunkSize - 1, ChunkSize, ChunkSize + 1, 2 * ChunkSize, 5*ChunkSize + 3, 2*MemberSize + 1} {
			is := is.New(t)
			h := sample()
			h.Gzip = zip
			plain := noise(n)
			stored := seal(t, h, plain, key)
			got, err := unseal(stored, h, NewKey(), key)
			is.NoErr(err)
			is.True(bytes.Equal(got, plain))
			if !zip {
				chunks := max(1, (n+ChunkSize-1)/ChunkSize)
				b, err := (&Header{Kind: h.Kind, Epoch: h.Epoch, From: h.From, To: h.To, Part: 1, Parts: 1, DB: h.DB, Node: h.Node, Seal: &Seal{}}).Append(nil)
				is.NoErr(err)
				is.Equal(len(stored), len(b)+n+chunks*tagSize)
			}
		}
	}
}

// Every bit of a sealed object and every cut of it: an error, and no byte that
// was not sealed comes out. What was only cut is corrupt as well.
func TestSealEveryBit(t *testing.T) {
	is := is.New(t)
	key := NewKey()
	h := sample()
	h.Gzip = false
	plain := noise(2*ChunkSize + 100)
	stored := seal(t, h, plain, key)
	check := func(what string, b []byte) {
		got, err := unseal(b, h, key)
		if err == nil || !bytes.HasPrefix(plain, got) {
			t.Fatalf("%s: accepted, or other bytes came out", what)
		}
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNoKey) && !errors.Is(err, ErrVersion) {
			t.Fatalf("%s: %v", what, err)
		}
	}
	at := func(i int) bool { // every place where something changes, and a sample of the rest
		return i < 400 || i > len(stored)-200 || i%911 == 0 || (i-200)%(ChunkSize+tagSize) < 40
	}
	for i := range stored {
		if !at(i) {
			continue
		}
		for bit := range 8 {
			c := bytes.Clone(stored)
			c[i] ^= 1 << bit
			check(fmt.Sprintf("byte %d bit %d", i, bit), c)
		}
		check(fmt.Sprintf("cut at %d", i), stored[:i])
	}
	check("a byte more", append(bytes.Clone(stored), 0))
	check("twice", append(bytes.Clone(stored), stored...))
	_, err := unseal(stored, h, key)
	is.NoErr(err)
}

// Chunks cannot change places, be left out or come from another object.
func TestSealChunksKeepTheirPlace(t *testing.T) {
	is := is.New(t)
	key := NewKey()
	h := sample()
	h.Gzip = false
	plain := noise(4 * ChunkSize)
	a, b := seal(t, h, plain, key), seal(t, h, plain, key)
	is.True(!bytes.Equal(a, b)) // a salt of its own each time
	head := len(a) - 4*(ChunkSize+tagSize)
	chunk := func(o []byte, i int) []byte {
		return o[head+i*(ChunkSize+tagSize) : head+(i+1)*(ChunkSize+tagSize)]
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, o := range map[string][]byte{
		"swapped":      join(a[:head], chunk(a, 1), chunk(a, 0), chunk(a, 2), chunk(a, 3)),
		"left out":     join(a[:head], chunk(a, 0), chunk(a, 2), chunk(a, 3)),
		"last dropped": join(a[:head], chunk(a, 0), chunk(a, 1), chunk(a, 2)),
		"repeated":     join(a[:head], chunk(a, 0), chunk(a, 0), chunk(a, 1), chunk(a, 2), chunk(a, 3)),
		"from another": join(a[:head], chunk(a, 0), chunk(b, 1), chunk(a, 2), chunk(a, 3)),
		"other header": join(b[:head], chunk(a, 0), chunk(a, 1), chunk(a, 2), chunk(a, 3)),
	} {
		_, err := unseal(o, h, key)
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An object is what its key in the bucket says, or it is refused.
func TestSealedObjectElsewhere(t *testing.T) {
	is := is.New(t)
	key := NewKey()
	h := sample()
	stored := seal(t, h, []byte("hello"), key)
	for name, change := range map[string]func(*Header){
		"database": func(h *Header) { h.DB = "other" },
		"node":     func(h *Header) { h.Node = "other" },
		"epoch":    func(h *Header) { h.Epoch++ },
		"from":     func(h *Header) { h.From++ },
		"to":       func(h *Header) { h.To++ },
		"kind":     func(h *Header) { h.Kind = Pack },
		"part":     func(h *Header) { h.Parts++ },
	} {
		want := h
		change(&want)
		_, err := unseal(stored, want, key)
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// In the clear where a sealed one belongs, and the other way round.
	h.Length = 5
	plain := write(t, h, []byte("hello"))
	_, err := unseal(plain, h, key)
	is.True(errors.Is(err, ErrCorrupt))
	_, _, err = NewReader(bytes.NewReader(stored), int64(len(stored)), h, Ring{key})
	is.True(errors.Is(err, ErrCorrupt))
}

func TestSealKeys(t *testing.T) {
	is := is.New(t)
	key, other := NewKey(), NewKey()
	h := sample()
	stored := seal(t, h, []byte("hello"), key)
	_, err := unseal(stored, h)
	is.True(errors.Is(err, ErrNoKey))
	is.True(strings.Contains(err.Error(), key.ID().String())) // which one is wanted
	_, err = unseal(stored, h, other)
	is.True(errors.Is(err, ErrNoKey))
	is.True(strings.Contains(err.Error(), key.ID().String()))
	is.True(strings.Contains(err.Error(), other.ID().String()))

	// Somebody who changes the key id to that of a key of ours gets nowhere.
	at := bytes.Index(stored, key.b[:0:0])
	is.Equal(at, 0)
	id := key.ID()
	at = bytes.Index(stored, id[:])
	is.True(at > 0)
	forged := bytes.Clone(stored)
	oid := other.ID()
	copy(forged[at:], oid[:])
	_, err = unseal(forged, h, key, other)
	is.True(errors.Is(err, ErrCorrupt))
}

// Nothing of the rows, not even whether two are alike, shows in what is stored.
func TestSealedBytesSayNothing(t *testing.T) {
	is := is.New(t)
	key := NewKey()
	h := sample()
	h.Gzip = false
	plain := bytes.Repeat([]byte("canary in the coal mine "), 1000)
	stored := seal(t, h, plain, key)
	is.True(!bytes.Contains(stored, []byte("canary")))
	is.True(!bytes.Contains(stored, key.b[:]))
	is.True(!bytes.Equal(stored, seal(t, h, plain, key)))
}

func TestParseKey(t *testing.T) {
	is := is.New(t)
	k := NewKey()
	back, err := ParseKey(k.Reveal())
	is.NoErr(err)
	is.Equal(back.ID(), k.ID())
	back, err = ParseKey(strings.ToUpper(k.Reveal()))
	is.NoErr(err)
	is.Equal(back.ID(), k.ID())
	ones := strings.Repeat("AQEB", 10) + "AQE="
	a, err := ParseKey(ones)
	is.NoErr(err)
	b, err := ParseKey(strings.TrimSuffix(ones, "="))
	is.NoErr(err)
	c, err := ParseKey(strings.Repeat("01", 32))
	is.NoErr(err)
	is.Equal(a.ID(), b.ID())
	is.Equal(a.ID(), c.ID())
	for _, bad := range []string{"", "secret", strings.Repeat("0", 63), strings.Repeat("0", 65), strings.Repeat("x", 64), strings.Repeat("AQEB", 10) + "AQF=", " " + k.Reveal(), k.Reveal() + "\n"} {
		_, err := ParseKey(bad)
		is.True(err != nil)
		is.True(bad == "" || !strings.Contains(err.Error(), bad)) // an error never shows what may be most of a key
	}
}

func TestKeyIsNeverShown(t *testing.T) {
	is := is.New(t)
	k := NewKey()
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "key", k, "ring", Ring{k}, "in", struct{ K Key }{k})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", k, "ring", Ring{k}, "in", struct{ K Key }{k})
	j, err := json.Marshal(map[string]any{"k": k, "r": Ring{k}})
	is.NoErr(err)
	all := log.String() + string(j) + fmt.Sprintf("%v %+v %#v %s %x %q %d", k, k, k, k, k, k, k) + fmt.Sprintf("%v %+v %#v %x", Ring{k}, struct{ K Key }{k}, Ring{k}, []Key{k})
	is.True(!strings.Contains(strings.ToLower(all), k.Reveal()))
	is.True(!strings.Contains(all, fmt.Sprintf("%d %d %d %d", k.b[0], k.b[1], k.b[2], k.b[3])))
	is.True(strings.Contains(all, "[redacted]"))
}

func TestSealSourceErrorPasses(t *testing.T) {
	is := is.New(t)
	reset := errors.New("connection reset")
	key := NewKey()
	h := sample()
	stored := seal(t, h, noise(300<<10), key)
	for _, at := range []int{0, 5, 100, 200, len(stored) / 2, len(stored) - 1} {
		src := io.MultiReader(bytes.NewReader(stored[:at]), failing{reset})
		r, _, err := NewReader(src, int64(len(stored)), sealed(h), Ring{key})
		if err == nil {
			_, err = io.ReadAll(r)
		}
		is.True(errors.Is(err, reset))
		is.True(!errors.Is(err, ErrCorrupt))
	}
}

// FuzzOpenSeal: whatever is stored, nothing panics and nothing but what was
// sealed comes out.
func FuzzOpenSeal(f *testing.F) {
	key, err := ParseKey(strings.Repeat("07", KeySize))
	if err != nil {
		f.Fatal(err)
	}
	h := sample()
	plain := []byte("hello")
	f.Add(seal(f, h, plain, key))
	h.Gzip = false
	f.Add(seal(f, h, plain, key))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, zip := range []bool{false, true} {
			want := h
			want.Gzip = zip
			got, err := unseal(in, want, key)
			if err == nil && !bytes.Equal(got, plain) {
				t.Fatalf("%q came out", got)
			}
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	key := NewKey()
	h := sample()
	h.Gzip = false
	plain := noise(4 << 20)
	stored := seal(b, h, plain, key)
	b.Run("seal", func(b *testing.B) {
		b.SetBytes(int64(len(plain)))
		b.ReportAllocs()
		for b.Loop() {
			seal(b, h, plain, key)
		}
	})
	b.Run("open", func(b *testing.B) {
		b.SetBytes(int64(len(plain)))
		b.ReportAllocs()
		for b.Loop() {
			r, _, err := NewReader(bytes.NewReader(stored), -1, sealed(h), Ring{key})
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkGzip is the way of a snapshot in the clear: text as it stands in
// databases.
func BenchmarkGzip(b *testing.B) {
	var text bytes.Buffer
	for i := 0; text.Len() < 8<<20; i++ {
		fmt.Fprintf(&text, "order %d from customer %d was delivered to street %d, remark %x; ", i, i*7919%10_000, i*31%997, i*i)
	}
	plain := text.Bytes()
	h := sample()
	h.Length, h.Gzip, h.Seal = int64(len(plain)), true, nil
	stored := seal(b, h, plain, Key{})
	b.Run("compress", func(b *testing.B) {
		b.SetBytes(int64(len(plain)))
		b.ReportAllocs()
		for b.Loop() {
			seal(b, h, plain, Key{})
		}
	})
	b.Run("decompress", func(b *testing.B) {
		b.SetBytes(int64(len(plain)))
		b.ReportAllocs()
		for b.Loop() {
			r, _, err := NewReader(bytes.NewReader(stored), -1, h, nil)
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
