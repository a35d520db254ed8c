package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/driftdb/driftdb/internal/gen"
)

const migrateUsage = `driftgen migrate writes the next migration of a package of models.

Usage:

	driftgen migrate [flags] NAME [package]
	driftgen migrate -sign [directory]

It compares the models with what the last migration left (migrations/schema.json)
and writes migrations/0001_NAME.sql, 0002_NAME.sql and so on. Commit both. The
generated Schema embeds them, and driftdb.Open runs those that a file has not
seen. A column gets another name with the item was=old_name, a table with the
directive //drift:table name was=old_name.

Flags:

	-allow-destructive   also write what rebuilds a table or drops a column or table
	-empty               write a migration without statements, to be filled in by hand
	-sign                take the newest migration as it stands after an edit by hand
	-json                print mistakes, the steps and the file as JSON, one object a line
`

// migrate runs the verb migrate.
func migrate(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("driftgen migrate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { say(stderr, migrateUsage) }
	destructive := flags.Bool("allow-destructive", false, "")
	empty := flags.Bool("empty", false, "")
	sign := flags.Bool("sign", false, "")
	asJSON := flags.Bool("json", false, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitSame
	case err != nil:
		return exitError
	}
	fail := func(err error) int {
		say(stderr, "driftgen: "+err.Error()+"\n")
		return exitError
	}
	findings, tell := stderr, gen.Migration.Print
	if *asJSON {
		findings, tell = stdout, gen.Migration.PrintJSON
	}
	if *sign {
		dir := "."
		if flags.NArg() > 0 {
			dir = flags.Arg(0)
		}
		m, err := gen.SignMigration(dir)
		if err == nil {
			err = tell(m, stdout)
		}
		if err != nil {
			return fail(err)
		}
		return exitSame
	}
	for _, arg := range flags.Args() {
		if strings.HasPrefix(arg, "-") {
			return fail(fmt.Errorf("flags come first: driftgen migrate %s NAME", arg))
		}
	}
	if flags.NArg() < 1 || flags.NArg() > 2 {
		say(stderr, migrateUsage)
		return exitError
	}
	m, plan, err := gen.NewMigration(ctx, gen.Config{Patterns: flags.Args()[1:]}, flags.Arg(0), *destructive, *empty)
	if plan != nil && plan.Failed() {
		if err := report(plan, *asJSON, findings); err != nil {
			return fail(err)
		}
		return exitError
	}
	if err != nil {
		return fail(err)
	}
	if err := tell(m, stdout); err != nil {
		return fail(err)
	}
	if m.Path == "" {
		return exitSame
	}
	// The output names the migrations once there are any.
	code, err := generate(ctx, flags.Args()[1:], io.Discard, stderr)
	if err != nil {
		return fail(err)
	}
	return code
}
