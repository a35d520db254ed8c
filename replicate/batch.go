package replicate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/envelope"
)

// encodeBatch makes the stored bytes of a batch from its canonical plaintext.
func encodeBatch(store *bucket, key objectKey, canonical []byte) ([]byte, error) {
	plain := changelog.AddIdentity(changelog.Identity{DBName: key.db, NodeID: key.node, Epoch: key.epoch, Part: key.part, Parts: key.parts}, canonical)
	if !key.gzip && !key.sealed {
		return plain, nil
	}
	h := key.header()
	h.Length = int64(len(plain))
	var b bytes.Buffer
	b.Grow(len(plain)/4 + envelope.MaxHeader)
	w, err := envelope.NewWriter(&b, h, store.sealing(key))
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// readBatch reads the batch at key and checks that it is the one the key calls
// for. n is the number of stored bytes.
func readBatch(ctx context.Context, store *bucket, key objectKey) (d *changelog.Document, n int64, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("batch %s: %w", key, err)
		}
	}()
	body, info, err := store.Get(ctx, key.String())
	if err != nil {
		return nil, 0, err
	}
	plain, n, err := readPlain(store, body, info, key)
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, n, err
	}
	d, err = parseDocument(key, plain)
	return d, n, err
}

// parseDocument reads a batch's document and checks that it is the one the key
// calls for.
func parseDocument(key objectKey, plain []byte) (*changelog.Document, error) {
	d, err := changelog.ParseBatch(plain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrCorrupt)
	}
	want := changelog.Identity{DBName: key.db, NodeID: key.node, Epoch: key.epoch, Part: key.part, Parts: key.parts}
	if d.Identity != want || d.From != key.from || d.To != key.to {
		return nil, fmt.Errorf("it says %+v, %d-%d: %w", d.Identity, d.From, d.To, ErrCorrupt)
	}
	return d, nil
}

func readPlain(store *bucket, body io.Reader, info Info, key objectKey) ([]byte, int64, error) {
	counted := newBodyReader(body, info)
	if !key.gzip && !key.sealed {
		b, err := io.ReadAll(counted)
		return b, counted.n, err
	}
	r, _, err := envelope.NewReader(counted, info.Size, key.header(), envelope.Ring(store.Keys))
	if err != nil {
		return nil, counted.n, err
	}
	b, err := io.ReadAll(r)
	return b, counted.n, err
}

// errBroken: a batch does not follow the link it should.
var errBroken = errors.New("the batch does not follow the chain")

// followKey is followLink for a batch or a pack of a plan.
func (p *plan) followKey(ctx context.Context, store *bucket, key objectKey, at link) (link, error) {
	e, ok := p.packs[key]
	if !ok {
		return followLink(ctx, store, key, at)
	}
	_, err := readPack(ctx, store, key, e, at.Sequence, func(d *changelog.Document) error {
		if d.From != at.Sequence+1 || d.PrevHash != at.Hash {
			return errBroken
		}
		at = link{Sequence: d.To, Hash: d.Hash(), MaxTime: d.MaxTime}
		return nil
	})
	return at, err
}

// followLink reads the batch at key and returns the link that it makes of at.
// Transient errors are the caller's to try again.
func followLink(ctx context.Context, store *bucket, key objectKey, at link) (link, error) {
	d, _, err := readBatch(ctx, store, key)
	if errors.Is(err, ErrCorrupt) { // once more: it may have been the way here
		d, _, err = readBatch(ctx, store, key)
	}
	if err != nil {
		return at, err
	}
	if d.From != at.Sequence+1 || d.PrevHash != at.Hash {
		return at, fmt.Errorf("%s: %w", key, errBroken)
	}
	return link{Sequence: d.To, Hash: d.Hash(), MaxTime: d.MaxTime}, nil
}
