package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/driftdb/driftdb/replicate"
)

func (c *cli) rebuildManifestCommand() *cobra.Command {
	var o replicate.RebuildOptions
	cmd := &cobra.Command{
		Use:   "rebuild-manifest STORE NAME",
		Short: "Make a lost or overwritten manifest anew from what is stored",
		Long: "Rebuild-manifest reads every object of NAME, follows the hash chain, and writes a manifest whose head is the end of it.\n" +
			"Stop the program first: whoever runs with the old manifest stops shipping. Where the store holds several histories\n" +
			"and nothing tells which one counts, they are listed, and --choose NODE/EPOCH says which.\n\n" + storeHelp,
		Args: exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), args[0], func(s replicate.Store, ro replicate.ReadOptions) error {
				o.Encryption = ro.Encryption
				r, err := replicate.RebuildManifest(cmd.Context(), args[1], s, o)
				if err != nil {
					return err
				}
				return c.show(r, func(w io.Writer) { rebuilt(w, r) })
			})
		},
	}
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "say what would be written, and write nothing")
	cmd.Flags().BoolVar(&o.Replace, "replace", false, "do it although a sound manifest is there")
	cmd.Flags().StringVar(&o.Choose, "choose", "", "the history to go on with, as NODE/EPOCH")
	return cmd
}

func rebuilt(w io.Writer, r *replicate.RebuildReport) {
	verb := "wrote"
	if !r.Written {
		verb = "would write"
	}
	line(w, fmt.Sprintf("%s a manifest of epoch %d for node %s", verb, r.Epoch, r.NodeID))
	line(w, fmt.Sprintf("every point from %d to %d (%s) can be restored: %s, %s, %s", r.Floor, r.Head, moment(r.HeadTime),
		count(r.Snapshots, "snapshot", "snapshots"), count(r.Batches, "batch", "batches"), count(r.Packs, "pack", "packs")))
	for _, k := range r.Damaged {
		line(w, "cannot be used: "+k)
	}
	for _, b := range r.LeftOut {
		line(w, "left out: "+b.String())
	}
	if len(r.LeftOut) > 0 {
		line(w, "what is left out is deleted by the program's next pruning, once it is 24 hours old: copy the objects before the program starts, if you may want it")
	}
}
