package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
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
	cmd.Flags().Var((*share)(&o.Sample), "sample", "read only a part, chosen at random: 5% or 0.05; the rest is looked for, there is no trial restore")
	cmd.Flags().BoolVar(&o.NoTrial, "no-trial", false, "leave out the trial restore")
	cmd.Flags().StringVar(&o.Dir, "dir", "", "directory for the trial restore (default: the system's for temporary files)")
	return cmd
}

func (c *cli) verify(ctx context.Context, s replicate.Store, name string, o replicate.VerifyOptions) error {
	p := c.progress("verify")
	if p != nil {
		o.Progress = func(at replicate.VerifyProgress) { p.draw(at.Bytes, 0, at.Sequence, at.Target) }
	}
	r, err := replicate.Verify(ctx, name, s, o)
	p.end()
	if r == nil || err != nil && r.OK() {
		return err
	}
	shown := c.show(r, func(w io.Writer) {
		took := time.Duration(r.Seconds * float64(time.Second)).Round(time.Millisecond)
		line(w, fmt.Sprintf("%s, %s, %s from %d to %d: %s read in %s", count(r.Snapshots, "snapshot", "snapshots"), count(r.Batches, "batch", "batches"), count(r.Entries, "entry", "entries"), r.From, r.Head, size(r.Bytes), took))
		if r.Unread > 0 {
			line(w, fmt.Sprintf("a sample of %g %%: %d more objects are there and were not read", 100*r.Sample, r.Unread))
		}
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

// share is a flag that takes 5% or 0.05.
type share float64

func (s *share) String() string { return strconv.FormatFloat(float64(*s), 'g', -1, 64) }

func (s *share) Type() string { return "share" }

func (s *share) Set(text string) error {
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		f /= 100
	}
	if err != nil || !(f > 0 && f <= 1) {
		return errors.New("write 5% or 0.05: more than nothing, and at most 100%")
	}
	*s = share(f)
	return nil
}
