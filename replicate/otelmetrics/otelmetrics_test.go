package otelmetrics_test

import (
	"testing"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
	"github.com/driftdb/driftdb/replicate/otelmetrics"
)

func TestRegister(t *testing.T) {
	r, err := replicate.New("a", memstore.New(), replicate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	reader := metric.NewManualReader()
	provider := metric.NewMeterProvider(metric.WithReader(reader))
	reg, err := otelmetrics.Register(provider.Meter("test"), r)
	if err != nil {
		t.Fatal(err)
	}
	var got metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	if n := len(got.ScopeMetrics[0].Metrics); n != len(r.Measurements()) {
		t.Errorf("%d instruments", n)
	}
	if err := reg.Unregister(); err != nil {
		t.Fatal(err)
	}
	if _, err := otelmetrics.Register(provider.Meter("test")); err == nil {
		t.Error("no replica is no error")
	}
}
