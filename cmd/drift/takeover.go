package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/driftdb/driftdb/replicate"
)

func (c *cli) takeOverCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "take-over STORE NAME FILE",
		Short: "Claim a name whose owner will not come back",
		Long: "Take-over claims the name NAME from the node that owns it, restores FILE if it is not there, and releases the name,\n" +
			"so that the program can start with FILE. The former owner, should it live, stops shipping with ErrFenced: nothing that it has stored is lost.\n\n" + fileHelp,
		Args: exactly(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			var s replicate.Status
			moved := ""
			o := replicate.Options{TakeOver: true, AutoRestore: true, Events: func(v replicate.Event) {
				if v.Kind == replicate.EventMovedAside {
					moved = v.Key
				}
			}}
			err := c.replica(cmd.Context(), args[0], args[1], args[2], false, o, func(r *replicate.Replica) error {
				err := r.Flush(cmd.Context())
				s = r.Status()
				return err
			})
			if err != nil {
				return err
			}
			text := fmt.Sprintf("claimed %s as node %s, epoch %d, at %d, and released it for %s", args[1], s.NodeID, s.Epoch, s.Acknowledged, args[2])
			if moved != "" {
				text += "\nthe file that was there is not what the backup holds, and is now " + moved
			}
			return c.done(map[string]any{"epoch": s.Epoch, "nodeId": s.NodeID, "sequence": s.Acknowledged, "movedAside": moved}, text)
		},
	}
}
