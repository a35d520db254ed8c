package main

import (
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
		Long: "Prune deletes what no point of the retention and no marked point needs, and what is older than 24 hours by the store's clock.\n" +
			"A running replica does that by itself.\n\n" + storeHelp,
		Args: exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
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
				return c.show(out, func(w io.Writer) { pruned(w, r, o.DryRun) })
			})
		},
	}
	cmd.Flags().DurationVar(&o.Retention.Window, "window", 7*24*time.Hour, "how far back every point can be restored")
	cmd.Flags().IntVar(&o.Retention.Snapshots, "snapshots", 2, "how many of the newest snapshots are kept at least")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "say what would be deleted, and change nothing")
	return cmd
}

func pruned(w io.Writer, r replicate.PruneReport, dry bool) {
	verb := "deleted"
	if dry {
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
