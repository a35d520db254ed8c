package main

import (
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// TestQuickstart runs the example against its own S3 server and reads what a
// person would see.
func TestQuickstart(t *testing.T) {
	is := is.New(t)
	r, w, err := os.Pipe()
	is.NoErr(err)
	stdout := os.Stdout
	os.Stdout = w
	text := make(chan string)
	go func() {
		all, _ := io.ReadAll(r) // a broken pipe shows as missing text
		text <- string(all)
	}()
	err = run(t.Context(), bucketFlags{region: "us-east-1"})
	os.Stdout = stdout
	is.NoErr(w.Close())
	out := <-text
	t.Log("\n" + out)
	is.NoErr(err)

	lines := strings.Split(strings.TrimSpace(out), "\n")
	is.True(len(lines) <= 30) // a screenful
	is.True(regexp.MustCompile(`^restored [1-9][0-9]{3,} rows in 3 tables: identical$`).MatchString(lines[len(lines)-1]))
}

// TestCompareSeesADifference proves that the last line can fail to come.
func TestCompareSeesADifference(t *testing.T) {
	is := is.New(t)
	same := map[string]digest{"packages": {rows: 2}, "files": {rows: 1}, "imports": {}}
	rows, err := compare(same, same)
	is.NoErr(err)
	is.Equal(rows, 3)

	fewer := map[string]digest{"packages": {rows: 1}, "files": {rows: 1}, "imports": {}}
	_, err = compare(same, fewer)
	is.True(err != nil)

	changed := map[string]digest{"packages": {rows: 2, sum: [32]byte{1}}, "files": {rows: 1}, "imports": {}}
	_, err = compare(same, changed)
	is.True(err != nil)
}
