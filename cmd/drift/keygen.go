package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/driftdb/driftdb/replicate"
)

func (c *cli) keygenCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "keygen",
		Short: "Make an encryption key",
		Long:  "Keygen prints a new random key: 64 hexadecimal digits. Keep it where the backup is not; without it nothing that it sealed can be read.\n\n  (umask 077; drift keygen > drift.key)",
		Args:  exactly(0),
		RunE: func(*cobra.Command, []string) error {
			k := replicate.NewKey()
			if err := c.show(map[string]any{"key": k.Reveal(), "keyId": k.ID().String()}, func(w io.Writer) { line(w, k.Reveal()) }); err != nil {
				return err
			}
			if !c.json && !c.quiet {
				_, err := fmt.Fprintf(c.err, "its name in messages is %s\n", k.ID())
				return err
			}
			return nil
		},
	}
}
