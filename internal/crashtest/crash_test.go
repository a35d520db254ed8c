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

// number is what a variable of the environment says, or otherwise.
func number(t *testing.T, name string, otherwise int) int {
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is not a positive number", name, s)
	}
	return n
}

// TestKill kills a writer with SIGKILL at random moments while it ships.
// After each kill the local file has every committed transfer, a restore from
// the bucket has every flushed one, both hold whole transactions only, and the
// next process goes on where the last one was killed. DRIFTDB_CRASH_KILLS sets how
// many processes are killed.
func TestKill(t *testing.T) {
	is := is.New(t)
	ctx := context.Background()
	dir := t.TempDir()
	kills := number(t, "DRIFTDB_CRASH_KILLS", 25)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var facts facts
	// On a busy machine processes may be killed before any has flushed: then more
	// are, and later.
	for i := 0; i < kills || facts.flushed == 0 && i < 20*kills; i++ {
		if err := facts.lifeAndDeath(dir, time.Duration(random.IntN(60_000*(1+i/kills)))*time.Microsecond); err != nil {
			t.Fatalf("process %d (seed %d): %v", i+1, seed, err)
		}
		if err := facts.audit(ctx, t, dir); err != nil {
			t.Fatalf("after kill %d (seed %d): %v", i+1, seed, err)
		}
	}
	snapshots, err := filepath.Glob(filepath.Join(dir, "bucket", "databases", dbName, "nodes", "*", "*", "snapshots", "*"))
	is.NoErr(err)
	t.Logf("%d kills: %d transfers committed, %d flushed, %d snapshots", kills, facts.committed, facts.flushed, len(snapshots))
	if kills >= 100 {
		is.True(len(snapshots) > 0) // kills hit snapshots too
	}
	is.True(facts.flushed > 0) // otherwise the test has shown nothing
}

// facts are what the killed processes had said.
type facts struct{ committed, flushed int64 }

// audit checks what is there after a kill against the facts.
func (f *facts) audit(ctx context.Context, t *testing.T, dir string) error {
	local, file := int64(-1), filepath.Join(dir, "bank.sqlite")
	if _, err := os.Stat(file); err == nil { // else killed before it was restored
		if local, err = auditFile(ctx, file); err != nil {
			return fmt.Errorf("the local file: %w", err)
		}
		if local < f.committed {
			return fmt.Errorf("%d transfers were committed, the file has %d", f.committed, local)
		}
	}
	restored, err := auditRestore(ctx, t, dir)
	if err != nil {
		return fmt.Errorf("a restore: %w", err)
	}
	if restored < f.flushed {
		return fmt.Errorf("%d transfers were flushed, the bucket has %d", f.flushed, restored)
	}
	if local >= 0 && restored > local {
		return fmt.Errorf("the bucket has %d transfers, the file only %d", restored, local)
	}
	return nil
}

// lifeAndDeath starts a writer and kills it some time after it is ready.
func (f *facts) lifeAndDeath(dir string, after time.Duration) error {
	cmd := exec.Command(os.Args[0])
	var timer *time.Timer
	defer func() {
		if timer != nil {
			timer.Stop()
		}
	}()
	return f.live(cmd, dir, func() {
		timer = time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) // already dead is fine: the error line says so
	})
}

// live runs a writer until it is killed; ready is called when it begins to write.
func (f *facts) live(cmd *exec.Cmd, dir string, ready func()) error {
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = f.listen(out, ready)
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
