package filestore

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/replicate"
)

// List yields the objects under prefix after the key after. It holds the names
// of one directory per level in memory. Info has no entity tag.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[replicate.Info, error] {
	return func(yield func(replicate.Info, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(replicate.Info{}, err)
			return
		}
		w := walk{store: s, ctx: ctx, prefix: prefix, after: after, yield: yield}
		if _, err := w.dir("."); err != nil {
			yield(replicate.Info{}, err)
		}
	}
}

// walk goes through the directories in byte order of the keys.
type walk struct {
	store         *Store
	ctx           context.Context //nolint:containedctx // lives as long as one List
	prefix, after string
	yield         func(replicate.Info, error) bool
}

// dir walks one directory; it returns false when nothing more is wanted.
func (w *walk) dir(dir string) (bool, error) {
	if err := w.ctx.Err(); err != nil {
		return false, err
	}
	entries, err := fs.ReadDir(w.store.root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		// Deleted since its parent was read, unless it is the store itself.
		return true, w.store.present()
	}
	if err != nil {
		return false, w.store.fail("list", dir, err)
	}
	if dir == "." {
		if err := w.store.present(); err != nil {
			return false, w.store.fail("list", dir, err)
		}
	}
	// A directory stands where its first key would: "a-b" is before "a/b".
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(sortName(a), sortName(b)) })
	for _, e := range entries {
		more, err := w.entry(path.Join(dir, e.Name()), e)
		if err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

func sortName(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}

func (w *walk) entry(key string, e fs.DirEntry) (bool, error) {
	if e.IsDir() {
		below := key + "/"
		switch {
		case key == ownDir,
			!strings.HasPrefix(below, w.prefix) && !strings.HasPrefix(w.prefix, below),
			below <= w.after && !strings.HasPrefix(w.after, below): // every key in it is smaller too
			return true, nil
		}
		return w.dir(key)
	}
	if !e.Type().IsRegular() || !strings.HasPrefix(key, w.prefix) || key <= w.after {
		return true, nil
	}
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // deleted since the directory was read
	}
	if err != nil {
		return false, w.store.fail("list", key, err)
	}
	return w.yield(replicate.Info{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil), nil
}
