package replicate

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/driftdb/driftdb/internal/envelope"
)

// bucket is a store and what its objects are sealed with.
type bucket struct {
	Store
	Encryption
}

func (b *bucket) sealed() bool { return len(b.Keys) > 0 }

// key returns the key that seals, the zero Key without encryption.
func (b *bucket) key() Key {
	if b.sealed() {
		return b.Keys[0]
	}
	return Key{}
}

// sealing returns the key that the object at k is sealed with, the zero Key for
// one in the clear.
func (b *bucket) sealing(k objectKey) Key {
	if !k.sealed {
		return Key{}
	}
	return b.key()
}

// trusts says whether the batch at k counts beyond the manifest's head. Up to
// head the sealed manifest vouches for what is in the clear, by its hashes;
// beyond it nothing does.
func (b *bucket) trusts(k objectKey) bool { return k.sealed || !b.sealed() || b.AcceptPlain }

// sealManifest returns the stored bytes of a manifest.
func (b *bucket) sealManifest(m *manifest) ([]byte, error) {
	plain, err := m.encode()
	if err != nil || !b.sealed() {
		return plain, err
	}
	var out bytes.Buffer
	w, err := envelope.NewWriter(&out, m.header(int64(len(plain))), b.key())
	if err != nil {
		return nil, err
	}
	if _, err = w.Write(plain); err == nil {
		err = w.Close()
	}
	return out.Bytes(), err
}

// openManifest reads the stored bytes of the manifest of the database db. One
// in the clear is refused where encryption is on: whoever can write to the
// bucket could have put it there.
func (b *bucket) openManifest(stored []byte, db string) (*manifest, error) {
	if !envelope.IsSealed(stored) {
		m, err := parseManifest(stored, db)
		if err == nil && b.sealed() && !b.AcceptPlain {
			return nil, fmt.Errorf("manifest: %w", ErrNotSealed)
		}
		return m, err
	}
	r, h, err := envelope.Open(bytes.NewReader(stored), int64(len(stored)), envelope.Ring(b.Keys))
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	m, err := parseManifest(plain, db)
	if errors.Is(err, ErrV1Manifest) {
		err = fmt.Errorf("manifest: a sealed one without a version: %w", ErrCorrupt)
	}
	if err != nil {
		return nil, err
	}
	if err := h.Match(m.header(int64(len(plain)))); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return m, nil
}

// header is the header of m when it is sealed.
func (m *manifest) header(length int64) envelope.Header {
	return envelope.Header{
		Kind: envelope.Manifest, Epoch: m.Epoch, Part: 1, Parts: 1, Length: length, DB: m.DBName, Node: m.NodeID, Seal: &envelope.Seal{},
	}
}
