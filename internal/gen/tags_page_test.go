package gen

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/gen/gentest"
)

// docs/tags.md explains every item and directive, and what it shows is
// generated without a finding and compiles.
func TestTagsPage(t *testing.T) {
	is := is.New(t)
	page, err := os.ReadFile("../../docs/tags.md")
	is.NoErr(err)
	for _, item := range itemNames() {
		if !regexp.MustCompile("`" + regexp.QuoteMeta(item) + "[=`]").Match(page) {
			t.Errorf("docs/tags.md does not explain %s", item)
		}
	}
	for _, name := range directiveNames() {
		if !strings.Contains(string(page), "| `//drift:"+name) {
			t.Errorf("docs/tags.md does not explain //drift:%s", name)
		}
	}
	module, err := gentest.New(t.Context())
	is.NoErr(err)
	dir := t.TempDir()
	is.NoErr(module.Write(dir))
	env := append(os.Environ(), module.Env()...)
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	is.True(len(blocks) >= 6)
	for i, b := range blocks {
		text := "package models\n\nimport (\n"
		for name, path := range map[string]string{"time.": "time", "orm.": ormPath} {
			if strings.Contains(b[1], name) {
				text += fmt.Sprintf("\t%q\n", path)
			}
		}
		path := filepath.Join(dir, fmt.Sprint("s", i), "models.go")
		is.NoErr(os.MkdirAll(filepath.Dir(path), 0o700))
		is.NoErr(os.WriteFile(path, []byte(text+")\n\n"+b[1]), 0o600))
	}
	plan, err := NewPlan(t.Context(), Config{Dir: dir, Patterns: []string{"./..."}, Env: env})
	is.NoErr(err)
	for _, d := range plan.Diagnostics {
		if !strings.Contains(d.Msg, "auto") || !d.Warning {
			t.Error(d.text(dir))
		}
	}
	is.True(plan.Models >= 13)
	_, err = plan.Write()
	is.NoErr(err)
	cmd := exec.CommandContext(t.Context(), "go", "vet", "./...")
	cmd.Dir, cmd.Env = dir, env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
