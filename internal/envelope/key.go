package envelope

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// KeySize is the number of bytes in a Key.
const KeySize = 32

// Key is a master key: 32 random bytes. It seals nothing itself; every object
// has a key of its own that is derived from it. However it is printed or
// encoded, it shows as [redacted].
type Key struct{ b *[KeySize]byte }

// KeyID names a key without telling anything of it.
type KeyID [8]byte

func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// NewKey returns a random key.
func NewKey() Key {
	k := Key{new([KeySize]byte)}
	_, _ = rand.Read(k.b[:]) // never fails
	return k
}

// errKey does not say what was given: it may be all but a key.
var errKey = errors.New("a key is 32 bytes, written as 64 hexadecimal digits or as base64")

// ParseKey reads a key: 64 hexadecimal digits, or 32 bytes as standard or
// URL-safe base64 with or without padding.
func ParseKey(s string) (Key, error) {
	k := Key{new([KeySize]byte)}
	if len(s) == 2*KeySize {
		if n, err := hex.Decode(k.b[:], []byte(s)); err == nil && n == KeySize {
			return k, nil
		}
		return Key{}, errKey
	}
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if b, err := enc.Strict().DecodeString(s); err == nil && len(b) == KeySize && enc.EncodeToString(b) == s {
			copy(k.b[:], b)
			return k, nil
		}
	}
	return Key{}, errKey
}

// IsZero says whether k is no key.
func (k Key) IsZero() bool { return k.b == nil }

// ID returns the key's name in headers and errors.
func (k Key) ID() KeyID {
	var id KeyID
	copy(id[:], k.derive(nil, "driftdb2 key id", len(id)))
	return id
}

// Reveal returns the key as 64 hexadecimal digits, for where it is kept.
func (k Key) Reveal() string { return hex.EncodeToString(k.b[:]) }

const redacted = "[redacted]"

// String implements fmt.Stringer: the key is not shown.
func (Key) String() string { return redacted }

// GoString implements fmt.GoStringer: the key is not shown.
func (Key) GoString() string { return redacted }

// Format implements fmt.Formatter: no verb shows the key.
func (Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements slog.LogValuer: the key is not shown.
func (Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler: the key is not shown.
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// derive returns n bytes of HKDF-SHA256.
func (k Key) derive(salt []byte, info string, n int) []byte {
	b, _ := hkdf.Key(sha256.New, k.b[:], salt, info, n) // fails beyond 255 × 32 bytes only
	return b
}

// object returns the key of one object, and the commitment that says so to
// whoever opens it: AES-GCM alone lets one ciphertext open under two keys.
func (k Key) object(h *Header) (key, commitment []byte) {
	info := fmt.Sprintf("driftdb%d %v %s", Version, h.Kind, h.DB)
	b := k.derive(h.Seal.Salt[:], info, 2*KeySize)
	return b[:KeySize], b[KeySize:]
}

// Ring holds the keys of a database: the first seals, all open.
type Ring []Key

// ErrNoKey says that an object is sealed with a key that the ring does not
// have.
var ErrNoKey = errors.New("no key")

// ErrNotSealed says that an object is in the clear where a sealed one has to be.
var ErrNotSealed = errors.New("stored in the clear where encryption is on")

// find returns the key with the id.
func (r Ring) find(id KeyID) (Key, error) {
	for _, k := range r {
		if !k.IsZero() && k.ID() == id {
			return k, nil
		}
	}
	if len(r) == 0 {
		return Key{}, fmt.Errorf("encrypted with the key %v, and no key was given: %w", id, ErrNoKey)
	}
	have := make([]KeyID, len(r))
	for i, k := range r {
		have[i] = k.ID()
	}
	return Key{}, fmt.Errorf("encrypted with the key %v; the keys given are %v: %w", id, have, ErrNoKey)
}
