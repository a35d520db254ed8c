package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/matryer/is"
	"go.uber.org/goleak"
)

const module = "github.com/driftdb/driftdb"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pkg is what go list says of a package.
type pkg struct {
	ImportPath   string
	Name         string
	Dir          string
	Doc          string
	Standard     bool
	GoFiles      []string
	CgoFiles     []string
	Imports      []string
	Deps         []string
	TestGoFiles  []string
	XTestGoFiles []string
}

// short is the path of a package within the module, "." for the root; ok is
// false for a package of another module.
func short(importPath string) (path string, ok bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// load returns every package that the module's own need, by import path, and
// the module's own in the order of go list.
func load(t *testing.T) (all map[string]pkg, own []pkg) {
	t.Helper()
	is := is.New(t)
	cmd := exec.Command("go", "list", "-deps",
		"-json=ImportPath,Name,Dir,Doc,Standard,GoFiles,CgoFiles,Imports,Deps,TestGoFiles,XTestGoFiles", "./...")
	cmd.Dir = "../.."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	all = make(map[string]pkg)
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		is.NoErr(err)
		all[p.ImportPath] = p
		if _, ok := short(p.ImportPath); ok {
			own = append(own, p)
		}
	}
	if len(own) < 10 {
		t.Fatal(fmt.Sprint("go list found only ", len(own), " packages of the module"))
	}
	return all, own
}
