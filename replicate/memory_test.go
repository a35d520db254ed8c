package replicate_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/filestore"
)

// A restore takes little memory, however large the snapshot or the log is. A
// process of its own restores each, and its peak is what Linux says. Run it with
// DRIFTDB_RESTORE_MEMORY=1; =full has a snapshot of 1 GB.
func TestRestoreMemory(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv("DRIFTDB_RESTORE_CHILD"); dir != "" {
		restoreChild(t, dir)
		return
	}
	scale := os.Getenv("DRIFTDB_RESTORE_MEMORY")
	if scale == "" {
		t.Skip("set DRIFTDB_RESTORE_MEMORY=1, or full")
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("the peak of a process is read from /proc")
	}
	megabytes := 64
	if scale == "full" {
		megabytes = 1000
	}
	for name, fill := range map[string]func(a *app, r *replicate.Replica) error{
		"snapshot": func(a *app, r *replicate.Replica) error {
			for range megabytes {
				a.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
					INSERT INTO pairs (a, b, v) SELECT hex(randomblob(16)), i, randomblob(500) || zeroblob(450) FROM n`)
			}
			return r.Snapshot(t.Context())
		},
		"a million rows in one transaction": func(a *app, r *replicate.Replica) error {
			a.in(func(x changelog.Execer) error {
				return x.Exec(t.Context(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
					INSERT INTO items (id, name, n) SELECT i, 'item ' || i, i FROM n`)
			})
			return r.Flush(t.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			dir := t.TempDir()
			is.NoErr(os.Mkdir(filepath.Join(dir, "store"), 0o700))
			store, err := filestore.New(filepath.Join(dir, "store"), filestore.Options{})
			is.NoErr(err)
			a := openApp(t, filepath.Join(dir, "app.sqlite"))
			r := start(t, a, store, fast())
			is.NoErr(fill(a, r))
			shutdown(t, r)
			a.close()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRestoreMemory$", "-test.v")
			cmd.Env = append(os.Environ(), "DRIFTDB_RESTORE_CHILD="+dir, "GOMEMLIMIT=")
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			peak := regexp.MustCompile(`peak (\d+) KiB, (\d+) bytes in (\S+)`).FindStringSubmatch(string(out))
			is.Equal(len(peak), 4)
			n, err := strconv.Atoi(peak[1])
			is.NoErr(err)
			t.Logf("%s: %s bytes restored in %s, peak %d KiB", name, peak[2], peak[3], n)
			is.True(n <= 64<<10)
			is.NoErr(store.Close())
		})
	}
}

// restoreChild restores what its parent has stored, and tells its peak.
func restoreChild(t *testing.T, dir string) {
	is := is.New(t)
	store, err := filestore.New(filepath.Join(dir, "store"), filestore.Options{})
	is.NoErr(err)
	to := filepath.Join(dir, "back.sqlite")
	result, err := replicate.Restore(context.Background(), dbName, store, to, replicate.RestoreOptions{})
	is.NoErr(err)
	is.NoErr(store.Close())
	info, err := os.Stat(to)
	is.NoErr(err)
	status, err := os.ReadFile("/proc/self/status")
	is.NoErr(err)
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	fmt.Printf("peak %s KiB, %d bytes in %s\n", strings.Fields(rest)[0], info.Size(), result.Duration)
}
