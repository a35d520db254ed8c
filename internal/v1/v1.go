// Package v1 reads what the original DriftDB, the npm package, has stored in a
// bucket, and replays its logs into a database file. It writes none of it.
package v1

import (
	"bytes"
	"compress/gzip"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Errors of this package.
var (
	// ErrFormat is an object that the original does not write.
	ErrFormat = errors.New("not what the original DriftDB writes")
	// ErrKey is an encrypted object for which no key, or another one, was given.
	ErrKey = errors.New("the object is encrypted with another key, or damaged")
)

// maxObject bounds what an object may decompress to: the original cannot
// restore a file beyond 2 GiB.
const maxObject = 2 << 30

// Manifest is the original's manifest. Keys begin with "databases/".
type Manifest struct {
	DBName      string `json:"dbName"`
	NodeID      string `json:"nodeId"` // the last writer
	SnapshotKey string `json:"latestSnapshotKey"`
	SnapshotAt  int64  `json:"latestSnapshotTimestamp"` // Unix milliseconds
	Sequence    int64  `json:"latestLogSequence"`
	UpdatedAt   int64  `json:"updatedAt"` // Unix milliseconds
}

// ManifestKey is where the manifest of a database lies.
func ManifestKey(db string) string { return "databases/" + strings.TrimSpace(db) + "/manifest.json" }

// ParseManifest reads a manifest: plain JSON in any case.
func ParseManifest(b []byte) (Manifest, error) {
	var m Manifest
	var version struct {
		Version *int `json:"version"`
	}
	if err := errors.Join(json.Unmarshal(b, &m), json.Unmarshal(b, &version)); err != nil {
		return m, fmt.Errorf("manifest: %w: %w", ErrFormat, err)
	}
	if version.Version != nil || m.NodeID == "" {
		return m, fmt.Errorf("manifest: %w", ErrFormat)
	}
	return m, nil
}

// SnapshotNode returns whose snapshot lies at key.
func SnapshotNode(db, key string) (string, error) {
	rest, ok := strings.CutPrefix(key, "databases/"+strings.TrimSpace(db)+"/nodes/")
	i := strings.LastIndex(rest, "/snapshots/")
	if !ok || i < 0 {
		return "", fmt.Errorf("the snapshot's key %q: %w", key, ErrFormat)
	}
	return rest[:i], nil
}

// LogsPrefix is what the keys of a node's batches begin with.
func LogsPrefix(db, node string) string {
	return "databases/" + strings.TrimSpace(db) + "/nodes/" + node + "/logs/"
}

// Range returns the sequences in a batch's key.
func Range(key string) (from, to int64, ok bool) {
	name, ok := strings.CutSuffix(key[strings.LastIndexByte(key, '/')+1:], ".json")
	a, b, found := strings.Cut(name, "-")
	if !ok || !found || len(a) < 12 || len(b) < 12 {
		return 0, 0, false
	}
	from, err1 := strconv.ParseInt(a, 10, 64)
	to, err2 := strconv.ParseInt(b, 10, 64)
	return from, to, err1 == nil && err2 == nil && 0 < from && from <= to
}

// Open undoes encryption and compression of a batch or snapshot. What was done
// shows in the bytes; the metadata of the original's objects is only a hint. The
// key is 32 bytes, or nil.
func Open(stored, key []byte) ([]byte, error) {
	if plain, ok := expand(stored); ok {
		return plain, nil
	}
	if key == nil {
		return nil, fmt.Errorf("neither plain nor gzip: %w", ErrKey)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("the key: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	const iv, tag = 12, 16
	if len(stored) < iv+tag {
		return nil, fmt.Errorf("%d bytes: %w", len(stored), ErrKey)
	}
	sealed := append(bytes.Clone(stored[iv+tag:]), stored[iv:iv+tag]...)
	opened, err := gcm.Open(nil, stored[:iv], sealed, nil)
	if err != nil {
		return nil, ErrKey
	}
	plain, ok := expand(opened)
	if !ok {
		return nil, fmt.Errorf("decrypted, and then neither plain nor gzip: %w", ErrFormat)
	}
	return plain, nil
}

// expand gunzips b if it is gzip, and says whether the result is of a kind that
// the original stores.
func expand(b []byte) ([]byte, bool) {
	if known(b) {
		return b, true
	}
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, false
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxObject+1))
	if err != nil || len(plain) > maxObject {
		return nil, false
	}
	return plain, known(plain)
}

func known(b []byte) bool {
	return bytes.HasPrefix(b, []byte("SQLite format 3\x00")) || bytes.HasPrefix(b, []byte(`{"`))
}
