package durable_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb/internal/durable"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWriteFile(t *testing.T) {
	for _, name := range []string{"node.json", strings.Repeat("n", 255), "-odd name?"} {
		t.Run(name[:min(len(name), 20)], func(t *testing.T) {
			is := is.New(t)
			dir := t.TempDir()
			path := filepath.Join(dir, name)
			for _, content := range []string{"one", "", strings.Repeat("two", 100_000)} {
				is.NoErr(durable.WriteFile(path, []byte(content), 0o600))
				is.Equal(read(t, path), content)
				is.Equal(names(t, dir), []string{name})
				info, err := os.Stat(path)
				is.NoErr(err)
				is.Equal(info.Mode().Perm(), fs.FileMode(0o600))
			}
		})
	}
}

// A write that fails leaves the old file and nothing else.
func TestWriteFileFails(t *testing.T) {
	t.Run("no directory", func(t *testing.T) {
		is := is.New(t)
		err := durable.WriteFile(filepath.Join(t.TempDir(), "no", "x"), nil, 0o600)
		is.True(errors.Is(err, fs.ErrNotExist))
	})
	t.Run("a directory stands there", func(t *testing.T) {
		is := is.New(t)
		dir := t.TempDir()
		path := filepath.Join(dir, "x")
		is.NoErr(os.Mkdir(path, 0o700))
		write(t, filepath.Join(path, "keep"), "kept")
		is.True(durable.WriteFile(path, []byte("y"), 0o600) != nil)
		is.Equal(names(t, dir), []string{"x"})
		is.Equal(read(t, filepath.Join(path, "keep")), "kept")
	})
}

// A reader sees a whole file at any time.
func TestWriteFileIsAtomic(t *testing.T) {
	is := is.New(t)
	path := filepath.Join(t.TempDir(), "x")
	content := func(i int) string { return strings.Repeat(string(rune('a'+i%26)), 100_000) }
	is.NoErr(durable.WriteFile(path, []byte(content(0)), 0o600))
	done := make(chan error, 1)
	go func() {
		for i := range 50 {
			if err := durable.WriteFile(path, []byte(content(i)), 0o600); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		got := read(t, path)
		if len(got) != 100_000 || strings.Trim(got, got[:1]) != "" {
			t.Fatal("a part of a file was seen")
		}
		select {
		case err := <-done:
			is.NoErr(err)
			return
		default:
		}
	}
}

func TestLinkNew(t *testing.T) {
	t.Run("new name", func(t *testing.T) {
		is := is.New(t)
		dir, other := t.TempDir(), t.TempDir()
		temp, final := filepath.Join(dir, "part"), filepath.Join(other, "whole")
		write(t, temp, "content")
		is.NoErr(durable.SyncFile(temp))
		is.NoErr(durable.LinkNew(temp, final))
		is.Equal(len(names(t, dir)), 0)
		is.Equal(read(t, final), "content")
	})
	for name, occupy := range map[string]func(string) error{
		"file":          func(p string) error { return os.WriteFile(p, []byte("mine"), 0o600) },
		"directory":     func(p string) error { return os.Mkdir(p, 0o700) },
		"dangling link": func(p string) error { return os.Symlink(p+"-nowhere", p) },
	} {
		t.Run("taken by a "+name, func(t *testing.T) {
			is := is.New(t)
			dir := t.TempDir()
			temp, final := filepath.Join(dir, "part"), filepath.Join(dir, "whole")
			write(t, temp, "content")
			is.NoErr(occupy(final))
			is.True(errors.Is(durable.LinkNew(temp, final), fs.ErrExist))
			is.Equal(names(t, dir), []string{"part", "whole"})
			is.Equal(read(t, temp), "content")
		})
	}
	t.Run("nothing to link", func(t *testing.T) {
		is := is.New(t)
		dir := t.TempDir()
		is.True(errors.Is(durable.LinkNew(filepath.Join(dir, "part"), filepath.Join(dir, "whole")), fs.ErrNotExist))
		is.Equal(len(names(t, dir)), 0)
	})
	t.Run("one of many wins", func(t *testing.T) {
		is := is.New(t)
		dir := t.TempDir()
		final := filepath.Join(dir, "whole")
		errs := make([]error, 16)
		var wg sync.WaitGroup
		for i := range errs {
			temp := filepath.Join(dir, fmt.Sprintf("part%d", i))
			write(t, temp, fmt.Sprint(i))
			wg.Go(func() { errs[i] = durable.LinkNew(temp, final) })
		}
		wg.Wait()
		won := -1
		for i, err := range errs {
			if err == nil {
				is.Equal(won, -1)
				won = i
				continue
			}
			is.True(errors.Is(err, fs.ErrExist))
		}
		is.Equal(read(t, final), fmt.Sprint(won))
	})
}

func TestSyncDir(t *testing.T) {
	is := is.New(t)
	dir := t.TempDir()
	is.NoErr(durable.SyncDir(dir))
	is.True(errors.Is(durable.SyncDir(filepath.Join(dir, "no")), fs.ErrNotExist))
	is.True(errors.Is(durable.SyncFile(filepath.Join(dir, "no")), fs.ErrNotExist))
}
