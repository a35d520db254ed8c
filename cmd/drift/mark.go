package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/driftdb/driftdb/replicate"
)

func (c *cli) markCommand() *cobra.Command {
	var begin bool
	return newFlag(&cobra.Command{
		Use:   "mark STORE NAME FILE POINT",
		Short: "Give the present state of a file a name",
		Long:  "Mark ships what is not stored yet of the database file and calls that state POINT, for restore --to. It is kept until unmark.\n\n" + fileHelp,
		Args:  exactly(4),
		RunE: func(cmd *cobra.Command, args []string) error {
			var at int64
			err := c.replica(cmd.Context(), args[0], args[1], args[2], begin, replicate.Options{}, func(r *replicate.Replica) error {
				err := r.Mark(cmd.Context(), args[3])
				at = r.Status().Acknowledged
				return err
			})
			if err != nil {
				return err
			}
			return c.done(map[string]any{"point": args[3], "sequence": at}, fmt.Sprintf("marked %d as %s", at, args[3]))
		},
	}, &begin)
}

func (c *cli) unmarkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "unmark STORE NAME FILE POINT",
		Short: "Take the name of a marked point away",
		Long:  "Unmark forgets the point POINT: what only it needs is deleted with the next pruning.\n\n" + fileHelp,
		Args:  exactly(4),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := c.replica(cmd.Context(), args[0], args[1], args[2], false, replicate.Options{}, func(r *replicate.Replica) error {
				return r.Unmark(cmd.Context(), args[3])
			})
			if err != nil {
				return err
			}
			return c.done(map[string]any{"point": args[3]}, fmt.Sprintf("the point %s has no name any more", args[3]))
		},
	}
}
