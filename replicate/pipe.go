package replicate

import (
	"io"
	"os"
	"sync"

	"github.com/driftdb/driftdb/internal/durable"
)

const (
	pipeBlocks    = 4
	pipeBlockSize = 256 << 10
)

// pipe reads from a source in a goroutine of its own, a few blocks ahead of who
// reads from it: so that the stages of a restore, the store's stream, the
// decompression, the disk, each have a processor. Its memory is
// pipeBlocks × pipeBlockSize.
type pipe struct {
	full    chan block  // read, in order; closed after the last
	empty   chan []byte // to be filled
	quit    chan struct{}
	reader  sync.WaitGroup
	current block // being consumed
	rest    []byte
}

// block is what one read gave: data, and then the error, if there is one.
type block struct {
	data []byte
	err  error
}

// newPipe begins to read src. Nobody else reads from it until stop has returned.
func newPipe(src io.Reader) *pipe {
	p := &pipe{full: make(chan block, pipeBlocks), empty: make(chan []byte, pipeBlocks), quit: make(chan struct{})}
	for range pipeBlocks {
		p.empty <- make([]byte, pipeBlockSize)
	}
	p.reader.Go(func() { p.fill(src) })
	return p
}

func (p *pipe) fill(src io.Reader) {
	defer close(p.full)
	for {
		var b []byte
		select {
		case <-p.quit:
			return
		case b = <-p.empty:
		}
		n, err := 0, error(nil)
		for n < len(b) && err == nil {
			var k int
			k, err = src.Read(b[n:])
			n += k
		}
		p.full <- block{b[:n], err} // there is room for every block
		if err != nil {
			return
		}
	}
}

// Read implements io.Reader.
func (p *pipe) Read(to []byte) (int, error) {
	for len(p.rest) == 0 {
		if p.current.err != nil {
			return 0, p.current.err
		}
		if p.current.data != nil {
			p.empty <- p.current.data[:cap(p.current.data)]
		}
		next, ok := <-p.full
		if !ok {
			return 0, io.ErrClosedPipe // read after stop
		}
		p.current, p.rest = next, next.data
	}
	n := copy(to, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// WriteTo implements io.WriterTo, so that io.Copy needs no buffer.
func (p *pipe) WriteTo(w io.Writer) (written int64, err error) {
	for {
		n, err := w.Write(p.rest)
		written += int64(n)
		if err != nil {
			return written, err
		}
		p.rest = nil
		if p.current.err == io.EOF { //nolint:errorlint // as io.Copy does: a wrapped EOF is an error
			return written, nil
		}
		if p.current.err != nil {
			return written, p.current.err
		}
		if _, err := p.Read(nil); err != nil && err != io.EOF { //nolint:errorlint // see above
			return written, err
		}
	}
}

// stop ends the reading and waits for it. A read of the source that is under way
// is waited for: whoever may not wait ends the source first.
func (p *pipe) stop() {
	close(p.quit)
	p.reader.Wait()
}

const writeBackSize = 16 << 20

// writeBack writes a large file and has it brought to the disk meanwhile, so
// that the Sync at the end does not wait for all of it.
type writeBack struct {
	file     *os.File
	n, begun int64 // written; of which the system was told
}

// Write implements io.Writer.
func (w *writeBack) Write(b []byte) (int, error) {
	n, err := w.file.Write(b)
	w.n += int64(n)
	if w.n-w.begun >= writeBackSize {
		durable.WriteBack(w.file, w.begun, w.n-w.begun)
		w.begun = w.n
	}
	return n, err
}
