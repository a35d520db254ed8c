package durable

import (
	"errors"

	"golang.org/x/sys/unix"
)

// renameNoReplace renames temp to final unless final is there. It reports
// false where the file system cannot do that.
func renameNoReplace(temp, final string) (bool, error) {
	err := unix.RenamexNp(temp, final, unix.RENAME_EXCL)
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EINVAL) {
		return false, nil
	}
	return true, err
}
