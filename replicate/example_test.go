package replicate_test

import (
	"expvar"
	"fmt"
	"strings"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// The figures as JSON, at /debug/vars of the program's HTTP server.
func ExampleReplica_Metrics() {
	replica, err := replicate.New("bank", memstore.New(), replicate.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	figures := expvar.Func(func() any { return replica.Metrics() })
	if expvar.Get("driftdb") == nil {
		expvar.Publish("driftdb", figures)
	}
	fmt.Println(strings.Contains(figures.String(), `"pendingChanges":0`))
	// Output: true
}

// Writes wait for room when a gigabyte of changes waits for the store.
func ExampleBacklog() {
	_, err := replicate.New("bank", memstore.New(), replicate.Options{
		Backlog: replicate.Backlog{Policy: replicate.BacklogBlock, Bound: 1 << 30},
	})
	fmt.Println(err)
	// Output: <nil>
}
