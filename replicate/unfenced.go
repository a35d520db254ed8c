package replicate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Unfenced makes a Store of one that has no conditional writes: it looks before
// it writes. Two writers that do so at the same moment overwrite each other, so
// nothing protects a backup from a second owner but the people who run it: use it
// only where exactly one process can ever ship under a name. Status.Unfenced says
// that it is in use, and each start logs a warning.
func Unfenced(store Store) Store { return unfenced{store} }

type unfenced struct{ inner Store }

// Put implements Store: the condition is checked first, not in the same step.
func (u unfenced) Put(ctx context.Context, key string, body Body, cond Condition) (string, error) {
	if cond == (Condition{}) {
		return u.inner.Put(ctx, key, body, cond)
	}
	etag, there, err := u.look(ctx, key)
	switch {
	case err != nil:
		return "", fmt.Errorf("look before writing %s: %w", key, err)
	case cond.IfAbsent && there, cond.IfMatch != "" && (!there || etag != cond.IfMatch):
		return "", ErrPrecondition
	}
	return u.inner.Put(ctx, key, body, Condition{})
}

func (u unfenced) look(ctx context.Context, key string) (etag string, there bool, err error) {
	body, info, err := u.inner.Get(ctx, key)
	if errors.Is(err, ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	return info.ETag, true, body.Close()
}

// Get implements Store.
func (u unfenced) Get(ctx context.Context, key string) (io.ReadCloser, Info, error) {
	return u.inner.Get(ctx, key)
}

// List implements Store.
func (u unfenced) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return u.inner.List(ctx, prefix, after)
}

// Delete implements Store.
func (u unfenced) Delete(ctx context.Context, keys ...string) error {
	return u.inner.Delete(ctx, keys...)
}
