package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// replay restores a million changes from the log alone.
func (b *bench) replay(ctx context.Context) ([]row, error) {
	s, err := b.newSide("replay", 0)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := s.open(ctx, command{Engine: "drift", NoSnapshots: true}); err != nil {
		return nil, err
	}
	for _, c := range []command{{Do: "load", Load: "accounts", Count: 1}, {Do: "load", Load: "mixed", Rows: 1000, Count: b.scale(1000, 20)}, {Do: "flush"}} {
		if _, err := s.app.do(c); err != nil {
			return nil, err
		}
	}
	if err := s.app.end(); err != nil {
		return nil, err
	}
	s.app = nil
	r, u, err := b.once(ctx, command{Do: "restore", Name: "app", File: filepath.Join(b.dir, "replayed.sqlite"), Endpoint: s.proxy.url, Prefix: s.name})
	if err != nil {
		return nil, err
	}
	peak := u.Peak
	speed := float64(r.Entries) / r.Duration.Seconds()
	return []row{{
		Figure: fmt.Sprintf("restore by replay of %d changes, half of them updates, quick_check included", r.Entries), Goal: "≥ 150,000 changes/s",
		Drift: fmt.Sprintf("%.0f changes/s, %.0f a second of processor time, %s of memory", speed, float64(r.Entries)/u.CPU.Seconds(), mib(peak)), Met: judge(speed >= 150_000 && peak <= 64<<20),
	}}, nil
}

// making is the accelerated day being made.
type making struct {
	side    *side
	app     *process
	dir     string // of the file, in memory where there is room: what a day's disk does is not measured
	batches int
	done    chan struct{}
	reply   reply
	err     error
}

// makeDay begins to make what a day of a batch a second leaves in the bucket:
// batches as fast as they are sealed, packed as on a real day, copied to the
// server at the end.
func (b *bench) makeDay(ctx context.Context) (err error) {
	m := &making{batches: b.scale(86_400, 1000), done: make(chan struct{})}
	if m.side, err = b.newSide("day", 0); err != nil {
		return err
	}
	if m.dir, err = os.MkdirTemp("/dev/shm", "driftdb-bench-"); err != nil {
		m.dir = filepath.Dir(m.side.file)
	}
	if m.app, err = b.child(ctx); err != nil {
		return err
	}
	b.making = m
	go func() {
		defer close(m.done)
		m.reply, m.err = m.app.do(command{Do: "day", File: filepath.Join(m.dir, "app.sqlite"), Name: "app", Endpoint: m.side.proxy.url, Prefix: m.side.name, Count: m.batches})
	}()
	return nil
}

// endDay removes what makeDay has left.
func (b *bench) endDay() {
	if m := b.making; m != nil {
		m.app.kill()
		<-m.done
		m.side.close()
		_ = os.RemoveAll(m.dir)
		b.making = nil
	}
}

// day restores that day, through the proxy.
func (b *bench) day(ctx context.Context) ([]row, error) {
	if b.making == nil {
		if err := b.makeDay(ctx); err != nil {
			return nil, err
		}
	}
	defer b.endDay()
	m := b.making
	<-m.done
	if m.err != nil {
		return nil, m.err
	}
	began := time.Now()
	r, u, err := b.once(ctx, command{Do: "restore", Name: "app", File: filepath.Join(b.dir, "day.sqlite"), Endpoint: m.side.proxy.url, Prefix: m.side.name})
	if err != nil {
		return nil, err
	}
	t := sum(m.side.proxy.requests(began))
	return []row{{
		Figure: fmt.Sprintf("objects read to restore after 24 h of 1 s batches (%d, accelerated, no snapshot among them)", m.batches), Goal: "≤ 64 GET, ≤ 2 LIST",
		Drift: fmt.Sprintf("%d GET, %d LIST; %s, %s of memory (the day was made in %s)", t.Get, t.List, seconds(r.Duration), mib(u.Peak), seconds(m.reply.Duration)),
		Met:   judge(t.Get <= 64 && t.List <= 2),
	}}, nil
}

// overhead is the processor time that the log's triggers cost a writer.
func (b *bench) overhead(ctx context.Context) ([]row, error) {
	single, err := b.ratio(ctx, "single", "plain", command{Do: "load", Load: "create", Count: b.scale(20_000, 500)})
	if err != nil {
		return nil, err
	}
	bulk, err := b.ratio(ctx, "bulk", "local", command{Do: "load", Load: "createmany", Rows: 1000, Count: b.scale(100, 5)})
	if err != nil {
		return nil, err
	}
	return []row{{
		Figure: "processor time with the log, one row a transaction, the same prepared insert", Goal: "≤ 1.30 ×",
		Drift: fmt.Sprintf("%.2f × (%s)", single.ratio, single), Peer: "1 × (reads the WAL)", Met: judge(single.ratio <= 1.30),
	}, {
		Figure: "processor time with the log, CreateMany of 1,000 rows", Goal: "≤ 1.7 ×",
		Drift: fmt.Sprintf("%.2f × (%s)", bulk.ratio, bulk), Peer: "1 × (reads the WAL)", Met: judge(bulk.ratio <= 1.7),
	}}, nil
}

type cost struct {
	ratio         float64
	with, without time.Duration // a row
}

func (c cost) String() string {
	return fmt.Sprintf("%.1f µs a row, %.1f without", float64(c.with.Nanoseconds())/1000, float64(c.without.Nanoseconds())/1000)
}

// ratio runs the same load in turns with and without the triggers; the least
// of each counts, for a busy machine only ever adds.
func (b *bench) ratio(ctx context.Context, name, engine string, c command) (best cost, err error) {
	rows := max(c.Rows, 1) * c.Count
	for round := range 4 {
		for _, logged := range []bool{true, false} {
			file := filepath.Join(b.dir, fmt.Sprintf("overhead-%s-%d-%v.sqlite", name, round, logged))
			spent, err := b.spent(ctx, file, engine, logged, c)
			if err != nil {
				return best, err
			}
			each := spent / time.Duration(rows)
			if logged && (best.with == 0 || each < best.with) {
				best.with = each
			}
			if !logged && (best.without == 0 || each < best.without) {
				best.without = each
			}
		}
	}
	best.ratio = float64(best.with) / float64(best.without)
	return best, nil
}

func (b *bench) spent(ctx context.Context, file, engine string, logged bool, c command) (time.Duration, error) {
	d, err := openDrift(ctx, file, nil) // makes the tables and the log
	if err == nil && !logged {
		err = d.dropTriggers(ctx)
	}
	if err = errors.Join(err, d.close(ctx)); err != nil {
		return 0, err
	}
	p, err := b.child(ctx)
	if err != nil {
		return 0, err
	}
	defer p.kill()
	var before, after reply
	for _, step := range []struct {
		c  command
		to *reply
	}{{command{Do: "open", Engine: engine, File: file, NoTriggers: !logged}, nil}, {command{Do: "usage"}, &before}, {c, nil}, {command{Do: "usage"}, &after}} {
		r, err := p.do(step.c)
		if err != nil {
			return 0, err
		}
		if step.to != nil {
			*step.to = r
		}
	}
	return after.CPU - before.CPU, removeDatabase(file)
}
