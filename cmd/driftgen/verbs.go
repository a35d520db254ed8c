package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"

	"github.com/driftdb/driftdb/internal/gen"
)

// verb is what driftgen does when its first argument names it.
type verb func(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error)

// verbs are the words that come before flags and packages.
func verbs() map[string]verb {
	return map[string]verb{"docs": docs, "schema": printSchema, "vet": vet}
}

// flagSet returns the flags of a verb; usage is what -h prints.
func flagSet(name string, stderr io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { say(stderr, usage) }
	return flags
}

// parsed says whether to go on after the flags were read, and if not, with
// which exit code to end.
func parsed(err error) (code int, ok bool) {
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitSame, false
	case err != nil:
		return exitError, false
	}
	return exitSame, true
}

// docs prints a page about the tables.
func docs(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	flags := flagSet("driftgen docs", stderr)
	asJSON := flags.Bool("json", false, "")
	if code, ok := parsed(flags.Parse(args)); !ok {
		return code, nil
	}
	return printed(ctx, flags.Args(), *asJSON, stdout, stderr, (*gen.Plan).Describe)
}

// printSchema prints the statements that make the tables.
func printSchema(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	flags := flagSet("driftgen schema", stderr)
	asJSON, triggers := flags.Bool("json", false, ""), flags.Bool("triggers", false, "")
	if code, ok := parsed(flags.Parse(args)); !ok {
		return code, nil
	}
	return printed(ctx, flags.Args(), *asJSON, stdout, stderr, func(p *gen.Plan, w io.Writer) error { return p.SQL(w, *triggers) })
}

// printed prints what write makes of the models. Findings go to standard error,
// with -json one object a line.
func printed(ctx context.Context, patterns []string, asJSON bool, stdout, stderr io.Writer, write func(*gen.Plan, io.Writer) error) (int, error) {
	plan, err := gen.NewPlan(ctx, gen.Config{Patterns: patterns})
	if err != nil {
		return exitError, err
	}
	if err := report(plan, asJSON, stderr); err != nil {
		return exitError, err
	}
	if plan.Failed() {
		return exitError, nil
	}
	if plan.Models == 0 {
		say(stderr, noModels)
	}
	var b bytes.Buffer
	if err := write(plan, &b); err != nil {
		return exitError, err
	}
	if _, err := stdout.Write(b.Bytes()); err != nil {
		return exitError, err
	}
	return exitSame, nil
}

// vet prints what is allowed and seldom meant.
func vet(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	flags := flagSet("driftgen vet", stderr)
	asJSON, plans := flags.Bool("json", false, ""), flags.Bool("plans", false, "")
	if code, ok := parsed(flags.Parse(args)); !ok {
		return code, nil
	}
	plan, err := gen.Vet(ctx, gen.Config{Patterns: flags.Args(), Plans: *plans})
	if err != nil {
		return exitError, err
	}
	out := stderr
	if *asJSON {
		out = stdout
	}
	if err := report(plan, *asJSON, out); err != nil {
		return exitError, err
	}
	switch {
	case plan.Failed():
		return exitError, nil
	case len(plan.Diagnostics) > 0:
		return exitStale, nil
	}
	return exitSame, nil
}

// report prints findings: for people, or one JSON object a line.
func report(plan *gen.Plan, asJSON bool, w io.Writer) error {
	if asJSON {
		return plan.PrintJSON(w)
	}
	return plan.Print(w)
}
