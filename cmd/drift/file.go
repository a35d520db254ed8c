package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"

	"github.com/spf13/cobra"

	"github.com/driftdb/driftdb/replicate"
)

const fileHelp = "FILE is the database file; the program that uses it must not replicate it at the same time.\n" +
	"Nothing is pruned: how much is kept is the program's own affair.\n\n" + storeHelp

// newFlag is the flag that lets a verb begin a backup.
func newFlag(cmd *cobra.Command, begin *bool) *cobra.Command {
	cmd.Flags().BoolVar(begin, "new", false, "begin a new backup if there is none under NAME")
	return cmd
}

// replica starts to replicate a file, lets f use it, stores what is left and
// releases the name. Where nothing is stored under the name it does so only with
// begin: a file has one chain, and once it has begun another one, under a slip of
// a name or in a wrong bucket, the backup that it belongs to takes it for forked.
func (c *cli) replica(ctx context.Context, url, name, path string, begin bool, o replicate.Options, f func(*replicate.Replica) error) error {
	return c.with(ctx, url, func(s replicate.Store, ro replicate.ReadOptions) (err error) {
		if _, err := os.Stat(path); err != nil && !o.AutoRestore {
			return fmt.Errorf("the database file: %w", err)
		}
		o.Encryption = ro.Encryption
		if !begin {
			if _, err := replicate.ReadBackup(ctx, name, s, ro); errors.Is(err, replicate.ErrNoBackup) {
				return fmt.Errorf("%w: %s would begin a new backup, and no longer fit one under another name: check NAME and STORE; drift snapshot --new begins one on purpose", err, path)
			} else if err != nil {
				return err
			}
		}
		// How much is kept, in the bucket and in the file, the program alone knows.
		o.Retention, o.LogTail = replicate.Retention{Disabled: true, DisablePacks: true}, math.MaxInt64
		if !c.json && !c.quiet {
			o.Logger = slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
		}
		r, err := replicate.New(name, s, o)
		if err != nil {
			return err
		}
		if err := r.Start(ctx, path); err != nil {
			return errors.Join(err, r.Close())
		}
		if err := f(r); err != nil {
			return errors.Join(err, r.Close())
		}
		return r.Shutdown(ctx)
	})
}

// done shows that a verb has done its work.
func (c *cli) done(fields map[string]any, text string) error {
	return c.show(fields, func(w io.Writer) { line(w, text) })
}
