package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// litestream is the peer: the pinned program, as its own documentation runs it.
type litestream struct {
	program string
	access  string
	secret  string
}

// buildLitestream builds what the nested module pins.
func buildLitestream(ctx context.Context, root, dir string, s *server) (*litestream, error) {
	l := &litestream{program: filepath.Join(dir, "litestream"), access: s.access, secret: s.secret}
	cmd := exec.CommandContext(ctx, "go", "build", "-C", filepath.Join(root, "bench", "litestream"), "-trimpath",
		"-o", l.program, "github.com/benbjohnson/litestream/cmd/litestream")
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly", "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build Litestream: %w\n%s", err, out)
	}
	return l, nil
}

// config writes the configuration for one database; everything that is not
// about where is the program's default.
func (l *litestream) config(file, endpoint, prefix string) (string, error) {
	path := file + ".litestream.yml"
	return path, os.WriteFile(path, fmt.Appendf(nil, `dbs:
  - path: %s
    replica:
      type: s3
      bucket: %s
      path: %s
      endpoint: %s
      region: us-east-1
      force-path-style: true
      access-key-id: %s
      secret-access-key: %s
`, file, bucketName, prefix, endpoint, l.access, l.secret), 0o600)
}

// command is the program with the environment of this process, without what it
// cannot start with (it fails where AWS_CA_BUNDLE is set).
func (l *litestream) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, l.program, args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_CA_BUNDLE=") })
	return cmd
}

// replicate runs the daemon for one file. It is stopped as a service manager
// does, with SIGTERM.
func (l *litestream) replicate(ctx context.Context, file, endpoint, prefix string) (*daemon, error) {
	config, err := l.config(file, endpoint, prefix)
	if err != nil {
		return nil, err
	}
	d, err := start(l.command(ctx, "replicate", "-config", config), file+".litestream.log")
	if err != nil {
		return nil, err
	}
	select { // what is wrong with the configuration is said at once
	case <-d.done:
		return nil, fmt.Errorf("Litestream has ended: %w", errors.Join(d.wait(), errors.New("it should run on")))
	case <-time.After(500 * time.Millisecond):
		return d, nil
	}
}

// restore restores file to another path and returns how long it took and its
// peak memory.
func (l *litestream) restore(ctx context.Context, file, endpoint, prefix, to string) (time.Duration, int64, error) {
	config, err := l.config(file, endpoint, prefix)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	d, err := start(l.command(ctx, "restore", "-config", config, "-o", to, file), to+".log")
	if err != nil {
		return 0, 0, err
	}
	err = d.wait()
	return time.Since(began), d.peak(), err
}

// daemon is a process whose memory is watched.
type daemon struct {
	cmd    *exec.Cmd
	log    string
	done   chan struct{}
	err    error
	watch  chan struct{}
	memory int64 // VmHWM in bytes, when last looked
}

func start(cmd *exec.Cmd, log string) (*daemon, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := errors.Join(cmd.Start(), out.Close()); err != nil {
		return nil, err
	}
	d := &daemon{cmd: cmd, log: log, done: make(chan struct{}), watch: make(chan struct{})}
	go func() {
		defer close(d.watch)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-d.done:
				return
			case <-tick.C:
				if n := peakMemory(cmd.Process.Pid); n > d.memory {
					d.memory = n
				}
			}
		}
	}()
	go func() {
		defer close(d.done)
		d.err = cmd.Wait()
	}()
	return d, nil
}

// wait waits for the end of the process.
func (d *daemon) wait() error {
	<-d.done
	if d.err == nil {
		return nil
	}
	text, _ := os.ReadFile(d.log)
	return fmt.Errorf("%s: %w\n%s", filepath.Base(d.cmd.Path), d.err, text[max(0, len(text)-2000):])
}

// stop ends the process and waits.
func (d *daemon) stop() error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(20 * time.Second):
		_ = d.cmd.Process.Kill()
		<-d.done
	}
	return nil // how it ends is its own business
}

// peak is the process's peak memory so far, VmHWM in bytes.
func (d *daemon) peak() int64 {
	<-d.done
	<-d.watch
	return d.memory
}

// peakMemory reads VmHWM of a process, in bytes; 0 when it has gone.
func peakMemory(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	var kb int64
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kb); err == nil {
			return kb << 10
		}
	}
	return 0
}
