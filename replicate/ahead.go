package replicate

import (
	"context"
	"iter"
	"sync"

	"github.com/driftdb/driftdb/internal/changelog"
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
		return err
	})
	return d, n, err
}

// documents yields the batches of path in order. Several are read at once, as
// many as fit in a little memory.
func (b *build) documents(ctx context.Context, path []objectKey) iter.Seq2[*changelog.Document, error] {
	return func(yield func(*changelog.Document, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		a := ahead{b: b, path: path, got: make([]chan fetched, len(path))}
		defer a.readers.Wait()
		defer cancel()
		for i := range path {
			a.start(ctx, i)
			f := <-a.got[i]
			a.bytes -= a.size(i)
			b.result.Bytes += f.n
			if !yield(f.d, f.err) || f.err != nil {
				return
			}
		}
	}
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
