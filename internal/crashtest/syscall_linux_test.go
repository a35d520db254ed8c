package crashtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// changing are the system calls that change a file or what is on the disk.
const changing = "pwrite64,write,fsync,fdatasync,ftruncate,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir"

// lastCall is up to which call of one thread processes are killed: the first calls
// open and recover the file or restore it, the later ones commit, seal, ship, copy
// and prune.
const lastCall = 600

// TestSyscalls kills a writer before its n-th system call that changes anything,
// for many n: where TestKill draws a moment, this one leaves no gap between two
// calls. Every fourth process finds no file and restores it first. What must hold
// is what must hold in TestKill. DRIFTDB_SYSCALLS sets how many n are tried, of the
// 600 that there are.
func TestSyscalls(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed")
	}
	n := min(number(t, "DRIFTDB_SYSCALLS", 12), lastCall)
	ctx := context.Background()
	var dir string
	var said facts
	for i := range n {
		if i%50 == 0 {
			dir, said = t.TempDir(), facts{}
		}
		file := filepath.Join(dir, "bank.sqlite")
		if i%4 == 3 {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				if err := os.Remove(file + suffix); err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
			}
			said.committed = said.flushed // what was not flushed is lost with the file
		}
		call := 1 + i*lastCall/n
		cmd := exec.Command("strace", "-f", "-qqq", "-o", os.DevNull, "-e", "trace="+changing,
			"-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", changing, call), os.Args[0])
		if err := said.live(cmd, dir, func() {}); err != nil {
			t.Fatalf("call %d: %v", call, err)
		}
		if err := said.audit(ctx, t, dir); err != nil {
			t.Fatalf("after call %d: %v", call, err)
		}
	}
	t.Logf("killed before %d calls", n)
}
