package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// base makes a file of about so many MB with documents and accounts, without a
// log, which both systems begin with. It compresses about four to one.
func (b *bench) base(ctx context.Context, megabytes int) (string, error) {
	file := filepath.Join(b.dir, fmt.Sprintf("base-%d.sqlite", megabytes))
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	p, err := openPlain(ctx, file)
	if err != nil {
		return "", err
	}
	err = p.accounts(ctx, accountRows)
	text := newProse()
	for n := 0; n < megabytes && err == nil; n += 8 {
		err = p.documents(ctx, text, 8000)
	}
	if err == nil {
		_, err = p.db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	}
	return file, errors.Join(err, p.close(ctx))
}

// compressed is what gzip makes of a file, in bytes.
func compressed(file string) (n int64, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var count counter
	zip := gzip.NewWriter(&count)
	if _, err := io.Copy(zip, f); err != nil {
		return 0, err
	}
	return int64(count), zip.Close()
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// upload is what the first minute of replication of an existing database costs.
func (b *bench) upload(ctx context.Context) ([]row, error) {
	base, err := b.base(ctx, b.scale(128, 16))
	if err != nil {
		return nil, err
	}
	p, err := b.newPair("upload", 0)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if err := errors.Join(copyFile(base, p.drift.file), copyFile(base, p.peer.file)); err != nil {
		return nil, err
	}
	zipped, err := compressed(base)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := p.open(ctx); err != nil {
		return nil, err
	}
	took := time.Since(began)
	if err := b.wait(ctx, time.Duration(b.scale(60, 5))*time.Second-took); err != nil {
		return nil, err
	}
	d, l := sum(p.drift.proxy.requests(began)), sum(p.peer.proxy.requests(began))
	ratio := func(t tally) float64 { return float64(t.Up) / float64(zipped) }
	return []row{{
		Figure: fmt.Sprintf("first upload, %.0f MB that gzip makes %.0f MB, first minute", float64(fileSize(base))/1e6, float64(zipped)/1e6), Goal: "1.0 × the compressed database",
		Drift: fmt.Sprintf("%.2f × (%s)", ratio(d), seconds(took)), Peer: fmt.Sprintf("%.2f ×", ratio(l)), Met: judge(ratio(d) <= 1.05),
	}}, nil
}

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// system is what was seen of one application beside a large database.
type system struct {
	writes   reply
	peak     int64 // of the application
	daemon   int64 // of Litestream
	snapshot time.Duration
}

// large takes a database of 1 GB, by default: stalls of a writer while it is uploaded, the
// memory that takes, restore, verify.
func (b *bench) large(ctx context.Context) ([]row, error) {
	base, err := b.base(ctx, b.scale(b.megabytes, 32))
	if err != nil {
		return nil, err
	}
	p, err := b.newPair("large", 0)
	if err != nil {
		return nil, err
	}
	defer p.close()
	alone, err := b.newSide("large-alone", 0)
	if err != nil {
		return nil, err
	}
	defer alone.close()
	without, err := b.besides(ctx, base, alone, command{Engine: "local"})
	if err != nil {
		return nil, err
	}
	drift, err := b.besides(ctx, base, p.drift, command{Engine: "drift"})
	if err != nil {
		return nil, err
	}
	peer, err := b.besides(ctx, base, p.peer, command{Engine: "plain"})
	if err != nil {
		return nil, err
	}
	rows := stalls(float64(fileSize(base))/1e9, without, drift, peer)
	restored, err := b.restoreLarge(ctx, p)
	return append(rows, restored...), err
}

// besides writes to a copy of base while the system uploads all of it.
func (b *bench) besides(ctx context.Context, base string, s *side, c command) (sys system, err error) {
	if err := copyFile(base, s.file); err != nil {
		return sys, err
	}
	syscall.Sync() // or the first commits wait for the copy
	if err := s.open(ctx, c); err != nil {
		return sys, err
	}
	if c.Engine == "plain" {
		if err := s.startLitestream(ctx); err != nil {
			return sys, err
		}
	}
	sys.writes, err = s.app.do(command{Do: "load", Load: "both", Rate: 200, Seconds: float64(b.scale(30, 3)), Snapshot: c.Engine == "drift"})
	if err != nil {
		return sys, err
	}
	if c.Engine == "drift" {
		if _, err := s.app.do(command{Do: "flush"}); err != nil {
			return sys, err
		}
	}
	u, err := s.app.do(command{Do: "usage"})
	if err != nil {
		return sys, err
	}
	sys.peak = u.Peak
	if s.daemon != nil {
		if err := b.settle(ctx, s); err != nil {
			return sys, err
		}
		_ = s.daemon.stop()
		sys.daemon = s.daemon.peak()
	}
	err = s.app.end()
	s.app = nil
	return sys, err
}

// settle waits until Litestream has sent nothing but listings for 5 s.
func (b *bench) settle(ctx context.Context, s *side) error {
	for range 60 {
		began := time.Now()
		if err := b.wait(ctx, 5*time.Second); err != nil {
			return err
		}
		if sum(s.proxy.requests(began.Add(-5*time.Second))).Put == 0 {
			return nil
		}
	}
	return errors.New("Litestream goes on storing")
}

func stalls(gigabytes float64, without, drift, peer system) []row {
	show := func(s system) string {
		return fmt.Sprintf("p99.9 %s, max %s", millis(percentile(s.writes.Took, 0.999)), millis(percentile(s.writes.Took, 1)))
	}
	ok := percentile(drift.writes.Took, 0.999) <= 50*time.Millisecond && percentile(drift.writes.Took, 1) <= 250*time.Millisecond
	above := drift.peak - without.peak
	return []row{{
		Figure: fmt.Sprintf("longest transaction, 200/s, while %.1f GB are uploaded", gigabytes), Goal: "p99.9 ≤ 50 ms, max ≤ 250 ms",
		Drift: fmt.Sprintf("%s (snapshot %s; without replication %s)", show(drift), seconds(drift.writes.Snapshot), show(without)), Peer: show(peer), Met: judge(ok),
	}, {
		Figure: fmt.Sprintf("replication memory, %.1f GB, snapshot included", gigabytes), Goal: "≤ 24 MiB above the program's own",
		Drift: fmt.Sprintf("%s above %s", mib(above), mib(without.peak)), Peer: mib(peer.daemon) + " (a process of its own)", Met: judge(above <= 24<<20),
	}}
}

// restores is how often a large database is restored: the first time a machine has to
// find the memory for the file, which is not part of it.
const restores = 3

// restored is what restoring took.
type restored struct {
	took, cpu  time.Duration // the median
	size, peak int64
}

// again restores to a path some times, and removes what it has made.
func again(to string, restore func() (restored, error)) (all restored, err error) {
	var took, cpu []time.Duration
	for range restores {
		syscall.Sync() // what was written before is not part of it either
		r, err := restore()
		if err != nil {
			return all, err
		}
		took, cpu = append(took, r.took), append(cpu, r.cpu)
		all.size, all.peak = fileSize(to), max(all.peak, r.peak)
		if err := removeDatabase(to); err != nil {
			return all, err
		}
	}
	all.took, all.cpu = percentile(took, 0.5), percentile(cpu, 0.5)
	return all, nil
}

func (b *bench) restoreLarge(ctx context.Context, p pair) ([]row, error) {
	to := filepath.Join(b.dir, "restored.sqlite")
	by := func(c command) func() (restored, error) {
		return func() (restored, error) {
			r, u, err := b.once(ctx, c)
			return restored{took: r.Duration, cpu: u.CPU, peak: u.Peak}, err
		}
	}
	began := time.Now()
	d, err := again(to, by(command{Do: "restore", Name: "app", File: to, Endpoint: p.drift.proxy.url, Prefix: p.drift.name}))
	if err != nil {
		return nil, err
	}
	requests := sum(p.drift.proxy.requests(began))
	dir := filepath.Join(b.dir, "objects")
	if _, _, err := b.once(ctx, command{Do: "copy", Endpoint: p.drift.proxy.url, Prefix: p.drift.name, Dir: dir}); err != nil {
		return nil, err
	}
	near, err := again(to, by(command{Do: "restore", Name: "app", File: to, Dir: dir}))
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		return nil, err
	}
	peer, err := again(to, func() (r restored, err error) {
		r.took, r.peak, err = b.peer.restore(ctx, p.peer.file, p.peer.proxy.url, p.peer.name, to)
		return r, err
	})
	if err != nil {
		return nil, err
	}
	v, vu, err := b.once(ctx, command{Do: "verify", Name: "app", Endpoint: p.drift.proxy.url, Prefix: p.drift.name})
	if err != nil {
		return nil, err
	}
	speed, nearby := rate(d.size, d.took), rate(near.size, near.took)
	verified := d.size * v.Sequence // every snapshot is read
	return []row{{
		Figure: fmt.Sprintf("restore of %.1f GB, quick_check included, median of %d", float64(d.size)/1e9, restores), Goal: "≥ 250 MB/s",
		Drift: fmt.Sprintf("%.0f MB/s (%s, of it %s processor time; each %d GET, %d LIST)", speed, seconds(d.took), seconds(d.cpu), requests.Get/restores, requests.List/restores),
		Peer:  fmt.Sprintf("%.0f MB/s (no check of the file)", rate(peer.size, peer.took)), Met: judge(speed >= 250),
	}, {
		Figure: "… from a directory, no server on the same processors", Goal: "≥ 250 MB/s",
		Drift: fmt.Sprintf("%.0f MB/s (%s, of it %s processor time)", nearby, seconds(near.took), seconds(near.cpu)), Met: judge(nearby >= 250),
	}, {
		Figure: "restore memory", Goal: "≤ 64 MiB at any size", Drift: mib(d.peak), Peer: mib(peer.peak), Met: judge(d.peak <= 64<<20),
	}, {
		Figure: fmt.Sprintf("verify every object: %d snapshots and what follows them", v.Sequence), Goal: "≥ 300 MB/s of database",
		Drift: fmt.Sprintf("%.0f MB/s, %.0f MB/s as stored (%s, of it %s processor time)", rate(verified, v.Duration), rate(v.Bytes, v.Duration), seconds(v.Duration), seconds(vu.CPU)),
		Met:   judge(rate(verified, v.Duration) >= 300),
	}}, nil
}

func removeDatabase(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm", "-drift"} {
		if err := os.RemoveAll(path + suffix); err != nil {
			return err
		}
	}
	return nil
}

// prose makes document bodies: words, as people write them, of a thousand bytes.
type prose struct {
	pool string // a megabyte, of which each body takes ten pieces
	x    uint64
}

func newProse() *prose {
	words := []string{"order", "from", "customer", "delivered", "invoice", "number", "with", "remark", "about", "street", "pending", "total", "and", "returned", "after", "phone"}
	p := &prose{x: 88172645463325252}
	var s strings.Builder
	for s.Len() < 1<<20 {
		x := p.next()
		fmt.Fprintf(&s, "%s %d ", words[x%16], x>>16%1000)
	}
	p.pool = s.String()
	return p
}

func (p *prose) next() uint64 {
	p.x ^= p.x << 13
	p.x ^= p.x >> 7
	p.x ^= p.x << 17
	return p.x
}

func (p *prose) body() string {
	var s strings.Builder
	s.Grow(1000)
	for range 10 {
		at := p.next() % (1<<20 - 100)
		s.WriteString(p.pool[at : at+100])
	}
	return s.String()
}
