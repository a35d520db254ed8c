package crashtest

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPowerFails cuts the power of the disk under a writer: an ext4 on a loop device
// is shut down without writing its journal, so that what no fsync has forced there is
// gone, as after a real power cut; the bucket is elsewhere and stays. Under
// synchronous=NORMAL the last commits may be lost. What was flushed is in the file
// and in the bucket, the file is sound and never behind the bucket, and the next
// process goes on with it. Every fourth process finds no file and restores it first.
// DRIFTDB_POWER_CUTS sets how many cuts there are.
func TestPowerFails(t *testing.T) {
	cuts := number(t, "DRIFTDB_POWER_CUTS", 4)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	d := newDisk(t)
	ctx := context.Background()
	var said facts
	lost := int64(0)
	for i := range cuts {
		if i%4 == 3 {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				if err := os.Remove(filepath.Join(d.dir, "bank.sqlite"+suffix)); err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
			}
			if err := d.sync(); err != nil {
				t.Fatal(err)
			}
			said.committed = said.flushed
		}
		if err := d.liveUntilCut(&said, time.Duration(random.IntN(120_000))*time.Microsecond); err != nil {
			t.Fatalf("cut %d (seed %d): %v", i+1, seed, err)
		}
		committed := said.committed
		said.committed = said.flushed
		if err := said.audit(ctx, t, d.dir); err != nil {
			t.Fatalf("after cut %d (seed %d): %v", i+1, seed, err)
		}
		if last, err := auditFile(ctx, filepath.Join(d.dir, "bank.sqlite")); err == nil {
			lost += max(committed-last, 0)
		}
	}
	t.Logf("%d cuts: %d transfers flushed; %d that were committed and not flushed went with the power", cuts, said.flushed, lost)
	if cuts >= 20 && (said.flushed == 0 || lost == 0) {
		t.Error("nothing was ever flushed, or lost: the test has shown nothing")
	}
}

// disk is an ext4 in a file, mounted at dir. dir/bucket leads away from it.
type disk struct {
	t     *testing.T
	image string
	dir   string
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
	for _, program := range []string{"mkfs.ext4", "mount", "umount"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	d := &disk{t: t, image: filepath.Join(t.TempDir(), "image"), dir: filepath.Join(t.TempDir(), "disk")}
	bucket := filepath.Join(t.TempDir(), "bucket")
	for _, dir := range []string{d.dir, bucket} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, 96<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", d.image).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	if out, err := d.mount(); err != nil {
		t.Skipf("mounting an ext4 from a file: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("umount", d.dir).Run() })
	if err := os.Symlink(bucket, filepath.Join(d.dir, "bucket")); err != nil {
		t.Fatal(err)
	}
	if err := d.sync(); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *disk) mount() ([]byte, error) {
	return exec.Command("mount", "-o", "loop", "-t", "ext4", d.image, d.dir).CombinedOutput()
}

// root opens the directory of the file system for f.
func (d *disk) root(f func(fd int) error) error {
	dir, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return f(int(dir.Fd()))
}

// sync forces everything to the disk.
func (d *disk) sync() error {
	return d.root(unix.Syncfs)
}

// cut shuts the file system down as it is on the disk.
func (d *disk) cut() error {
	return d.root(func(fd int) error {
		const shutdown, noLogFlush = 0x8004587d, 2 // EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
		return unix.IoctlSetPointerInt(fd, shutdown, noLogFlush)
	})
}

// liveUntilCut runs a writer, cuts the power some time after it is ready, and mounts
// what is left. What the writer said before it was killed is in said; it may have met
// errors of the dead disk.
func (d *disk) liveUntilCut(said *facts, after time.Duration) error {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+d.dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	off := make(chan error, 1)
	began := false
	heard := said.listen(bufio.NewReader(out), func() {
		began = true
		time.AfterFunc(after, func() {
			err := d.cut()
			_ = cmd.Process.Kill()
			off <- err
		})
	})
	if !began {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return fmt.Errorf("the writer did not begin: %w", heard)
	}
	if err := <-off; err != nil {
		return fmt.Errorf("shut the file system down: %w", err)
	}
	_ = cmd.Wait() // it was killed, or the disk was
	if out, err := exec.Command("umount", d.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("umount: %w: %s", err, out)
	}
	if out, err := d.mount(); err != nil {
		return fmt.Errorf("mount after the cut: %w: %s", err, out)
	}
	return nil
}
