package replicate

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/envelope"
)

const (
	aheadObjects = 16      // batches that are read at once
	aheadBytes   = 8 << 20 // of stored bytes, unless one batch is larger
)

// read reads one batch. n is the number of stored bytes.
func (r *restorer) read(ctx context.Context, k objectKey) (d *changelog.Document, n int64, err error) {
	err = r.retry.object(ctx, func() error {
		var once int64
		var err error
		d, once, err = readBatch(ctx, r.store, k)
		n += once
		r.kept.distrust(k.String(), err)
		return err
	})
	return d, n, err
}

// documents yields the batches of path that lie beyond after, in order. Several are read at once, as
// many as fit in a little memory.
func (b *build) documents(ctx context.Context, path []objectKey, after int64) iter.Seq2[*changelog.Document, error] {
	return func(yield func(*changelog.Document, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		a := ahead{b: b, path: path, got: make([]chan fetched, len(path))}
		defer a.readers.Wait()
		defer cancel()
		for i := range path {
			a.start(ctx, i)
			if path[i].kind == envelope.Pack {
				if !b.pack(ctx, path[i], &after, yield) {
					return
				}
				continue
			}
			f := <-a.got[i]
			a.bytes -= a.size(i)
			b.result.Bytes += f.n
			b.done += a.size(i)
			if !yield(f.d, f.err) || f.err != nil {
				return
			}
			after = f.d.To
		}
	}
}

// pack yields the batches of a pack. After an error of the transport it is read
// again, up to where it had come to.
func (b *build) pack(ctx context.Context, k objectKey, after *int64, yield func(*changelog.Document, error) bool) bool {
	more := true
	err := b.r.retry.object(ctx, func() error {
		n, err := readPack(ctx, b.r.store, k, b.plan.packs[k], *after, func(d *changelog.Document) error {
			if more = yield(d, nil); !more {
				return errDone
			}
			*after = d.To
			return nil
		})
		b.result.Bytes += n
		if errors.Is(err, errDone) {
			return nil
		}
		b.r.kept.distrust(k.String(), err)
		return err
	})
	b.done += b.plan.sizes[k]
	if err != nil {
		yield(nil, err)
		return false
	}
	return more
}

// ahead reads batches before they are needed.
type ahead struct {
	b       *build
	path    []objectKey
	next    int   // the first that is not being read
	bytes   int64 // stored bytes of those that are
	got     []chan fetched
	readers sync.WaitGroup
}

type fetched struct {
	d   *changelog.Document
	n   int64
	err error
}

func (a *ahead) size(i int) int64 { return a.b.plan.sizes[a.path[i]] }

// start begins to read the batch i, and those after it that fit.
func (a *ahead) start(ctx context.Context, i int) {
	for ; a.next < len(a.path); a.next++ {
		k := a.path[a.next]
		if k.kind == envelope.Pack {
			if a.next > i {
				return
			}
			continue // read as one stream, when it is its turn
		}
		if a.next > i && (a.next >= i+aheadObjects || a.bytes+a.size(a.next) > aheadBytes) {
			return
		}
		got := make(chan fetched, 1)
		a.got[a.next] = got
		a.bytes += a.size(a.next)
		a.readers.Go(func() {
			var f fetched
			f.d, f.n, f.err = a.b.r.read(ctx, k)
			got <- f
		})
	}
}
