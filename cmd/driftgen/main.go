// Driftgen writes the typed tables of structs with drift tags.
//
//	driftgen [packages]                     write what is missing or outdated
//	driftgen -check [packages]              write nothing; show what would change
//	driftgen docs [packages]                print the tables as Markdown, with a diagram
//	driftgen schema [-triggers] [packages]  print the tables as SQL
//	driftgen vet [-plans] [packages]        print what is allowed and seldom meant
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
// they are not or vet found something, 2 a mistake in the models or in reading
// them. Findings go to standard error as file:line:column: message, the diff of
// -check to standard output. With -json findings, and files that -check found,
// are JSON, one object a line: {"kind", "file", "line", "column", "message",
// "diff"}, kind being error, warning, missing, stale or orphan. They go to
// standard output then, except for docs and schema, whose own it is. What migrate
// does is a line of the kind step for each change, with its "class", and one of the
// kind written, or with -sign of the kind signed, with the file.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"

	"github.com/driftdb/driftdb/internal/gen"
)

const usage = `driftgen writes the typed tables of Go structs with drift tags.

Usage:

	driftgen [packages]                    write what is missing or outdated
	driftgen -check [packages]             write nothing; print what would change
	driftgen docs [packages]               print the tables as Markdown, with a diagram
	driftgen schema [-triggers] [packages] print the tables as SQL, with the change log's triggers
	driftgen vet [-plans] [packages]       print what is allowed and seldom meant;
	                                       -plans asks SQLite about //drift:query
	driftgen -version                      print the version

Packages default to the one in the working directory; ./... is all below it.
With -json after the verb, findings are JSON, one object a line.
A model is a struct like this one:

	//go:generate go tool driftgen

	type User struct {
		orm.Base                      // ID, CreatedAt, UpdatedAt
		Name  string ` + "`drift:\"index\"`" + `
		Email string ` + "`drift:\"unique\"`" + `
	}

For models.go driftgen writes models_drift.go, with the table Users, and
drift_schema.go, with the variable Schema for driftdb.Open.

Exit codes: 0 all files are up to date, 1 -check found files that are not or vet
found something, 2 a mistake in the models (printed as file:line:column: message)
or elsewhere.
`

const noModels = "driftgen: no models here: a model is a struct with a drift tag on a field (driftgen -h shows one)\n"

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
	if len(args) > 0 && args[0] == "migrate" {
		return migrate(ctx, args[1:], stdout, stderr)
	}
	do := verb(generate)
	if len(args) > 0 {
		if v, ok := verbs()[args[0]]; ok {
			do, args = v, args[1:]
		}
	}
	code, err := do(ctx, args, stdout, stderr)
	if err != nil {
		say(stderr, "driftgen: "+err.Error()+"\n")
		return exitError
	}
	return code
}

// generate writes the output, or compares it.
func generate(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	flags := flagSet("driftgen", stderr)
	check, asJSON, version := flags.Bool("check", false, ""), flags.Bool("json", false, ""), flags.Bool("version", false, "")
	if code, ok := parsed(flags.Parse(args)); !ok {
		return code, nil
	}
	if *version {
		say(stdout, "driftgen "+buildVersion()+"\n")
		return exitSame, nil
	}
	plan, err := gen.NewPlan(ctx, gen.Config{Patterns: flags.Args()})
	if err != nil {
		return exitError, err
	}
	findings, diff := stderr, plan.Diff
	if *asJSON {
		findings, diff = stdout, plan.DiffJSON
	}
	if err := report(plan, *asJSON, findings); err != nil {
		return exitError, err
	}
	switch {
	case plan.Failed():
		return exitError, nil
	case *check && (plan.Stale() || plan.Behind):
		return exitStale, diff(stdout)
	case *check:
		return exitSame, nil
	}
	if plan.Models == 0 {
		say(stderr, noModels)
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
