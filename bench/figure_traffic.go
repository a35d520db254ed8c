package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sync"
	"time"
)

// workload is one of those that run at the same time, each in its own pair.
type workload struct {
	name string
	load string
	rate float64 // 0: idle
	goal float64 // bytes a change
	text string
	pair pair
	took time.Duration
	n    int // changes of each side
	d, l []request
}

// traffic measures bytes and requests: three workloads and an idle database,
// all at once, for both systems.
func (b *bench) traffic(ctx context.Context) (rows []row, err error) {
	all := []*workload{
		{name: "append", load: "append", rate: 50, goal: 40, text: "append-only, 50 transactions/s"},
		{name: "random", load: "update", rate: 50, goal: 120, text: "updates of random UUIDs with old values, 50/s"},
		{name: "slow", load: "update", rate: 1, goal: 450, text: "1 transaction/s"},
		{name: "idle"},
	}
	for _, w := range all {
		if w.pair, err = b.newPair("traffic-"+w.name, 0); err != nil {
			return nil, err
		}
		defer w.pair.close()
		if err := w.pair.open(ctx, command{Do: "load", Load: "accounts", Count: 1}); err != nil {
			return nil, err
		}
		if _, err := w.pair.drift.app.do(command{Do: "snapshot"}); err != nil {
			return nil, err
		}
	}
	if err := b.wait(ctx, 10*time.Second); err != nil { // what begins with a start is over
		return nil, err
	}
	window := float64(b.scale(90, 5))
	var wg sync.WaitGroup
	errs := make([]error, len(all))
	for i, w := range all {
		wg.Go(func() { errs[i] = b.observe(ctx, w, window) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for _, w := range all {
		if w.rate > 0 {
			rows = append(rows, w.bytesPerChange())
		}
	}
	return append(rows, all[3].requests("requests an hour, idle"), all[1].requests("requests an hour, 50 random updates/s")), nil
}

func (b *bench) observe(ctx context.Context, w *workload, window float64) error {
	began := time.Now()
	if w.rate == 0 {
		if err := b.wait(ctx, time.Duration(window*float64(time.Second))); err != nil {
			return err
		}
	} else {
		d, l, err := w.pair.both(command{Do: "load", Load: w.load, Rate: w.rate, Seconds: window})
		if err != nil {
			return err
		}
		w.n = len(d.Took)
		if w.n == 0 || len(l.Took) == 0 {
			return errors.New("nothing was written")
		}
		// Bytes of the peer as if it had written as many.
		defer func() {
			for i := range w.l {
				w.l[i].Up = w.l[i].Up * int64(len(d.Took)) / int64(len(l.Took))
			}
		}()
		if err := b.wait(ctx, 1500*time.Millisecond); err != nil {
			return err
		}
	}
	w.took = time.Since(began)
	w.d, w.l = w.pair.drift.proxy.requests(began), w.pair.peer.proxy.requests(began)
	return nil
}

func (w *workload) bytesPerChange() row {
	batches := float64(sum(logs(w.d)).Up) / float64(w.n)
	whole := float64(sum(w.d).Up) / float64(w.n)
	peer := float64(sum(w.l).Up) / float64(w.n)
	return row{
		Figure: "bytes stored a change, " + w.text, Goal: fmt.Sprintf("≤ %.0f B", w.goal),
		Drift: fmt.Sprintf("%s; %s with manifests, packs and snapshots", size(batches), size(whole)), Peer: size(peer), Met: judge(batches <= w.goal),
	}
}

func (w *workload) requests(what string) row {
	d, l := sum(w.d), sum(w.l)
	perHour := func(t tally) string {
		return fmt.Sprintf("%d PUT, %d GET, %d LIST, %d DELETE", hourly(t.Put, w.took), hourly(t.Get, w.took), hourly(t.List, w.took), hourly(t.Delete, w.took))
	}
	r := row{
		Figure: fmt.Sprintf("%s (%.0f s observed, extrapolated)", what, w.took.Seconds()),
		Drift:  perHour(d), Peer: perHour(l),
	}
	if w.rate == 0 {
		r.Goal, r.Met = "0", judge(d == tally{})
		return r
	}
	var manifests int
	for _, q := range w.d {
		if q.Kind == kindPut && path.Base(q.Key) == "manifest.json" {
			manifests++
		}
	}
	batches := len(logs(w.d))
	others := d.Put - batches - manifests
	per := func(n int) int { return hourly(n, w.took) }
	r.Goal = "≤ 3,600 batch PUT + 360 manifest PUT, 0 LIST"
	r.Drift = fmt.Sprintf("%d batch PUT + %d manifest PUT + %d PUT of packs and snapshots, %d GET, %d LIST, %d DELETE",
		per(batches), per(manifests), per(others), per(d.Get), per(d.List), per(d.Delete))
	// A window begins and ends anywhere: one more of each is within the rate.
	r.Met = judge(per(batches-1) <= 3600 && per(manifests-1) <= 360 && d.List == 0)
	return r
}
