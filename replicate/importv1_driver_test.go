package replicate_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
	"github.com/driftdb/driftdb/schema"
)

// v1Bucket is what testdata/v1/bucket.mjs prints: a bucket made by Node's JSON, zlib
// and crypto and the original's driver of SQLite, and the rows as that driver reads
// them.
type v1Bucket struct {
	Name, Key string
	Schema    []string
	Tables    []string
	Last      int64
	Rows      map[string][]string // by table; storage class and bytes of each value
	Objects   map[string][]byte
}

// Buckets that the original's driver has made come back to the last bit: numbers as
// JavaScript prints them, texts that are no valid UTF-8, objects, conditions of every
// kind. DRIFTDB_V1_BUCKETS names a directory with more of them.
func TestImportV1Driver(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(filepath.Join("testdata", "v1", "*.json"))
	is.New(t).NoErr(err)
	is.New(t).True(len(paths) >= 11)
	if dir := os.Getenv("DRIFTDB_V1_BUCKETS"); dir != "" {
		more, err := filepath.Glob(filepath.Join(dir, "*.json"))
		is.New(t).NoErr(err)
		paths = append(paths, more...)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			is := is.New(t)
			text, err := os.ReadFile(path)
			is.NoErr(err)
			var b v1Bucket
			is.NoErr(json.Unmarshal(text, &b))
			store, snapshot := memstore.New(), false
			for key, body := range b.Objects {
				put(t, store, key, body)
				snapshot = snapshot || strings.Contains(key, "/snapshots/")
			}
			o := replicate.ImportV1Options{Retry: fast().Retry}
			if b.Key != "" {
				o.Key, err = replicate.ParseKey(b.Key)
				is.NoErr(err)
			}
			if !snapshot {
				o.Schema = b.Schema
			}
			file := filepath.Join(t.TempDir(), "new.sqlite")
			report, err := replicate.ImportV1(t.Context(), b.Name, store, file, o)
			is.NoErr(err)
			is.Equal(report.Last, b.Last)
			is.Equal(report.Tables, b.Tables)
			is.Equal(report.Unmatched, int64(0))
			for table, rows := range b.Rows {
				if d := cmp.Diff(rows, v1Values(t, file, table)); d != "" {
					t.Errorf("%s (- the driver, + the import):\n%s", table, d)
				}
			}
		})
	}
}

// v1Values are the rows of a table as v1Bucket.Rows has them.
func v1Values(t *testing.T, path, table string) []string {
	t.Helper()
	var parts []string
	for _, column := range lines(t, path, `SELECT name FROM pragma_table_info(`+schema.QuoteText(table)+`)`) {
		c := schema.QuoteIdent(column)
		parts = append(parts, fmt.Sprintf(`typeof(%s) || ' ' || CASE typeof(%s) WHEN 'text' THEN hex(%s) ELSE quote(%s) END`, c, c, c, c))
	}
	return lines(t, path, `SELECT `+strings.Join(parts, ` || ', ' || `)+` FROM `+schema.QuoteIdent(table)+` ORDER BY id`)
}
