//go:build unix

package gen_test

import (
	"syscall"
	"time"
)

// processorTime is what this process and those that it has waited for have taken
// of the processors. Other programs on the machine make no difference to it.
func processorTime() (total time.Duration, known bool) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			return 0, false
		}
		total += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return total, true
}
