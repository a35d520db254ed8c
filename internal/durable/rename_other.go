//go:build !linux && !darwin && !windows

package durable

// renameNoReplace reports false: a plain rename replaces on these systems.
func renameNoReplace(_, _ string) (bool, error) { return false, nil }
