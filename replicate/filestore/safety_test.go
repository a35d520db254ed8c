//go:build unix

package filestore_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/filestore"
)

func bodyOf(data string) replicate.Body {
	return replicate.Body{Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(data)), nil }, Size: int64(len(data))}
}

func put(t *testing.T, store replicate.Store, key, data string) string {
	t.Helper()
	etag, err := store.Put(t.Context(), key, bodyOf(data), replicate.Condition{})
	if err != nil {
		t.Fatal(err)
	}
	return etag
}

// readable returns the error of reading the object at key.
func readable(t *testing.T, store replicate.Store, key string) error {
	t.Helper()
	body, _, err := store.Get(t.Context(), key)
	if err != nil {
		return err
	}
	_, err = io.ReadAll(body)
	return errors.Join(err, body.Close())
}

func keys(t *testing.T, store replicate.Store) (all []string) {
	t.Helper()
	for info, err := range store.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, info.Key)
	}
	return all
}

// TestKeysCannotEscape: nothing outside of the directory is read, written,
// listed or deleted, whatever the key.
func TestKeysCannotEscape(t *testing.T) {
	is := is.New(t)
	top := t.TempDir()
	store := open(t, filepath.Join(top, "store"), filestore.Options{})
	secret := filepath.Join(top, "secret")
	is.NoErr(os.WriteFile(secret, []byte("secret"), 0o600))
	put(t, store, "databases/a", "x")
	for _, key := range []string{
		"../secret", "databases/../../secret", "/etc/passwd", secret, "", ".", "..", "a//b", "a/", "/a", "./a", "a/./b", `..\secret`, "a\x00b",
		".filestore/lock", ".filestore", ".filestore/tmp/x",
	} {
		_, err := store.Put(t.Context(), key, bodyOf("hacked"), replicate.Condition{})
		is.True(err != nil) // put
		err = readable(t, store, key)
		is.True(err != nil)                                  // get
		is.True(!errors.Is(err, replicate.ErrNotExist))      // a bad key is not a missing object
		is.True(store.Delete(t.Context(), key) != nil)       // delete
		is.True(store.Delete(t.Context(), "ok", key) != nil) // delete of two
	}
	is.Equal(keys(t, store), []string{"databases/a"})
	got, err := os.ReadFile(secret)
	is.NoErr(err)
	is.Equal(string(got), "secret")

	// Links that somebody has planted lead nowhere.
	is.NoErr(os.Symlink(top, filepath.Join(top, "store", "link")))
	is.NoErr(os.Symlink(secret, filepath.Join(top, "store", "alias")))
	for _, key := range []string{"link/secret", "alias"} {
		err = readable(t, store, key)
		is.True(err != nil)
		_, err = store.Put(t.Context(), key, bodyOf("hacked"), replicate.Condition{IfAbsent: true})
		is.True(err != nil)
	}
	is.NoErr(store.Delete(t.Context(), "alias")) // removes the link, not what it points to
	is.Equal(keys(t, store), []string{"databases/a"})
	got, err = os.ReadFile(secret)
	is.NoErr(err)
	is.Equal(string(got), "secret")
}

// TestModes: only the owner may read, whatever the umask.
func TestModes(t *testing.T) {
	is := is.New(t)
	for _, mask := range []int{0, 0o022} {
		old := syscall.Umask(mask)
		dir := filepath.Join(t.TempDir(), "store")
		store := open(t, dir, filestore.Options{})
		put(t, store, "a/b/c", "x")
		syscall.Umask(old)
		is.NoErr(filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			is.NoErr(err)
			info, err := d.Info()
			is.NoErr(err)
			want := fs.FileMode(0o600)
			if d.IsDir() {
				want = 0o700
			}
			is.Equal(info.Mode().Perm(), want)
			return nil
		}))
	}
}

// TestGoneDirectory: a share that was unmounted is an error. Taken for an empty
// bucket it would start a new history.
func TestGoneDirectory(t *testing.T) {
	is := is.New(t)
	dir := filepath.Join(t.TempDir(), "store")
	store := open(t, dir, filestore.Options{})
	put(t, store, "a", "x")
	for range 2 { // without the directory, then with an empty one in its place
		is.NoErr(os.RemoveAll(dir))
		err := readable(t, store, "a")
		is.True(err != nil && !errors.Is(err, replicate.ErrNotExist))
		_, err = store.Put(t.Context(), "a", bodyOf("x"), replicate.Condition{IfAbsent: true})
		is.True(err != nil && !errors.Is(err, replicate.ErrPrecondition))
		is.True(store.Delete(t.Context(), "a") != nil)
		n := 0
		for _, err := range store.List(t.Context(), "", "") {
			is.True(err != nil)
			n++
		}
		is.Equal(n, 1)
		is.NoErr(os.Mkdir(dir, 0o700))
	}
}

// TestForbiddenDirectory: a named, permanent error.
func TestForbiddenDirectory(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read and write everywhere")
	}
	is := is.New(t)
	dir := t.TempDir()
	store := open(t, dir, filestore.Options{})
	put(t, store, "a/b", "x")
	is.NoErr(os.Chmod(filepath.Join(dir, "a"), 0))
	defer os.Chmod(filepath.Join(dir, "a"), 0o700) //nolint:errcheck // for the clean-up
	err := readable(t, store, "a/b")
	var permanent *replicate.PermanentError
	is.True(errors.As(err, &permanent))
}

// TestLeftovers: temporary files of a crash are not objects, are removed when
// they are old, and left alone while somebody may be writing them.
func TestLeftovers(t *testing.T) {
	is := is.New(t)
	dir := t.TempDir()
	store := open(t, dir, filestore.Options{})
	put(t, store, "a", "x")
	old, recent := filepath.Join(dir, ".filestore", "tmp", "OLD"), filepath.Join(dir, ".filestore", "tmp", "NEW")
	for _, path := range []string{old, recent} {
		is.NoErr(os.WriteFile(path, []byte("half"), 0o600))
	}
	day := time.Now().Add(-25 * time.Hour)
	is.NoErr(os.Chtimes(old, day, day))
	is.Equal(keys(t, store), []string{"a"})
	is.Equal(keys(t, open(t, dir, filestore.Options{})), []string{"a"})
	_, err := os.Stat(old)
	is.True(errors.Is(err, fs.ErrNotExist))
	_, err = os.Stat(recent)
	is.NoErr(err)

	// Successful and refused writes leave nothing.
	put(t, store, "a", "y")
	_, err = store.Put(t.Context(), "a", bodyOf("z"), replicate.Condition{IfAbsent: true})
	is.True(errors.Is(err, replicate.ErrPrecondition))
	entries, err := os.ReadDir(filepath.Join(dir, ".filestore", "tmp"))
	is.NoErr(err)
	is.Equal(len(entries), 1)
}

// TestTagsAreOfWrites: the same content written again is another write, also
// within one tick of the clock and when the clock goes back.
func TestTagsAreOfWrites(t *testing.T) {
	is := is.New(t)
	dir := t.TempDir()
	store := open(t, dir, filestore.Options{})
	large := strings.Repeat("x", 2<<20) // whose tag does not cover the content
	for _, data := range []string{"same", large} {
		seen := map[string]bool{}
		for range 50 {
			etag := put(t, store, "k", data)
			is.True(!seen[etag])
			seen[etag] = true
		}
		ahead := time.Now().Add(time.Hour)
		is.NoErr(os.Chtimes(filepath.Join(dir, "k"), ahead, ahead))
		body, info, err := store.Get(t.Context(), "k")
		is.NoErr(err)
		is.NoErr(body.Close())
		is.True(!seen[info.ETag])
		is.True(put(t, store, "k", data) != info.ETag)
		stat, err := os.Stat(filepath.Join(dir, "k"))
		is.NoErr(err)
		is.True(stat.ModTime().After(info.Modified)) // or the same time, and tag, could come again
		_, err = store.Put(t.Context(), "k", bodyOf(data), replicate.Condition{IfMatch: info.ETag})
		is.True(errors.Is(err, replicate.ErrPrecondition))
	}
}

// TestPlainFiles: an object is its bytes, for zcat and friends.
func TestPlainFiles(t *testing.T) {
	is := is.New(t)
	dir := t.TempDir()
	put(t, open(t, dir, filestore.Options{}), "databases/app/manifest.json", `{"version":2}`)
	got, err := os.ReadFile(filepath.Join(dir, "databases", "app", "manifest.json"))
	is.NoErr(err)
	is.Equal(string(got), `{"version":2}`)
}

// TestEmptyDirectories: deleting the last object of a directory removes it, so
// that old epochs do not slow down listings for ever.
func TestEmptyDirectories(t *testing.T) {
	is := is.New(t)
	dir := t.TempDir()
	store := open(t, dir, filestore.Options{})
	put(t, store, "a/b/c/1", "x")
	put(t, store, "a/b/c/2", "x")
	put(t, store, "a/z", "x")
	is.NoErr(store.Delete(t.Context(), "a/b/c/1"))
	is.Equal(keys(t, store), []string{"a/b/c/2", "a/z"})
	is.NoErr(store.Delete(t.Context(), "a/b/c/2"))
	entries, err := os.ReadDir(filepath.Join(dir, "a"))
	is.NoErr(err)
	is.Equal(len(entries), 1)
	_, err = store.Put(t.Context(), "a/z/under", bodyOf("x"), replicate.Condition{})
	is.True(err != nil && strings.Contains(err.Error(), "part of the key is an object"))
	_, err = store.Put(t.Context(), "a", bodyOf("x"), replicate.Condition{})
	is.True(err != nil)
	is.Equal(keys(t, store), []string{"a/z"})
}
