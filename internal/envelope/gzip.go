package envelope

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
)

// MemberSize is the number of plaintext bytes in one gzip member of an object
// that NewWriter writes.
const MemberSize = 1 << 20

// level returns how hard an object is compressed. Snapshots are stored and read for
// long and made rarely. Level 7 makes them 5 % smaller than level 6 in more than three
// times the time, some 30 s for each GB, so it is for those that are done in seconds.
func level(h Header) int {
	const quick = 256 << 20
	switch {
	case h.Kind != Snapshot:
		return gzip.DefaultCompression
	case h.Length <= quick:
		return 7
	default:
		return 6
	}
}

// maxRatio is the most that DEFLATE can expand, rounded up.
const maxRatio = 1040

// extra returns the FEXTRA field: one subfield "DR" that holds the header.
func extra(h *Header) ([]byte, error) {
	header, err := h.Append(nil)
	if err != nil {
		return nil, err
	}
	b := append(make([]byte, 0, 4+len(header)), 'D', 'R')
	b = binary.LittleEndian.AppendUint16(b, uint16(len(header))) // gzip's own byte order
	return append(b, header...), nil
}

func fromExtra(b []byte) (Header, error) {
	if len(b) < 4 || b[0] != 'D' || b[1] != 'R' || int(binary.LittleEndian.Uint16(b[2:])) != len(b)-4 {
		return Header{}, fmt.Errorf("gzip carries no header of ours: %w", ErrCorrupt)
	}
	return ParseHeader(b[4:])
}

// Writer writes one object: compressed in independent gzip members of
// MemberSize bytes each, or sealed, or both. Its memory does not grow.
type Writer struct {
	dst   io.Writer
	h     Header
	seal  *sealWriter // nil: in the clear
	zip   *gzip.Writer
	part  *bytes.Buffer // a member behind the first one, until its size is known
	room  int           // plaintext bytes left in the open member
	total int64         // plaintext bytes taken
	err   error
}

// NewWriter makes a Writer of the object that h announces, sealed with key
// unless that is the zero Key. Exactly h.Length bytes must be written before
// Close.
func NewWriter(dst io.Writer, h Header, key Key) (*Writer, error) {
	w := &Writer{dst: dst, h: h, room: MemberSize}
	if !key.IsZero() {
		seal, err := newSealWriter(dst, &w.h, key)
		if err != nil {
			return nil, err
		}
		w.seal, w.dst = seal, seal
	} else if h.Seal != nil || !h.Gzip {
		return nil, fmt.Errorf("write a %v in the clear: it has no place for a header", h.Kind)
	}
	if h.Gzip {
		var err error
		if w.zip, err = gzip.NewWriterLevel(w.dst, level(h)); err != nil {
			return nil, err
		}
	}
	if w.seal == nil {
		field, err := extra(&w.h)
		if err != nil {
			return nil, err
		}
		w.zip.Extra = field
	}
	return w, nil
}

// Write compresses and seals p.
func (w *Writer) Write(p []byte) (int, error) {
	n := 0
	for len(p) > 0 && w.err == nil {
		if w.room == 0 && w.zip != nil {
			if w.err = w.endMember(); w.err != nil {
				break
			}
			w.beginMember()
		}
		k := len(p)
		if w.zip != nil {
			k = min(k, w.room)
			_, w.err = w.zip.Write(p[:k])
		} else {
			_, w.err = w.dst.Write(p[:k])
		}
		if w.err != nil {
			break
		}
		p, n = p[k:], n+k
		w.room -= k
		w.total += int64(k)
	}
	return n, w.err
}

// beginMember begins a member behind the first one. It says its size, so it is
// written when it has ended.
func (w *Writer) beginMember() {
	if w.part == nil {
		w.part = new(bytes.Buffer)
	}
	w.part.Reset()
	w.zip.Reset(w.part)
	w.zip.Extra = []byte(sizeField + "\x00\x00\x00\x00")
	w.room = MemberSize
}

func (w *Writer) endMember() error {
	if err := w.zip.Close(); err != nil || w.part == nil {
		return err
	}
	b := w.part.Bytes()
	binary.LittleEndian.PutUint32(b[sizeAt:], uint32(len(b)))
	_, err := w.dst.Write(b)
	return err
}

// Close ends the object. It does not close dst.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	if w.total != w.h.Length {
		return fmt.Errorf("%v of %d bytes announced, %d written", w.h.Kind, w.h.Length, w.total)
	}
	if w.zip != nil {
		if err := w.endMember(); err != nil {
			return err
		}
	}
	if w.seal != nil {
		return w.seal.Close()
	}
	return nil
}

// NewReader opens an object of stored bytes, which is compressed if want.Gzip
// and sealed with a key of ring if want.Seal is not nil, and checks that it is
// the wanted one; want.Length below 0 means any. The reader yields exactly the
// announced plaintext and then io.EOF, or ErrCorrupt. stored is the number of
// stored bytes, or below 0 if not known.
func NewReader(src io.Reader, stored int64, want Header, ring Ring) (io.Reader, Header, error) {
	o, err := open(src, want, ring)
	if err != nil {
		return nil, o.header, err
	}
	return exactly(o.content(), stored, o.header, want)
}

// NewReaderAhead is NewReader for large objects: what is compressed is decompressed
// ahead of who reads, by several goroutines, which Close ends. A read of src that is
// under way is waited for.
func NewReaderAhead(src io.Reader, stored int64, want Header, ring Ring) (io.ReadCloser, Header, error) {
	o, err := open(src, want, ring)
	if err != nil {
		return nil, o.header, err
	}
	if err := fits(stored, o.header, want); err != nil { // before anything is read ahead
		return nil, o.header, err
	}
	r := &exactReader{src: o.src, left: o.header.Length}
	if o.zip == nil || o.header.Length <= MemberSize { // nothing, or one member, to decompress
		r.src = o.content()
		return io.NopCloser(r), o.header, nil
	}
	ahead := newMembers(o.zip, o.src, min(runtime.GOMAXPROCS(0), maxWorkers))
	r.src = ahead
	return struct {
		io.Reader
		io.Closer
	}{r, ahead}, o.header, nil
}

const maxWorkers = 4 // they are faster than a disk then

// opened is an object whose header was read.
type opened struct {
	header Header
	src    *bufio.Reader // of what follows it
	zip    *gzip.Reader  // of src; nil for what is not compressed
}

func (o opened) content() io.Reader {
	if o.zip != nil {
		return o.zip
	}
	return o.src
}

func open(src io.Reader, want Header, ring Ring) (o opened, err error) {
	if want.Seal == nil && !want.Gzip {
		return o, errors.New("an object in the clear has no header to read")
	}
	o.src = bufio.NewReaderSize(src, ChunkSize+tagSize)
	if want.Seal != nil {
		seal, h, err := openSeal(o.src, ring)
		if o.header = h; err != nil {
			return o, err
		}
		if o.src = bufio.NewReaderSize(seal, ChunkSize); !h.Gzip {
			return o, nil
		}
	}
	if o.zip, err = gzip.NewReader(o.src); err != nil {
		return o, readError(err)
	}
	if want.Seal == nil {
		o.header, err = fromExtra(o.zip.Extra)
	}
	return o, err
}

// IsSealed says whether stored bytes begin as a sealed object does.
func IsSealed(stored []byte) bool { return bytes.HasPrefix(stored, []byte(magic)) }

// Open opens a sealed object, whatever it says it is: the caller compares the
// header with the content.
func Open(src io.Reader, stored int64, ring Ring) (io.Reader, Header, error) {
	seal, h, err := openSeal(src, ring)
	if err != nil {
		return nil, h, err
	}
	if h.Gzip {
		return nil, h, fmt.Errorf("a %v is not compressed: %w", h.Kind, ErrCorrupt)
	}
	return exactly(seal, stored, h, h)
}

func exactly(content io.Reader, stored int64, h, want Header) (io.Reader, Header, error) {
	if err := fits(stored, h, want); err != nil {
		return nil, h, err
	}
	return &exactReader{src: content, left: h.Length}, h, nil
}

// fits says why an object with the header h is not the wanted one, or cannot be as
// long as it says.
func fits(stored int64, h, want Header) error {
	if err := h.Match(want); err != nil {
		return err
	}
	if stored >= 0 && h.Length/maxRatio > stored {
		return fmt.Errorf("%d stored bytes cannot hold %d: %w", stored, h.Length, ErrCorrupt)
	}
	return nil
}

// exactReader yields exactly left bytes and insists that src ends there.
type exactReader struct {
	src  io.Reader
	left int64
	err  error
}

func (r *exactReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if r.left == 0 {
		r.err = r.end()
		return 0, r.err
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.src.Read(p)
	r.left -= int64(n)
	switch {
	case errors.Is(err, io.EOF) && r.left > 0:
		r.err = fmt.Errorf("%d bytes are missing at the end: %w", r.left, ErrCorrupt)
	case err != nil && !errors.Is(err, io.EOF):
		r.err = readError(err)
	}
	return n, r.err
}

func (r *exactReader) end() error {
	var one [1]byte
	for {
		n, err := r.src.Read(one[:])
		switch {
		case n > 0:
			return fmt.Errorf("more bytes than the header announces: %w", ErrCorrupt)
		case errors.Is(err, io.EOF):
			return io.EOF
		case err != nil:
			return readError(err)
		}
	}
}

// readError tells damaged gzip from an error of the source below it: the
// second is not corruption and may be tried again.
func readError(err error) error {
	switch {
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isFlateError(err):
		return fmt.Errorf("gzip: %w: %w", err, ErrCorrupt)
	}
	return err
}

func isFlateError(err error) bool {
	var corrupt flate.CorruptInputError
	var internal flate.InternalError
	return errors.As(err, &corrupt) || errors.As(err, &internal)
}
