package orm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// feedPoll is how often the file is looked at for commits of other
	// processes, while somebody listens.
	feedPoll = 200 * time.Millisecond
	// feedRetry and feedRetryMax bound the wait before a listener that failed
	// is called again.
	feedRetry    = 100 * time.Millisecond
	feedRetryMax = 30 * time.Second
)

// feed tells listeners of a DB about commits: one goroutine looks for them, and
// another calls the listeners, which may take long. They run while there is a
// listener, and Close waits for them.
type feed struct {
	db *DB

	mu        sync.Mutex
	listeners []*listener
	waiters   int           // calls of wait
	moved     chan struct{} // closed when newest moves
	newest    int64
	calling   bool          // listeners are being called
	running   chan struct{} // closed when the goroutines have ended; nil: they do not run, or are about to end
	last      chan struct{} // running of before
	end       context.CancelFunc
	closed    bool
	wake      chan struct{} // capacity 1: something was committed
	due       chan Position // capacity 1: up to where listeners are to be called
}

// listener is a function that is called for the changes of a table.
type listener struct {
	table   string
	at      Position // worked off
	known   bool     // at is set
	call    func(ctx context.Context, stopped func() bool, at *Position, to int64) error
	stopped bool
	failed  int
	after   time.Time // not called before, after a failure
}

func newFeed(db *DB) *feed {
	return &feed{db: db, moved: make(chan struct{}), wake: make(chan struct{}, 1)}
}

func (db *DB) feed() *feed { return db.changes }

// committed tells that a transaction of this DB was committed. It costs a
// channel operation and never waits.
func (f *feed) committed() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// listen adds a listener. What is committed from now on counts: the position is
// read here, so that nothing is missed until the goroutine runs.
func (f *feed) listen(table string, call func(context.Context, func() bool, *Position, int64) error) (stop func()) {
	l := &listener{table: table, call: call}
	if p, err := f.position(context.Background()); err == nil {
		l.at, l.known = p, true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return func() {}
	}
	f.listeners = append(f.listeners, l)
	f.start()
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		l.stopped = true
		f.listeners = slices.DeleteFunc(f.listeners, func(o *listener) bool { return o == l })
		f.committed() // so that an idle goroutine ends
	}
}

// start makes the goroutine run. f.mu is held.
func (f *feed) start() {
	if f.running != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	done, due, last := make(chan struct{}), make(chan Position, 1), f.last
	f.running, f.end, f.due = done, cancel, due
	go func() {
		defer close(done)
		if last != nil {
			<-last // listeners are called by one goroutine at a time
		}
		called := make(chan struct{})
		go func() {
			defer close(called)
			f.call(ctx, due)
		}()
		f.run(ctx)
		cancel()
		<-called
	}()
}

// close ends the goroutine and waits for it, and so for the listener that it
// has called, until ctx ends.
func (f *feed) close(ctx context.Context) error {
	f.mu.Lock()
	f.closed = true
	running := f.running
	if running == nil {
		running = f.last
	}
	if f.end != nil {
		f.end()
	}
	f.mu.Unlock()
	if running == nil {
		return nil
	}
	select {
	case <-running:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("a listener is still running: %w", ctx.Err())
	}
}

// run looks for new entries on every wake and every feedPoll, until nobody
// listens or ctx ends.
func (f *feed) run(ctx context.Context) {
	tick := time.NewTicker(feedPoll)
	defer tick.Stop()
	for {
		if f.idle() {
			return
		}
		if err := f.look(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, ErrClosed) {
			f.db.o.Logger.WarnContext(ctx, "the change log cannot be read", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		case <-tick.C:
		}
	}
}

// delivering says whether listeners are being called.
func (f *feed) delivering() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calling
}

// idle ends the goroutine when nobody listens.
func (f *feed) idle() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.listeners) > 0 || f.waiters > 0 || f.calling {
		return false
	}
	f.running, f.end, f.last = nil, nil, f.running
	return true
}

// position returns the newest position, also while the DB is being closed.
func (f *feed) position(ctx context.Context) (Position, error) { return f.db.Position(ctx) }

// look reads the newest position, and lets those know who wait for it.
func (f *feed) look(ctx context.Context) error {
	p, err := f.position(ctx)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if p.Sequence != f.newest {
		f.newest = p.Sequence
		close(f.moved)
		f.moved = make(chan struct{})
	}
	if len(f.listeners) > 0 {
		f.calling = true
		select {
		case <-f.due: // an older one
		default:
		}
		f.due <- p
	}
	return nil
}

// call calls the listeners that are behind a position, until ctx ends.
func (f *feed) call(ctx context.Context, due chan Position) {
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-due:
			f.mu.Lock()
			all := slices.Clone(f.listeners)
			f.mu.Unlock()
			for _, l := range all {
				f.deliver(ctx, l, p)
			}
			f.mu.Lock()
			f.calling = len(due) > 0
			f.mu.Unlock()
		}
	}
}

// deliver calls a listener for what it has not seen up to p.
func (f *feed) deliver(ctx context.Context, l *listener, p Position) {
	stopped := func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return l.stopped
	}
	if !l.known { // the position could not be read when it was added
		l.at, l.known = p, true
	}
	if stopped() || l.at == p || ctx.Err() != nil || time.Now().Before(l.after) {
		return
	}
	err := l.call(ctx, stopped, &l.at, p.Sequence)
	switch {
	case err == nil:
		l.at, l.failed, l.after = p, 0, time.Time{}
	case errors.Is(err, ErrCursorLost):
		f.db.o.Logger.ErrorContext(ctx, "a listener was too slow: the change log was pruned before it had seen everything; it goes on with what comes now", "table", l.table)
		l.at = p
	case ctx.Err() != nil:
	default:
		wait := min(feedRetry<<min(l.failed, 16), feedRetryMax)
		l.failed++
		l.after = time.Now().Add(wait)
		f.db.o.Logger.ErrorContext(ctx, "a listener failed and is called again with the same change", "table", l.table, "attempt", l.failed, "wait", wait, "error", err)
	}
}

// wait returns when the log goes beyond p, or ctx ends, or the DB is closed.
func (f *feed) wait(ctx context.Context, p Position) error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return ErrClosed
	}
	f.waiters++
	f.start()
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.waiters--
		f.committed()
	}()
	for {
		f.mu.Lock()
		moved := f.moved
		f.mu.Unlock()
		now, err := f.position(ctx)
		if err != nil || now != p {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.db.closing:
			return ErrClosed
		case <-moved:
		}
	}
}

// WaitChange returns when something is committed beyond p, by whatever process;
// at once if it has been already. Changes of every table count, and p is best one
// that DB.Position returned; Follow reads and waits for those of one table.
func (db *DB) WaitChange(ctx context.Context, p Position) error {
	if err := db.enter(ctx); err != nil {
		return fmt.Errorf("wait for a change: %w", err)
	}
	if err := db.changes.wait(ctx, p); err != nil {
		return fmt.Errorf("wait for a change: %w", err)
	}
	return nil
}
