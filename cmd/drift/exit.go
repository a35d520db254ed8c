package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/driftdb/driftdb/replicate"
)

// Exit codes, as docs/cli.md lists them.
const (
	exitOK       = 0
	exitFailed   = 1 // anything else, the network for one
	exitUsage    = 2
	exitNoBackup = 3
	exitRefused  = 4 // the state of the file or the backup does not allow it
	exitDamaged  = 5
	exitKey      = 6
	exitStopped  = 130
)

// exit says what went wrong, and returns the exit code.
func (c *cli) exit(err error) int {
	if err == nil {
		return exitOK
	}
	code := exitCode(err)
	if errors.Is(err, errFound) {
		return code // was shown as the result
	}
	if c.json {
		b, jsonErr := json.Marshal(map[string]any{"error": err.Error(), "code": code})
		if jsonErr == nil {
			_, _ = fmt.Fprintf(c.err, "%s\n", b)
		}
		return code
	}
	_, _ = fmt.Fprintf(c.err, "drift: %s\n", err)
	if hint := advice(err, code); hint != "" {
		_, _ = fmt.Fprintln(c.err, hint)
	}
	return code
}

// advice is the verb that helps on.
func advice(err error, code int) string {
	switch {
	case code == exitUsage:
		return "Run drift --help, or docs/cli.md."
	case errors.Is(err, replicate.ErrManifestLost):
		return "Run drift rebuild-manifest STORE NAME."
	case errors.Is(err, replicate.ErrNoBackup):
		return "Run drift ls STORE for the names that are there."
	case errors.Is(err, replicate.ErrNoPoint):
		return "Run drift ls STORE NAME for the points that are there."
	case code == exitDamaged:
		return "Run drift verify STORE NAME to see all that is wrong; with the file at hand, drift snapshot STORE NAME FILE makes the backup whole again."
	}
	return ""
}

func exitCode(err error) int {
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	_, usage := errors.AsType[usageError](err)
	switch {
	case usage || strings.HasPrefix(err.Error(), "unknown command"):
		return exitUsage
	case is(context.Canceled):
		return exitStopped
	case is(replicate.ErrNoKey, replicate.ErrNotSealed):
		return exitKey
	case is(errFound, replicate.ErrCorrupt, replicate.ErrMissing, replicate.ErrVersion, replicate.ErrForeignManifest, replicate.ErrManifestLost):
		return exitDamaged
	case is(replicate.ErrNoBackup, replicate.ErrNoRestorePoint, replicate.ErrNoPoint, replicate.ErrNotDeleted):
		return exitNoBackup
	case is(replicate.ErrOwned, replicate.ErrForked, replicate.ErrBehind, replicate.ErrFenced, replicate.ErrLocked, replicate.ErrExists, replicate.ErrMarked,
		replicate.ErrNotPrepared, replicate.ErrKeyTaken, replicate.ErrV1Manifest, replicate.ErrLogDamaged, replicate.ErrDamaged, replicate.ErrAmbiguous, replicate.ErrSchemaDrift):
		return exitRefused
	}
	return exitFailed
}
