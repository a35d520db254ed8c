package changelog_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/schema"
)

// people is a table as applications have them: six columns, a text key, a
// unique and a plain index.
func people() schema.Table {
	return schema.Table{
		Name: "people", Columns: []schema.Column{{Name: "id", Type: schema.Text, NotNull: true}, {Name: "name", Type: schema.Text, NotNull: true},
			{Name: "email", Type: schema.Text, NotNull: true}, {Name: "age", Type: schema.Integer}, {Name: "score", Type: schema.Real, NotNull: true},
			{Name: "created_at", Type: schema.Integer, NotNull: true}},
		Key:     []string{"id"},
		Indexes: []schema.Index{{Name: "people_email_key", Columns: []string{"email"}, Unique: true}, {Name: "people_name_idx", Columns: []string{"name"}}},
	}
}

const benchRows = 20_000

func peopleFile(b *testing.B, mixed bool) *file {
	b.Helper()
	f := newFile(b, people())
	f.exec(`BEGIN IMMEDIATE`)
	f.exec(`WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < ?)
INSERT INTO people SELECT printf('0192f0c0-%04x-7%03x-8%03x-%012x', n / 7, n % 4096, n % 4095, n), 'Person ' || (n % 1000), 'person' || n || '@example.com', n % 90, n * 0.37, 1700000000000 + n FROM s`, benchRows)
	if mixed {
		f.exec(`UPDATE people SET score = score + 1, age = age + 1`)
		f.exec(`DELETE FROM people WHERE age % 2 = 0`)
	}
	f.exec(changelog.MarkSQL)
	f.exec(`COMMIT`)
	return f
}

// BenchmarkCut reads the log and encodes it: what shipping costs before gzip.
func BenchmarkCut(b *testing.B) {
	for name, mixed := range map[string]bool{"inserts": false, "mixed": true} {
		b.Run(name, func(b *testing.B) {
			f := peopleFile(b, mixed)
			r := f.conn(sqlite.Reader)
			_, err := r.ExecContext(context.Background(), `BEGIN`)
			must(b, err)
			b.ReportAllocs()
			n, bytes := int64(0), int64(0)
			for b.Loop() {
				for batch, err := range changelog.Cut(context.Background(), r, tip0(), changelog.CutOptions{}) {
					must(b, err)
					n += batch.To - batch.From + 1
					bytes += int64(len(batch.Canonical()))
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
			b.ReportMetric(float64(bytes)/float64(n), "B/entry")
		})
	}
}

// BenchmarkEntries reads a document entry by entry.
func BenchmarkEntries(b *testing.B) {
	f := peopleFile(b, true)
	batches := f.cut(tip0(), onePart)
	docs := documents(b, batches)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		for _, doc := range docs {
			d, err := changelog.ParseBatch(doc)
			must(b, err)
			for _, err := range d.Entries() {
				must(b, err)
				n++
			}
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "entries/s")
}

// onePart keeps the transaction of peopleFile in one batch: the parts of a longer one
// are yielded without their plaintext.
var onePart = changelog.CutOptions{PartEntries: 1 << 30, PartBytes: 1 << 30}

func documents(b *testing.B, batches []*changelog.Batch) (docs [][]byte) {
	b.Helper()
	for _, batch := range batches {
		docs = append(docs, changelog.AddIdentity(identity, batch.Canonical()))
	}
	return docs
}

// BenchmarkReplay replays documents into an empty file.
func BenchmarkReplay(b *testing.B) {
	ctx := context.Background()
	for name, mixed := range map[string]bool{"inserts": false, "mixed": true} {
		b.Run(name, func(b *testing.B) {
			docs := documents(b, peopleFile(b, mixed).cut(tip0(), onePart))
			b.ReportAllocs()
			changes := int64(0)
			for b.Loop() {
				c, closeConn := dial(b, filepath.Join(b.TempDir(), "restored.sqlite"), sqlite.Replay)
				a, err := changelog.NewApplier(ctx, c, tip0(), changelog.ApplyOptions{DDLOnly: func(on bool) error { return sqlite.SetDDLOnly(c, on) }})
				must(b, err)
				for _, doc := range docs {
					d, err := changelog.ParseBatch(doc)
					must(b, err)
					must(b, a.Apply(ctx, d))
				}
				_, err = a.Finish(ctx)
				must(b, err)
				changes += a.Changes()
				closeConn()
			}
			b.ReportMetric(float64(changes)/b.Elapsed().Seconds(), "changes/s")
		})
	}
}
