package replicate

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/driftdb/driftdb/internal/envelope"
)

const (
	formatVersion = 2

	// maxManifest bounds what is read of a manifest.
	maxManifest = 16 << 20
)

// link is a point of the hash chain.
type link struct {
	Sequence int64 `json:"sequence"`
	Hash     hash  `json:"hash"`
	MaxTime  int64 `json:"maxTime"` // newest timestamp up to here, Unix ms
}

func (l link) is(o link) bool { return l.Sequence == o.Sequence && l.Hash == o.Hash }

// lineageEntry is an epoch before the manifest's own. A nil End is an epoch
// that a take-over has fenced and not yet frozen.
type lineageEntry struct {
	Node  string `json:"node"`
	Epoch uint32 `json:"epoch"`
	End   *link  `json:"end"`
}

type snapshotEntry struct {
	Key          string `json:"key"`
	Sequence     int64  `json:"sequence"`
	Hash         hash   `json:"hash"`
	Time         int64  `json:"time"`
	MaxTime      int64  `json:"maxTime"`
	Length       int64  `json:"length"`
	SHA256       hash   `json:"sha256"`
	StoredSize   int64  `json:"storedSize"`
	StoredSHA256 hash   `json:"storedSha256"`
}

func (s snapshotEntry) link() link {
	return link{Sequence: s.Sequence, Hash: s.Hash, MaxTime: s.MaxTime}
}

type packEntry struct {
	Key          string `json:"key"`
	From         int64  `json:"from"`
	To           int64  `json:"to"`
	PrevHash     hash   `json:"prevHash"`
	Hash         hash   `json:"hash"`
	MaxTime      int64  `json:"maxTime"`
	StoredSize   int64  `json:"storedSize"`
	StoredSHA256 hash   `json:"storedSha256"`
}

// pointEntry is a point that somebody has given a name: Replica.Mark.
type pointEntry struct {
	Name     string `json:"name"`
	Sequence int64  `json:"sequence"`
	Hash     hash   `json:"hash"`
	Time     int64  `json:"time"` // when it was marked, Unix ms
	MaxTime  int64  `json:"maxTime"`
}

func (p pointEntry) link() link {
	return link{Sequence: p.Sequence, Hash: p.Hash, MaxTime: p.MaxTime}
}

// manifest is the one object that is ever changed: section 4.4 of
// docs/format.md. The order of the fields is the order of the members.
type manifest struct {
	Version    int             `json:"version"`
	DBName     string          `json:"dbName"`
	Revision   int64           `json:"revision"`
	Nonce      token           `json:"nonce"`
	Epoch      uint32          `json:"epoch"`
	NodeID     string          `json:"nodeId"`
	ClaimToken token           `json:"claimToken"`
	ClaimedAt  int64           `json:"claimedAt"`
	Released   bool            `json:"released"`
	Head       link            `json:"head"`
	Floor      link            `json:"floor"`
	Lineage    []lineageEntry  `json:"lineage"`
	Snapshots  []snapshotEntry `json:"snapshots"`
	Packs      []packEntry     `json:"packs"`
	Points     []pointEntry    `json:"points"`
	Gaps       []gapEntry      `json:"gaps,omitempty"`
	PrunedAt   int64           `json:"prunedAt,omitempty"` // when what nothing needs was deleted last, or counting began, Unix ms
	UpdatedAt  int64           `json:"updatedAt"`
}

// clone copies m so that the copy may be changed.
func (m *manifest) clone() *manifest {
	c := *m
	c.Lineage = slices.Clone(m.Lineage)
	c.Snapshots = slices.Clone(m.Snapshots)
	c.Packs = slices.Clone(m.Packs)
	c.Points = slices.Clone(m.Points)
	c.Gaps = slices.Clone(m.Gaps)
	return &c
}

// open returns the index in the lineage of the epoch that is not frozen, or -1.
func (m *manifest) open() int {
	return slices.IndexFunc(m.Lineage, func(l lineageEntry) bool { return l.End == nil })
}

// newest returns the newest snapshot named.
func (m *manifest) newest() (snapshotEntry, bool) {
	if len(m.Snapshots) == 0 {
		return snapshotEntry{}, false
	}
	return m.Snapshots[len(m.Snapshots)-1], true
}

// names says whether m names the snapshot at key.
func (m *manifest) names(key string) bool {
	return slices.ContainsFunc(m.Snapshots, func(s snapshotEntry) bool { return s.Key == key })
}

// closeEpoch adds a lineage entry that ends at end, unless no batch of it
// counts: then its number is only never used again.
func (m *manifest) closeEpoch(node string, epoch uint32, end link) {
	before := m.Floor.Sequence
	for _, l := range m.Lineage {
		if l.End != nil {
			before = max(before, l.End.Sequence)
		}
	}
	if end.Sequence > before {
		m.Lineage = append(m.Lineage, lineageEntry{Node: node, Epoch: epoch, End: &end})
	}
}

// trim drops lineage entries and gaps that nothing needs.
func (m *manifest) trim() {
	m.Lineage = slices.DeleteFunc(m.Lineage, func(l lineageEntry) bool {
		return l.End != nil && l.End.Sequence <= m.Floor.Sequence
	})
	m.Gaps = slices.DeleteFunc(m.Gaps, func(g gapEntry) bool { return g.To.Sequence <= m.Floor.Sequence })
}

func (m *manifest) encode() ([]byte, error) {
	c := m.clone()
	if c.Lineage == nil {
		c.Lineage = []lineageEntry{}
	}
	if c.Snapshots == nil {
		c.Snapshots = []snapshotEntry{}
	}
	if c.Packs == nil {
		c.Packs = []packEntry{}
	}
	if c.Points == nil {
		c.Points = []pointEntry{}
	}
	if err := c.check(m.DBName); err != nil {
		return nil, fmt.Errorf("manifest to be written: %w", err)
	}
	return json.Marshal(c)
}

// parseManifest accepts what encode writes and nothing else.
func parseManifest(b []byte, db string) (*manifest, error) {
	var probe struct {
		Version *json.Number `json:"version"`
	}
	if err := json.Unmarshal(b, &probe); err != nil {
		return nil, fmt.Errorf("manifest: not JSON: %w", ErrCorrupt)
	}
	if probe.Version == nil {
		return nil, ErrV1Manifest
	}
	if v, err := probe.Version.Int64(); err != nil || v != formatVersion {
		if err == nil && v > formatVersion {
			return nil, fmt.Errorf("manifest of version %d: %w", v, ErrVersion)
		}
		return nil, fmt.Errorf("manifest of version %q: %w", probe.Version.String(), ErrCorrupt)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	m := &manifest{}
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("manifest: %w: %w", err, ErrCorrupt)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("manifest: bytes after the end: %w", ErrCorrupt)
	}
	if err := m.check(db); err != nil {
		return nil, fmt.Errorf("manifest: %w: %w", err, ErrCorrupt)
	}
	if again, err := m.encode(); err != nil || !bytes.Equal(again, b) {
		return nil, fmt.Errorf("manifest: not in the form this format has: %w", ErrCorrupt)
	}
	return m, nil
}

// check asserts what holds for every manifest.
func (m *manifest) check(db string) error {
	if m.DBName != db {
		return fmt.Errorf("it is of database %q, not %q", m.DBName, db)
	}
	if err := checkName("node", m.NodeID); err != nil {
		return err
	}
	if m.Version != formatVersion || m.Revision < 1 || m.Epoch < 1 || m.Nonce == (token{}) || m.ClaimToken == (token{}) {
		return errors.New("version, revision, epoch, nonce or token is missing")
	}
	if m.Floor.Sequence < 0 || m.Head.Sequence < m.Floor.Sequence {
		return fmt.Errorf("head %d lies before floor %d", m.Head.Sequence, m.Floor.Sequence)
	}
	if err := m.checkLineage(); err != nil {
		return err
	}
	last := m.Floor.Sequence
	for _, s := range m.Snapshots {
		k, err := parseKey(s.Key)
		if err != nil {
			return err
		}
		if k.kind != envelope.Snapshot || k.db != db || k.to != s.Sequence || k.epoch > m.Epoch || s.Length < 0 || s.StoredSize < 0 {
			return fmt.Errorf("snapshot entry does not agree with its key %s", s.Key)
		}
		if s.Sequence < last || s.Sequence > m.Head.Sequence {
			return fmt.Errorf("snapshot %d is out of order", s.Sequence)
		}
		last = s.Sequence
	}
	last = 0
	for _, p := range m.Packs {
		k, err := parseKey(p.Key)
		if err != nil {
			return err
		}
		if k.kind != envelope.Pack || k.db != db || k.from != p.From || k.to != p.To || k.epoch > m.Epoch || p.StoredSize < 0 {
			return fmt.Errorf("pack entry does not agree with its key %s", p.Key)
		}
		if p.From <= last || p.To > m.Head.Sequence {
			return fmt.Errorf("pack %d-%d is out of order", p.From, p.To)
		}
		last = p.To
	}
	if err := m.checkPoints(); err != nil {
		return err
	}
	return m.checkGaps()
}

// checkPoints: a point lies between floor and head, so that it can be restored.
func (m *manifest) checkPoints() error {
	last := m.Floor.Sequence
	seen := map[string]bool{}
	for _, p := range m.Points {
		if err := checkName("point", p.Name); err != nil {
			return err
		}
		if seen[p.Name] || p.Sequence < last || p.Sequence > m.Head.Sequence {
			return fmt.Errorf("point %q is out of order", p.Name)
		}
		seen[p.Name], last = true, p.Sequence
	}
	return nil
}

func (m *manifest) checkLineage() error {
	var epoch uint32
	var end int64
	open := false
	for _, l := range m.Lineage {
		if err := checkName("lineage node", l.Node); err != nil {
			return err
		}
		if l.Epoch <= epoch || l.Epoch >= m.Epoch {
			return fmt.Errorf("lineage epoch %d is out of order", l.Epoch)
		}
		epoch = l.Epoch
		switch {
		case open:
			return fmt.Errorf("lineage epoch %d follows an open one", l.Epoch)
		case l.End == nil:
			open = true
		case l.End.Sequence <= end && end > 0 || l.End.Sequence > m.Head.Sequence:
			return fmt.Errorf("lineage epoch %d ends out of order", l.Epoch)
		default:
			end = l.End.Sequence
		}
	}
	return nil
}

// token is 16 random bytes, 32 hex digits in JSON.
type token [16]byte

func newToken() token {
	var t token
	_, _ = rand.Read(t[:]) // never fails
	return t
}

func (t token) String() string { return hex.EncodeToString(t[:]) }

// MarshalText implements encoding.TextMarshaler.
func (t token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *token) UnmarshalText(b []byte) error {
	if len(b) != 2*len(t) || bytes.ContainsAny(b, "ABCDEF") {
		return errors.New("want 32 lower-case hex digits")
	}
	_, err := hex.Decode(t[:], b)
	return err
}
