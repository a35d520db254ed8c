package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// split is two live writers of one name: what is lost of the first one's rows.
func (b *bench) split(ctx context.Context) ([]row, error) {
	const rows = 13
	p, err := b.newPair("split", 0)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if err := p.open(ctx, command{Do: "load", Load: "append", Count: rows}); err != nil {
		return nil, err
	}
	drift, err := b.splitDrift(ctx, p.drift, rows)
	if err != nil {
		return nil, fmt.Errorf("DriftDB: %w", err)
	}
	peer, err := b.splitPeer(ctx, p.peer, rows)
	if err != nil {
		return nil, fmt.Errorf("Litestream: %w", err)
	}
	drift.Peer = peer
	return []row{drift}, nil
}

func (b *bench) splitDrift(ctx context.Context, first *side, rows int) (r row, err error) {
	second, err := b.newSide("split-driftdb-second", 0)
	if err != nil {
		return r, err
	}
	defer second.close()
	second.name = first.name // the same place in the bucket
	if err := second.open(ctx, command{Engine: "drift", TakeOver: true}); err != nil {
		return r, err
	}
	// Both go on writing; the first one does not know yet.
	for _, s := range []*side{first, second} {
		if _, err := s.app.do(command{Do: "load", Load: "append", Count: rows}); err != nil {
			return r, err
		}
	}
	if _, err := second.app.do(command{Do: "flush"}); err != nil {
		return r, err
	}
	fenced, err := first.app.do(command{Do: "flush"})
	if !fenced.Fenced {
		return r, fmt.Errorf("the first writer was not fenced: %w", err)
	}
	if err := second.app.end(); err != nil {
		return r, err
	}
	second.app = nil
	to := filepath.Join(b.dir, "split-driftdb.sqlite")
	if _, _, err := b.once(ctx, command{Do: "restore", Name: "app", File: to, Endpoint: first.proxy.url, Prefix: first.name}); err != nil {
		return r, err
	}
	n, err := countEvents(ctx, to)
	lost := 2*rows - n
	return row{
		Figure: fmt.Sprintf("two live writers of one name, %d acknowledged rows each", rows), Goal: "ErrFenced on the next acknowledgement, 0 lost",
		Drift: fmt.Sprintf("ErrFenced, %d lost", lost), Met: judge(lost == 0),
	}, err
}

// splitPeer restores the first one's rows on a second machine, as its user
// would, and lets both daemons run.
func (b *bench) splitPeer(ctx context.Context, first *side, rows int) (string, error) {
	if err := b.wait(ctx, 3*time.Second); err != nil { // the first rows are stored
		return "", err
	}
	second, err := b.newSide("split-litestream-second", 0)
	if err != nil {
		return "", err
	}
	defer second.close()
	second.name = first.name
	if _, _, err := b.peer.restore(ctx, first.file, first.proxy.url, first.name, second.file); err != nil {
		return "", err
	}
	if err := second.open(ctx, command{Engine: "plain"}); err != nil {
		return "", err
	}
	if err := second.startLitestream(ctx); err != nil {
		return "", err
	}
	if err := b.wait(ctx, 2*time.Second); err != nil {
		return "", err
	}
	for _, s := range []*side{first, second} {
		if _, err := s.app.do(command{Do: "load", Load: "append", Count: rows}); err != nil {
			return "", err
		}
		if err := b.wait(ctx, 3*time.Second); err != nil { // long enough to be stored
			return "", err
		}
	}
	for _, s := range []*side{first, second} {
		_ = s.daemon.stop()
	}
	to := filepath.Join(b.dir, "split-litestream.sqlite")
	if _, _, err := b.peer.restore(ctx, first.file, first.proxy.url, first.name, to); err != nil {
		return "the restore failed: " + lastLine(err), nil
	}
	n, err := countEvents(ctx, to)
	return fmt.Sprintf("no error; %d of %d rows restored, %d lost", n, 3*rows, 3*rows-n), err
}

func countEvents(ctx context.Context, file string) (n int, err error) {
	p, err := openPlain(ctx, file)
	if err != nil {
		return 0, err
	}
	err = p.db.QueryRowContext(ctx, "SELECT count(*) FROM events").Scan(&n)
	return n, errors.Join(err, p.close(ctx))
}

// outage takes the bucket away under a writer and gives it back.
func (b *bench) outage(ctx context.Context) ([]row, error) {
	p, err := b.newPair("outage", 0)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if err := p.open(ctx, command{Do: "load", Load: "accounts", Count: 1}); err != nil {
		return nil, err
	}
	away, after := time.Duration(b.scale(45, 8))*time.Second, time.Duration(b.scale(40, 12))*time.Second
	type answer struct {
		d, l reply
		err  error
	}
	written := make(chan answer, 1)
	go func() {
		var a answer
		a.d, a.l, a.err = p.both(command{Do: "load", Load: "append", Rate: 20, Seconds: (2*time.Second + away + after).Seconds()})
		written <- a
	}()
	if err := b.wait(ctx, 2*time.Second); err != nil {
		return nil, err
	}
	p.drift.proxy.away.Store(true)
	p.peer.proxy.away.Store(true)
	if err := b.wait(ctx, away); err != nil {
		return nil, err
	}
	p.drift.proxy.away.Store(false)
	p.peer.proxy.away.Store(false)
	back := time.Now()
	a := <-written
	if a.err != nil {
		return nil, a.err
	}
	// The newest commit from before the end of the outage, and when it was stored.
	var last commit
	for _, c := range a.d.Commits {
		if c.At < back.UnixNano() {
			last = c
		}
	}
	lags, err := driftLags([]commit{last}, logs(p.drift.proxy.requests(back)))
	if err != nil {
		return nil, err
	}
	resumed := time.Unix(0, last.At).Add(lags[0]).Sub(back)
	peer := "not within " + seconds(after)
	if l, err := peerLags([]commit{{At: back.UnixNano()}}, p.peer.proxy.requests(back)); err == nil {
		peer = fmt.Sprintf("first new file stored after %s; longest transaction meanwhile %s", seconds(l[0]), millis(percentile(a.l.Took, 1)))
	}
	return []row{{
		Figure: fmt.Sprintf("the bucket is away for %.0f s, a writer goes on at 20/s", away.Seconds()), Goal: "writes unaffected, resumed ≤ 5 s after it is back",
		Drift: fmt.Sprintf("everything from the outage stored after %s; longest transaction meanwhile %s", seconds(resumed), millis(percentile(a.d.Took, 1))),
		Peer:  peer, Met: judge(resumed <= 5*time.Second),
	}}, nil
}

// takeOver is a new machine that takes the name of one that is gone.
func (b *bench) takeOver(ctx context.Context) ([]row, error) {
	first, err := b.newSide("takeover", way)
	if err != nil {
		return nil, err
	}
	defer first.close()
	if err := first.open(ctx, command{Engine: "drift"}); err != nil {
		return nil, err
	}
	for _, c := range []command{{Do: "load", Load: "accounts", Count: 1}, {Do: "snapshot"}, {Do: "load", Load: "both", Count: 2000}, {Do: "flush"}} {
		if _, err := first.app.do(c); err != nil {
			return nil, err
		}
	}
	first.app.kill()
	first.app = nil
	var all []time.Duration
	for i := range 5 {
		next, err := b.newSide(fmt.Sprintf("takeover-%d", i), way)
		if err != nil {
			return nil, err
		}
		next.name = first.name
		began := time.Now()
		err = next.open(ctx, command{Engine: "drift", TakeOver: true})
		if err == nil {
			_, err = next.app.do(command{Do: "load", Load: "append", Count: 1})
		}
		if err == nil {
			_, err = next.app.do(command{Do: "flush"})
		}
		all = append(all, time.Since(began))
		next.close() // killed: the next one takes over from a machine that is gone
		if err != nil {
			return nil, err
		}
	}
	worst := percentile(all, 1)
	return []row{{
		Figure: fmt.Sprintf("take-over after a crash by a new machine, PUT 30 ms: from the program's start to the first row acknowledged, restore included, %d times", len(all)),
		Goal:   "≤ 2 s", Drift: fmt.Sprintf("median %s, longest %s", seconds(percentile(all, 0.5)), seconds(worst)), Met: judge(worst <= 2*time.Second),
	}}, nil
}

func lastLine(err error) string {
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	return lines[len(lines)-1]
}
