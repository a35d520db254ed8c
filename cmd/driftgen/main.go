// Driftgen writes the typed tables of structs with drift tags.
//
//	driftgen [packages]            write what is missing or outdated
//	driftgen -check [packages]     write nothing; show what would change
//
// Packages are named as for the go command and default to the one in the
// working directory. For each source file with models it writes a file beside
// it (models.go → models_drift.go), and for each package drift_schema.go with
// the variable Schema for driftdb.Open. Files of its own whose models are gone
// are removed. Files that it did not write are never touched.
//
// The usual way to run it is a line in the models' file and go generate:
//
//	//go:generate go tool driftgen
//
// after go get -tool github.com/driftdb/driftdb/cmd/driftgen once.
//
// Exit codes: 0 all files are as the models want them, 1 -check found that
// they are not, 2 a mistake in the models or in reading them. Findings go to
// standard error as file:line:column: message, the diff of -check to standard
// output.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"

	"github.com/driftdb/driftdb/internal/gen"
)

const usage = `driftgen writes the typed tables of Go structs with drift tags.

Usage:

	driftgen [packages]           write what is missing or outdated
	driftgen -check [packages]    write nothing; print what would change
	driftgen -version             print the version

Packages default to the one in the working directory; ./... is all below it.
A model is a struct like this one:

	//go:generate go tool driftgen

	type User struct {
		orm.Base                      // ID, CreatedAt, UpdatedAt
		Name  string ` + "`drift:\"index\"`" + `
		Email string ` + "`drift:\"unique\"`" + `
	}

For models.go driftgen writes models_drift.go, with the table Users, and
drift_schema.go, with the variable Schema for driftdb.Open.

Exit codes: 0 all files are up to date, 1 -check found files that are not,
2 a mistake in the models (printed as file:line:column: message) or elsewhere.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

const (
	exitSame  = 0
	exitStale = 1
	exitError = 2
)

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("driftgen", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { say(stderr, usage) }
	check := flags.Bool("check", false, "")
	version := flags.Bool("version", false, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitSame
	case err != nil:
		return exitError
	}
	if *version {
		say(stdout, "driftgen "+buildVersion()+"\n")
		return exitSame
	}
	code, err := generate(ctx, *check, flags.Args(), stdout, stderr)
	if err != nil {
		say(stderr, "driftgen: "+err.Error()+"\n")
		return exitError
	}
	return code
}

func generate(ctx context.Context, check bool, patterns []string, stdout, stderr io.Writer) (int, error) {
	plan, err := gen.NewPlan(ctx, gen.Config{Patterns: patterns})
	if err != nil {
		return exitError, err
	}
	if err := plan.Print(stderr); err != nil {
		return exitError, err
	}
	switch {
	case plan.Failed():
		return exitError, nil
	case check && plan.Stale():
		return exitStale, plan.Diff(stdout)
	case check:
		return exitSame, nil
	}
	if plan.Models == 0 {
		say(stderr, "driftgen: no models here: a model is a struct with a drift tag on a field (driftgen -h shows one)\n")
	}
	changed, err := plan.Write()
	for _, path := range changed {
		if wd, werr := os.Getwd(); werr == nil {
			if rel, rerr := filepath.Rel(wd, path); rerr == nil {
				path = rel
			}
		}
		say(stderr, "driftgen: "+path+"\n")
	}
	if err != nil {
		return exitError, err
	}
	return exitSame, nil
}

// say writes a message. That the terminal is gone is no reason to fail.
func say(w io.Writer, text string) { _, _ = io.WriteString(w, text) }

// buildVersion returns the module version that the binary was built from.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown)"
}
