// Package gentest makes modules outside this repository that use it, for the
// tests of the generator.
package gentest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Module is a module of a user: it requires this repository, as it stands.
type Module struct {
	files map[string][]byte
	env   []string
}

// New reads what a module needs from this repository and the go command.
// Every dependency is in the module cache already: the network is off.
func New(ctx context.Context) (*Module, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD", "GOCACHE", "GOMODCACHE").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	env := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(env) != 3 || !filepath.IsAbs(env[0]) {
		return nil, errors.New("go env: the test does not run in a module")
	}
	root := filepath.Dir(env[0])
	mod, err := os.ReadFile(env[0])
	if err != nil {
		return nil, err
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum")) //nolint:gosec // beside it
	if err != nil {
		return nil, err
	}
	// The same requirements as here, and this repository itself.
	text := []byte("module example.com/app\n")
	for line := range bytes.Lines(mod) {
		if !bytes.HasPrefix(line, []byte("module ")) && !bytes.HasPrefix(line, []byte("tool ")) {
			text = append(text, line...)
		}
	}
	const self = "github.com/driftdb/driftdb"
	text = fmt.Appendf(text, "\nrequire %s v0.0.0\n\nreplace %s => %s\n", self, self, root)
	return &Module{
		files: map[string][]byte{"go.mod": text, "go.sum": sum},
		env:   []string{"GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "GOCACHE=" + env[1], "GOMODCACHE=" + env[2]},
	}, nil
}

// Write makes dir the root of the module.
func (m *Module) Write(dir string) error {
	for name, text := range m.files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Env returns the variables that the go command needs in the module.
func (m *Module) Env() []string { return m.env }
