package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"path"
	"strings"
	"time"

	"github.com/driftdb/driftdb/replicate"
)

// way is how far the bucket is where latency is measured.
// peerNewFiles is in the keys of what Litestream stores first: level 0.
const peerNewFiles = "/0000/"

const way = 30 * time.Millisecond

// pair is both systems with the same workload.
type pair struct{ drift, peer *side }

func (b *bench) newPair(name string, delay time.Duration) (p pair, err error) {
	if p.drift, err = b.newSide(name+"-driftdb", delay); err == nil {
		p.peer, err = b.newSide(name+"-litestream", delay)
	}
	return p, err
}

func (p pair) close() {
	p.drift.close()
	p.peer.close()
}

// open opens both databases, runs the same preparation in them, and starts
// Litestream.
func (p pair) open(ctx context.Context, prepare ...command) error {
	if err := p.drift.open(ctx, command{Engine: "drift"}); err != nil {
		return err
	}
	if err := p.peer.open(ctx, command{Engine: "plain"}); err != nil {
		return err
	}
	for _, c := range prepare {
		if _, err := p.drift.app.do(c); err != nil {
			return err
		}
		if _, err := p.peer.app.do(c); err != nil {
			return err
		}
	}
	if err := p.peer.startLitestream(ctx); err != nil {
		return err
	}
	_, err := p.drift.app.do(command{Do: "flush"})
	return err
}

// both runs the command in both at the same time.
func (p pair) both(c command) (drift, peer reply, err error) {
	type answer struct {
		r   reply
		err error
	}
	other := make(chan answer, 1)
	go func() {
		r, err := p.peer.app.do(c)
		other <- answer{r, err}
	}()
	drift, err = p.drift.app.do(c)
	a := <-other
	if err == nil {
		err = a.err
	}
	return drift, a.r, err
}

// lag is the time from commit to stored, the bucket 30 ms away.
func (b *bench) lag(ctx context.Context) ([]row, error) {
	p, err := b.newPair("lag", way)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if err := p.open(ctx, command{Do: "load", Load: "accounts", Count: 1}); err != nil {
		return nil, err
	}
	if err := b.wait(ctx, 3*time.Second); err != nil {
		return nil, err
	}
	measure := func(rate, seconds float64) (drift, peer []time.Duration, puts int, err error) {
		began := time.Now()
		d, l, err := p.both(command{Do: "load", Load: "both", Rate: rate, Seconds: seconds})
		if err != nil {
			return nil, nil, 0, err
		}
		if err := b.wait(ctx, 4*time.Second); err != nil { // until the last ones are stored
			return nil, nil, 0, err
		}
		batches := logs(p.drift.proxy.requests(began))
		drift, err = driftLags(d.Commits, batches)
		if err == nil {
			peer, err = peerLags(l.Commits, p.peer.proxy.requests(began))
		}
		return drift, peer, len(batches), err
	}
	sporadic, sporadicPeer, _, err := measure(0.6, float64(b.scale(30, 4)))
	if err != nil {
		return nil, err
	}
	long := b.scale(20, 3)
	steady, steadyPeer, puts, err := measure(50, float64(long))
	if err != nil {
		return nil, err
	}
	return []row{{
		Figure: fmt.Sprintf("lag from commit to stored, PUT 30 ms, sporadic commits (%d)", len(sporadic)), Goal: "p50 ≤ 0.15 s",
		Drift: describe(sporadic), Peer: describe(sporadicPeer), Met: judge(percentile(sporadic, 0.5) <= 150*time.Millisecond),
	}, {
		Figure: "lag, 50 commits/s", Goal: "p99 ≤ 1.2 s at ≤ 1 PUT/s",
		Drift: fmt.Sprintf("%s; %d batch PUT in %d s", describe(steady), puts, long), Peer: describe(steadyPeer),
		Met: judge(percentile(steady, 0.99) <= 1200*time.Millisecond && puts <= long+4+1),
	}}, nil
}

func describe(all []time.Duration) string {
	return fmt.Sprintf("p50 %s, p99 %s, max %s", seconds(percentile(all, 0.5)), seconds(percentile(all, 0.99)), seconds(percentile(all, 1)))
}

// driftLags matches each commit with the batch that holds its sequence.
func driftLags(commits []commit, batches []request) (all []time.Duration, err error) {
	for _, c := range commits {
		stored := time.Time{}
		for _, r := range batches {
			var from, to int64
			if _, err := fmt.Sscanf(path.Base(r.Key), "%d-%d", &from, &to); err != nil {
				return nil, fmt.Errorf("%s: %w", r.Key, err)
			}
			if to >= c.Sequence && (stored.IsZero() || r.Ended.Before(stored)) {
				stored = r.Ended
			}
		}
		if stored.IsZero() {
			return nil, fmt.Errorf("sequence %d was not stored", c.Sequence)
		}
		all = append(all, max(stored.Sub(time.Unix(0, c.At)), 0))
	}
	return all, nil
}

// peerLags matches each commit with the first new file that was begun to be
// stored after it: what Litestream stores does not say which commits are in it,
// so this is the shortest that the lag can have been.
func peerLags(commits []commit, all []request) (lags []time.Duration, err error) {
	for _, c := range commits {
		at, stored := time.Unix(0, c.At), time.Time{}
		for _, r := range all {
			if r.Kind == kindPut && strings.Contains(r.Key, peerNewFiles) && r.Began.After(at) && (stored.IsZero() || r.Ended.Before(stored)) {
				stored = r.Ended
			}
		}
		if stored.IsZero() {
			return nil, fmt.Errorf("of %d requests of Litestream none stored a new file after a commit at %v; the last was %+v", len(all), at, all[max(0, len(all)-1):])
		}
		lags = append(lags, stored.Sub(at))
	}
	return lags, nil
}

// durable is commit and WaitDurable, the bucket 30 ms away.
func (b *bench) durable(ctx context.Context) ([]row, error) {
	s, err := b.newSide("durable", way)
	if err != nil {
		return nil, err
	}
	defer s.close()
	trip, err := s.roundTrip(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.open(ctx, command{Engine: "drift"}); err != nil {
		return nil, err
	}
	if _, err := s.app.do(command{Do: "flush"}); err != nil {
		return nil, err
	}
	one, err := s.app.do(command{Do: "durable", Writers: 1, Count: b.scale(50, 5)})
	if err != nil {
		return nil, err
	}
	began := time.Now()
	many, err := s.app.do(command{Do: "durable", Writers: 100, Count: 20})
	if err != nil {
		return nil, err
	}
	puts := len(logs(s.proxy.requests(began)))
	per := float64(len(many.Took)) / float64(puts)
	p50 := percentile(one.Took, 0.5)
	return []row{{
		Figure: "commit and WaitDurable, one writer, PUT 30 ms", Goal: "≤ 2 round trips + 10 ms",
		Drift: fmt.Sprintf("p50 %s, p99 %s; 2 round trips + %s (one is %s)", millis(p50), millis(percentile(one.Took, 0.99)), millis(p50-2*trip), millis(trip)),
		Met:   judge(p50 <= 2*trip+10*time.Millisecond),
	}, {
		Figure: "WaitDurable, 100 writers", Goal: "≥ 50 commits per PUT",
		Drift: fmt.Sprintf("%.0f commits per batch PUT; %d commits in %s", per, len(many.Took), seconds(many.Duration)), Met: judge(per >= 50),
	}}, nil
}

// roundTrip is the median time of a small PUT as a client sees it.
func (s *side) roundTrip(ctx context.Context) (_ time.Duration, err error) {
	store, err := openStore(ctx, s.proxy.url, s.b.server.access, s.b.server.secret, s.name+"-trip")
	if err != nil {
		return 0, err
	}
	defer func() { _ = store.Close() }()
	var all []time.Duration
	for i := range 21 {
		began := time.Now()
		body := replicate.Body{Size: 500, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(strings.Repeat("x", 500))), nil
		}}
		if _, err := store.Put(ctx, fmt.Sprintf("%02d", i), body, replicate.Condition{IfAbsent: true}); err != nil {
			return 0, err
		}
		all = append(all, time.Since(began))
	}
	return percentile(all, 0.5), nil
}

// hourly is a count in a window as one an hour.
func hourly(n int, window time.Duration) int {
	return int(math.Round(float64(n) * float64(time.Hour) / float64(window)))
}
