package replicate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/sqlite"
)

// Replica ships one database file to one name in a store. Its methods may be
// called from any goroutine.
type Replica struct {
	name  string
	store *bucket
	o     Options
	board *board
	hook  func(point string) error // tests: see at
	cut   changelog.CutOptions     // tests: smaller batches
	fan   int                      // packFan; tests: smaller packs

	mu     sync.Mutex // held by Prepare, Start, Shutdown
	side   *sidecar   // nil before Prepare and after Shutdown
	claim  *versioned // of a take-over in Prepare
	token  token
	engine *engine // nil before Start and after Shutdown
	cancel context.CancelFunc
	done   chan struct{} // closed when the engine's goroutine has ended

	run struct { // what Notify, Flush and the rest use, without waiting for mu
		sync.RWMutex
		engine *engine
		done   chan struct{}
		nodeID string
		manual bool
	}
}

// New makes a Replica of the database called name (as in
// [a-z0-9][a-z0-9._-]{0,62}) in store. It starts nothing.
func New(name string, store Store, o Options) (*Replica, error) {
	o = o.withDefaults()
	errs := []error{checkName("database name", name), o.validate()}
	if store == nil {
		errs = append(errs, errors.New("the store is nil"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("replicate: %w", err)
	}
	r := &Replica{name: name, store: &bucket{store, o.Encryption}, o: o, board: &board{}, fan: packFan}
	_, loose := store.(unfenced)
	r.board.status = Status{State: StateStopped, Name: name, NodeID: o.NodeID, Unfenced: loose}
	r.run.nodeID, r.run.manual = o.NodeID, o.Sync.Manual
	return r, nil
}

// Prepare makes path ready to be opened: it locks the directory beside it,
// restores the file if it is missing and Options.AutoRestore asks for it, and
// ends a take-over that was interrupted. The store is not contacted when the
// file is there and nothing of that is to be done. On an error the file must
// not be opened.
func (r *Replica) Prepare(ctx context.Context, path string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.prepare(ctx, path)
}

func (r *Replica) prepare(ctx context.Context, path string) error {
	if r.side != nil {
		return errors.New("replicate: the replica is in use already")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.store.unlock(ctx); err != nil {
		return err
	}
	side, err := openSidecarWithin(ctx, path, r.o.Retry.LockWait)
	if err != nil {
		return fmt.Errorf("replicate: %w", err)
	}
	side.fixed = r.o.NodeID
	t := &taker{name: r.name, store: r.store, o: r.o, side: side, token: newToken(), hook: r.at}
	err = side.clean()
	var claim *versioned
	if err == nil {
		claim, err = t.prepare(ctx)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("replicate: prepare %s: %w", path, ofFile(err)), side.close())
	}
	r.side, r.token, r.claim = side, t.token, claim
	r.run.Lock()
	r.run.nodeID = side.id()
	r.run.Unlock()
	r.board.update(func(s *Status, _ *Metrics) { s.NodeID = side.id() })
	return nil
}

// Start begins to ship the existing file at path in the background. It calls
// Prepare if that was not done, does not wait for the store and reports errors
// of the file only; what the store says comes with Status, Events and Flush.
func (r *Replica) Start(ctx context.Context, path string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.engine != nil {
		return errors.New("replicate: the replica runs already")
	}
	if r.side == nil {
		if err := r.prepare(ctx, path); err != nil {
			return err
		}
	}
	if err := r.start(ctx, path); err != nil {
		if sqlite.IsSQL(err) && !errors.Is(err, ErrNotPrepared) {
			err = fmt.Errorf("%w: %w", err, ErrDamaged) // what is asked of the file here is asked of our own tables
		}
		err = errors.Join(err, r.side.close())
		r.side, r.claim = nil, nil
		return fmt.Errorf("replicate: start %s: %w", path, ofFile(err))
	}
	return nil
}

func (r *Replica) start(ctx context.Context, path string) error {
	file, err := resolve(path)
	if err != nil {
		return err
	}
	if file != r.side.file {
		return fmt.Errorf("%s was prepared", r.side.file)
	}
	l, err := openLocal(ctx, file)
	if err != nil {
		return err
	}
	l.cut = r.cut
	e := &engine{
		name: r.name, store: r.store, o: r.o, side: r.side, local: l, board: r.board, token: r.token,
		hook: r.at, fan: r.fan,
		notify: make(chan struct{}, 1), requests: make(chan *request),
	}
	if err := e.begin(ctx, r.claim); err != nil {
		return errors.Join(err, l.close())
	}
	r.board.starts(l.size)
	if r.Status().Unfenced {
		r.o.Logger.Warn("the store has no conditional writes: nothing but you keeps a second writer away", "database", r.name, "node", r.side.id())
	}
	r.board.publish(e)
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.engine, r.cancel, r.done, r.claim = e, cancel, make(chan struct{}), nil
	r.run.Lock()
	r.run.engine, r.run.done = e, r.done
	e.manual.Store(r.run.manual)
	r.run.Unlock()
	go func() {
		defer close(r.done)
		e.run(run)
	}()
	return nil
}

// Notify tells that something was committed. It never blocks.
func (r *Replica) Notify() {
	r.run.RLock()
	e := r.run.engine
	r.run.RUnlock()
	if e != nil {
		e.wake()
	}
}

// Flush returns nil when everything committed before the call is stored and
// acknowledged. It drains any number of batches. A transient error is tried
// again Retry.MaxAttempts times; the background goes on after that. In a start
// that has shipped nothing yet it looks once whether the bucket has what the file
// takes for acknowledged: one GET.
func (r *Replica) Flush(ctx context.Context) error {
	if err := r.ask(ctx, &request{}); err != nil {
		return fmt.Errorf("replicate: flush: %w", err)
	}
	return nil
}

// Snapshot stores a copy of the whole database and returns when the manifest
// names it. Everything committed before the call is in it. It stores nothing when
// the newest snapshot has all that, is there with its size, and is sealed with the
// first key of the ring (one GET in each start), unless SnapshotRule.Anew.
func (r *Replica) Snapshot(ctx context.Context) error {
	if err := r.ask(ctx, &request{snapshot: true}); err != nil {
		return fmt.Errorf("replicate: snapshot: %w", err)
	}
	return nil
}

// ask hands q to the engine and waits for the answer.
func (r *Replica) ask(ctx context.Context, q *request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.run.RLock()
	e, done := r.run.engine, r.run.done
	r.run.RUnlock()
	if e == nil {
		return ErrClosed
	}
	if changelog.InTx(ctx, e.generation) {
		return ErrInTx
	}
	q.gone, q.done = ctx.Err, make(chan error, 1)
	select {
	case e.requests <- q:
	case <-ctx.Done():
		return ctx.Err()
	case <-done:
		return ErrClosed
	}
	select {
	case err := <-q.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-done:
		select {
		case err := <-q.done: // answered as its last act
			return err
		default:
			return ErrClosed
		}
	}
}

// StopSync makes the replica ship on Flush, Snapshot and Shutdown only.
func (r *Replica) StopSync() { r.setManual(true) }

// StartSync ends the effect of StopSync and of Sync.Manual.
func (r *Replica) StartSync() {
	r.setManual(false)
	r.Notify()
}

func (r *Replica) setManual(manual bool) {
	r.run.Lock()
	defer r.run.Unlock()
	r.run.manual = manual
	if r.run.engine != nil {
		r.run.engine.manual.Store(manual)
	}
}

// Name returns the database's name in the bucket.
func (r *Replica) Name() string { return r.name }

// Status returns where replication stands. It makes no request.
func (r *Replica) Status() Status {
	s, _ := r.board.read()
	return s
}

// Metrics returns counters. It makes no request.
func (r *Replica) Metrics() Metrics {
	_, m := r.board.read()
	return m
}

// NodeID returns the id of this node; empty before Prepare if Options.NodeID
// is not set.
func (r *Replica) NodeID() string {
	r.run.RLock()
	defer r.run.RUnlock()
	return r.run.nodeID
}

// Shutdown ships and acknowledges everything committed, releases the name so
// that any node may go on with it, also where an earlier start of this node has
// left it claimed, and stops. When ctx ends first, or the store
// fails Retry.MaxAttempts times, the rest stays in the local file, the name
// stays ours, and the error says so; the replica is stopped in any case. A
// second Shutdown does nothing. Where nothing was committed since an earlier start
// has shipped everything and released the name, nothing is asked: a program that
// has only read needs no network, and Flush is what looks at the bucket.
func (r *Replica) Shutdown(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.side == nil {
		return nil
	}
	var err error
	if r.engine != nil {
		if err = r.ask(ctx, &request{release: true}); err != nil {
			pending := r.Metrics().PendingChanges
			what := fmt.Sprintf("with %d changes not acknowledged; they are in the local file and are shipped at the next start", pending)
			if pending == 0 && !errors.Is(err, ErrInTx) {
				what = "with nothing left to ship, and without releasing the name: another machine gets ErrOwned until this one was shut down cleanly"
			}
			if pending == 0 && errors.Is(err, ErrManifestLost) {
				what = "with nothing acknowledged in this bucket"
			}
			err = fmt.Errorf("replicate: shut down %s: %w", what, err)
		}
	}
	return errors.Join(err, r.stop())
}

// stop ends the engine without another request and lets go of the file.
func (r *Replica) stop() error {
	var errs []error
	if r.engine != nil {
		r.cancel()
		<-r.done
		r.run.Lock()
		r.run.engine, r.run.done = nil, nil
		r.run.Unlock()
		r.board.stopped()
		errs = append(errs, r.engine.local.close())
		r.engine = nil
	}
	errs = append(errs, r.side.close())
	r.side, r.claim = nil, nil
	return errors.Join(errs...)
}

// kill is what a crash of the process leaves: nothing is drained and nothing
// released. Tests use it.
func (r *Replica) kill() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.side == nil {
		return nil
	}
	return r.stop()
}

// Close is Shutdown bounded by Sync.CloseTimeout.
func (r *Replica) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), r.o.Sync.CloseTimeout)
	defer cancel()
	return r.Shutdown(ctx)
}

// at is a point between two steps. A test that returns an error there stops
// the replica for good, as a crash would.
func (r *Replica) at(point string) error {
	if r.hook == nil {
		return nil
	}
	if err := r.hook(point); err != nil {
		return fmt.Errorf("%w at %q: %w", errStopped, point, err)
	}
	return nil
}

// begin reads what the file says before the goroutine starts.
func (e *engine) begin(ctx context.Context, claim *versioned) error {
	var err error
	if e.chain, err = e.local.chain(ctx, e.name); err != nil {
		return err
	}
	pos, err := changelog.ReadPosition(ctx, changelog.SQL(e.local.marks))
	if err != nil {
		return err
	}
	e.generation, e.captured = pos.Generation, pos.Sequence
	if e.captured < e.chain.last().Sequence {
		return fmt.Errorf("the log ends at %d, sealed batches reach to %d: %w", e.captured, e.chain.last().Sequence, ErrLogDamaged)
	}
	e.acked, e.uploaded, e.whole = e.chain.base, e.chain.base, e.chain.base
	if e.dropped, err = e.local.marker.Dropped(ctx); err != nil {
		return err
	}
	// Whether a snapshot followed a beginning on data, the manifest says.
	if e.origin, e.needsFirst, err = e.local.unstored(ctx); err != nil || claim == nil {
		return err
	}
	return e.claimed(ctx, claim)
}

// wake is Notify.
func (e *engine) wake() {
	select {
	case e.notify <- struct{}{}:
	default:
	}
}

// elapsed is the time since t, 0 for a clock that went back.
func elapsed(t, now time.Time) time.Duration { return max(now.Sub(t), 0) }
