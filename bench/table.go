package main

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// row is one figure of the table.
type row struct {
	Figure string
	Goal   string
	Drift  string
	Peer   string // Litestream; empty: it has no such thing, or was not measured
	Met    verdict
	Name   string // of the experiment, for FIGURES=
}

type verdict int

const (
	unjudged verdict = iota
	met
	missed
)

func judge(ok bool) verdict {
	if ok {
		return met
	}
	return missed
}

// markdown renders the table.
func markdown(rows []row) string {
	var b strings.Builder
	b.WriteString("| figure | goal | DriftDB | | Litestream 0.5.18 | `make bench-replication` |\n|---|---|---|---|---|---|\n")
	for _, r := range rows {
		mark := map[verdict]string{unjudged: "", met: "met", missed: "**missed**"}[r.Met]
		peer := r.Peer
		if peer == "" {
			peer = "–"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | `FIGURES=%s` |\n", r.Figure, r.Goal, r.Drift, mark, peer, r.Name)
	}
	return b.String()
}

const (
	beginMark = "<!-- make bench-replication: begin -->"
	endMark   = "<!-- make bench-replication: end -->"
)

// replaceBetween writes text between the marks of a page.
func replaceBetween(path, text string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	begin, end := bytes.Index(page, []byte(beginMark)), bytes.Index(page, []byte(endMark))
	if begin < 0 || end < begin {
		return fmt.Errorf("%s has no lines %s and %s", path, beginMark, endMark)
	}
	var out bytes.Buffer
	out.Write(page[:begin+len(beginMark)])
	out.WriteString("\n" + text)
	out.Write(page[end:])
	return os.WriteFile(path, out.Bytes(), 0o644) //nolint:gosec // a page of the docs
}

// percentile of durations; p from 0 to 1.
func percentile(all []time.Duration, p float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func millis(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

func mib(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }

func size(n float64) string {
	if n < 1000 {
		return fmt.Sprintf("%.0f B", n)
	}
	return fmt.Sprintf("%.1f kB", n/1000)
}

func rate(bytes int64, d time.Duration) float64 { return float64(bytes) / 1e6 / d.Seconds() }
