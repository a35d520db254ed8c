package replicate

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/internal/v1"
	"github.com/driftdb/driftdb/schema"
)

// ImportV1Options of ImportV1.
type ImportV1Options struct {
	// Key is the original's encryption.key. Defaults to none. Whether objects
	// are compressed or encrypted shows in their bytes.
	Key Key

	// Schema are CREATE statements of the tables and indexes as they shall be.
	// Defaults to those of the snapshot; a backup without one needs them, because
	// the original's logs have none. Names are the original's: id TEXT PRIMARY
	// KEY, createdAt INTEGER NOT NULL, updatedAt INTEGER NOT NULL. Where the
	// snapshot has another table of the name, its rows are moved into this one.
	Schema []string

	// Models is the generated Schema, instead of statements: driftdb.Open takes
	// the file then. The models' columns have the original's names, such as
	// `drift:"created,column=createdAt"`.
	Models schema.Schema

	// Node says whose rows, where several nodes used one name. Defaults to the
	// node of the snapshot that the manifest names, else the manifest's.
	Node string

	// Prefix is the original's s3Config.prefix, for a store that is the bucket
	// itself (s3store.Options.Prefix "/"): needed for prefixes that this version
	// does not have, such as "p//". Defaults to none: the store has it.
	Prefix string

	// Through is the last sequence to apply, for a log that cannot be applied
	// to its end. Defaults to all; -1 takes the snapshot alone.
	Through int64

	Retry  Retry        // as in Options
	Logger *slog.Logger // defaults to none
}

// ImportV1Report is what an import did. It encodes as JSON.
type ImportV1Report struct {
	Node       string   `json:"node"`
	OtherNodes []string `json:"otherNodes,omitempty"` // that have stored something under the name; see ImportV1Options.Node
	Manifest   string   `json:"manifest,omitempty"`   // "missing" or "damaged"; then what is stored was listed
	Snapshot   int64    `json:"snapshot"`             // sequence that the snapshot covers; 0 for none

	SnapshotKey      string   `json:"snapshotKey,omitempty"`
	SkippedSnapshots []string `json:"skippedSnapshots,omitempty"` // that could not be used, so that an older one was

	Tables []string `json:"tables"`
	NoKey  []string `json:"noKey,omitempty"` // tables without a primary key, which are not replicated from here on

	// ManifestSequence is the largest that any node has uploaded, by the
	// manifest. Last is less where another node has come further.
	ManifestSequence int64 `json:"manifestSequence"`

	// Forked are batches, or ends of them, that were left out: the original has
	// used their sequences twice, after a restore or on two machines, and another
	// history is the one that went on. Where that one has overwritten batches key
	// for key, the times of entries and objects tell: see docs/import-v1.md.
	Forked []string `json:"forked,omitempty"`

	// NullKeys are rows whose primary key is NULL, which the original allows.
	// Changes of several such rows cannot be told apart from here on.
	NullKeys int64 `json:"nullKeys"`
	// Orphans are rows that refer to rows that do not exist.
	Orphans int64 `json:"orphans"`

	v1.Report
}

// ImportV1 rebuilds the database called name from what the original DriftDB, the
// npm package, has stored, as the file path, where none may be: its snapshot and
// every log entry behind it. The original's own tables are left out and the change
// log of this version is put in, so that a Replica can go on with the file under
// another name, beginning with a snapshot. The backup is only read. name is what
// the original's dbName was, also one that is no name today.
func ImportV1(ctx context.Context, name string, store Store, path string, o ImportV1Options) (ImportV1Report, error) {
	report, err := importV1(ctx, name, store, path, o)
	if err != nil {
		return report, fmt.Errorf("import %q to %s: %w", name, path, err)
	}
	return report, nil
}

func importV1(ctx context.Context, name string, store Store, path string, o ImportV1Options) (report ImportV1Report, err error) {
	filled := Options{Retry: o.Retry, Logger: o.Logger}.withDefaults()
	if err := filled.validate(); err != nil {
		return report, err
	}
	if name = v1.Name(name); name == "" {
		return report, errors.New("the name of the database is empty")
	}
	if len(o.Models.Tables) > 0 && len(o.Schema) > 0 {
		return report, errors.New("ImportV1Options has both Schema and Models: give one")
	}
	for _, t := range o.Models.Tables {
		o.Schema = append(o.Schema, t.Create)
		for _, ix := range t.Indexes {
			o.Schema = append(o.Schema, ix.SQL(t.Name))
		}
	}
	if o.Prefix != "" {
		store = prefixed{store, v1.Prefix(o.Prefix)}
	}
	side, err := openSidecar(path)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, side.close()) }()
	if there, err := exists(side.file); err != nil {
		return report, err
	} else if there {
		return report, ErrExists
	}
	if err := side.clean(); err != nil {
		return report, err
	}
	i := &importer{
		name: name, o: o,
		r: &restorer{name: name, store: &bucket{Store: store}, side: side, retry: filled.Retry, logger: filled.Logger, now: filled.Now},
	}
	if err := i.plan(ctx); err != nil {
		return report, err
	}
	dir, err := os.MkdirTemp(side.dir, "restore-")
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	err = i.build(ctx, dir)
	return i.report, err
}

// prefixed is a store in a part of another one, read only.
type prefixed struct {
	Store
	prefix string
}

func (p prefixed) Get(ctx context.Context, key string) (io.ReadCloser, Info, error) {
	body, info, err := p.Store.Get(ctx, p.prefix+key)
	info.Key = key
	return body, info, err
}

func (p prefixed) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if after != "" {
			after = p.prefix + after
		}
		for info, err := range p.Store.List(ctx, p.prefix+prefix, after) {
			info.Key = strings.TrimPrefix(info.Key, p.prefix)
			if !yield(info, err) {
				return
			}
		}
	}
}

type importer struct {
	name     string
	o        ImportV1Options
	r        *restorer
	manifest v1.Manifest
	places   map[string][]v1.Place // of all nodes
	tries    []v1.Place            // snapshots in order of preference; no key: the logs alone
	logs     []v1.Place            // the node's batches, in order
	report   ImportV1Report
}

// get reads an object whole. One that is not there is not waited for.
func (i *importer) get(ctx context.Context, key string) (b []byte, err error) {
	err = i.r.retry.object(ctx, func() error {
		body, _, err := i.r.store.Get(ctx, key)
		if err != nil {
			return err
		}
		b, err = io.ReadAll(body)
		return errors.Join(err, body.Close())
	})
	return b, err
}

// plan reads the manifest, lists what is stored, and chooses.
func (i *importer) plan(ctx context.Context) error {
	stored, err := i.get(ctx, v1.ManifestKey(i.name))
	missing := errors.Is(err, ErrNotExist)
	if err != nil && !missing {
		return err
	}
	var parseErr error
	if missing {
		i.report.Manifest = "missing"
	} else if i.manifest, parseErr = v1.ParseManifest(stored); parseErr != nil {
		if errors.Is(parseErr, v1.ErrVersion) {
			return fmt.Errorf("%w: %w", parseErr, ErrCorrupt)
		}
		i.report.Manifest = "damaged"
	}
	if err := i.r.retry.do(ctx, func() error { return i.list(ctx) }); err != nil {
		return err
	}
	switch {
	case len(i.places) > 0:
		return i.choose()
	case parseErr != nil:
		return fmt.Errorf("%w: %w", parseErr, ErrCorrupt)
	case missing:
		return ErrNoBackup
	case i.manifest.SnapshotKey != "":
		return fmt.Errorf("the snapshot %s: %w", i.manifest.SnapshotKey, ErrMissing)
	}
	return fmt.Errorf("there is a manifest and neither a snapshot nor a log: %w", ErrMissing)
}

// list finds the batches and snapshots of every node.
func (i *importer) list(ctx context.Context) error {
	i.places = map[string][]v1.Place{}
	for info, err := range i.r.store.List(ctx, v1.NodesPrefix(i.name), "") {
		if err != nil {
			return err
		}
		if p, ok := v1.Locate(i.name, info.Key); ok {
			p.Modified = info.Modified
			i.places[p.Node] = append(i.places[p.Node], p)
		}
	}
	return nil
}

// choose decides for a node and the order in which its snapshots are tried.
func (i *importer) choose() error {
	all := slices.Sorted(maps.Keys(i.places))
	node, named := i.o.Node, v1.Place{}
	if i.manifest.SnapshotKey != "" {
		var ok bool
		if named, ok = v1.Locate(i.name, i.manifest.SnapshotKey); !ok {
			return fmt.Errorf("manifest: the snapshot's key %q: %w: %w", i.manifest.SnapshotKey, v1.ErrFormat, ErrCorrupt)
		}
	}
	newest := i.newest(all)
	switch {
	case node != "":
	case named.Key != "":
		node = named.Node
	case i.manifest.NodeID != "":
		node = i.manifest.NodeID
	case newest != nil:
		node = newest[0].Node
	case len(all) == 1:
		node = all[0]
	default:
		return fmt.Errorf("the manifest is %s, and several nodes have stored something: choose one (Node) of %q", i.report.Manifest, all)
	}
	if i.places[node] == nil && named.Node != node {
		return fmt.Errorf("the node %q has stored nothing: choose one (Node) of %q: %w", node, all, ErrNoBackup)
	}
	i.report.Node, i.report.ManifestSequence = node, i.manifest.Sequence
	i.report.OtherNodes = slices.DeleteFunc(all, func(s string) bool { return s == node })

	i.logs = slices.DeleteFunc(slices.Clone(i.places[node]), func(p v1.Place) bool { return p.From == 0 })
	slices.SortFunc(i.logs, func(a, b v1.Place) int {
		if a.From != b.From {
			return int(a.From - b.From)
		}
		return int(a.To - b.To)
	})
	if named.Node == node {
		i.tries = append(i.tries, named)
	}
	for _, p := range i.newest([]string{node}) {
		if p.Key == named.Key {
			i.tries[0] = p // with its time in the store
			continue
		}
		i.tries = append(i.tries, p)
	}
	// A node that was started on another one's snapshot goes on from there.
	if len(i.tries) == 0 && len(i.logs) > 0 && i.logs[0].From > 1 {
		i.tries = newest
	}
	if len(i.tries) == 0 || len(i.o.Schema) > 0 && len(i.logs) > 0 && i.logs[0].From == 1 {
		i.tries = append(i.tries, v1.Place{})
	}
	return nil
}

// newest returns the snapshots of nodes, the last one first.
func (i *importer) newest(nodes []string) (all []v1.Place) {
	for _, node := range nodes {
		for _, p := range i.places[node] {
			if p.From == 0 {
				all = append(all, p)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b v1.Place) int { return int(b.Time - a.Time) })
	return all
}

// open undoes encryption and compression.
func (i *importer) open(key string, stored []byte) ([]byte, error) {
	var secret []byte
	if !i.o.Key.IsZero() {
		var err error
		if secret, err = hex.DecodeString(i.o.Key.Reveal()); err != nil {
			return nil, err
		}
	}
	plain, err := v1.Open(stored, secret)
	if errors.Is(err, v1.ErrKey) {
		return nil, fmt.Errorf("%s: %w: %w", key, err, ErrNoKey)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", key, err, ErrCorrupt)
	}
	return plain, nil
}

// build tries the snapshots, one after the other, until one leads to a file.
func (i *importer) build(ctx context.Context, dir string) error {
	var first error
	whole := i.report
	for n, snapshot := range i.tries {
		skipped := i.report.SkippedSnapshots
		i.report = whole
		i.report.SkippedSnapshots = skipped
		path := filepath.Join(dir, fmt.Sprintf("%d.sqlite", n))
		err := i.attempt(ctx, path, snapshot)
		if err == nil {
			return i.r.place(ctx, path)
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil || !isAny(err, ErrCorrupt, ErrMissing, ErrNoKey) {
			return err
		}
		if snapshot.Key != "" {
			i.report.SkippedSnapshots = append(i.report.SkippedSnapshots, snapshot.Key)
		}
	}
	return first
}
