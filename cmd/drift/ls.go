package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/driftdb/driftdb/replicate"
)

func (c *cli) lsCommand() *cobra.Command {
	var objects bool
	cmd := &cobra.Command{
		Use:   "ls STORE [NAME]",
		Short: "List databases, or the restore points of one",
		Long:  "Ls lists the databases of a store, or the points of the database NAME that have a name or a snapshot.\n\n" + storeHelp,
		Args:  between(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), args[0], func(s replicate.Store, o replicate.ReadOptions) error {
				switch {
				case len(args) == 1 && !objects:
					return c.databases(cmd.Context(), s)
				case len(args) == 1:
					return c.objects(cmd.Context(), s, "databases/")
				case objects:
					return c.objects(cmd.Context(), s, "databases/"+args[1]+"/")
				}
				return c.points(cmd.Context(), s, args[1], o)
			})
		},
	}
	cmd.Flags().BoolVar(&objects, "objects", false, "list the stored objects")
	return cmd
}

func (c *cli) databases(ctx context.Context, s replicate.Store) error {
	names := []string{}
	for name, err := range replicate.Databases(ctx, s) {
		if err != nil {
			return err
		}
		names = append(names, name)
	}
	return c.show(names, func(w io.Writer) {
		for _, name := range names {
			line(w, name)
		}
	})
}

func (c *cli) points(ctx context.Context, s replicate.Store, name string, o replicate.ReadOptions) error {
	b, err := replicate.ReadBackup(ctx, name, s, o)
	if err != nil {
		return err
	}
	return c.show(b, func(w io.Writer) {
		line(w, "SEQUENCE", "CHANGED AT", "WHAT")
		line(w, b.Floor.Sequence, moment(b.Floor.Time), "oldest")
		for _, p := range b.Snapshots {
			line(w, p.Sequence, moment(p.Time), fmt.Sprintf("snapshot, %s stored", size(p.StoredSize)))
		}
		for _, p := range b.Points {
			line(w, p.Sequence, moment(p.Time), fmt.Sprintf("point %s, marked %s", p.Name, moment(p.Marked)))
		}
		for _, g := range b.Gaps {
			line(w, g.After.Sequence, moment(g.After.Time), fmt.Sprintf("gap before it: nothing between %d and here can be restored", g.Before.Sequence))
		}
		line(w, b.Head.Sequence, moment(b.Head.Time), "newest")
	})
}

// objects streams: a bucket may hold very many.
func (c *cli) objects(ctx context.Context, s replicate.Store, prefix string) error {
	enc := json.NewEncoder(c.out)
	for info, err := range s.List(ctx, prefix, "") {
		if err != nil {
			return err
		}
		if c.json {
			err = enc.Encode(map[string]any{"key": info.Key, "size": info.Size, "modified": info.Modified})
		} else {
			_, err = fmt.Fprintf(c.out, "%12d  %s  %s\n", info.Size, moment(info.Modified), info.Key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
