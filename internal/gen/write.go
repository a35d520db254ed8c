package gen

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// readFile returns the text of a file, nil if there is none.
func readFile(path string) ([]byte, error) {
	text, err := os.ReadFile(path) //nolint:gosec // beside a source file that the user named
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case text == nil:
		text = []byte{}
	}
	return text, nil
}

// Write brings the files on disk to what the models demand, and returns those
// it changed. A file that is right is not touched. Each file is replaced
// whole: a reader sees the old one or the new one.
func (p *Plan) Write() (changed []string, err error) {
	for _, f := range p.Files {
		if !f.Stale() {
			continue
		}
		if f.New == nil {
			err = os.Remove(f.Path)
		} else {
			err = replace(f.Path, f.New)
		}
		if err != nil {
			return changed, fmt.Errorf("write: %w", err)
		}
		changed = append(changed, f.Path)
	}
	return changed, nil
}

// replace writes a file beside path and renames it over path. The mode is that
// of the file it replaces.
func replace(path string, text []byte) (err error) {
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".driftgen-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	_, werr := tmp.Write(text)
	if err := errors.Join(werr, tmp.Chmod(mode), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
