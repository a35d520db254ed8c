package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/driftdb/driftdb/s3store"
)

func (c *cli) checkBucketCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check-bucket STORE",
		Short: "See whether a bucket does what DriftDB needs",
		Long: "Check-bucket writes, reads, lists and deletes a small object under the prefix, and tries whether conditional writes hold,\n" +
			"without which two writers could not be kept apart.\n\n" + storeHelp,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			_, opened, err := openStore(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, opened.Close()) }()
			s, ok := opened.(*s3store.Store)
			if !ok { // a directory has just been looked at
				return c.done(map[string]any{"ok": true}, "the directory does what is needed")
			}
			if err := s.Check(cmd.Context()); err != nil {
				return fmt.Errorf("check the bucket: %w", err)
			}
			conditional, text := s.Conditional(), "the bucket does what is needed"
			switch conditional {
			case s3store.ConditionalNone:
				text += ", as far as it was tried: no conditional writes"
			case s3store.ConditionalIfMatchUnquoted:
				text += "; it takes entity tags in If-Match without quotes, which is found out by itself"
			}
			return c.done(map[string]any{"ok": true, "conditional": conditional.String()}, text)
		},
	}
}
