package replicate

import "context"

// job is work in a goroutine of its own that the engine owns: it looks whether
// the job has ended, and stops it at the end.
type job struct {
	done   chan struct{}
	cancel context.CancelFunc
}

// begin runs f in a goroutine.
func begin(ctx context.Context, f func(ctx context.Context)) job {
	ctx, cancel := context.WithCancel(ctx)
	j := job{done: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(j.done)
		f(ctx)
	}()
	return j
}

// ended says whether f has returned.
func (j *job) ended() bool {
	select {
	case <-j.done:
		j.cancel()
		return true
	default:
		return false
	}
}

// stop ends f and waits for it.
func (j *job) stop() {
	j.cancel()
	<-j.done
}
