package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/driftdb/driftdb/replicate"
)

var _ replicate.RangeStore = (*Store)(nil)

// GetFrom is Get from the byte offset on. ErrPrecondition: the object ends
// before it.
func (s *Store) GetFrom(ctx context.Context, key string, offset int64) (io.ReadCloser, replicate.Info, error) {
	body, info, err := s.Get(ctx, key)
	if err != nil {
		return nil, info, err
	}
	if offset < 0 || offset >= info.Size {
		err = fmt.Errorf("get %q from byte %d of %d: %w", key, offset, info.Size, replicate.ErrPrecondition)
		return nil, replicate.Info{}, errors.Join(err, body.Close())
	}
	if f, ok := body.(io.Seeker); ok {
		_, err = f.Seek(offset, io.SeekStart)
	} else {
		_, err = io.CopyN(io.Discard, body, offset) // a small one, which is in memory
	}
	if err != nil {
		return nil, replicate.Info{}, errors.Join(s.fail("get", key, err), body.Close())
	}
	return body, info, nil
}
