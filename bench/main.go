// Command bench measures the replication figures of docs/performance.md, with
// Litestream beside DriftDB in the same run: applications in processes of their
// own, a counting proxy for each, a real S3 server behind. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	app := flag.Bool("app", false, "be an application under measurement (the driver starts these)")
	root := flag.String("root", "..", "the repository's root")
	figures := flag.String("figures", "", "which experiments to run, with commas between; all by default")
	write := flag.Bool("write", false, "put the table into docs/performance.md")
	megabytes := flag.Int("megabytes", 1000, "size of the large database")
	small := flag.Bool("small", false, "small databases and short windows: shows that everything runs, measures nothing of worth")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	if *app {
		err = runApp(context.WithoutCancel(ctx), os.Stdin, os.Stdout) // the driver ends it
	} else {
		err = run(ctx, &bench{small: *small, megabytes: *megabytes, began: time.Now()}, *root, *figures, *write)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	root      string
	dir       string
	small     bool
	megabytes int // of the large database
	server    *server
	peer      *litestream
	began     time.Time
	making    *making // the accelerated day, once it is begun
}

type experiment struct {
	name string
	run  func(*bench, context.Context) ([]row, error)
}

// experiments in the order of the table.
func experiments() []experiment {
	return []experiment{
		{"lag", (*bench).lag},
		{"durable", (*bench).durable},
		{"traffic", (*bench).traffic},
		{"upload", (*bench).upload},
		{"day", (*bench).day},
		{"large", (*bench).large},
		{"replay", (*bench).replay},
		{"overhead", (*bench).overhead},
		{"split", (*bench).split},
		{"outage", (*bench).outage},
		{"takeover", (*bench).takeOver},
	}
}

func run(ctx context.Context, b *bench, root, only string, write bool) (err error) {
	if b.root, err = filepath.Abs(root); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "driftdb-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	b.say("building the S3 server and Litestream; minutes the first time")
	if b.server, err = startServer(ctx, b.root, filepath.Join(b.dir, "s3")); err != nil {
		return fmt.Errorf("start the S3 server: %w", err)
	}
	defer func() { err = errors.Join(err, b.server.stop()) }()
	defer b.endDay()
	if b.peer, err = buildLitestream(ctx, b.root, b.dir, b.server); err != nil {
		return err
	}
	wanted := func(name string) bool { return only == "" || slices.Contains(strings.Split(only, ","), name) }
	before := load()
	began := time.Now()
	var rows []row
	var failed []error
	for _, e := range experiments() {
		if !wanted(e.name) {
			continue
		}
		if e.name == "traffic" && wanted("day") {
			// It takes minutes, and counting bytes leaves the processors free.
			if err := b.makeDay(ctx); err != nil {
				return err
			}
		}
		b.say("%s (load %s)", e.name, load())
		got, err := e.run(b, ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, r := range got {
			r.Name = e.name
			rows = append(rows, r)
			b.say("  %s: %s | Litestream %s", r.Figure, r.Drift, r.Peer)
		}
		if err != nil { // the others are worth something all the same
			failed = append(failed, fmt.Errorf("%s: %w", e.name, err))
			b.say("  FAILED: %v", err)
		}
	}
	text := fmt.Sprintf("Measured on %s with `make bench-replication` in %.0f min: %s, %d processors, %s/%s, %s; load average %s before, %s after.\n\n%s",
		began.Format(time.DateOnly), time.Since(began).Minutes(), processor(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), before, load(), markdown(rows))
	fmt.Println(text)
	if write && len(failed) == 0 {
		if err := replaceBetween(filepath.Join(b.root, "docs", "performance.md"), "\n"+text+"\n"); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

// say tells how the run is coming along.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%4.0f s: %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// scale shortens what a small run does.
func (b *bench) scale(full, small int) int {
	if b.small {
		return small
	}
	return full
}

// wait lets time pass.
func (b *bench) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// load is the machine's load average over the last minute.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// processor names the machine's.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	out, err := exec.Command("uname", "-m").Output()
	if err != nil {
		return "an unknown processor"
	}
	return strings.TrimSpace(string(out))
}
