package orm

import (
	"context"
	"runtime"
	"strings"
	"time"
)

// insideError says that Close or Shutdown was called by a function that it would wait
// for. It is ErrInTx, too.
type insideError struct{}

func (insideError) Error() string {
	return "it was called inside a transaction, a loop over rows or a listener, and waits for these: call it after they have returned, or in a goroutine that they do not wait for"
}

func (insideError) Is(target error) bool { return target == ErrInTx }

// insideWait is how long one who calls from inside of something waits for the database
// to be unused: what runs may be of another goroutine, and the inside of another
// database.
const insideWait = time.Second

// outside returns insideError if the caller would wait for itself without end. Close
// has no context that could tell, so the stack does: it is looked at here alone.
func (db *DB) outside(ctx context.Context) error {
	if ctx.Done() != nil || !calledInside() {
		return nil
	}
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(insideWait); !db.unused(); <-poll.C {
		if time.Now().After(end) {
			return insideError{}
		}
	}
	return nil
}

// calledInside says whether a function of this package calls one outside of it that
// calls us: the function of a transaction, the body of a loop, a listener, a hook.
func calledInside() bool {
	pcs := make([]uintptr, 512)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	own, left := "", false
	for {
		f, more := frames.Next()
		function, _, _ := strings.Cut(f.Function, "[") // types may have a path, too
		path := function[:strings.LastIndexByte(function, '/')+1]
		name, _, _ := strings.Cut(function[len(path):], ".")
		switch in := path + name; {
		case own == "":
			own = in
		case in != own:
			left = true
		case left:
			return true
		}
		if !more {
			return false
		}
	}
}

// unused says whether no transaction, query, loop or listener is running.
func (db *DB) unused() bool {
	return len(db.write) == cap(db.write) && len(db.read) == cap(db.read) && !db.looping() && !db.changes.delivering()
}
