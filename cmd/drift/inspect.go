package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/driftdb/driftdb/replicate"
)

func (c *cli) inspectCommand() *cobra.Command {
	var content bool
	cmd := &cobra.Command{
		Use:   "inspect STORE KEY",
		Short: "Show what one object is",
		Long:  "Inspect reads the object KEY, as ls --objects shows it, checks it and says what it is.\n\n" + storeHelp,
		Args:  exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), args[0], func(s replicate.Store, o replicate.ReadOptions) error {
				obj, err := replicate.Inspect(cmd.Context(), s, args[1], o)
				if err != nil {
					return err
				}
				if !content {
					obj.Content = nil
				}
				return c.show(obj, func(w io.Writer) { inspected(w, obj) })
			})
		},
	}
	cmd.Flags().BoolVar(&content, "content", false, "show the content of a manifest or batch")
	return cmd
}

func inspected(w io.Writer, o *replicate.Object) {
	line(w, "kind", o.Kind)
	line(w, "database", o.Name)
	line(w, "node", fmt.Sprintf("%s, epoch %d", o.Node, o.Epoch))
	if o.To > 0 {
		line(w, "entries", fmt.Sprintf("%d to %d", o.From, o.To))
	}
	if o.Parts > 0 {
		line(w, "part", fmt.Sprintf("%d of %d", o.Part, o.Parts))
	}
	line(w, "stored", fmt.Sprintf("%s, compressed: %t, sealed: %t", size(o.StoredSize), o.Compressed, o.Sealed))
	if text := o.Indent(); text != "" {
		line(w, text)
	}
}
