//go:build unix && cgo

package sqlite

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/matryer/is"
)

func TestCreatesPrivateFiles(t *testing.T) {
	for _, umask := range []int{0, 0o022} {
		t.Run(fmt.Sprintf("umask %03o", umask), func(t *testing.T) {
			is := is.New(t)
			old := syscall.Umask(umask)
			defer syscall.Umask(old)
			path := tempFile(t)
			exec(t, conn(t, path, Writer), "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)")
			for _, suffix := range []string{"", "-wal", "-shm"} {
				info, err := os.Stat(path + suffix)
				is.NoErr(err)
				is.Equal(info.Mode().Perm(), os.FileMode(0o600))
			}
		})
	}
}
