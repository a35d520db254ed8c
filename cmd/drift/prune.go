package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/driftdb/driftdb/replicate"
)

func (c *cli) pruneCommand() *cobra.Command {
	var o replicate.PruneOptions
	cmd := &cobra.Command{
		Use:   "prune STORE NAME",
		Short: "Delete what is needed for nothing any more",
		Long: "Prune deletes what no point of the retention and no marked point needs, if it is older than 24 hours by the store's clock.\n" +
			"A running replica does that by itself. Give --window and --snapshots what the program's Options.Retention has, or more:\n" +
			"what they do not cover is gone for good. Only --dry-run goes by the defaults without them.\n\n" + storeHelp,
		Args: exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkRetention(cmd, o); err != nil {
				return err
			}
			return c.with(cmd.Context(), args[0], func(s replicate.Store, ro replicate.ReadOptions) error {
				o.Encryption = ro.Encryption
				r, err := replicate.Prune(cmd.Context(), args[1], s, o)
				if err != nil {
					return err
				}
				out := map[string]any{
					"dryRun": o.DryRun, "floor": r.Floor, "floorTime": r.FloorTime.UTC(), "heldBy": r.HeldBy, "objects": r.Objects, "bytes": r.Bytes, "young": r.Young,
				}
				if r.NotAllowed != nil {
					out["notAllowed"] = r.NotAllowed.Error()
				}
				return c.show(out, func(w io.Writer) { pruned(w, r, o) })
			})
		},
	}
	cmd.Flags().DurationVar(&o.Retention.Window, "window", 7*24*time.Hour, "how far back every point can be restored")
	cmd.Flags().IntVar(&o.Retention.Snapshots, "snapshots", 2, "how many of the newest snapshots are kept at least")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "say what would be deleted, and change nothing")
	return cmd
}

// checkRetention refuses to delete by a retention that nobody has given: the
// program may keep more than the defaults.
func checkRetention(cmd *cobra.Command, o replicate.PruneOptions) error {
	if !o.DryRun {
		for _, name := range []string{"window", "snapshots"} {
			if !cmd.Flags().Changed(name) {
				return usageError{fmt.Errorf("prune needs --%s: what the program's Options.Retention has (by default a window of 168h and 2 snapshots), or more; --dry-run tries it", name)}
			}
		}
	}
	if o.Retention.Window <= 0 || o.Retention.Snapshots <= 0 {
		return usageError{errors.New("--window and --snapshots must be positive")}
	}
	return nil
}

func pruned(w io.Writer, r replicate.PruneReport, o replicate.PruneOptions) {
	if o.DryRun {
		line(w, fmt.Sprintf("with --window %v --snapshots %d:", o.Retention.Window, o.Retention.Snapshots))
	}
	verb := "deleted"
	if o.DryRun {
		verb = "would delete"
	}
	line(w, fmt.Sprintf("%s %d objects, %s", verb, r.Objects, size(r.Bytes)))
	line(w, fmt.Sprintf("every point from %d (%s) on can be restored", r.Floor, moment(r.FloorTime)))
	if r.HeldBy != "" {
		line(w, "the point "+r.HeldBy+" keeps what is older")
	}
	if r.Young > 0 {
		line(w, fmt.Sprintf("%d objects are needed for nothing and younger than 24 hours", r.Young))
	}
	if r.NotAllowed != nil {
		line(w, "nothing could be deleted: "+r.NotAllowed.Error())
	}
}
