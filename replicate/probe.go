package replicate

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

const (
	probeFirst   = 2500 * time.Millisecond // the least time between two
	probeSpread  = 2 * time.Second         // and at most this more, at random
	probeTimeout = 5 * time.Second
)

// probe tells soon that a store which was away is back, however long the wait
// before the next attempt has become by then: it asks for the manifest, one small
// request. It vouches for reading only; where an attempt fails right after it
// said yes (writes are throttled, say), it keeps still until one has succeeded.
type probe struct {
	at    time.Time // of the next one; zero: none
	wrong bool      // it said yes, and the attempt failed
	yes   bool      // it said so last
}

// failed plans a probe after an attempt that failed with err and is to be made
// again after wait.
func (p *probe) failed(err error, wait time.Duration) {
	p.wrong, p.yes = p.wrong || p.yes, false
	p.at = time.Time{}
	if wait > probeFirst+probeSpread && !p.wrong && !final(err) {
		p.plan()
	}
}

// plan spreads the probes of many clients.
func (p *probe) plan() {
	p.at = time.Now().Add(probeFirst + rand.N(probeSpread)) //nolint:gosec // spreads load; nothing secret
}

// back says whether a probe is due and the store answers.
func (e *engine) back(ctx context.Context) bool {
	p := &e.probe
	if p.at.IsZero() || time.Now().Before(p.at) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	body, _, err := e.store.Get(ctx, manifestKey(e.name))
	if err == nil {
		err = body.Close()
	}
	if p.yes = err == nil || errors.Is(err, ErrNotExist); !p.yes {
		p.plan()
	}
	return p.yes
}
