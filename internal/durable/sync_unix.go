//go:build !windows

package durable

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// SyncDir forces the names in dir to the disk: after it, a file that was
// created, renamed or removed there stays so through a power failure.
func SyncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the caller names its own directory
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil // a file system that cannot sync a directory has nothing to offer
	}
	if err := errors.Join(err, d.Close()); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}
