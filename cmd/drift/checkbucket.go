package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/driftdb/driftdb/replicate"
)

func (c *cli) checkBucketCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check-bucket STORE",
		Short: "See whether a bucket does what DriftDB needs",
		Long: "Check-bucket writes, reads, lists and deletes a small object under the prefix, and tries whether conditional writes hold,\n" +
			"without which two writers could not be kept apart.\n\n" + storeHelp,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), args[0], func(s replicate.Store, _ replicate.ReadOptions) error {
				if checked, ok := s.(interface{ Check(context.Context) error }); ok {
					if err := checked.Check(cmd.Context()); err != nil {
						return fmt.Errorf("check the bucket: %w", err)
					}
				}
				return c.done(map[string]any{"ok": true}, "the bucket does what is needed")
			})
		},
	}
}
