package durable

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// SyncDir does nothing on Windows: a directory cannot be opened for syncing,
// and NTFS journals its names.
func SyncDir(string) error { return nil }

// renameNoReplace moves temp to final with the call that refuses an existing
// name; os.Rename on Windows would replace it.
func renameNoReplace(temp, final string) (bool, error) {
	from, err := syscall.UTF16PtrFromString(temp)
	if err != nil {
		return true, err
	}
	to, err := syscall.UTF16PtrFromString(final)
	if err != nil {
		return true, err
	}
	err = syscall.MoveFile(from, to)
	if err != nil {
		if _, statErr := os.Lstat(final); statErr == nil {
			return true, errors.Join(fs.ErrExist, err)
		}
	}
	return true, err
}
