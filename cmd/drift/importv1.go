package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/driftdb/driftdb/replicate"
)

func (c *cli) importV1Command() *cobra.Command {
	var schemaFile, as, to string
	var o replicate.ImportV1Options
	cmd := &cobra.Command{
		Use:   "import-v1 STORE NAME FILE",
		Short: "Rebuild a database that the original DriftDB (npm) has stored",
		Long: "Import-v1 rebuilds the database NAME as FILE from the snapshot and the logs that the original has stored, which stay as they are.\n" +
			"NAME is its dbName; its encryption.key is the first key of --key-file, or DRIFT_KEY.\n" +
			"With --as the file is stored under a name of this version, in the same store or --to another one.\n\n" + storeHelp,
		Args: exactly(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			if schemaFile != "" {
				text, err := os.ReadFile(schemaFile) //nolint:gosec // the file that the user names
				if err != nil {
					return err
				}
				o.Schema = statements(string(text))
			}
			if to == "" {
				to = args[0]
			}
			return c.importV1(cmd.Context(), args, o, to, as)
		},
	}
	cmd.Flags().StringVar(&schemaFile, "schema", "", "file with the CREATE statements of the tables as they shall be; a backup without a snapshot needs it")
	cmd.Flags().StringVar(&o.Prefix, "prefix", "", "the original's prefix, for a STORE that is the bucket itself (s3://bucket/): when this version has no such prefix")
	cmd.Flags().Int64Var(&o.Through, "through", 0, "last sequence to apply (default: all; -1: the snapshot alone)")
	cmd.Flags().StringVar(&o.Node, "node", "", "whose rows, where several nodes used the name")
	cmd.Flags().StringVar(&as, "as", "", "name under which the file is stored by this version")
	cmd.Flags().StringVar(&to, "to", "", "store for --as (default: STORE)")
	return cmd
}

// statements splits SQL at semicolons that end a line.
func statements(text string) (all []string) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	for s := range strings.SplitSeq(text+"\n", ";\n") {
		if s = strings.TrimSpace(s); s != "" {
			all = append(all, s)
		}
	}
	return all
}

func (c *cli) importV1(ctx context.Context, args []string, o replicate.ImportV1Options, to, as string) error {
	var r replicate.ImportV1Report
	err := c.with(ctx, args[0], func(s replicate.Store, ro replicate.ReadOptions) (err error) {
		if len(ro.Encryption.Keys) > 0 {
			o.Key = ro.Encryption.Keys[0]
		}
		r, err = replicate.ImportV1(ctx, args[1], s, args[2], o)
		return err
	})
	if err != nil {
		return err
	}
	if as != "" {
		if err := c.replica(ctx, to, as, args[2], true, replicate.Options{}, func(rep *replicate.Replica) error { return rep.Snapshot(ctx) }); err != nil {
			return fmt.Errorf("%s is there, and could not be stored as %s: %w", args[2], as, err)
		}
	}
	return c.show(r, func(w io.Writer) {
		line(w, fmt.Sprintf("imported %s: node %s, a snapshot at %d, %s up to %d", args[2], r.Node, r.Snapshot, count(r.Entries, "entry", "entries"), r.Last))
		line(w, "tables: "+strings.Join(r.Tables, ", "))
		for _, text := range importNotes(r) {
			line(w, text)
		}
		if as != "" {
			line(w, "stored as "+as)
		}
	})
}

// importNotes says what a person should look at.
func importNotes(r replicate.ImportV1Report) (notes []string) {
	for _, note := range []struct {
		about bool
		text  string
	}{
		{r.Manifest != "", "the manifest is " + r.Manifest + ": what is stored was listed instead"},
		{len(r.SkippedSnapshots) > 0, "damaged, missing or of a history that was replaced, so that an older snapshot and the logs were used: " + strings.Join(r.SkippedSnapshots, ", ")},
		{len(r.OtherNodes) > 0, "not imported, choose one with --node: what the nodes " + strings.Join(r.OtherNodes, ", ") + " have stored"},
		{len(r.Forked) > 0, "left out, of another history whose sequences were used again after a restore: " + strings.Join(r.Forked, ", ")},
		{len(r.NoKey) > 0, "not replicated from here on, having no primary key: " + strings.Join(r.NoKey, ", ")},
	} {
		if note.about {
			notes = append(notes, note.text)
		}
	}
	for _, note := range []struct {
		n    int64
		text string
	}{
		{r.Dates, "texts look like a Date, which the original stores with double quotes around it"},
		{r.Nulls, "numbers are NULL, as the logs have Infinity, too (in a NOT NULL column it is Infinity again)"},
		{r.Defaults, "columns have their default, and may have been given as undefined, which is NULL"},
		{r.LoneSurrogates, "texts have half a surrogate pair and are not valid UTF-8"},
		{r.DateConditions, "changes had a Date as condition, which the original ignores; so did this"},
		{r.Unmatched, "changes found no row, and did when they were made: SQL of the application's own is not in the logs"},
		{r.Backwards, "entries are older than the one before: of another clock, or from before a restore"},
		{r.NullKeys, "rows have NULL for a key; changes of several such rows cannot be told apart"},
		{r.Orphans, "rows refer to rows that do not exist"},
	} {
		if note.n > 0 {
			notes = append(notes, fmt.Sprintf("%d %s", note.n, note.text))
		}
	}
	return notes
}
