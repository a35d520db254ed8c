package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// listed is the part of `go list -json` that the example stores.
type listed struct {
	ImportPath string   `json:"ImportPath"`
	Dir        string   `json:"Dir"`
	Name       string   `json:"Name"`
	Doc        string   `json:"Doc"`
	GoFiles    []string `json:"GoFiles"`
	Imports    []string `json:"Imports"`

	sizes []int64 // of GoFiles, in bytes
}

// listStd asks the go command for every package of the standard library.
func listStd(ctx context.Context) ([]listed, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-json=ImportPath,Dir,Name,Doc,GoFiles,Imports", "std")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list std: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("go list std: %w", err)
		}
		for _, name := range p.GoFiles {
			info, err := os.Stat(filepath.Join(p.Dir, name))
			if err != nil {
				return nil, err
			}
			p.sizes = append(p.sizes, info.Size())
		}
		all = append(all, p)
	}
}
