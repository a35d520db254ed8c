package replicate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/envelope"
)

// maxPackIndex bounds what is read of an index.
const maxPackIndex = 16 << 20

// packed is one batch in the index of a pack: section 4.5 of docs/format.md.
type packed struct {
	Name   string `json:"name"` // the last part of its key
	Offset int64  `json:"offset"`
	Size   int64  `json:"size"`
}

// packReader reads a pack as one stream.
type packReader struct {
	src   io.Reader
	key   objectKey
	index []packed
	at    int
}

// openPack reads the header and the index of the pack at key.
func openPack(src io.Reader, key objectKey) (*packReader, error) {
	want := key.header()
	want.Length = 0
	head, err := want.Append(nil)
	if err != nil {
		return nil, err
	}
	want.Length = -1
	if _, err := io.ReadFull(src, head); err != nil {
		return nil, short(err)
	}
	h, err := envelope.ParseHeader(head)
	if err == nil {
		err = h.Match(want)
	}
	if err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(src, size[:]); err != nil {
		return nil, short(err)
	}
	n := int64(binary.BigEndian.Uint32(size[:]))
	if n > maxPackIndex || n > h.Length {
		return nil, fmt.Errorf("its index is said to have %d bytes: %w", n, ErrCorrupt)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(src, text); err != nil {
		return nil, short(err)
	}
	p := &packReader{src: src, key: key}
	if err := json.Unmarshal(text, &p.index); err != nil {
		return nil, fmt.Errorf("its index: %w: %w", err, ErrCorrupt)
	}
	return p, p.check(h.Length - 4 - n)
}

// check asserts that the batches follow each other and fill the pack.
func (p *packReader) check(content int64) error {
	next, offset := p.key.from, int64(0)
	for i := range p.index {
		k, err := p.batch(i)
		if err != nil {
			return fmt.Errorf("its index: %w: %w", err, ErrCorrupt)
		}
		if k.from != next || p.index[i].Offset != offset || p.index[i].Size < 0 {
			return fmt.Errorf("its index is wrong at %s: %w", p.index[i].Name, ErrCorrupt)
		}
		next, offset = k.to+1, offset+p.index[i].Size
	}
	if next != p.key.to+1 || offset != content {
		return fmt.Errorf("its index does not cover it: %w", ErrCorrupt)
	}
	return nil
}

// batch returns the key of the batch i where it stood alone.
func (p *packReader) batch(i int) (objectKey, error) {
	k, err := parseKey(logsPrefix(p.key.db, p.key.node, p.key.epoch) + p.index[i].Name)
	if err == nil && k.kind != envelope.Batch {
		err = errors.New("not a batch")
	}
	return k, err
}

// next returns the next batch as it is stored, and io.EOF behind the last one.
// Batches up to the sequence after are passed over.
func (p *packReader) next(after int64) (objectKey, []byte, error) {
	for p.at < len(p.index) {
		k, err := p.batch(p.at)
		if err != nil {
			return k, nil, err
		}
		size := p.index[p.at].Size
		p.at++
		if k.to <= after {
			if _, err := io.CopyN(io.Discard, p.src, size); err != nil {
				return k, nil, short(err)
			}
			continue
		}
		b, err := io.ReadAll(io.LimitReader(p.src, size))
		if err != nil {
			return k, nil, err
		}
		if int64(len(b)) < size {
			return k, nil, short(io.ErrUnexpectedEOF)
		}
		return k, b, nil
	}
	if n, err := io.Copy(io.Discard, p.src); err != nil || n > 0 {
		return objectKey{}, nil, errors.Join(err, fmt.Errorf("%d bytes follow the last batch: %w", n, ErrCorrupt))
	}
	return objectKey{}, nil, io.EOF
}

// short names the end of the bytes where more were due.
func short(err error) error {
	if isAny(err, io.EOF, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it ends too early: %w", ErrCorrupt)
	}
	return err
}

// packError is an error of reading a pack.
type packError struct {
	key objectKey
	err error
}

func (e *packError) Error() string { return fmt.Sprintf("pack %s: %v", e.key, e.err) }

func (e *packError) Unwrap() error { return e.err }

// readPack calls each for the batches of a pack that end beyond after. It
// returns how many bytes were read.
func readPack(ctx context.Context, store *bucket, key objectKey, e packEntry, after int64, each func(*changelog.Document) error) (n int64, err error) {
	defer func() {
		if err != nil {
			err = &packError{key, err}
		}
	}()
	body, info, err := store.Get(ctx, key.String())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	counted := newBodyReader(body, info)
	defer func() { n = counted.n }()
	sum := sha256.New()
	p, err := openPack(io.TeeReader(counted, sum), key)
	if err != nil {
		return 0, err
	}
	for {
		k, stored, err := p.next(after)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		d, err := parseStored(store, k, stored)
		if err != nil {
			return 0, err
		}
		if err := each(d); err != nil {
			return 0, err
		}
	}
	if counted.n != e.StoredSize || hash(sum.Sum(nil)) != e.StoredSHA256 {
		return 0, fmt.Errorf("size or sum differ from the manifest's: %w", ErrCorrupt)
	}
	return 0, nil
}

// parseStored reads a batch from its stored bytes.
func parseStored(store *bucket, k objectKey, stored []byte) (*changelog.Document, error) {
	plain, _, err := readPlain(store, bytes.NewReader(stored), Info{Size: int64(len(stored))}, k)
	if err != nil {
		return nil, fmt.Errorf("batch %s: %w", k, err)
	}
	d, err := parseDocument(k, plain)
	if err != nil {
		return nil, fmt.Errorf("batch %s: %w", k, err)
	}
	return d, nil
}

// eachStored calls each for the batches in a stored one, or in a stored pack.
func eachStored(src io.Reader, key objectKey, each func(objectKey, []byte) error) error {
	if key.kind == envelope.Batch {
		stored, err := io.ReadAll(src)
		if err != nil {
			return err
		}
		return each(key, stored)
	}
	p, err := openPack(src, key)
	if err != nil {
		return err
	}
	for {
		k, b, err := p.next(0)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := each(k, b); err != nil {
			return err
		}
	}
}
