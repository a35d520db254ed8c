package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/driftdb/driftdb/replicate"
)

func (c *cli) rekeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rekey STORE NAME FILE",
		Short: "Seal the backup with the first key of the ring",
		Long: "Rekey stores a snapshot and the manifest sealed with the first key of --key-file; the others open what they have sealed before.\n" +
			"Keep the old keys until pruning has deleted that: until the retention has passed.\n\n" + fileHelp,
		Args: exactly(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := c.encryption()
			if err != nil {
				return err
			}
			if len(e.Keys) == 0 {
				return usageError{errors.New("rekey needs keys: --key-file, the new one first")}
			}
			var at int64
			err = c.replica(cmd.Context(), args[0], args[1], args[2], replicate.Options{}, func(r *replicate.Replica) error {
				err := r.Snapshot(cmd.Context())
				at = r.Status().Snapshot
				return err
			})
			if err != nil {
				return err
			}
			id := e.Keys[0].ID().String()
			return c.done(map[string]any{"snapshot": at, "keyId": id}, fmt.Sprintf("stored a snapshot at %d, sealed with the key %s", at, id))
		},
	}
}
