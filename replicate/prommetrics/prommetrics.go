// Package prommetrics exports the figures of replicas to Prometheus.
package prommetrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/driftdb/driftdb/replicate"
)

// Options of New.
type Options struct {
	// Requests returns how many requests of each kind a store has sent, as
	// s3store.Store.Counters counts them. Defaults to none.
	Requests func() map[string]int64
}

// Collector is a prometheus.Collector. Every figure has the label database.
type Collector struct {
	replicas []*replicate.Replica
	o        Options
	requests *prometheus.Desc
}

// New returns a collector of replicas, to be registered once:
//
//	prometheus.MustRegister(prommetrics.New(prommetrics.Options{}, replica))
func New(o Options, replicas ...*replicate.Replica) *Collector {
	return &Collector{replicas, o, prometheus.NewDesc("driftdb_store_requests_total", "Requests that the store has sent.", []string{"kind"}, nil)}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	if len(c.replicas) > 0 {
		for _, m := range c.replicas[0].Measurements() {
			ch <- desc(m)
		}
	}
	if c.o.Requests != nil {
		ch <- c.requests
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	for _, r := range c.replicas {
		name := r.Name()
		for _, m := range r.Measurements() {
			kind := prometheus.GaugeValue
			if m.Counter {
				kind = prometheus.CounterValue
			}
			ch <- prometheus.MustNewConstMetric(desc(m), kind, m.Value, name)
		}
	}
	if c.o.Requests != nil {
		for kind, n := range c.o.Requests() {
			ch <- prometheus.MustNewConstMetric(c.requests, prometheus.CounterValue, float64(n), kind)
		}
	}
}

func desc(m replicate.Measurement) *prometheus.Desc {
	return prometheus.NewDesc(m.Name, m.Help, []string{"database"}, nil)
}
