//go:build !unix

package gen_test

import "time"

func processorTime() (total time.Duration, known bool) { return 0, false }
