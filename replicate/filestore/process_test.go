package filestore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/filestore"
)

// Other processes are this test's own program, told by a variable what to do.
const (
	taskEnv = "FILESTORE_TEST_TASK"
	dirEnv  = "FILESTORE_TEST_DIR"
)

// runTask is the other process's main.
func runTask(task string) error {
	store, err := filestore.New(os.Getenv(dirEnv), filestore.Options{NoSync: task == "write"})
	if err != nil {
		return err
	}
	if task == "count" {
		return countTo(context.Background(), store, 25)
	}
	return writeForEver(context.Background(), store)
}

// countTo adds 1 to the number at "counter" n times by compare-and-swap.
func countTo(ctx context.Context, store replicate.Store, n int) error {
	for n > 0 {
		body, info, err := store.Get(ctx, "counter")
		if err != nil {
			return err
		}
		data, err := io.ReadAll(body)
		if err = errors.Join(err, body.Close()); err != nil {
			return err
		}
		v, err := strconv.Atoi(string(data))
		if err != nil {
			return err
		}
		_, err = store.Put(ctx, "counter", bodyText(strconv.Itoa(v+1)), replicate.Condition{IfMatch: info.ETag})
		switch {
		case err == nil:
			n--
		case !errors.Is(err, replicate.ErrPrecondition):
			return err
		}
	}
	return nil
}

func bodyText(s string) replicate.Body {
	return replicate.Body{Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(s)), nil }, Size: int64(len(s))}
}

// content is what object n holds: its length and every part of it tell n.
func content(n int) string { return strings.Repeat(strconv.Itoa(n)+",", 1+n%3*40_000) }

// writeForEver puts objects, overwrites one, deletes some, and says what is
// done before it begins the next.
func writeForEver(ctx context.Context, store replicate.Store) error {
	first := 0
	for info, err := range store.List(ctx, "log/", "") {
		if err != nil {
			return err
		}
		if _, err := fmt.Sscanf(info.Key, "log/%d", &first); err != nil {
			return err
		}
		first++
	}
	for n := first; ; n++ {
		if _, err := store.Put(ctx, fmt.Sprintf("log/%08d", n), bodyText(content(n)), replicate.Condition{IfAbsent: true}); err != nil && !errors.Is(err, replicate.ErrPrecondition) {
			return err
		}
		if _, err := store.Put(ctx, "head", bodyText(content(n)), replicate.Condition{}); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

func startTask(t *testing.T, task, dir string) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), taskEnv+"="+task, dirEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// TestSwapBetweenProcesses: two processes and two stores in this one count
// together by compare-and-swap; a lost update would show in the sum.
func TestSwapBetweenProcesses(t *testing.T) {
	is := is.New(t)
	dir := t.TempDir()
	stores := []*filestore.Store{open(t, dir, filestore.Options{}), open(t, dir, filestore.Options{})}
	_, err := stores[0].Put(t.Context(), "counter", bodyText("0"), replicate.Condition{IfAbsent: true})
	is.NoErr(err)
	a, _ := startTask(t, "count", dir)
	b, _ := startTask(t, "count", dir)
	errs := make(chan error, 2)
	for _, s := range stores {
		go func() { errs <- countTo(t.Context(), s, 25) }()
	}
	is.NoErr(errors.Join(<-errs, <-errs, a.Wait(), b.Wait()))
	body, _, err := stores[0].Get(t.Context(), "counter")
	is.NoErr(err)
	data, err := io.ReadAll(body)
	is.NoErr(errors.Join(err, body.Close()))
	is.Equal(string(data), "100")
}

// TestKilledWriter: a writer is killed at random moments. What it said was
// stored is there, every object is whole, nothing else is listed, and nobody
// waits for its lock.
func TestKilledWriter(t *testing.T) {
	is := is.New(t)
	dir := t.TempDir()
	store := open(t, dir, filestore.Options{NoSync: true})
	acked := -1
	for range 25 {
		cmd, out := startTask(t, "write", dir)
		lines := bufio.NewScanner(out)
		for stop := 1 + rand.IntN(6); stop > 0 && lines.Scan(); stop-- {
			n, err := strconv.Atoi(lines.Text())
			is.NoErr(err)
			acked = n
		}
		timer := time.AfterFunc(rand.N(3*time.Millisecond), func() { _ = cmd.Process.Kill() })
		for lines.Scan() {
			n, err := strconv.Atoi(lines.Text())
			is.NoErr(err)
			acked = n
		}
		timer.Stop()
		_ = cmd.Wait() // killed
		checkLog(t, store, acked)
	}
	is.True(acked > 25)
}

func checkLog(t *testing.T, store replicate.Store, acked int) {
	t.Helper()
	is := is.New(t)
	next := 0
	for info, err := range store.List(t.Context(), "", "") {
		is.NoErr(err)
		body, _, err := store.Get(t.Context(), info.Key)
		is.NoErr(err)
		data, err := io.ReadAll(body)
		is.NoErr(errors.Join(err, body.Close()))
		number, _, _ := strings.Cut(string(data), ",")
		n, err := strconv.Atoi(number)
		is.NoErr(err)
		is.True(string(data) == content(n)) // whole
		if info.Key == "head" {
			is.True(n >= acked)
			continue
		}
		is.Equal(info.Key, fmt.Sprintf("log/%08d", next))
		is.Equal(n, next)
		next++
	}
	is.True(next > acked)
}
