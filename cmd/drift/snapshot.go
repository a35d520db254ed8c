package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/driftdb/driftdb/replicate"
)

func (c *cli) snapshotCommand() *cobra.Command {
	var begin bool
	return newFlag(&cobra.Command{
		Use:   "snapshot STORE NAME FILE",
		Short: "Store the whole database file",
		Long:  "Snapshot ships what is not stored yet of the database file, and then the whole file, so that a restore begins there: also where nothing has changed since the newest snapshot, which may be damaged.\n\n" + fileHelp,
		Args:  exactly(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			var at int64
			err := c.replica(cmd.Context(), args[0], args[1], args[2], begin, replicate.Options{Snapshot: replicate.SnapshotRule{Anew: true}}, func(r *replicate.Replica) error {
				err := r.Snapshot(cmd.Context())
				at = r.Status().Snapshot
				return err
			})
			if err != nil {
				return err
			}
			return c.done(map[string]any{"snapshot": at}, fmt.Sprintf("stored a snapshot at %d", at))
		},
	}, &begin)
}
