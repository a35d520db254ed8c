package envelope

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// Every gzip member behind the first one of an object says in its FEXTRA field,
// subfield "DS", how many bytes it has, so that several can be decompressed at once.
const (
	sizeField  = "DS\x04\x00"   // and four bytes, little-endian, as gzip has them
	sizeAt     = 16             // of these in a member
	memberHead = sizeAt + 4     // that must be read to know the size
	maxMember  = 2 * MemberSize // stored bytes; what does not compress grows by less than a thousandth
)

// sizeOf reads the size of the member that begins with head. ok is false for one
// that does not say it, as others write them.
func sizeOf(head []byte) (size int, ok bool) {
	const magic, extra, xlen = "\x1f\x8b\x08", 4, "\x08\x00"
	if len(head) < memberHead || string(head[:3]) != magic || head[3] != extra || string(head[10:12]) != xlen || string(head[12:sizeAt]) != sizeField {
		return 0, false
	}
	return int(binary.LittleEndian.Uint32(head[sizeAt:])), true
}

// members decompresses a gzip stream, several members at once where they say their
// sizes. One goroutine reads, some decompress, Read hands out in order; its memory is
// that of as many members as are under way.
type members struct {
	order chan *member // in the order of the stream; closed at its end
	free  chan *member
	work  chan *member
	quit  chan struct{}
	all   sync.WaitGroup
	stop  sync.Once

	current *member // being handed out
	rest    []byte
	err     error
}

// member is one under way. Its buffers are used again.
type member struct {
	stored bytes.Buffer
	plain  []byte // of MemberSize
	n      int    // plaintext bytes
	err    error
	done   chan struct{} // capacity 1
}

// newMembers goes on with src, whose first member's header zip has read.
func newMembers(zip *gzip.Reader, src *bufio.Reader, workers int) *members {
	r := &members{
		order: make(chan *member, workers+1), free: make(chan *member, workers+1), work: make(chan *member, workers+1), quit: make(chan struct{}),
	}
	for range workers + 1 {
		r.free <- &member{done: make(chan struct{}, 1)}
	}
	zip.Multistream(false)
	r.all.Go(func() {
		defer close(r.order)
		defer close(r.work)
		r.feed(zip, src)
	})
	for range workers {
		r.all.Go(func() {
			var zip gzip.Reader
			for m := range r.work {
				m.n, m.err = m.inflate(&zip)
				m.done <- struct{}{}
			}
		})
	}
	return r
}

// feed takes the stream apart. A member that does not say its size is decompressed
// here.
func (r *members) feed(zip *gzip.Reader, src *bufio.Reader) {
	for first := true; ; first = false {
		var m *member
		select {
		case <-r.quit:
			return
		case m = <-r.free:
		}
		var head []byte
		var err error
		if !first {
			head, err = src.Peek(memberHead)
			if len(head) == 0 && errors.Is(err, io.EOF) {
				return
			}
		}
		size, sized := sizeOf(head)
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			m.n, m.err = 0, err
		case sized && (size < memberHead || size > maxMember):
			m.n, m.err = 0, fmt.Errorf("a gzip member of %d bytes: %w", size, ErrCorrupt)
		case sized:
			m.stored.Reset()
			if m.n, m.err = 0, take(&m.stored, src, size); m.err != nil {
				break
			}
			r.order <- m // there is room for every one
			r.work <- m
			continue
		case first:
			m.n, m.err = m.fill(zip)
		default:
			m.n = 0
			if m.err = zip.Reset(src); m.err == nil {
				zip.Multistream(false)
				m.n, m.err = m.fill(zip)
			}
		}
		m.done <- struct{}{}
		r.order <- m
		if m.err != nil {
			return
		}
	}
}

// take copies size bytes, or says that they are not there.
func take(dst *bytes.Buffer, src io.Reader, size int) error {
	dst.Grow(size + bytes.MinRead) // it looks for more before it knows that there is none
	_, err := io.CopyN(dst, src, int64(size))
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (m *member) inflate(zip *gzip.Reader) (int, error) {
	src := bytes.NewReader(m.stored.Bytes())
	if err := zip.Reset(src); err != nil {
		return 0, err
	}
	zip.Multistream(false)
	n, err := m.fill(zip)
	if err == nil && src.Len() > 0 {
		err = fmt.Errorf("a gzip member ends %d bytes before it says: %w", src.Len(), ErrCorrupt)
	}
	return n, err
}

// fill reads a member to its end, which is behind MemberSize bytes at most.
func (m *member) fill(zip *gzip.Reader) (n int, err error) {
	if m.plain == nil {
		m.plain = make([]byte, MemberSize+1) // one byte more than there may be
	}
	for n < len(m.plain) {
		k, err := zip.Read(m.plain[n:])
		n += k
		switch {
		case errors.Is(err, io.EOF) && n <= MemberSize:
			return n, nil
		case err != nil && !errors.Is(err, io.EOF):
			return 0, err
		}
	}
	return 0, fmt.Errorf("a gzip member of more than %d bytes: %w", MemberSize, ErrCorrupt)
}

// Read implements io.Reader.
func (r *members) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if r.current != nil {
			r.free <- r.current
			r.current = nil
		}
		m, ok := <-r.order
		if !ok {
			r.err = io.EOF
			continue
		}
		<-m.done
		r.current, r.rest, r.err = m, m.plain[:m.n], m.err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Close ends what is under way and waits for it. A read of the source that is under
// way is waited for, too: whoever may not wait ends the source first.
func (r *members) Close() error {
	r.stop.Do(func() { close(r.quit) })
	r.all.Wait()
	r.rest, r.err = nil, io.ErrClosedPipe
	return nil
}
