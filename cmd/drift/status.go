package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/driftdb/driftdb/replicate"
)

func (c *cli) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status STORE NAME",
		Short: "Show what a backup holds and who owns it",
		Long:  "Status reads the manifest of the database NAME: one request.\n\n" + storeHelp,
		Args:  exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), args[0], func(s replicate.Store, o replicate.ReadOptions) error {
				b, err := replicate.ReadBackup(cmd.Context(), args[1], s, o)
				if err != nil {
					return err
				}
				return c.show(b, func(w io.Writer) { status(w, b) })
			})
		},
	}
}

func status(w io.Writer, b replicate.Backup) {
	line(w, "database", b.Name)
	owner := fmt.Sprintf("%s, epoch %d, since %s", b.NodeID, b.Epoch, moment(b.Claimed))
	switch {
	case b.Fenced:
		owner += " (a take-over is under way)"
	case b.Released:
		owner += " (released: any node may go on)"
	}
	line(w, "owner", owner)
	line(w, "written", moment(b.Updated))
	line(w, "newest", fmt.Sprintf("%d, changed at %s", b.Head.Sequence, moment(b.Head.Time)))
	line(w, "oldest", fmt.Sprintf("%d, changed at %s", b.Floor.Sequence, moment(b.Floor.Time)))
	line(w, "snapshots", len(b.Snapshots))
	if n := len(b.Snapshots); n > 0 {
		s := b.Snapshots[n-1]
		line(w, "", fmt.Sprintf("newest at %d, taken %s, %s stored for %s", s.Sequence, moment(s.Taken), size(s.StoredSize), size(s.Length)))
	}
	line(w, "packs", b.Packs)
	line(w, "points", len(b.Points))
	for _, g := range b.Gaps {
		line(w, "gap", fmt.Sprintf("behind %d (%s) to %d (%s)", g.Before.Sequence, moment(g.Before.Time), g.After.Sequence, moment(g.After.Time)))
	}
}
