// Package otelmetrics exports the figures of replicas through OpenTelemetry.
package otelmetrics

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/driftdb/driftdb/replicate"
)

// Register makes observable instruments of the figures of replicas, with the
// attribute database. Unregister the returned registration to end it.
func Register(meter metric.Meter, replicas ...*replicate.Replica) (metric.Registration, error) {
	if meter == nil || len(replicas) == 0 {
		return nil, errors.New("otelmetrics: a meter and at least one replica are needed")
	}
	var all []metric.Observable
	for _, m := range replicas[0].Measurements() {
		var o metric.Float64Observable
		var err error
		if m.Counter {
			o, err = meter.Float64ObservableCounter(m.Name, metric.WithDescription(m.Help), metric.WithUnit(m.Unit))
		} else {
			o, err = meter.Float64ObservableGauge(m.Name, metric.WithDescription(m.Help), metric.WithUnit(m.Unit))
		}
		if err != nil {
			return nil, fmt.Errorf("otelmetrics: %s: %w", m.Name, err)
		}
		all = append(all, o)
	}
	return meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		for _, r := range replicas {
			name := metric.WithAttributes(attribute.String("database", r.Name()))
			for i, m := range r.Measurements() {
				if o, ok := all[i].(metric.Float64Observable); ok {
					to.ObserveFloat64(o, m.Value, name)
				}
			}
		}
		return nil
	}, all...)
}
