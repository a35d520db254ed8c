package gen

import (
	"cmp"
	"fmt"
	"go/token"
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
	name := d.Pos.Filename
	if rel, err := filepath.Rel(dir, name); err == nil && name != "" && len(rel) < len(name) {
		name = rel
	}
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
