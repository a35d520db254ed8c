package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/matryer/is"
)

// Where the file system has no hard links nothing is replaced either.
func TestWithoutHardLinks(t *testing.T) {
	noLinks := errors.New("operation not permitted")
	for name, renameNew := range map[string]func(temp, final string, linkErr error) error{"exclusive rename": renameNew, "reserved name": renameReserved} {
		t.Run(name, func(t *testing.T) { withoutHardLinks(t, noLinks, renameNew) })
	}
}

func withoutHardLinks(t *testing.T, noLinks error, renameNew func(temp, final string, linkErr error) error) {
	t.Helper()
	t.Run("new name", func(t *testing.T) {
		is := is.New(t)
		dir := t.TempDir()
		temp, final := filepath.Join(dir, "part"), filepath.Join(dir, "whole")
		is.NoErr(os.WriteFile(temp, []byte("content"), 0o600))
		is.NoErr(renameNew(temp, final, noLinks))
		b, err := os.ReadFile(final)
		is.NoErr(err)
		is.Equal(string(b), "content")
		_, err = os.Lstat(temp)
		is.True(errors.Is(err, fs.ErrNotExist))
	})
	t.Run("taken", func(t *testing.T) {
		is := is.New(t)
		dir := t.TempDir()
		temp, final := filepath.Join(dir, "part"), filepath.Join(dir, "whole")
		is.NoErr(os.WriteFile(temp, []byte("content"), 0o600))
		is.NoErr(os.WriteFile(final, []byte("mine"), 0o600))
		is.True(errors.Is(renameNew(temp, final, noLinks), fs.ErrExist))
		b, err := os.ReadFile(final)
		is.NoErr(err)
		is.Equal(string(b), "mine")
	})
	t.Run("nothing to rename", func(t *testing.T) {
		is := is.New(t)
		dir := t.TempDir()
		is.True(errors.Is(renameNew(filepath.Join(dir, "part"), filepath.Join(dir, "whole"), noLinks), fs.ErrNotExist))
		entries, err := os.ReadDir(dir)
		is.NoErr(err)
		is.Equal(len(entries), 0)
	})
	t.Run("one of many wins", func(t *testing.T) {
		is := is.New(t)
		dir := t.TempDir()
		errs := make([]error, 16)
		var wg sync.WaitGroup
		for i := range errs {
			temp := filepath.Join(dir, fmt.Sprintf("part%d", i))
			is.NoErr(os.WriteFile(temp, []byte("content"), 0o600))
			wg.Go(func() { errs[i] = renameNew(temp, filepath.Join(dir, "whole"), noLinks) })
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				is.True(errors.Is(err, fs.ErrExist))
			}
		}
		is.Equal(won, 1)
	})
}
