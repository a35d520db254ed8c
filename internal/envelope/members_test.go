package envelope

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/matryer/is"
)

// ahead reads all of an object with NewReaderAhead.
func ahead(src io.Reader, stored int64, want Header, ring Ring) ([]byte, error) {
	r, _, err := NewReaderAhead(src, stored, want, ring)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(r)
	return got, errors.Join(err, r.Close())
}

// starts are the offsets at which the members of an object begin.
func starts(t testing.TB, stored []byte) (at []int) {
	t.Helper()
	src := bytes.NewReader(stored)
	zip, err := gzip.NewReader(src)
	for err == nil {
		at = append(at, len(stored)-src.Len()) // behind the header
		zip.Multistream(false)
		if _, err = io.Copy(io.Discard, zip); err == nil {
			err = zip.Reset(src)
		}
	}
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return at
}

func TestReadAhead(t *testing.T) {
	key := NewKey()
	for _, n := range []int{0, 1, MemberSize - 1, MemberSize, MemberSize + 1, 2 * MemberSize, 6*MemberSize + 17} {
		for _, zip := range []bool{true, false} {
			for _, k := range []Key{{}, key} {
				if !zip && k.IsZero() {
					continue
				}
				t.Run(fmt.Sprintf("%d bytes, gzip %v, sealed %v", n, zip, !k.IsZero()), func(t *testing.T) {
					is := is.New(t)
					h := sample()
					h.Length, h.Gzip = int64(n), zip
					plain := noise(n)
					var b bytes.Buffer
					w, err := NewWriter(&b, h, k)
					is.NoErr(err)
					_, err = w.Write(plain)
					is.NoErr(errors.Join(err, w.Close()))
					want := h
					if !k.IsZero() {
						want = sealed(h)
					}
					got, err := ahead(bytes.NewReader(b.Bytes()), int64(b.Len()), want, Ring{key})
					is.NoErr(err)
					is.True(bytes.Equal(got, plain))
				})
			}
		}
	}
}

// The bytes of a member's size are the format: they change only with docs/format.md.
func TestMembersSayTheirSize(t *testing.T) {
	is := is.New(t)
	h := sample()
	h.Length = 3*MemberSize + 5
	stored := write(t, h, noise(int(h.Length)))
	begin := starts(t, stored)
	is.Equal(len(begin), 4)
	for i := 1; i < len(begin); i++ {
		at := begin[i] - memberHead
		is.Equal(string(stored[at:at+4]), "\x1f\x8b\x08\x04")
		is.Equal(string(stored[at+10:at+16]), "\x08\x00DS\x04\x00")
		end := len(stored)
		if i+1 < len(begin) {
			end = begin[i+1] - memberHead
		}
		is.Equal(int(binary.LittleEndian.Uint32(stored[at+16:])), end-at)
	}
	zip, err := gzip.NewReader(bytes.NewReader(stored)) // as every other program reads it
	is.NoErr(err)
	got, err := io.ReadAll(zip)
	is.NoErr(err)
	is.True(bytes.Equal(got, noise(int(h.Length))))
}

// An object whose members do not say their size is read one member after the other.
func TestReadAheadWithoutSizes(t *testing.T) {
	is := is.New(t)
	h := sample()
	plain := noise(2*MemberSize + 5)
	h.Length = int64(len(plain))
	var b bytes.Buffer
	field, err := extra(&h)
	is.NoErr(err)
	for i, part := range slices.Collect(slices.Chunk(plain, MemberSize)) {
		w := gzip.NewWriter(&b)
		switch i {
		case 0:
			w.Extra = field
		case 1:
			w.Extra = []byte("XX\x04\x00\x01\x02\x03\x04") // somebody else's
		}
		_, err := w.Write(part)
		is.NoErr(errors.Join(err, w.Close()))
	}
	got, err := ahead(&b, -1, h, nil)
	is.NoErr(err)
	is.True(bytes.Equal(got, plain))
}

// Damage in any member, and in what it says of its size, is an error, or makes no
// difference, and no more than what stands before it comes out.
func TestReadAheadDamage(t *testing.T) {
	is := is.New(t)
	h := sample()
	plain := bytes.Repeat(noise(6151), 4*MemberSize/6151+1)[:4*MemberSize+9] // which is done soon, and no member is like another
	h.Length = int64(len(plain))
	stored := write(t, h, plain)
	begin := starts(t, stored)
	try := func(what string, b []byte) error {
		t.Helper()
		got, err := ahead(bytes.NewReader(b), int64(len(b)), h, nil)
		if err != nil && !errors.Is(err, ErrCorrupt) || err == nil && len(got) < len(plain) {
			t.Errorf("%s: %v", what, err)
		}
		if !bytes.HasPrefix(plain, got) {
			t.Errorf("%s: %d bytes came out that are not those that went in", what, len(got))
		}
		return err
	}
	trouble := func(what string, b []byte) {
		t.Helper()
		if try(what, b) == nil {
			t.Errorf("%s: no error", what)
		}
	}
	for i := 1; i < len(begin); i++ {
		at := begin[i] - 4
		for _, size := range []uint32{0, 1, memberHead - 1, memberHead, maxMember, maxMember + 1, 1 << 31, 1<<32 - 1, binary.LittleEndian.Uint32(stored[at:]) - 1, binary.LittleEndian.Uint32(stored[at:]) + 1} {
			b := bytes.Clone(stored)
			binary.LittleEndian.PutUint32(b[at:], size)
			trouble(fmt.Sprintf("size %d of member %d", size, i), b)
		}
		for _, off := range []int{0, 1, 9, 1000, 4500} {
			if begin[i]+off >= len(stored) {
				continue
			}
			b := bytes.Clone(stored)
			b[begin[i]+off] ^= 0x10
			_ = try(fmt.Sprintf("byte %d of member %d", off, i), b)
		}
		for _, cut := range []int{begin[i] - memberHead, begin[i] - 3, begin[i], begin[i] + 2} {
			trouble(fmt.Sprintf("cut in member %d", i), stored[:cut])
		}
		b := append(bytes.Clone(stored[:begin[i]-memberHead]), stored[begin[i]:]...)
		trouble(fmt.Sprintf("member %d without its beginning", i), b)
	}
	swapped := slices.Concat(stored[:begin[1]-memberHead], stored[begin[2]-memberHead:begin[3]-memberHead], stored[begin[1]-memberHead:begin[2]-memberHead], stored[begin[3]-memberHead:])
	got, err := ahead(bytes.NewReader(swapped), int64(len(swapped)), h, nil)
	is.NoErr(err) // the sums of the manifest find this, and the keys of a sealed object
	is.True(!bytes.Equal(got, plain))
	trouble("a byte too many", append(bytes.Clone(stored), 0))
	trouble("a member too many", append(bytes.Clone(stored), stored[begin[4]-memberHead:]...))
}

// A member holds what a member may hold, whatever it says.
func TestReadAheadBomb(t *testing.T) {
	is := is.New(t)
	h := sample()
	h.Length = 12 * MemberSize
	var b bytes.Buffer
	w, err := NewWriter(&b, h, Key{})
	is.NoErr(err)
	_, err = w.Write(make([]byte, MemberSize))
	is.NoErr(err)
	is.NoErr(w.endMember())
	w.beginMember()
	w.room = 11 * MemberSize // the writer lies
	_, err = w.Write(make([]byte, 11*MemberSize))
	is.NoErr(errors.Join(err, w.Close()))
	got, err := ahead(bytes.NewReader(b.Bytes()), int64(b.Len()), h, nil)
	is.True(errors.Is(err, ErrCorrupt))
	is.Equal(len(got), MemberSize)
}

// An error of the source is not corruption, wherever it comes.
func TestReadAheadSourceErrorPasses(t *testing.T) {
	is := is.New(t)
	reset := errors.New("connection reset")
	h := sample()
	plain := noise(4 * MemberSize)
	h.Length = int64(len(plain))
	stored := write(t, h, plain)
	begin := starts(t, stored)
	for _, at := range []int{5, 100, begin[1] - memberHead, begin[1] - 3, begin[1], begin[2] + 70_000, len(stored) - 1} {
		got, err := ahead(io.MultiReader(bytes.NewReader(stored[:at]), &failsOnce{err: reset}), int64(len(stored)), h, nil)
		is.True(errors.Is(err, reset))
		is.True(!errors.Is(err, ErrCorrupt))
		is.True(bytes.HasPrefix(plain, got))
	}
}

// failsOnce has nothing more after its error.
type failsOnce struct{ err error }

func (f *failsOnce) Read([]byte) (int, error) {
	err := f.err
	f.err = io.EOF
	return 0, err
}

// Close ends everything, wherever the reader has stopped.
func TestReadAheadClosed(t *testing.T) {
	is := is.New(t)
	h := sample()
	h.Length = 9 * MemberSize
	stored := write(t, h, make([]byte, h.Length))
	for _, n := range []int64{0, 1, MemberSize, 3*MemberSize + 1, 9 * MemberSize} {
		r, _, err := NewReaderAhead(bytes.NewReader(stored), int64(len(stored)), h, nil)
		is.NoErr(err)
		_, err = io.CopyN(io.Discard, r, n)
		is.NoErr(errors.Join(err, r.Close(), r.Close()))
	} // TestMain finds goroutines that are left
}

// What the one reader takes the other takes, with the same bytes.
func FuzzReadAhead(f *testing.F) {
	h := sample()
	f.Add(write(f, h, []byte("hello")))
	h.Length = MemberSize + 3
	f.Add(write(f, h, make([]byte, h.Length)))
	f.Fuzz(func(t *testing.T, in []byte) {
		want := sample()
		want.Length = -1
		got, err := ahead(bytes.NewReader(in), int64(len(in)), want, nil)
		if err != nil {
			return
		}
		r, _, err := NewReader(bytes.NewReader(in), int64(len(in)), want, nil)
		if err != nil {
			t.Fatal(err)
		}
		if serial, err := io.ReadAll(r); err != nil || !bytes.Equal(got, serial) {
			t.Fatalf("%d bytes ahead, %d one after the other (%v)", len(got), len(serial), err)
		}
	})
}
