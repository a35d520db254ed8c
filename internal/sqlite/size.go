package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// DiskSize returns the bytes that the database at path takes on the disk, its
// write-ahead log included. It asks the file system and never opens the file:
// closing it again would drop SQLite's locks.
func DiskSize(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("size of the database: %w", err)
	}
	size := info.Size()
	info, err = os.Stat(path + "-wal")
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return 0, fmt.Errorf("size of the database: %w", err)
	default:
		size += info.Size()
	}
	return size, nil
}
