package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// side is one of the two systems in one experiment: an application with its
// file, and the proxy through which its changes go to the server.
type side struct {
	b      *bench
	name   string // of the experiment and the system: a directory and a prefix
	file   string
	proxy  *proxy
	app    *process
	daemon *daemon // Litestream; nil for DriftDB
}

// newSide makes the directory and the proxy. delay is the way to the bucket.
func (b *bench) newSide(name string, delay time.Duration) (*side, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p, err := newProxy(b.server.endpoint, delay)
	return &side{b: b, name: name, file: filepath.Join(dir, "app.sqlite"), proxy: p}, err
}

// close ends the side's processes.
func (s *side) close() {
	if s.app != nil {
		s.app.kill()
	}
	if s.daemon != nil {
		_ = s.daemon.stop()
	}
	s.proxy.close()
}

// open starts the application and, for the plain engine, Litestream beside it.
func (s *side) open(ctx context.Context, c command) error {
	var err error
	if s.app, err = s.b.child(ctx); err != nil {
		return err
	}
	c.Do, c.File, c.Name, c.Endpoint, c.Prefix = "open", s.file, "app", s.proxy.url, s.name
	_, err = s.app.do(c)
	return err
}

func (s *side) startLitestream(ctx context.Context) (err error) {
	s.daemon, err = s.b.peer.replicate(ctx, s.file, s.proxy.url, s.name)
	return err
}

// process is a child that answers commands.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// child starts this program as an application under measurement.
func (b *bench) child(ctx context.Context) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-app")
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+b.server.access, "AWS_SECRET_ACCESS_KEY="+b.server.secret)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &process{cmd: cmd, in: in, out: bufio.NewReaderSize(out, 1<<20)}, cmd.Start()
}

// do sends a command and waits for its answer.
func (p *process) do(c command) (r reply, err error) {
	line, err := json.Marshal(c)
	if err != nil {
		return r, err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return r, fmt.Errorf("%s: %w", c.Do, err)
	}
	answer, err := p.out.ReadBytes('\n')
	if err != nil {
		return r, fmt.Errorf("%s: the application has gone: %w", c.Do, err)
	}
	if err := json.Unmarshal(answer, &r); err != nil {
		return r, err
	}
	if r.Error != "" {
		err = fmt.Errorf("%s: %s", c.Do, r.Error)
	}
	return r, err
}

// end closes the application as its user would.
func (p *process) end() error {
	_, err := p.do(command{Do: "close"})
	return errors.Join(err, p.in.Close(), p.cmd.Wait())
}

// kill takes the application away.
func (p *process) kill() {
	_ = p.in.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// once runs one command in a process of its own and returns what it has used.
func (b *bench) once(ctx context.Context, c command) (r, usage reply, err error) {
	p, err := b.child(ctx)
	if err != nil {
		return r, usage, err
	}
	r, err = p.do(c)
	if err == nil {
		usage, err = p.do(command{Do: "usage"})
	}
	if err != nil {
		p.kill()
		return r, usage, err
	}
	return r, usage, p.end()
}

func copyFile(from, to string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

func logs(all []request) (batches []request) {
	for _, r := range all {
		if r.Kind == kindPut && strings.Contains(r.Key, "/logs/") && r.Status/100 == 2 {
			batches = append(batches, r)
		}
	}
	return batches
}
