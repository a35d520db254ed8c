package gen

import (
	"cmp"
	"encoding/json"
	"fmt"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Diagnostic is one finding about the models.
type Diagnostic struct {
	Pos     token.Position // the file as an absolute path; a zero line means the file as a whole
	Msg     string
	Warning bool // the output is right all the same
}

// String returns the diagnostic as file:line:col: message, with the file's
// path relative to dir where that is shorter.
func (d Diagnostic) text(dir string) string {
	name := shortPath(dir, d.Pos.Filename)
	var b strings.Builder
	if name != "" {
		b.WriteString(name + ":")
		if d.Pos.Line > 0 {
			fmt.Fprintf(&b, "%d:%d:", d.Pos.Line, d.Pos.Column)
		}
		b.WriteString(" ")
	}
	if d.Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(d.Msg)
	return b.String()
}

// shortPath returns path relative to dir where that is shorter.
func shortPath(dir, path string) string {
	if rel, err := filepath.Rel(dir, path); err == nil && path != "" && len(rel) < len(path) {
		return rel
	}
	return path
}

// finding is a diagnostic, or a file that is not as the models want it, for
// programs.
type finding struct {
	Kind    string `json:"kind"`            // error, warning, missing, stale or orphan; of a migration step, written or signed
	Class   string `json:"class,omitempty"` // of a step: additive, rebuild, …
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitzero"`
	Column  int    `json:"column,omitzero"` // in bytes, from 1
	Message string `json:"message,omitempty"`
	Diff    string `json:"diff,omitempty"`
}

// PrintJSON writes the diagnostics as JSON, one object a line.
func (p *Plan) PrintJSON(w io.Writer) error {
	for _, d := range p.Diagnostics {
		f := finding{Kind: "error", File: filepath.ToSlash(shortPath(p.dir, d.Pos.Filename)), Message: d.Msg}
		if d.Pos.Line > 0 {
			f.Line, f.Column = d.Pos.Line, d.Pos.Column
		}
		if d.Warning {
			f.Kind = "warning"
		}
		if err := f.writeTo(w); err != nil {
			return err
		}
	}
	return nil
}

// DiffJSON writes what Write would change, one object a line.
func (p *Plan) DiffJSON(w io.Writer) error {
	for _, f := range p.Files {
		if !f.Stale() {
			continue
		}
		name, kind, diff := f.diff(p.dir)
		message := map[string]string{
			"missing": "this file is to be generated", "stale": "this file is not what the models want", "orphan": "the models of this file are gone",
		}[kind] + ": run driftgen"
		if err := (finding{Kind: kind, File: name, Message: message, Diff: diff}).writeTo(w); err != nil {
			return err
		}
	}
	return nil
}

// Print writes what a migration does, for people.
func (m Migration) Print(w io.Writer) error {
	if m.Path == "" {
		_, err := io.WriteString(w, "the models have no changes since the last migration\n")
		return err
	}
	for _, s := range m.Steps {
		if s.What == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%-11v  %s\n", s.Class, s.What); err != nil {
			return err
		}
	}
	text := "wrote " + m.shortPath()
	if m.Signed {
		text = "signed " + migrationsDir + "/" + filepath.Base(m.Path)
	}
	_, err := io.WriteString(w, text+"\n")
	return err
}

// PrintJSON writes what a migration does as JSON, one object a line: a step for each
// change of the tables, and the file that was written or signed. Without changes it writes
// nothing.
func (m Migration) PrintJSON(w io.Writer) error {
	if m.Path == "" {
		return nil
	}
	for _, s := range m.Steps {
		if s.What == "" {
			continue
		}
		if err := (finding{Kind: "step", Class: s.Class.String(), Message: s.What}).writeTo(w); err != nil {
			return err
		}
	}
	kind := "written"
	if m.Signed {
		kind = "signed"
	}
	return finding{Kind: kind, File: filepath.ToSlash(m.shortPath())}.writeTo(w)
}

// shortPath is the path of the file from the working directory.
func (m Migration) shortPath() string {
	wd, err := os.Getwd()
	if err != nil {
		return m.Path
	}
	return shortPath(wd, m.Path)
}

func (f finding) writeTo(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(f)
}

// reporter gathers the diagnostics of a run.
type reporter struct{ all []Diagnostic }

func (r *reporter) errorf(pos token.Position, format string, args ...any) {
	r.all = append(r.all, Diagnostic{Pos: pos, Msg: fmt.Sprintf(format, args...)})
}

func (r *reporter) warnf(pos token.Position, format string, args ...any) {
	r.all = append(r.all, Diagnostic{Pos: pos, Msg: fmt.Sprintf(format, args...), Warning: true})
}

// failed says whether an error was reported.
func (r *reporter) failed() bool {
	return slices.ContainsFunc(r.all, func(d Diagnostic) bool { return !d.Warning })
}

// sorted returns the diagnostics by position, each once.
func (r *reporter) sorted() []Diagnostic {
	slices.SortStableFunc(r.all, func(a, b Diagnostic) int {
		return cmp.Or(
			strings.Compare(a.Pos.Filename, b.Pos.Filename),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Column, b.Pos.Column),
			strings.Compare(a.Msg, b.Msg),
		)
	})
	return slices.Compact(r.all)
}
