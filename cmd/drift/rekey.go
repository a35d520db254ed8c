package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/driftdb/driftdb/replicate"
)

func (c *cli) rekeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rekey STORE NAME FILE",
		Short: "Seal the backup with the first key of the ring",
		Long: "Rekey stores a snapshot and the manifest sealed with the first key of --key-file, unless they are; the others open what they have sealed before.\n" +
			"The newest state needs the first key alone then. Older points, and the older snapshots that the retention keeps, need the old keys:\n" +
			"keep them until drift verify succeeds with the new key alone.\n\n" + fileHelp,
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
			err = c.replica(cmd.Context(), args[0], args[1], args[2], false, replicate.Options{}, func(r *replicate.Replica) error {
				err := r.Snapshot(cmd.Context())
				at = r.Status().Snapshot
				return err
			})
			if err != nil {
				return err
			}
			id, err := c.sealedWith(cmd.Context(), args[0], args[1], e.Keys[0])
			if err != nil {
				return err
			}
			return c.done(map[string]any{"snapshot": at, "keyId": id}, fmt.Sprintf("the snapshot at %d and the manifest are sealed with the key %s; keep the old keys until drift verify succeeds with it alone", at, id))
		},
	}
}

// sealedWith reads the manifest and the newest snapshot with key alone, and returns
// its id: what is printed is what is stored.
func (c *cli) sealedWith(ctx context.Context, url, name string, key replicate.Key) (id string, err error) {
	err = c.with(ctx, url, func(s replicate.Store, _ replicate.ReadOptions) error {
		o := replicate.ReadOptions{Encryption: replicate.Encryption{Keys: []replicate.Key{key}}}
		b, err := replicate.ReadBackup(ctx, name, s, o)
		if err != nil || len(b.Snapshots) == 0 {
			return err
		}
		_, err = replicate.Inspect(ctx, s, b.Snapshots[len(b.Snapshots)-1].Key, o)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("the backup is not sealed with the key %s alone: %w", key.ID(), err)
	}
	return key.ID().String(), nil
}
