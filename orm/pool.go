package orm

import (
	"context"
	"errors"
	"fmt"
)

// take waits for a token of lock.
func (db *DB) take(ctx context.Context, lock chan struct{}) error {
	select {
	case <-lock:
	default:
		select {
		case <-lock:
		case <-db.closing:
			return ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case <-db.closing: // meanwhile: the connections may be closed already
		lock <- struct{}{}
		return ErrClosed
	default:
		return nil
	}
}

// errLeftOpen says that raw SQL would keep its state of the database for all
// who read on its connection later.
var errLeftOpen = errors.New("the SQL began a transaction and left it open: use Tx or ReadTx")

func (db *DB) reader(ctx context.Context, loop bool) (*conn, func() error, error) {
	if err := db.enter(ctx); err != nil {
		return nil, nil, err
	}
	leave := db.leaveLoop
	if loop {
		if err := db.enterLoop(); err != nil {
			return nil, nil, err
		}
	} else {
		if err := db.take(ctx, db.read); err != nil {
			return nil, nil, err
		}
		leave = func() { db.read <- struct{}{} }
	}
	db.metrics.reads.Add(1)
	c, err := db.idleConn(ctx)
	if err != nil {
		leave()
		return nil, nil, err
	}
	return c, func() error {
		defer leave()
		if open, _ := c.open(); open {
			return errors.Join(errLeftOpen, c.close())
		}
		if !db.keep(c) {
			return c.close()
		}
		return nil
	}, nil
}

// keep puts c with the idle ones, of which there are Options.Readers at most.
func (db *DB) keep(c *conn) bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	if len(db.idle) >= db.o.Readers {
		return false
	}
	db.idle = append(db.idle, c)
	return true
}

// enterLoop counts a loop, which Shutdown and Close wait for.
func (db *DB) enterLoop() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	select {
	case <-db.closing: // under the lock, so that none begins once they count
		return ErrClosed
	default:
		db.loops++
		return nil
	}
}

func (db *DB) leaveLoop() {
	db.mu.Lock()
	db.loops--
	db.mu.Unlock()
	select {
	case db.looped <- struct{}{}:
	default:
	}
}

func (db *DB) looping() bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.loops > 0
}

func (db *DB) idleConn(ctx context.Context) (*conn, error) {
	db.mu.Lock()
	if n := len(db.idle); n > 0 {
		c := db.idle[n-1]
		db.idle = db.idle[:n-1]
		db.mu.Unlock()
		return c, nil
	}
	db.mu.Unlock()
	c, err := connect(ctx, db.o.Reader)
	if err != nil {
		return nil, fmt.Errorf("open a reading connection: %w", err)
	}
	return c, nil
}
