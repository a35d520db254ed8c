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
	"time"
	"unicode"
)

// Errors of this package.
var (
	// ErrFormat is an object that the original does not write.
	ErrFormat = errors.New("not what the original DriftDB writes")
	// ErrVersion is a manifest of this version.
	ErrVersion = errors.New("a manifest of this version, which Restore reads")
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

// Name is the name that the original makes of a dbName: JavaScript's trim.
func Name(db string) string {
	return strings.TrimFunc(db, func(r rune) bool { return r == '\uFEFF' || r != '\u0085' && unicode.IsSpace(r) })
}

// ManifestKey is where the manifest of a database lies.
func ManifestKey(db string) string { return "databases/" + Name(db) + "/manifest.json" }

// Prefix is what the original puts before every key for a configured prefix: it
// takes one slash off its end, and knows no empty one.
func Prefix(configured string) string {
	if configured == "" {
		configured = "driftdb"
	}
	return strings.TrimSuffix(configured, "/") + "/"
}

// ParseManifest reads a manifest: plain JSON in any case.
func ParseManifest(b []byte) (Manifest, error) {
	var m Manifest
	var version struct {
		Version *int `json:"version"`
	}
	if err := errors.Join(json.Unmarshal(b, &m), json.Unmarshal(b, &version)); err != nil {
		return Manifest{}, fmt.Errorf("manifest: %w: %w", ErrFormat, err)
	}
	if version.Version != nil {
		return m, fmt.Errorf("manifest: %w: %w", ErrVersion, ErrFormat)
	}
	if m.NodeID == "" {
		return Manifest{}, fmt.Errorf("manifest: %w", ErrFormat)
	}
	return m, nil
}

// Place is where an object of a node lies.
type Place struct {
	Key      string
	Node     string
	From, To int64 // of a batch: sequences
	Time     int64 // of a snapshot: Unix milliseconds

	Modified time.Time // by the store's clock; Locate does not know it
}

// NodesPrefix is what the keys of all batches and snapshots of a database begin
// with.
func NodesPrefix(db string) string { return "databases/" + Name(db) + "/nodes/" }

// Locate reads a key. ok is false if it is neither a batch's nor a snapshot's. A
// node's id is whatever was configured, slashes and all.
func Locate(db, key string) (p Place, ok bool) {
	rest, ok := strings.CutPrefix(key, NodesPrefix(db))
	if !ok {
		return p, false
	}
	i := strings.LastIndexByte(rest, '/')
	if i < 0 {
		return p, false
	}
	p.Key = key
	dir, name := rest[:i], rest[i+1:]
	if node, found := strings.CutSuffix(dir, "/logs"); found {
		p.Node = node
		p.From, p.To, ok = sequences(name)
		return p, ok && node != ""
	}
	node, found := strings.CutSuffix(dir, "/snapshots")
	stem, named := strings.CutSuffix(name, ".sqlite")
	p.Node = node
	var err error
	p.Time, err = strconv.ParseInt(stem, 10, 64)
	return p, found && named && err == nil && node != ""
}

// sequences reads the name of a batch.
func sequences(name string) (from, to int64, ok bool) {
	name, ok = strings.CutSuffix(name, ".json")
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
// key is 32 bytes, or nil. It is tried first: what it opens is authentic, while
// the random bytes of an encrypted object may look like anything.
func Open(stored, key []byte) ([]byte, error) {
	if key == nil {
		if plain, ok := expand(stored); ok {
			return plain, nil
		}
		return nil, fmt.Errorf("neither plain nor gzip: %w", ErrKey)
	}
	plain, err := decrypt(stored, key)
	if errors.Is(err, ErrKey) {
		if open, ok := expand(stored); ok {
			return open, nil
		}
	}
	return plain, err
}

func decrypt(stored, key []byte) ([]byte, error) {
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
	if err != nil || int64(len(plain)) > maxObject {
		return nil, false
	}
	return plain, known(plain)
}

func known(b []byte) bool {
	return bytes.HasPrefix(b, []byte("SQLite format 3\x00")) || bytes.HasPrefix(b, []byte(`{"`)) && json.Valid(b)
}
