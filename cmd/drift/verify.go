package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/driftdb/driftdb/replicate"
)

func (c *cli) verifyCommand() *cobra.Command {
	var o replicate.VerifyOptions
	cmd := &cobra.Command{
		Use:   "verify STORE NAME",
		Short: "Read a backup and check all of it",
		Long: "Verify reads every snapshot and every change of the database NAME, checks sizes, hashes, seals and the hash chain,\n" +
			"and restores into a temporary file, which is checked in full. Exit code 5: something is wrong.\n\n" + storeHelp,
		Args: exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), args[0], func(s replicate.Store, ro replicate.ReadOptions) error {
				o.Encryption = ro.Encryption
				return c.verify(cmd.Context(), s, args[1], o)
			})
		},
	}
	cmd.Flags().BoolVar(&o.Quick, "quick", false, "read only what a restore of the newest state needs")
	cmd.Flags().BoolVar(&o.NoTrial, "no-trial", false, "leave out the trial restore")
	cmd.Flags().StringVar(&o.Dir, "dir", "", "directory for the trial restore (default: the system's for temporary files)")
	return cmd
}

func (c *cli) verify(ctx context.Context, s replicate.Store, name string, o replicate.VerifyOptions) error {
	p := c.progress("verify")
	if p != nil {
		o.Progress = func(at replicate.VerifyProgress) { p.draw(at.Bytes, at.Sequence, at.Target) }
	}
	r, err := replicate.Verify(ctx, name, s, o)
	p.end()
	if r == nil || err != nil && r.OK() {
		return err
	}
	shown := c.show(r, func(w io.Writer) {
		took := time.Duration(r.Seconds * float64(time.Second)).Round(time.Millisecond)
		line(w, fmt.Sprintf("%d snapshots, %d batches, %d entries from %d to %d: %s read in %s", r.Snapshots, r.Batches, r.Entries, r.From, r.Head, size(r.Bytes), took))
		if r.Trial != nil {
			line(w, fmt.Sprintf("a trial restore came to %d and is sound", r.Trial.Sequence))
		}
		for _, p := range r.Problems {
			line(w, "WRONG: "+p.Error)
		}
		if r.OK() {
			line(w, "nothing is wrong")
		}
	})
	if !r.OK() {
		return errors.Join(errFound, shown)
	}
	return shown
}
