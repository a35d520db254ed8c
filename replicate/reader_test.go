package replicate_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/filestore"
)

// triggerLines are what the reader in docs leaves out.
var triggerLines = regexp.MustCompile(`(?m)^trigger [^\n]*(?:\n\t[^\n]*|\nEND[^\n]*|\n[^a-z\n][^\n]*)*\n?`)

func python(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("python3 is missing: .ci/run installs it")
		}
		t.Skip("no python3")
	}
	return path
}

// A reader of 150 lines in another language, written from docs/format.md, rebuilds
// the same rows, at any point: the description is enough.
func TestReaderInAnotherLanguage(t *testing.T) {
	python := python(t)
	for _, mode := range []string{"plain", "gzip"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			is := is.New(t)
			dir := t.TempDir()
			store, err := filestore.New(dir, filestore.Options{NoSync: true})
			is.NoErr(err)
			o := fast()
			o.DisableCompression = mode == "plain"
			sound(t, store, o)
			a := openApp(t, dbPath(t)) // another node, on what the first has released
			path, _ := restore(t, store)
			a.close()
			a.path = path
			a = openApp(t, path)
			r := start(t, a, store, o)
			a.exec(`INSERT INTO pairs VALUES ('text', 'é😀', CAST(x'ff00' AS TEXT)), ('blob', '', x'00ff'), ('real', '', 0.1), ('inf', '', -9e999), ('int', '', 9223372036854775807), ('null', '', NULL)`)
			a.exec(`UPDATE pairs SET b = 'moved', v = 1e-300 WHERE a = 'real'`)
			a.exec(`DELETE FROM items WHERE id % 3 = 0`)
			a.exec(`UPDATE OR REPLACE items SET name = 'item 1' WHERE id = 4`)
			shutdown(t, r)
			is.NoErr(store.Close())
			read := func(at int64) string {
				out := filepath.Join(t.TempDir(), "out.sqlite")
				args := []string{"../docs/reader/driftread.py", dir, dbName, out}
				if at > 0 {
					args = append(args, fmt.Sprint(at))
				}
				b, err := exec.CommandContext(t.Context(), python, args...).CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %s", err, b)
				}
				is.True(strings.HasPrefix(string(b), "rebuilt "))
				return triggerLines.ReplaceAllString(dump(t, out), "")
			}
			is.Equal(cmp.Diff(triggerLines.ReplaceAllString(dump(t, a.path), ""), read(0)), "")
			again, err := filestore.New(dir, filestore.Options{NoSync: true})
			is.NoErr(err)
			for _, at := range []int64{3, 20, 81, 83, 200, 490, 500} {
				want := filepath.Join(t.TempDir(), "want.sqlite")
				_, err := replicate.Restore(t.Context(), dbName, again, want, replicate.RestoreOptions{Sequence: at})
				is.NoErr(err)
				is.Equal(cmp.Diff(triggerLines.ReplaceAllString(dump(t, want), ""), read(at)), "")
			}

			// It notices damage, too.
			logs, err := filepath.Glob(filepath.Join(dir, "databases", dbName, "nodes", "*", "*", "packs", "*"))
			is.NoErr(err)
			whole, err := os.ReadFile(logs[0])
			is.NoErr(err)
			is.NoErr(os.WriteFile(logs[0], flip(whole, len(whole)/2), 0o600))
			out := filepath.Join(t.TempDir(), "out.sqlite")
			is.True(exec.CommandContext(t.Context(), python, "../docs/reader/driftread.py", dir, dbName, out, "30").Run() != nil)
			is.NoErr(again.Close())
		})
	}
}

func TestReaderIsShort(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	b, err := os.ReadFile("../docs/reader/driftread.py")
	is.NoErr(err)
	is.True(strings.Count(string(b), "\n") <= 150)
}
