package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb/drifttest"
	"github.com/driftdb/driftdb/examples/cli-notes/models"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cli runs the command on a file and a bucket of the test's own.
func cli(t *testing.T) (run func(args ...string) string, fails func(want string, args ...string), dir string) {
	t.Helper()
	dir = t.TempDir()
	call := func(args []string) (string, error) {
		var out strings.Builder
		all := append([]string{"-file", filepath.Join(dir, "notes.sqlite"), "-bucket", filepath.Join(dir, "bucket")}, args...)
		err := runInto(t, all, &out)
		return out.String(), err
	}
	run = func(args ...string) string {
		t.Helper()
		out, err := call(args)
		if err != nil {
			t.Errorf("%v: %v", args, err)
		}
		return out
	}
	fails = func(want string, args ...string) {
		t.Helper()
		if _, err := call(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q, got %v", args, want, err)
		}
	}
	return run, fails, dir
}

func runInto(t *testing.T, args []string, out *strings.Builder) error {
	return run(t.Context(), args, out)
}

func TestNotes(t *testing.T) {
	is := is.New(t)
	run, fails, dir := cli(t)
	milk, _, _ := strings.Cut(run("add", "Milk", "buy two litres of milk"), " ")
	tea, _, _ := strings.Cut(run("add", "Tea"), " ")
	run("tag", milk, "shop", "Home")
	run("tag", tea, "SHOP")
	is.Equal(strings.Count(run("list", "shop"), "\n"), 2)
	is.True(strings.Contains(run("list", "home"), "Milk #Home #shop") || strings.Contains(run("list", "home"), "Milk #shop #Home"))
	is.True(strings.Contains(run("search", "litres"), "Milk: buy two [litres] of"))
	is.Equal(run("search", "nothing"), "")

	run("edit", milk, "oat drink")
	is.Equal(run("search", "litres"), "")
	is.True(strings.Contains(run("search", "oat"), "Milk"))
	run("undo", milk)
	is.True(strings.Contains(run("search", "litres"), "Milk"))
	run("rm", milk)
	is.True(!strings.Contains(run("list"), "Milk"))
	is.Equal(run("search", "litres"), "")
	run("undo", milk) // brings it back
	is.True(strings.Contains(run("search", "litres"), "Milk"))

	fails("nothing to undo", "undo", tea)
	fails("begins with zzz", "undo", "zzz")
	fails("several", "undo", "0")
	fails("minlen", "add", "")
	fails("no such verb", "fly")
	fails("", "search", `"`)

	// The machine is lost: the notes come back from the bucket, and the search
	// index is made again.
	before := run("list")
	files, err := filepath.Glob(filepath.Join(dir, "notes.sqlite*"))
	is.NoErr(err)
	for _, f := range files {
		is.NoErr(os.RemoveAll(f))
	}
	is.Equal(run("list"), before)
	is.True(strings.Contains(run("search", "litres"), "Milk"))
}

// Runs that overlap wait for each other; the first one restores a file that is not there.
func TestOverlappingRuns(t *testing.T) {
	is := is.New(t)
	run, _, dir := cli(t)
	run("add", "before")
	is.NoErr(os.Remove(filepath.Join(dir, "notes.sqlite")))
	var all sync.WaitGroup
	for i := range 5 {
		all.Go(func() { run("add", fmt.Sprint("note ", i)) })
	}
	all.Wait()
	is.Equal(strings.Count(run("list"), "\n"), 6)
}

func TestModelsAreCurrent(t *testing.T) { drifttest.Verify(t, models.Schema) }
