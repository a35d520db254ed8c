package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/driftdb/driftdb/replicate"
)

func (c *cli) undeleteCommand() *cobra.Command {
	var s span
	var o replicate.UndeleteOptions
	cmd := &cobra.Command{
		Use:   "undelete STORE NAME FILE TABLE KEY",
		Short: "Bring a deleted row back into a file",
		Long: "Undelete brings the row of TABLE with the primary key KEY (id=u1, as for history) back into the database file, as it was when\n" +
			"it was deleted last. FILE may be in use: the row comes as another program's change would, and is shipped by whoever ships FILE.\n" +
			"Where a row with the key is there, or a constraint would be broken, nothing is changed.\n\n" + storeHelp,
		Example: "  drift undelete --dry-run $STORE bank bank.sqlite authors id=a1\n  drift undelete --with-dependents $STORE bank bank.sqlite authors id=a1",
		Args:    exactly(5),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := parseKey(args[4])
			if err != nil {
				return err
			}
			now := time.Now()
			if o.From, err = parseMoment(s.from, now); err != nil {
				return err
			}
			if o.To, err = parseMoment(s.to, now); err != nil {
				return err
			}
			return c.with(cmd.Context(), args[0], func(store replicate.Store, ro replicate.ReadOptions) error {
				o.Encryption = ro.Encryption
				r, err := replicate.Undelete(cmd.Context(), args[1], store, args[2], args[3], key, o)
				if err != nil {
					return err
				}
				return c.show(r, func(w io.Writer) { undeleted(w, r) })
			})
		},
	}
	s.flags(cmd.Flags())
	cmd.Flags().BoolVar(&o.Dependents, "with-dependents", false, "bring back, too, what was deleted with it because it referred to it (ON DELETE CASCADE)")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "say what would come back, and change nothing")
	return cmd
}

func undeleted(w io.Writer, r replicate.UndeleteReport) {
	verb := "brought back"
	if r.DryRun {
		verb = "would bring back"
	}
	line(w, fmt.Sprintf("%s what was deleted at %d, %s:", verb, r.Sequence, moment(r.Time)))
	for _, row := range r.Rows {
		line(w, fmt.Sprintf("+ %s %s", row.Table, row.Row))
	}
	for _, column := range r.LeftOut {
		line(w, "left out, the file does not have it or computes it itself: "+column)
	}
}
