package memstore

import (
	"bytes"
	"context"
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
		return nil, replicate.Info{}, fmt.Errorf("get %q from byte %d of %d: %w", key, offset, info.Size, replicate.ErrPrecondition)
	}
	data, err := io.ReadAll(body)
	return io.NopCloser(bytes.NewReader(data[offset:])), info, err
}
