package envelope

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ChunkSize is the number of bytes sealed at a time. Only the last chunk of an
// object is shorter, and it is empty only where the object is.
const ChunkSize = 64 << 10

// tagSize is what AES-GCM adds to each chunk.
const tagSize = 16

// sealWriter writes a sealed object: the header, then the chunks.
type sealWriter struct {
	dst    io.Writer
	aead   cipher.AEAD
	header []byte // the associated data of every chunk
	buf    []byte // plaintext of the open chunk, with room for its tag
	n      uint64 // chunks written
	err    error
}

// newSealWriter chooses the salt, unless h.Seal has one because the same bytes
// are stored again, sets h.Seal and writes the header.
func newSealWriter(dst io.Writer, h *Header, key Key) (*sealWriter, error) {
	s := Seal{KeyID: key.ID()}
	if h.Seal != nil {
		s.Salt = h.Seal.Salt
	}
	if s.Salt == ([32]byte{}) {
		if _, err := rand.Read(s.Salt[:]); err != nil {
			return nil, fmt.Errorf("choose a salt: %w", err)
		}
	}
	h.Seal = &s
	object, commitment := key.object(h)
	copy(h.Seal.Commitment[:], commitment)
	aead, err := newAEAD(object)
	if err != nil {
		return nil, err
	}
	header, err := h.Append(nil)
	if err != nil {
		return nil, err
	}
	if _, err := dst.Write(header); err != nil {
		return nil, err
	}
	return &sealWriter{dst: dst, aead: aead, header: header, buf: make([]byte, 0, ChunkSize+tagSize)}, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// nonce of chunk n. The key belongs to one object, so counting is enough; the
// last chunk differs, so that a cut object does not open.
func nonce(n uint64, last bool) []byte {
	b := make([]byte, 12)
	binary.BigEndian.PutUint64(b[3:], n)
	if last {
		b[11] = 1
	}
	return b
}

// Write seals p. A full chunk waits for more: it may be the last.
func (w *sealWriter) Write(p []byte) (int, error) {
	n := 0
	for len(p) > 0 && w.err == nil {
		if len(w.buf) == ChunkSize {
			w.chunk(false)
			continue
		}
		k := min(len(p), ChunkSize-len(w.buf))
		w.buf = append(w.buf, p[:k]...)
		p, n = p[k:], n+k
	}
	return n, w.err
}

func (w *sealWriter) chunk(last bool) {
	sealed := w.aead.Seal(w.buf[:0], nonce(w.n, last), w.buf, w.header)
	_, w.err = w.dst.Write(sealed)
	w.buf = w.buf[:0]
	w.n++
}

// Close writes the last chunk. It does not close the destination.
func (w *sealWriter) Close() error {
	if w.err == nil {
		w.chunk(true)
	}
	return w.err
}

// sealReader yields the plaintext of the chunks that follow a header.
type sealReader struct {
	src    io.Reader
	aead   cipher.AEAD
	header []byte
	next   []byte // the stored chunk that is to be opened; one is read ahead
	spare  []byte
	plain  []byte // opened and not yet handed out
	n      uint64
	last   bool // next is the last one
	err    error
}

// openSeal reads the header of a sealed object and derives its key.
func openSeal(src io.Reader, ring Ring) (*sealReader, Header, error) {
	h, raw, err := readHeader(src)
	if err != nil {
		return nil, h, err
	}
	if h.Seal == nil {
		return nil, h, fmt.Errorf("header: a sealed object is not marked as one: %w", ErrCorrupt)
	}
	key, err := ring.find(h.Seal.KeyID)
	if err != nil {
		return nil, h, err
	}
	object, commitment := key.object(&h)
	if subtle.ConstantTimeCompare(commitment, h.Seal.Commitment[:]) != 1 {
		return nil, h, fmt.Errorf("the header is not that of an object sealed with the key %v: %w", h.Seal.KeyID, ErrCorrupt)
	}
	aead, err := newAEAD(object)
	if err != nil {
		return nil, h, err
	}
	r := &sealReader{src: src, aead: aead, header: raw, spare: make([]byte, ChunkSize+tagSize)}
	r.next, r.last, r.err = r.fetch(make([]byte, ChunkSize+tagSize))
	if r.err == nil && len(r.next) == 0 {
		r.err = fmt.Errorf("cut after the header: %w", ErrCorrupt)
	}
	return r, h, r.err
}

// readHeader reads one header and not a byte more.
func readHeader(src io.Reader) (Header, []byte, error) {
	raw := make([]byte, fixedSize+1, MaxHeader)
	take := func(b []byte) error {
		if _, err := io.ReadFull(src, b); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("header: cut short: %w", ErrCorrupt)
		} else if err != nil {
			return err
		}
		return nil
	}
	if err := take(raw); err != nil {
		return Header{}, nil, err
	}
	if string(raw[:8]) != magic {
		return Header{}, nil, fmt.Errorf("header: no magic: %w", ErrCorrupt)
	}
	more := func(n int) error {
		at := len(raw)
		raw = raw[:at+n]
		return take(raw[at:])
	}
	if err := more(int(raw[fixedSize]) + 1); err != nil { // the database's name, and the length of the node's
		return Header{}, nil, err
	}
	rest := int(raw[len(raw)-1])
	if raw[9]&flagSealed != 0 {
		rest += sealSize
	}
	if err := more(rest); err != nil {
		return Header{}, nil, err
	}
	h, err := ParseHeader(raw)
	return h, raw, err
}

// fetch reads one stored chunk into buf. A chunk that is not full is the last;
// so is a full one with nothing behind it, which the next fetch tells.
func (r *sealReader) fetch(buf []byte) (chunk []byte, last bool, err error) {
	n, err := io.ReadFull(r.src, buf)
	switch {
	case errors.Is(err, io.EOF):
		return nil, true, nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return buf[:n], true, nil
	case err != nil:
		return nil, false, err
	}
	return buf, false, nil
}

// Read implements io.Reader. Bytes come out only once their chunk has been
// found genuine.
func (r *sealReader) Read(p []byte) (int, error) {
	for len(r.plain) == 0 && r.err == nil {
		r.open()
	}
	if len(r.plain) == 0 {
		return 0, r.err
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

func (r *sealReader) open() {
	if r.next == nil {
		r.err = io.EOF
		return
	}
	now, last := r.next, r.last
	r.next = nil
	if !last {
		r.next, r.last, r.err = r.fetch(r.spare)
		if r.err != nil {
			return
		}
		last = r.next == nil // the chunk before was full and the last
	}
	plain, err := r.aead.Open(now[:0], nonce(r.n, last), now, r.header)
	if err != nil || len(plain) == 0 && r.n > 0 {
		r.err = fmt.Errorf("chunk %d is not as it was sealed: %w", r.n, ErrCorrupt)
		return
	}
	r.n++
	r.plain, r.spare = plain, now[:cap(now)]
}
