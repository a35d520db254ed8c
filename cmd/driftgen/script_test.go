package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb/internal/gen/gentest"
)

// The scripts run the command in a module of a user: see testdata/script.
func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"driftgen": main})
}

type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, "goroutines left:", err)
		return 1
	}
	return code
}

func TestScripts(t *testing.T) {
	module, err := gentest.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	host, err := hostNetwork(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Vars = append(append(env.Vars, module.Env()...), host...)
			return module.Write(env.WorkDir)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"same": same, "crlf": crlf, "unwritable": unwritable,
		},
	})
}

// hostNetwork is what a script needs that lets the go command look at modules
// which this repository's own build does not: HOST_GOPROXY, for GOPROXY, and
// how this machine reaches a proxy.
func hostNetwork(ctx context.Context) ([]string, error) {
	proxy, err := exec.CommandContext(ctx, "go", "env", "GOPROXY").Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	vars := []string{"HOST_GOPROXY=" + strings.TrimSpace(string(proxy))}
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(strings.ToUpper(v), "=")
		if strings.HasSuffix(name, "_PROXY") || strings.HasPrefix(name, "SSL_CERT_") {
			vars = append(vars, v)
		}
	}
	return vars, nil
}

// same A B compares all files of two directories.
func same(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: same A B")
	}
	var text [2]string
	for i, dir := range args {
		root := ts.MkAbs(dir)
		entries, err := os.ReadDir(root)
		ts.Check(err)
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(root, e.Name()))
			ts.Check(err)
			text[i] += e.Name() + "\x00" + string(b) + "\x00"
		}
	}
	if (text[0] == text[1]) == neg {
		ts.Fatalf("%s and %s: same is %v", args[0], args[1], text[0] == text[1])
	}
}

// crlf FILE gives a file the line ends of Windows.
func crlf(ts *testscript.TestScript, _ bool, args []string) {
	for _, f := range args {
		text := ts.ReadFile(f)
		ts.Check(os.WriteFile(ts.MkAbs(f), []byte(strings.ReplaceAll(text, "\n", "\r\n")), 0o600))
	}
}

// unwritable DIR makes a directory read-only, and skips the test for a user
// who may write all the same.
func unwritable(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.Chmod(dir, 0o500))
	ts.Defer(func() { ts.Check(os.Chmod(dir, 0o700)) })
	probe := filepath.Join(dir, "probe")
	if err := os.WriteFile(probe, nil, 0o600); err == nil {
		ts.Check(os.Remove(probe))
		ts.Setenv("MAY_WRITE", "yes")
	}
}

// What -h prints first is what the package comment says.
func TestUsage(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"-h"}, &out, &errs); code != exitSame || !strings.Contains(errs.String(), "driftgen -check") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
	if code := run(t.Context(), []string{"-nosuch"}, &out, &errs); code != exitError {
		t.Errorf("exit %d for an unknown flag", code)
	}
}
