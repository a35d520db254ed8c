package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// WriteBack lets the system begin to write n bytes of f from offset on to the
// disk, and does not wait for it: so that a Sync at the end of a large file finds
// little left to do. It promises nothing, so there is no error.
func WriteBack(f *os.File, offset, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), offset, n, unix.SYNC_FILE_RANGE_WRITE)
}
