package product

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/matryer/is"
)

// maxGrowth is what the models, their verbs and all that they need may add to a
// stripped program that uses SQLite already. The aim is 0.5 MB, and it is not
// reached; log/slog and encoding/json alone are 0.3 MB.
const maxGrowth = 1_800_000

func TestBinaryGrowth(t *testing.T) {
	is := is.New(t)
	dir := t.TempDir()
	size := map[string]int64{}
	for _, name := range []string{"bare", "full"} {
		path := filepath.Join(dir, name)
		out, err := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", path, "./testdata/"+name).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		info, err := os.Stat(path)
		is.NoErr(err)
		size[name] = info.Size()
	}
	growth := size["full"] - size["bare"]
	t.Logf("bare %d bytes, with models %d: %d more", size["bare"], size["full"], growth)
	is.True(growth > 0 && growth <= maxGrowth)
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "full")) // it does what it says, too
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	is.NoErr(err)
	is.Equal(string(out), "0\nAlice alice@example.com 1 Core 1\n")
}
