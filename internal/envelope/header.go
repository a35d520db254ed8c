package envelope

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Errors of this package.
var (
	// ErrCorrupt: the bytes are not what a writer of this format writes, or not
	// the object that was asked for.
	ErrCorrupt = errors.New("the stored bytes are damaged")

	// ErrVersion: a newer version of the format.
	ErrVersion = errors.New("written by a newer version of DriftDB; upgrade this program")

	// ErrNotSupported: a part of the format that this version does not read.
	ErrNotSupported = errors.New("not supported by this version")
)

// Version is the format's version in every header.
const Version = 2

// Kind is what an object holds.
type Kind uint8

// Kinds of objects.
const (
	Batch    Kind = 1
	Snapshot Kind = 2
	Pack     Kind = 3
	Manifest Kind = 4
)

func (k Kind) String() string {
	switch k {
	case Batch:
		return "batch"
	case Snapshot:
		return "snapshot"
	case Pack:
		return "pack"
	case Manifest:
		return "manifest"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Flags of a header.
const (
	flagGzip   = 1
	flagSealed = 2
)

// Header is the identity of an object.
type Header struct {
	Kind        Kind
	Gzip        bool
	Epoch       uint32
	From, To    int64 // sequences; a snapshot has From 0 and its own sequence in To
	Part, Parts uint16
	Length      int64 // bytes of the plaintext before gzip
	DB, Node    string
	Seal        *Seal // nil: not encrypted
}

// Seal is what the header of an encrypted object says about its key.
type Seal struct {
	KeyID      KeyID
	Salt       [32]byte
	Commitment [32]byte
}

const (
	magic     = "DRIFTDB\x00"
	fixedSize = 44
	sealSize  = 8 + 32 + 32

	// MaxHeader is the largest number of bytes a header takes.
	MaxHeader = fixedSize + 2*(1+255) + sealSize
)

// check says whether h can be written: ParseHeader accepts nothing else.
func (h *Header) check() error {
	switch {
	case h.Kind < Batch || h.Kind > Manifest:
		return fmt.Errorf("header: %v is no kind of object", h.Kind)
	case h.From < 0 || h.To < h.From || h.Length < 0:
		return fmt.Errorf("header: range %d-%d of %d bytes is impossible", h.From, h.To, h.Length)
	case h.Kind == Snapshot && h.From != 0:
		return fmt.Errorf("header: a snapshot begins at 0, not %d", h.From)
	case h.Part < 1 || h.Part > h.Parts:
		return fmt.Errorf("header: part %d of %d is impossible", h.Part, h.Parts)
	case h.Kind != Batch && h.Parts != 1:
		return fmt.Errorf("header: a %v has one part, not %d", h.Kind, h.Parts)
	case h.DB == "" || len(h.DB) > math.MaxUint8:
		return fmt.Errorf("header: database name of %d bytes", len(h.DB))
	case h.Node == "" || len(h.Node) > math.MaxUint8:
		return fmt.Errorf("header: node id of %d bytes", len(h.Node))
	}
	return nil
}

// Append appends the encoded header to b.
func (h *Header) Append(b []byte) ([]byte, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	var flags byte
	if h.Gzip {
		flags |= flagGzip
	}
	if h.Seal != nil {
		flags |= flagSealed
	}
	b = append(b, magic...)
	b = append(b, Version, flags, byte(h.Kind), 0)
	b = binary.BigEndian.AppendUint32(b, h.Epoch)
	b = binary.BigEndian.AppendUint64(b, uint64(h.From))
	b = binary.BigEndian.AppendUint64(b, uint64(h.To))
	b = binary.BigEndian.AppendUint16(b, h.Part)
	b = binary.BigEndian.AppendUint16(b, h.Parts)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Length))
	b = append(b, byte(len(h.DB)))
	b = append(b, h.DB...)
	b = append(b, byte(len(h.Node)))
	b = append(b, h.Node...)
	if h.Seal != nil {
		b = append(b, h.Seal.KeyID[:]...)
		b = append(b, h.Seal.Salt[:]...)
		b = append(b, h.Seal.Commitment[:]...)
	}
	return b, nil
}

// ParseHeader decodes b, which holds one header and nothing else. What it
// accepts, Append encodes to the same bytes.
func ParseHeader(b []byte) (Header, error) {
	var h Header
	if len(b) < fixedSize || string(b[:8]) != magic {
		return h, fmt.Errorf("header: no magic: %w", ErrCorrupt)
	}
	if b[8] > Version {
		return h, fmt.Errorf("header: version %d: %w", b[8], ErrVersion)
	}
	if b[8] != Version || b[9]&^(flagGzip|flagSealed) != 0 || b[11] != 0 {
		return h, fmt.Errorf("header: version %d, flags %#x: %w", b[8], b[9], ErrCorrupt)
	}
	h.Gzip = b[9]&flagGzip != 0
	h.Kind = Kind(b[10])
	h.Epoch = binary.BigEndian.Uint32(b[12:])
	// A value that does not fit turns negative and is refused by check.
	h.From = int64(binary.BigEndian.Uint64(b[16:]))
	h.To = int64(binary.BigEndian.Uint64(b[24:]))
	h.Part = binary.BigEndian.Uint16(b[32:])
	h.Parts = binary.BigEndian.Uint16(b[34:])
	h.Length = int64(binary.BigEndian.Uint64(b[36:]))
	rest := b[fixedSize:]
	var err error
	if h.DB, rest, err = takeString(rest); err != nil {
		return h, err
	}
	if h.Node, rest, err = takeString(rest); err != nil {
		return h, err
	}
	if b[9]&flagSealed != 0 {
		if len(rest) < sealSize {
			return h, fmt.Errorf("header: cut short: %w", ErrCorrupt)
		}
		h.Seal = &Seal{}
		copy(h.Seal.KeyID[:], rest)
		copy(h.Seal.Salt[:], rest[8:])
		copy(h.Seal.Commitment[:], rest[40:])
		rest = rest[sealSize:]
	}
	if len(rest) != 0 {
		return h, fmt.Errorf("header: %d bytes too many: %w", len(rest), ErrCorrupt)
	}
	if err := h.check(); err != nil {
		return h, fmt.Errorf("%w: %w", err, ErrCorrupt)
	}
	return h, nil
}

func takeString(b []byte) (string, []byte, error) {
	if len(b) == 0 || len(b)-1 < int(b[0]) {
		return "", nil, fmt.Errorf("header: cut short: %w", ErrCorrupt)
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], nil
}

// Match returns an error that names the first field in which h is not the
// wanted object. A want.Length below 0 means any length.
func (h *Header) Match(want Header) error {
	differ := func(field string, have, want any) error {
		return fmt.Errorf("header says %s %v where %v belongs: %w", field, have, want, ErrCorrupt)
	}
	switch {
	case (h.Seal != nil) != (want.Seal != nil):
		return differ("sealed", h.Seal != nil, want.Seal != nil)
	case h.Kind != want.Kind:
		return differ("kind", h.Kind, want.Kind)
	case h.Gzip != want.Gzip:
		return differ("gzip", h.Gzip, want.Gzip)
	case h.DB != want.DB:
		return differ("database", h.DB, want.DB)
	case h.Node != want.Node:
		return differ("node", h.Node, want.Node)
	case h.Epoch != want.Epoch:
		return differ("epoch", h.Epoch, want.Epoch)
	case h.From != want.From:
		return differ("from", h.From, want.From)
	case h.To != want.To:
		return differ("to", h.To, want.To)
	case h.Part != want.Part || h.Parts != want.Parts:
		return differ("part", fmt.Sprintf("%d/%d", h.Part, h.Parts), fmt.Sprintf("%d/%d", want.Part, want.Parts))
	case want.Length >= 0 && h.Length != want.Length:
		return differ("length", h.Length, want.Length)
	}
	return nil
}
