package durable

import (
	"errors"

	"golang.org/x/sys/unix"
)

// renameNoReplace renames temp to final unless final is there. It reports
// false where the kernel or the file system cannot do that.
func renameNoReplace(temp, final string) (bool, error) {
	err := unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, final, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return false, nil
	}
	return true, err
}
