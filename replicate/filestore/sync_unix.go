//go:build !windows

package filestore

import (
	"errors"
	"syscall"
)

// syncDir forces the names in a directory to the disk.
func (s *Store) syncDir(dir string) error {
	if !s.sync {
		return nil
	}
	f, err := s.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// isNotDir reports that a part of a path is a file.
func isNotDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }
