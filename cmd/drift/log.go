package main

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/driftdb/driftdb/replicate"
)

// span are the flags that say which part of the log is meant.
type span struct{ from, to string }

func (s *span) flags(f *pflag.FlagSet) {
	f.StringVar(&s.from, "from", "", momentHelp+" (default: the oldest that is kept)")
	f.StringVar(&s.to, "to", "", "the same (default: the newest state)")
}

func (s *span) options(ro replicate.ReadOptions) (o replicate.LogOptions, err error) {
	now := time.Now()
	o.Encryption = ro.Encryption
	if o.From, err = parseMoment(s.from, now); err != nil {
		return o, err
	}
	o.To, err = parseMoment(s.to, now)
	return o, err
}

func (c *cli) logCommand() *cobra.Command {
	var s span
	var table string
	cmd := &cobra.Command{
		Use:   "log STORE NAME",
		Short: "Show every change between two moments",
		Long:  "Log shows the changes of the database NAME that the backup holds, the oldest first, with the values as JSON.\nWith --json it writes one object a line.\n\n" + storeHelp,
		Args:  exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), args[0], func(store replicate.Store, ro replicate.ReadOptions) error {
				o, err := s.options(ro)
				if err != nil {
					return err
				}
				return c.entries(replicate.ReadLog(cmd.Context(), args[1], store, o), func(e *replicate.LogEntry) bool {
					return table == "" || e.Table == table || e.Operation == "gap"
				})
			})
		},
	}
	s.flags(cmd.Flags())
	cmd.Flags().StringVar(&table, "table", "", "only this table")
	return cmd
}

// entries writes entries as they come.
func (c *cli) entries(all iter.Seq2[*replicate.LogEntry, error], wanted func(*replicate.LogEntry) bool) error {
	enc, found := json.NewEncoder(c.out), false
	for e, err := range all {
		if err != nil {
			return err
		}
		if !wanted(e) {
			continue
		}
		found = true
		if c.json {
			err = enc.Encode(e)
		} else {
			_, err = fmt.Fprintf(c.out, "%d  %s  %s\n", e.Sequence, moment(e.Time), describe(e))
		}
		if err != nil {
			return err
		}
	}
	if !found && !c.json && !c.quiet { // a name with a slip in it looks so, too
		_, err := fmt.Fprintln(c.err, "no change found; drift log shows which tables and keys there are")
		return err
	}
	return nil
}

func describe(e *replicate.LogEntry) string {
	switch e.Operation {
	case "insert":
		return fmt.Sprintf("insert %s %s", e.Table, e.Data)
	case "update":
		return fmt.Sprintf("update %s %s %s was %s", e.Table, e.Key, e.Data, e.Before)
	case "delete":
		return fmt.Sprintf("delete %s %s was %s", e.Table, e.Key, e.Before)
	case "gap":
		return fmt.Sprintf("gap: the changes behind %d up to %d were dropped before they could be stored", e.Gap.Before.Sequence, e.Gap.After.Sequence)
	}
	return e.Operation
}

func (c *cli) historyCommand() *cobra.Command {
	var s span
	cmd := &cobra.Command{
		Use:   "history STORE NAME TABLE KEY",
		Short: "Show the changes of one row",
		Long: "History shows what happened to the row of TABLE with the primary key KEY: column=value, with commas between columns\n" +
			"(id=u1; text that looks like a number in quotes: 'id=\"42\"'), or a JSON object.\n\n" + storeHelp,
		Args: exactly(4),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := parseKey(args[3])
			if err != nil {
				return err
			}
			return c.with(cmd.Context(), args[0], func(store replicate.Store, ro replicate.ReadOptions) error {
				o, err := s.options(ro)
				if err != nil {
					return err
				}
				return c.entries(replicate.History(cmd.Context(), args[1], store, args[2], key, o), func(*replicate.LogEntry) bool { return true })
			})
		},
	}
	s.flags(cmd.Flags())
	return cmd
}

// parseKey makes a JSON object of column=value,column=value.
func parseKey(s string) (string, error) {
	if strings.HasPrefix(strings.TrimSpace(s), "{") {
		return s, nil
	}
	key := map[string]json.RawMessage{}
	for pair := range strings.SplitSeq(s, ",") {
		column, value, ok := strings.Cut(pair, "=")
		if !ok || column == "" {
			return "", usageError{fmt.Errorf("the key %q is not column=value, with commas between columns, or a JSON object", s)}
		}
		if !json.Valid([]byte(value)) {
			b, err := json.Marshal(value)
			if err != nil {
				return "", err
			}
			value = string(b)
		}
		key[column] = json.RawMessage(value)
	}
	b, err := json.Marshal(key)
	return string(b), err
}

func (c *cli) diffCommand() *cobra.Command {
	var s span
	cmd := &cobra.Command{
		Use:   "diff STORE NAME",
		Short: "Show what became of each row between two moments",
		Long:  "Diff shows the rows of the database NAME that differ between two moments. It needs memory for the rows that were touched.\n\n" + storeHelp,
		Args:  exactly(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), args[0], func(store replicate.Store, ro replicate.ReadOptions) error {
				o, err := s.options(ro)
				if err != nil {
					return err
				}
				all, err := replicate.Diff(cmd.Context(), args[1], store, o)
				if err != nil {
					return err
				}
				if all == nil {
					all = []replicate.RowDiff{}
				}
				return c.show(all, func(w io.Writer) {
					for _, d := range all {
						switch d.Operation {
						case "insert":
							line(w, fmt.Sprintf("+ %s %s", d.Table, d.New))
						case "delete":
							line(w, fmt.Sprintf("- %s %s", d.Table, d.Old))
						default:
							line(w, fmt.Sprintf("~ %s %s %s was %s", d.Table, d.Key, d.New, d.Old))
						}
					}
				})
			})
		},
	}
	s.flags(cmd.Flags())
	return cmd
}
