package replicate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/driftdb/driftdb/internal/envelope"
)

// Key is a master key, 32 random bytes. It is printed, logged and encoded as
// [redacted]; Reveal returns it for where it is kept.
type Key = envelope.Key

// Encryption seals what is stored: batches, snapshots and the manifest, with
// AES-256-GCM under a key for each object that is derived from the first of
// Keys. Without the key the bucket shows sizes, times, the names of database
// and nodes, epochs, sequence ranges and key ids; nothing of rows. The zero
// value stores in the clear.
type Encryption struct {
	// Keys are the ring: the first seals, all open. To change the key, put the
	// new one first, leave the old one behind it, and take a snapshot: the
	// newest state opens with the new key alone then. Older points, the snapshots
	// that Retention keeps among them, need the old key until pruning has deleted
	// them: until Verify succeeds with the new one alone. Defaults to none.
	Keys []Key

	// Source returns the ring from elsewhere, when Keys is empty: from a key
	// management service for instance. It is called before the store is used
	// for the first time. Defaults to none.
	Source func(ctx context.Context) ([]Key, error)

	// AcceptPlain reads a manifest in the clear although there are keys, to
	// turn encryption on for a backup that has none. Leave it away afterwards:
	// somebody who can write to the bucket could put an old state in its place.
	// Defaults to false: ErrNotSealed.
	AcceptPlain bool
}

func (e Encryption) validate() error {
	ids := make(map[envelope.KeyID]bool)
	for i, k := range e.Keys {
		switch {
		case k.IsZero():
			return fmt.Errorf("option Encryption.Keys[%d] is no key: use ParseKey, KeyFromEnv or KeyFile", i)
		case ids[k.ID()]:
			return fmt.Errorf("option Encryption.Keys has the key %v twice", k.ID())
		}
		ids[k.ID()] = true
	}
	if e.AcceptPlain && len(e.Keys) == 0 && e.Source == nil {
		return errors.New("option Encryption.AcceptPlain is for a backup that gets keys: Encryption.Keys is empty")
	}
	return nil
}

// NewKey returns a new random key. Keep what its Reveal returns: without it
// nothing that it sealed can be read again.
func NewKey() Key { return envelope.NewKey() }

// ParseKey reads a key: 64 hexadecimal digits, or 32 bytes as base64. The error
// does not show what was given.
func ParseKey(s string) (Key, error) { return envelope.ParseKey(s) }

// KeyFromEnv reads a key from an environment variable.
func KeyFromEnv(name string) (Key, error) {
	s := strings.TrimSpace(os.Getenv(name))
	if s == "" {
		return Key{}, fmt.Errorf("the environment variable %s is not set: it holds the encryption key", name)
	}
	k, err := ParseKey(s)
	if err != nil {
		return Key{}, fmt.Errorf("the environment variable %s: %w", name, err)
	}
	return k, nil
}

// KeysFromFile reads a ring from a file, one key a line, the one that seals
// first; empty lines and lines that begin with # are left out. A file that
// others may read is refused: its mode must be 0600 or less, except on Windows.
func KeysFromFile(path string) (keys []Key, err error) {
	f, err := os.Open(path) //nolint:gosec // the file that the user names
	if err != nil {
		return nil, fmt.Errorf("read the encryption keys: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the encryption keys: %w", err)
	}
	if mode := info.Mode(); !mode.IsRegular() || mode.Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("the key file %s has mode %v: make it a file that only its owner can read (chmod 600)", path, mode)
	}
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("read the encryption keys: %w", err)
	}
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		k, err := ParseKey(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, i+1, err)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("the key file %s holds no key", path)
	}
	return keys, nil
}

// unlock asks Source for the keys, once.
func (b *bucket) unlock(ctx context.Context) error {
	if b.Source == nil || len(b.Keys) > 0 {
		return nil
	}
	keys, err := b.Source(ctx)
	if err != nil {
		return fmt.Errorf("get the encryption keys: %w", err)
	}
	e := Encryption{Keys: keys, AcceptPlain: b.AcceptPlain}
	if err := e.validate(); err != nil {
		return fmt.Errorf("the keys of Encryption.Source: %w", err)
	}
	if len(keys) == 0 {
		return errors.New("Encryption.Source returned no key: nothing may be stored in the clear")
	}
	b.Keys = keys
	return nil
}
