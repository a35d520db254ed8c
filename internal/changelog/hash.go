package changelog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// Hash is a link's value in the hash chain, a SHA-256. It prints as 64
// lower-case hex digits.
type Hash [32]byte

// Hash0 is the hash before the first batch of the database called db.
func Hash0(db string) Hash {
	return sha256.Sum256([]byte("driftdb2\x00" + db))
}

// Chain returns the hash of the batch with the given canonical plaintext that
// follows prev.
func Chain(prev Hash, canonical []byte) Hash {
	return chain(prev, canonical)
}

// chain is Chain over a plaintext in pieces.
func chain(prev Hash, canonical ...[]byte) Hash {
	h := sha256.New()
	h.Write(prev[:])
	for _, c := range canonical {
		h.Write(c)
	}
	var sum Hash
	h.Sum(sum[:0])
	return sum
}

// ParseHash reads 64 lower-case hex digits.
func ParseHash(s string) (Hash, error) {
	var h Hash
	err := h.UnmarshalText([]byte(s))
	return h, err
}

// String returns 64 lower-case hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(b []byte) error {
	if len(b) != 2*len(h) || bytes.ContainsAny(b, "ABCDEF") {
		return errors.New("a hash is 64 lower-case hex digits")
	}
	if _, err := hex.Decode(h[:], b); err != nil {
		return fmt.Errorf("a hash is 64 lower-case hex digits: %w", err)
	}
	return nil
}
