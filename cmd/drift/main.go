// Drift looks after the backups of DriftDB databases in a bucket: it restores
// them, shows what they hold, verifies and prunes them.
//
//	drift restore STORE NAME FILE      rebuild a database file
//	drift status STORE NAME            what the backup is and who owns it
//	drift verify STORE NAME            read all of it and check it
//	drift ls STORE [NAME]              the databases, or the restore points of one
//	drift log STORE NAME               every change between two moments
//	drift history STORE NAME TABLE KEY the changes of one row
//	drift diff STORE NAME              what became of each row between two moments
//	drift undelete STORE NAME FILE TABLE KEY bring a deleted row back into a file
//	drift snapshot STORE NAME FILE     store the whole database file
//	drift mark STORE NAME FILE POINT   give the file's present state a name
//	drift unmark STORE NAME FILE POINT take the name away
//	drift take-over STORE NAME FILE    claim a name whose owner will not come back
//	drift rekey STORE NAME FILE        seal what is stored from now on with the first key
//	drift prune STORE NAME             delete what is needed for nothing any more
//	drift rebuild-manifest STORE NAME  make a lost manifest anew from what is stored
//	drift check-bucket STORE           whether a bucket does what DriftDB needs
//	drift inspect STORE KEY            what one object is
//	drift keygen                       make an encryption key
//	drift import-v1 STORE NAME FILE    rebuild what the original DriftDB (npm) has stored
//
// STORE is a URL: s3://bucket/prefix?endpoint=https://host&region=name, or
// file:///directory. docs/cli.md explains every verb, the exit codes and --json.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run carries out a command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := &cli{out: stdout, err: stderr}
	root := c.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return c.exit(root.ExecuteContext(ctx))
}

// cli is one invocation.
type cli struct {
	out, err io.Writer

	json        bool
	keyFile     string
	acceptPlain bool
	quiet       bool
}

func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "drift",
		Short:         "Look after the backups of DriftDB databases",
		Long:          "Drift looks after the backups of DriftDB databases in a bucket.\n\n" + storeHelp,
		Example:       "  drift ls 's3://bucket?region=eu-west-1'                        which databases are there\n  drift restore 's3://bucket?region=eu-west-1' bank bank.sqlite  rebuild one",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version(),
	}
	f := root.PersistentFlags()
	f.BoolVar(&c.json, "json", false, "write JSON to standard output")
	f.BoolVarP(&c.quiet, "quiet", "q", false, "show no progress")
	f.StringVar(&c.keyFile, "key-file", "", "file with encryption keys, one a line, mode 0600 (default: the variable DRIFT_KEY, if it is set)")
	f.BoolVar(&c.acceptPlain, "accept-plain", false, "accept a backup in the clear although a key is given")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	for _, group := range []struct {
		title string
		verbs []*cobra.Command
	}{
		{"Rebuild:", []*cobra.Command{c.restoreCommand(), c.undeleteCommand(), c.takeOverCommand(), c.rebuildManifestCommand(), c.importV1Command()}},
		{"Look, and change nothing:", []*cobra.Command{c.lsCommand(), c.statusCommand(), c.verifyCommand(), c.logCommand(), c.historyCommand(), c.diffCommand(), c.inspectCommand()}},
		{"Look after a backup:", []*cobra.Command{c.snapshotCommand(), c.markCommand(), c.unmarkCommand(), c.pruneCommand(), c.rekeyCommand()}},
		{"Set up:", []*cobra.Command{c.checkBucketCommand(), c.keygenCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: group.title, Title: group.title})
		for _, verb := range group.verbs {
			verb.GroupID = group.title
		}
		root.AddCommand(group.verbs...)
	}
	return root
}

// exactly is cobra.ExactArgs with an error that shows the usage line.
func exactly(n int) cobra.PositionalArgs { return between(n, n) }

func between(low, high int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < low || len(args) > high {
			return usageError{fmt.Errorf("usage: %s", cmd.UseLine())}
		}
		return nil
	}
}

// usageError is a command line that says nothing.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

var errFound = errors.New("something is wrong")
