package prommetrics_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
	"github.com/driftdb/driftdb/replicate/prommetrics"
)

func TestCollector(t *testing.T) {
	var all []*replicate.Replica
	for _, name := range []string{"a", "b"} {
		r, err := replicate.New(name, memstore.New(), replicate.Options{})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	c := prommetrics.New(prommetrics.Options{Requests: func() map[string]int64 { return map[string]int64{"put": 3} }}, all...)
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(c); err != nil {
		t.Fatal(err)
	}
	want := `
# HELP driftdb_store_requests_total Requests that the store has sent.
# TYPE driftdb_store_requests_total counter
driftdb_store_requests_total{kind="put"} 3
# HELP driftdb_up 1 while the replica runs and is not halted.
# TYPE driftdb_up gauge
driftdb_up{database="a"} 0
driftdb_up{database="b"} 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "driftdb_up", "driftdb_store_requests_total"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(reg); err != nil || n != 2*len(all[0].Measurements())+1 {
		t.Errorf("%d series, %v", n, err)
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
