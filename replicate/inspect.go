package replicate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/driftdb/driftdb/internal/envelope"
)

// Object is what Inspect says about a stored object. It encodes as JSON.
type Object struct {
	Key        string `json:"key"`
	Kind       string `json:"kind"` // manifest, batch, snapshot or pack
	Name       string `json:"name"` // of the database
	Node       string `json:"node,omitempty"`
	Epoch      uint32 `json:"epoch,omitempty"`
	From       int64  `json:"from,omitempty"` // sequences
	To         int64  `json:"to,omitempty"`
	Part       int    `json:"part,omitempty"` // of a transaction that is too long for one batch
	Parts      int    `json:"parts,omitempty"`
	StoredSize int64  `json:"storedSize"`
	Compressed bool   `json:"compressed"`
	Sealed     bool   `json:"sealed"`

	// Content is the plaintext of a manifest or a batch.
	Content json.RawMessage `json:"content,omitempty"`
}

// Inspect reads the object at key, as the store lists it, checks it and returns
// what it is. Where it belongs in the hash chain, Verify checks.
func Inspect(ctx context.Context, store Store, key string, o ReadOptions) (*Object, error) {
	out, err := inspect(ctx, store, key, o)
	if err != nil {
		return nil, fmt.Errorf("inspect %q: %w", key, err)
	}
	return out, nil
}

func inspect(ctx context.Context, store Store, key string, o ReadOptions) (*Object, error) {
	filled := Options{Retry: o.Retry, Encryption: o.Encryption}.withDefaults()
	if err := filled.validate(); err != nil {
		return nil, err
	}
	b := &bucket{store, o.Encryption}
	if err := b.unlock(ctx); err != nil {
		return nil, err
	}
	out := &Object{Key: key}
	read := func() error { return out.batch(ctx, b) }
	if name, ok := strings.CutSuffix(strings.TrimPrefix(key, root), "/manifest.json"); ok {
		out.Kind, out.Name = envelope.Manifest.String(), name
		read = func() error { return out.manifest(ctx, b) }
	} else {
		k, err := parseKey(key)
		if err != nil {
			return nil, err
		}
		out.set(k)
		if k.kind != envelope.Batch {
			read = func() error { return out.drain(ctx, b, k) }
		}
	}
	err := filled.Retry.object(ctx, read)
	if errors.Is(err, ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	return out, err
}

func (o *Object) set(k objectKey) {
	o.Kind, o.Name, o.Node, o.Epoch, o.From, o.To = k.kind.String(), k.db, k.node, k.epoch, k.from, k.to
	o.Compressed, o.Sealed = k.gzip, k.sealed
	if k.parts > 1 {
		o.Part, o.Parts = k.part, k.parts
	}
}

func (o *Object) manifest(ctx context.Context, b *bucket) error {
	body, _, err := b.Get(ctx, o.Key)
	if err != nil {
		return err
	}
	stored, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil {
		return err
	}
	m, err := b.openManifest(stored, o.Name)
	if err != nil {
		return err
	}
	o.StoredSize, o.Sealed, o.Node, o.Epoch = int64(len(stored)), envelope.IsSealed(stored), m.NodeID, m.Epoch
	o.Content, err = m.encode()
	return err
}

func (o *Object) batch(ctx context.Context, b *bucket) error {
	k, err := parseKey(o.Key)
	if err != nil {
		return err
	}
	body, info, err := b.Get(ctx, o.Key)
	if err != nil {
		return err
	}
	plain, n, err := readPlain(b, body, info, k)
	if err = errors.Join(err, body.Close()); err != nil {
		return err
	}
	o.StoredSize, o.Content = n, plain
	d, err := parseDocument(k, plain)
	if err != nil {
		return err
	}
	for _, err := range d.Entries() {
		if err != nil {
			return fmt.Errorf("%w: %w", err, ErrCorrupt)
		}
	}
	return nil
}

// drain reads a snapshot or pack to its end, as far as it can be checked alone.
func (o *Object) drain(ctx context.Context, b *bucket, k objectKey) error {
	body, info, err := b.Get(ctx, o.Key)
	if err != nil {
		return err
	}
	counted := newBodyReader(body, info)
	var r io.Reader = counted
	if k.gzip || k.sealed {
		r, _, err = envelope.NewReader(counted, info.Size, k.header(), envelope.Ring(b.Keys))
	}
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	o.StoredSize = counted.n
	return errors.Join(err, body.Close())
}

// Indent returns the content with line breaks, for people.
func (o *Object) Indent() string {
	var b bytes.Buffer
	if len(o.Content) == 0 || json.Indent(&b, o.Content, "", "  ") != nil {
		return ""
	}
	return b.String()
}
