package replicate

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"github.com/driftdb/driftdb/internal/durable"
)

// sidecar is the directory beside a database file: section 2 of
// docs/format.md. It is locked from openSidecar to close.
type sidecar struct {
	file string // the database file, symbolic links resolved
	dir  string
	lock *flock.Flock
	node nodeFile

	fixed string // Options.NodeID
}

// id is the node's id.
func (s *sidecar) id() string {
	if s.fixed != "" {
		return s.fixed
	}
	return s.node.NodeID
}

// nodeFile is node.json.
type nodeFile struct {
	Version   int                  `json:"version"`
	NodeID    string               `json:"nodeId"`
	Databases map[string]nodeEntry `json:"databases"`
}

type nodeEntry struct {
	Marker *marker `json:"marker,omitempty"`
	// Behind is the claim token of the manifest that the file was found to be
	// an older state of: the next Prepare looks again, with nobody using the
	// file.
	Behind *token `json:"behind,omitempty"`
	// Claim is our newest claim, as far as we know. Another one in the manifest
	// says that somebody else has gone on.
	Claim *claimNote `json:"claim,omitempty"`
}

// claimNote is a claim that was sent, or was about to be.
type claimNote struct {
	Token    token  `json:"token"`
	Before   *token `json:"before,omitempty"` // the one before it, in case that it never arrives
	Released bool   `json:"released,omitempty"`
}

// has says whether t is a claim of ours.
func (c *claimNote) has(t token) bool {
	return c != nil && (c.Token == t || c.Before != nil && *c.Before == t)
}

// marker is there while a take-over is under way: tokens of ours that the
// manifest carries or may come to carry.
type marker struct {
	Confirmed *token    `json:"confirmed,omitempty"`
	Trying    []attempt `json:"trying,omitempty"`
}

// attempt is a claim that was sent, or was about to be. While the manifest that
// it replaces stands it can still take effect, long after its sender has died.
type attempt struct {
	Token token `json:"token"`
	Over  token `json:"over"` // the nonce of that manifest
}

// has says whether t is one of the tokens.
func (m *marker) has(t token) bool {
	return m != nil && (m.Confirmed != nil && *m.Confirmed == t ||
		slices.ContainsFunc(m.Trying, func(a attempt) bool { return a.Token == t }))
}

// standing returns the attempts that can still replace the manifest with this
// nonce.
func (m *marker) standing(nonce token) []attempt {
	if m == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(m.Trying), func(a attempt) bool { return a.Over != nonce })
}

// openSidecar makes and locks the directory beside the database file at path,
// which need not exist, and reads or makes node.json.
func openSidecar(path string) (*sidecar, error) {
	return openSidecarWithin(context.Background(), path, 0)
}

const lockPoll = 20 * time.Millisecond

// openSidecarWithin is openSidecar that waits for the lock, until ctx ends at most.
func openSidecarWithin(ctx context.Context, path string, wait time.Duration) (*sidecar, error) {
	file, err := resolve(path)
	if err != nil {
		return nil, err
	}
	s := &sidecar{file: file, dir: sidecarDir(file)}
	if err := os.Mkdir(s.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the directory beside the database: %w", err)
	}
	s.lock = flock.New(filepath.Join(s.dir, "lock"), flock.SetPermissions(0o600))
	locked, err := s.lock.TryLock()
	if !locked && err == nil && wait > 0 {
		waiting, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		if locked, err = s.lock.TryLockContext(waiting, lockPoll); errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			err = nil // still locked
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", s.lock.Path(), err), s.lock.Close())
	}
	if !locked {
		_ = s.lock.Close()
		return nil, fmt.Errorf("%s: %w", file, ErrLocked)
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// sidecarDir is the directory beside the resolved path of a database.
func sidecarDir(file string) string { return file + "-drift" }

// inTheWay says what a file at the path of a restore is: in use by another
// process, so that moving it away would harm, or only there.
func inTheWay(path, file string) error {
	if known, err := exists(sidecarDir(file)); err != nil || !known {
		return errors.Join(ErrExists, err)
	}
	side, err := openSidecar(path)
	if err != nil {
		return err
	}
	return errors.Join(ErrExists, side.close())
}

func (s *sidecar) nodePath() string { return filepath.Join(s.dir, "node.json") }

func (s *sidecar) load() error {
	b, err := os.ReadFile(s.nodePath())
	if errors.Is(err, fs.ErrNotExist) {
		var id [6]byte
		_, _ = rand.Read(id[:]) // never fails
		s.node = nodeFile{Version: formatVersion, NodeID: hex.EncodeToString(id[:])}
		return s.save()
	}
	if err != nil {
		return fmt.Errorf("read the node's id: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&s.node); err != nil {
		return fmt.Errorf("%s is damaged (%w); without it this machine counts as a new node", s.nodePath(), err)
	}
	if s.node.Version > formatVersion {
		return fmt.Errorf("%s: version %d: %w", s.nodePath(), s.node.Version, ErrVersion)
	}
	if err := checkName("node id", s.node.NodeID); err != nil {
		return fmt.Errorf("%s is damaged: %w; without it this machine counts as a new node", s.nodePath(), err)
	}
	return nil
}

func (s *sidecar) save() error {
	if s.node.Databases == nil {
		s.node.Databases = map[string]nodeEntry{}
	}
	b, err := json.Marshal(s.node)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(s.nodePath(), b, 0o600); err != nil {
		return fmt.Errorf("write the node's id: %w", err)
	}
	return nil
}

// entry returns what is kept for the database called name.
func (s *sidecar) entry(name string) nodeEntry { return s.node.Databases[name] }

// setEntry keeps e for the database called name: it is on the disk when
// setEntry returns.
func (s *sidecar) setEntry(name string, e nodeEntry) error {
	old, had := s.node.Databases[name]
	if e == old {
		return nil
	}
	if e == (nodeEntry{}) {
		delete(s.node.Databases, name)
	} else {
		s.node.Databases[name] = e
	}
	err := s.save()
	if err != nil && had {
		s.node.Databases[name] = old
	}
	return err
}

// clean removes partial copies that a process left behind when it died. The
// lock says that nobody is at work on them.
func (s *sidecar) clean() error {
	for _, pattern := range []string{"snapshot-*", "restore-*", "pack-*"} {
		left, err := filepath.Glob(filepath.Join(escapeGlob(s.dir), pattern))
		if err != nil {
			return err
		}
		for _, dir := range left {
			if err := os.RemoveAll(dir); err != nil {
				return fmt.Errorf("remove a partial copy: %w", err)
			}
		}
	}
	return nil
}

// close lets go of the lock. The lock file stays: a lock on a file that was
// replaced would lock nobody out.
func (s *sidecar) close() error {
	if err := s.lock.Close(); err != nil {
		return fmt.Errorf("unlock %s: %w", s.lock.Path(), err)
	}
	return nil
}

// resolve returns the path that the database file has or will have once every
// symbolic link is followed, a dangling one included.
func resolve(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("resolve %s: %w", path, err)
	}
	for range 40 {
		dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
		if err != nil {
			return "", fmt.Errorf("resolve %s: %w", path, err)
		}
		abs = filepath.Join(dir, filepath.Base(abs))
		if info, err := os.Lstat(abs); err != nil || info.Mode()&fs.ModeSymlink == 0 {
			return abs, nil //nolint:nilerr // nothing there yet: the name stands
		}
		target, err := os.Readlink(abs)
		if err != nil {
			return "", fmt.Errorf("resolve %s: %w", path, err)
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(dir, target)
		}
		abs = target
	}
	return "", fmt.Errorf("resolve %s: too many symbolic links", path)
}
