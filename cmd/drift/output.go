package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/driftdb/driftdb/replicate"
)

// show writes the result: v as JSON, or what text prints.
func (c *cli) show(v any, text func(w io.Writer)) error {
	if c.json {
		return json.NewEncoder(c.out).Encode(v)
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	text(w)
	return w.Flush()
}

// line writes a row of a table. What cannot be written, Flush tells.
func line(w io.Writer, cells ...any) {
	for i, cell := range cells {
		if i > 0 {
			_, _ = io.WriteString(w, "\t")
		}
		_, _ = fmt.Fprint(w, cell)
	}
	_, _ = io.WriteString(w, "\n")
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// size writes bytes for people.
func size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1024, 0
	for f >= 1024 && unit < 4 {
		f, unit = f/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTP"[unit])
}

// count writes how many there are of something for people: plural is for all
// counts but one.
func count[N int | int64](n N, one, plural string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, plural)
}

// parseMoment reads a moment: a time as in RFC 3339, a time ago as in -1h30m, a
// sequence, or the name of a point.
func parseMoment(s string, now time.Time) (m replicate.Moment, err error) {
	if s == "" {
		return m, nil
	}
	if ago, ok := strings.CutPrefix(s, "-"); ok {
		d, err := time.ParseDuration(ago)
		if err != nil {
			return m, usageError{fmt.Errorf("%q is no time ago: write -90s, -15m or -24h", s)}
		}
		m.At = now.Add(-d)
		return m, nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		m.Sequence = n
		return m, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, time.UTC); err == nil {
			m.At = t
			return m, nil
		}
	}
	m.Point = s
	return m, nil
}

const momentHelp = `a time (2026-05-04T03:02:01Z; UTC unless it says otherwise), a time ago (-15m), a sequence (4711) or the name of a marked point`

// progress tells how far a long verb has come: on a terminal in a line that is
// written over, elsewhere in a line from time to time.
type progress struct {
	w     io.Writer
	tty   bool
	begun time.Time
	drawn time.Time
	what  string
}

// plainEvery is the time between two lines where no terminal is.
const plainEvery = 10 * time.Second

// progress returns nil where nobody looks.
func (c *cli) progress(what string) *progress {
	if c.quiet || c.json {
		return nil
	}
	now := time.Now()
	p := &progress{w: c.err, begun: now, drawn: now, what: what}
	if f, ok := c.err.(*os.File); ok {
		info, err := f.Stat()
		p.tty = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

func (p *progress) draw(bytes, total, sequence, target int64) {
	if p == nil {
		return
	}
	now := time.Now()
	text := p.line(bytes, total, sequence, target, now.Sub(p.begun))
	switch since := now.Sub(p.drawn); {
	case p.tty && since >= 100*time.Millisecond:
		_, _ = fmt.Fprintf(p.w, "\r\x1b[K%s", text)
	case !p.tty && since >= plainEvery:
		_, _ = fmt.Fprintln(p.w, text)
	default:
		return
	}
	p.drawn = now
}

// line is the text of a progress line.
func (p *progress) line(bytes, total, sequence, target int64, since time.Duration) string {
	rate := float64(bytes) / max(since.Seconds(), 0.001)
	s := fmt.Sprintf("%s %s", p.what, size(bytes))
	if total > 0 {
		done := min(float64(bytes)/float64(total), 1)
		bar := ""
		if p.tty {
			bar = fmt.Sprintf("[%-20s] ", strings.Repeat("=", int(20*done)))
		}
		s = fmt.Sprintf("%s %s%3.0f %% of %s", p.what, bar, 100*done, size(total))
	}
	s += fmt.Sprintf("  %s/s", size(int64(rate)))
	if total > bytes && rate > 0 {
		s += "  " + time.Duration(float64(total-bytes)/rate*float64(time.Second)).Round(time.Second).String() + " left"
	}
	if target > 0 {
		s += fmt.Sprintf("  entry %d of %d", sequence, target)
	}
	return s
}

func (p *progress) end() {
	if p != nil && p.tty {
		_, _ = io.WriteString(p.w, "\r\x1b[K")
	}
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown)"
}
