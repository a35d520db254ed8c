package replicate

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
)

// packFile collects the batches of a pack as they are stored, in their order: in
// memory up to packKept bytes, and then in a temporary file of dir.
type packFile struct {
	dir   string
	index []packed
	size  int64 // of the batches
	head  []byte
	few   []byte // all of them, or those that are not in file yet
	file  *os.File
}

// add puts a batch behind the others.
func (p *packFile) add(name string, stored []byte) error {
	p.index = append(p.index, packed{Name: name, Offset: p.size, Size: int64(len(stored))})
	p.size += int64(len(stored))
	p.few = append(p.few, stored...)
	if len(p.few) <= packKept {
		return nil
	}
	if p.file == nil {
		var err error
		if p.file, err = os.CreateTemp(p.dir, "pack-"); err != nil {
			return err
		}
	}
	_, err := p.file.Write(p.few)
	p.few = p.few[:0]
	return err
}

// packMark is how far a packFile had come.
type packMark struct {
	batches int
	size    int64
}

func (p *packFile) mark() packMark { return packMark{len(p.index), p.size} }

// reset takes away what was added since m.
func (p *packFile) reset(m packMark) error {
	inFile := p.size - int64(len(p.few))
	p.index, p.size = p.index[:m.batches], m.size
	if m.size >= inFile {
		p.few = p.few[:m.size-inFile]
		return nil
	}
	p.few = p.few[:0]
	if err := p.file.Truncate(m.size); err != nil {
		return err
	}
	_, err := p.file.Seek(m.size, io.SeekStart)
	return err
}

// finish makes the header and the index of the pack at key.
func (p *packFile) finish(key objectKey) error {
	text, err := json.Marshal(p.index)
	if err != nil {
		return err
	}
	h := key.header()
	h.Length = 4 + int64(len(text)) + p.size
	if p.head, err = h.Append(nil); err != nil {
		return err
	}
	p.head = binary.BigEndian.AppendUint32(p.head, uint32(len(text)))
	p.head = append(p.head, text...)
	return nil
}

// body is the finished pack.
func (p *packFile) body() Body {
	return Body{Size: p.total(), Open: func() (io.ReadCloser, error) {
		return struct {
			*io.SectionReader
			io.Closer
		}{p.reader(), io.NopCloser(nil)}, nil
	}}
}

// total is the size of the finished pack.
func (p *packFile) total() int64 { return int64(len(p.head)) + p.size }

// reader reads the finished pack, at any place.
func (p *packFile) reader() *io.SectionReader {
	all := concat{bytes.NewReader(p.head)}
	if p.file != nil {
		all = append(all, io.NewSectionReader(p.file, 0, p.size-int64(len(p.few))))
	}
	return io.NewSectionReader(append(all, bytes.NewReader(p.few)), 0, p.total())
}

// concat is what it holds, one behind the other.
type concat []interface {
	io.ReaderAt
	Size() int64
}

// ReadAt implements io.ReaderAt.
func (c concat) ReadAt(to []byte, off int64) (n int, err error) {
	for _, part := range c {
		if off >= part.Size() {
			off -= part.Size()
			continue
		}
		want := min(int64(len(to)-n), part.Size()-off)
		k, err := part.ReadAt(to[n:n+int(want)], off)
		if n += k; int64(k) < want {
			return n, errors.Join(io.ErrUnexpectedEOF, err)
		}
		if off = 0; n == len(to) {
			return n, nil
		}
	}
	return n, io.EOF
}

// sum returns the SHA-256 of the finished pack.
func (p *packFile) sum() (hash, error) {
	h := sha256.New()
	_, err := io.Copy(h, p.reader())
	return hash(h.Sum(nil)), err
}

// kept returns the finished pack where it is in memory, nil where it is not.
func (p *packFile) kept() []byte {
	if p.file != nil {
		return nil
	}
	return append(p.head, p.few...)
}

// close removes the temporary file.
func (p *packFile) close() error {
	if p.file == nil {
		return nil
	}
	return errors.Join(p.file.Close(), os.Remove(p.file.Name()))
}
