package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/driftdb/driftdb/replicate"
)

func (c *cli) restoreCommand() *cobra.Command {
	var to string
	var dry bool
	cmd := &cobra.Command{
		Use:   "restore STORE NAME FILE",
		Short: "Rebuild a database file",
		Long: "Restore rebuilds the database NAME as FILE, where no file may be. The file appears whole and verified, or not at all.\n" +
			"It ends at the newest state, or with --to at the last whole transaction up to a moment.\n" +
			"A restore that was interrupted goes on where it broke off when the same command is given again.\n\n" + storeHelp,
		Example: "  drift restore 's3://bucket?region=eu-west-1' bank bank.sqlite\n  drift restore --to -1h file:///srv/backups bank an-hour-ago.sqlite\n  drift restore --dry-run --to 2026-05-04T03:02:01Z $STORE bank then.sqlite",
		Args:    exactly(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := parseMoment(to, time.Now())
			if err != nil {
				return err
			}
			return c.with(cmd.Context(), args[0], func(s replicate.Store, ro replicate.ReadOptions) error {
				o := replicate.RestoreOptions{At: m.At, Sequence: m.Sequence, Point: m.Point, DryRun: dry, Encryption: ro.Encryption}
				return c.restore(cmd.Context(), s, args[1], args[2], o)
			})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", momentHelp+" (default: the newest state)")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what would be read, and write nothing")
	return cmd
}

func (c *cli) restore(ctx context.Context, s replicate.Store, name, path string, o replicate.RestoreOptions) error {
	if p := c.progress("restore"); p != nil && !o.DryRun {
		o.Progress = func(at replicate.RestoreProgress) { p.draw(at.Bytes, at.TotalBytes, at.Sequence, at.Target) }
		defer p.end()
	}
	r, err := replicate.Restore(ctx, name, s, path, o)
	if err != nil {
		return err
	}
	out := struct {
		File                 string    `json:"file"`
		DryRun               bool      `json:"dryRun"`
		Sequence             int64     `json:"sequence"`
		Time                 time.Time `json:"time,omitzero"`
		Next                 time.Time `json:"next,omitzero"`
		Node                 string    `json:"nodeId"`
		Epoch                uint32    `json:"epoch"`
		Snapshot             int64     `json:"snapshot"`
		Damaged              []string  `json:"damaged,omitempty"`
		Batches              int       `json:"batches"`
		Entries              int64     `json:"entries"`
		Bytes                int64     `json:"bytes"`
		Resumed              int64     `json:"resumed"`
		ForeignKeyViolations int       `json:"foreignKeyViolations"`
		Superseded           int64     `json:"superseded"`
		Seconds              float64   `json:"seconds"`
	}{
		path, o.DryRun, r.Position.Sequence, r.Time.UTC(), r.Next.UTC(), r.NodeID, r.Epoch, r.Snapshot, r.Damaged, r.Batches, r.Entries, r.Bytes, r.Resumed,
		r.ForeignKeyViolations, r.Superseded, r.Duration.Seconds(),
	}
	return c.show(out, func(w io.Writer) {
		if o.DryRun {
			line(w, fmt.Sprintf("would restore %s up to %d, the newest change at %s", path, r.Position.Sequence, moment(r.Time)))
			line(w, fmt.Sprintf("from %s: %s at most", origin(r), size(r.Bytes)))
			return
		}
		line(w, fmt.Sprintf("restored %s up to %d, the newest change at %s", path, r.Position.Sequence, moment(r.Time)))
		line(w, fmt.Sprintf("from %s: %s in %s", origin(r), size(r.Bytes), r.Duration.Round(time.Millisecond)))
		if r.Position.Sequence == 0 {
			line(w, "that is before the first change: the file is empty")
		}
		if !r.Next.IsZero() {
			line(w, "the first change that was too late is of "+moment(r.Next))
		}
		if r.Next.After(time.Now().Add(time.Minute)) {
			line(w, fmt.Sprintf("that is still to come: a clock was ahead, and what was written since is left out with it; drift log shows it, and --to with a sequence above %d restores it", r.Position.Sequence))
		}
		if r.Resumed > 0 {
			line(w, fmt.Sprintf("went on where an interrupted restore broke off: %s were here already", size(r.Resumed)))
		}
		for _, key := range r.Damaged {
			line(w, "passed over, it is damaged or missing: "+key)
		}
		if r.ForeignKeyViolations > 0 {
			line(w, fmt.Sprintf("%d rows break a foreign key, as they did in the source: PRAGMA foreign_key_check lists them", r.ForeignKeyViolations))
		}
		if r.Superseded > 0 {
			line(w, fmt.Sprintf("%s found no row as described, because a trigger of the application had changed it again in the same transaction", count(r.Superseded, "change", "changes")))
		}
	})
}

// origin says what a restore reads.
func origin(r replicate.RestoreResult) string {
	batches := count(r.Batches, "batch", "batches") + " with " + count(r.Entries, "entry", "entries")
	switch {
	case r.Snapshot == 0:
		return batches
	case r.Batches == 0:
		return fmt.Sprintf("a snapshot at %d", r.Snapshot)
	}
	return fmt.Sprintf("a snapshot at %d and %s", r.Snapshot, batches)
}
