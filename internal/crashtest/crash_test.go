package crashtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/internal/crashtest/models"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/filestore"
	"github.com/matryer/is"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		runChild()
		return
	}
	os.Exit(m.Run())
}

// kills is how many processes TestKill kills: DRIFTDB_CRASH_KILLS, or 25.
func kills(t *testing.T) int {
	s := os.Getenv("DRIFTDB_CRASH_KILLS")
	if s == "" {
		return 25
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("DRIFTDB_CRASH_KILLS=%q is not a positive number", s)
	}
	return n
}

// TestKill kills a writer with SIGKILL at random moments while it ships.
// After each kill the local file has every committed transfer, a restore from
// the bucket has every flushed one, both hold whole transactions only, and the
// next process goes on where the last one was killed.
func TestKill(t *testing.T) {
	is := is.New(t)
	ctx := context.Background()
	dir := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var facts facts
	for i := range kills(t) {
		if err := facts.lifeAndDeath(dir, time.Duration(random.IntN(60_000))*time.Microsecond); err != nil {
			t.Fatalf("process %d (seed %d): %v", i+1, seed, err)
		}
		local, err := auditFile(ctx, filepath.Join(dir, "bank.sqlite"))
		if err != nil {
			t.Fatalf("after kill %d (seed %d): the local file: %v", i+1, seed, err)
		}
		if local < facts.committed {
			t.Fatalf("after kill %d (seed %d): %d transfers were committed, the file has %d", i+1, seed, facts.committed, local)
		}
		restored, err := auditRestore(ctx, t, dir)
		if err != nil {
			t.Fatalf("after kill %d (seed %d): a restore: %v", i+1, seed, err)
		}
		if restored < facts.flushed {
			t.Fatalf("after kill %d (seed %d): %d transfers were flushed, the bucket has %d", i+1, seed, facts.flushed, restored)
		}
		if restored > local {
			t.Fatalf("after kill %d (seed %d): the bucket has %d transfers, the file only %d", i+1, seed, restored, local)
		}
	}
	snapshots, err := filepath.Glob(filepath.Join(dir, "bucket", "databases", dbName, "nodes", "*", "*", "snapshots", "*"))
	is.NoErr(err)
	t.Logf("%d kills: %d transfers committed, %d flushed, %d snapshots", kills(t), facts.committed, facts.flushed, len(snapshots))
	if kills(t) >= 100 {
		is.True(len(snapshots) > 0) // kills hit snapshots too
	}
	is.True(facts.flushed > 0) // otherwise the test has shown nothing
}

// facts are what the killed processes had said.
type facts struct{ committed, flushed int64 }

// lifeAndDeath starts a writer and kills it some time after it is ready.
func (f *facts) lifeAndDeath(dir string, after time.Duration) error {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var timer *time.Timer
	defer func() {
		if timer != nil {
			timer.Stop()
		}
	}()
	err = f.listen(out, func() {
		timer = time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) // already dead is fine: the error line says so
	})
	werr := cmd.Wait()
	if err != nil {
		return err
	}
	if werr == nil {
		return fmt.Errorf("the writer ended by itself")
	}
	if !strings.Contains(werr.Error(), "killed") {
		return werr
	}
	return nil
}

func (f *facts) listen(out io.Reader, ready func()) error {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		n, _ := strconv.ParseInt(rest, 10, 64)
		switch word {
		case "ready":
			if n < f.committed {
				return fmt.Errorf("the new process starts at transfer %d, but %d were committed", n, f.committed)
			}
			ready()
		case "committed":
			f.committed = n
		case "flushed":
			f.flushed = n
		case "error":
			return fmt.Errorf("the writer says: %s", rest)
		}
	}
	return nil
}

func auditFile(ctx context.Context, path string) (int64, error) {
	db, err := driftdb.Open(ctx, path, models.Schema, driftdb.Options{})
	if err != nil {
		return 0, err
	}
	last, err := audit(ctx, db)
	if cerr := db.Close(); err == nil {
		err = cerr
	}
	return last, err
}

func auditRestore(ctx context.Context, t *testing.T, dir string) (int64, error) {
	store, err := filestore.New(filepath.Join(dir, "bucket"), filestore.Options{})
	if err != nil {
		return 0, err
	}
	path := filepath.Join(t.TempDir(), "restored.sqlite")
	_, err = replicate.Restore(ctx, dbName, store, path, replicate.RestoreOptions{})
	if errors.Is(err, replicate.ErrNoBackup) || errors.Is(err, replicate.ErrNoRestorePoint) {
		return 0, nil // killed before the first acknowledgement: there must be no flushed transfer
	}
	if err != nil {
		return 0, err
	}
	return auditFile(ctx, path)
}
