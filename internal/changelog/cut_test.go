package changelog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/schema"
)

func numbersTable() schema.Table {
	return schema.Table{Name: "numbers", Columns: []schema.Column{{Name: "n", Type: schema.Integer, NotNull: true}, {Name: "t", Type: schema.Text}}, Key: []string{"n"}}
}

// rows is an INSERT of the numbers from … to.
func rows(from, to int) string {
	return fmt.Sprintf(`WITH RECURSIVE s(n) AS (SELECT %d UNION ALL SELECT n + 1 FROM s WHERE n < %d) INSERT INTO numbers SELECT n, 'row ' || n FROM s`, from, to)
}

// The bytes of a batch, as docs/format.md has them.
func TestBatchBytes(t *testing.T) {
	is := is.New(t)
	f := newFile(t, numbersTable())
	f.exec(`DELETE FROM _driftdb_log`)
	for _, stmt := range []string{
		`INSERT INTO _driftdb_log VALUES (1, 1000, NULL, 'schema', NULL, '{"version":0,"name":"open","sql":["CREATE TABLE x (y) -- <&>"],"tables":[]}', NULL)`,
		`INSERT INTO _driftdb_log (sequence, timestamp, operation) VALUES (2, 1001, 'mark')`,
		`INSERT INTO _driftdb_log VALUES (3, 1005, 'numbers', 'insert', NULL, '{"n":1,"t":"é\"\u0000"}', NULL)`,
		`INSERT INTO _driftdb_log VALUES (4, 1005, 'numbers', 'update', '{"n":1}', '{"t":null}', '{"t":"' || CAST(x'ff' AS TEXT) || '"}')`,
	} {
		f.exec(stmt)
	}
	f.exec(`INSERT INTO _driftdb_log VALUES (5, 999, 'numbers', 'delete', '{"n":1}', NULL, '{"n":1,"t":null}')`)
	f.exec(`INSERT INTO _driftdb_log VALUES (6, 1006, 'other', 'update', '{"k":{"x":"00FF"}}', '{"b":1.5,"a":-9223372036854775808}', '{"b":9e999,"a":0}')`)
	f.exec(`INSERT INTO _driftdb_log VALUES (7, 1006, 'other', 'update', '{"k":"z"}', '{"c":"1"}', NULL)`)
	f.exec(`INSERT INTO _driftdb_log VALUES (8, 1006, 'other', 'insert', NULL, '{"k":"z","a":0}', NULL)`)
	f.exec(`INSERT INTO _driftdb_log VALUES (9, 1006, 'other', 'delete', '{"k":"z"}', NULL, NULL)`)
	batches := f.cut(tip0(), changelog.CutOptions{})
	is.Equal(len(batches), 1)
	b := batches[0]
	want := `{"version":2,"fromSequence":1,"toSequence":9,"prevHash":"` + changelog.Hash0(dbName).String() + `","schemaVersion":0,"time":1000,"maxTime":1006,` +
		`"tables":[{"name":"numbers","columns":["n","t"],"key":["n"]},{"name":"other","columns":["b","a","c"],"key":["k"]},{"name":"other","columns":["k","a"],"key":[]}],` +
		`"entries":[["s",0,{"version":0,"name":"open","sql":["CREATE TABLE x (y) -- <&>"],"tables":[]}],["m",1],["i",5,0,[1,"é\"\u0000"]],["u",5,0,[1],[1],[null],[{"t":"FF"}]],` +
		`["d",-1,0,[1],[1,null]],["u",6,1,[{"x":"00FF"}],[0,1],[1.5,-9223372036854775808],[9e999,0]],["u",6,1,["z"],[2],["1"],[]],["i",6,2,["z",0]],["d",6,1,["z"],[]]]}`
	is.Equal(string(b.Canonical()), want)
	is.Equal(b.Hash, changelog.Chain(changelog.Hash0(dbName), []byte(want)))
	is.Equal(b.Tip(), changelog.Tip{Sequence: 9, Hash: b.Hash, MaxTime: 1006, SchemaVersion: 1})
	doc := changelog.AddIdentity(identity, b.Canonical())
	is.True(bytes.HasPrefix(doc, []byte(`{"dbName":"test","nodeId":"0123456789ab","epoch":1,"part":1,"parts":1,"version":2,`)))
	is.True(json.Valid(doc))
	d, err := changelog.ParseBatch(doc)
	is.NoErr(err)
	is.Equal(d.Identity, identity)
	n := int64(0)
	for e, err := range d.Entries() {
		is.NoErr(err)
		n++
		is.Equal(e.Sequence, n)
	}
	is.Equal(n, int64(9))
}

// Batches end after a mark, or where the span ends, and nowhere else.
func TestCutsAtBoundaries(t *testing.T) {
	is := is.New(t)
	f := newFile(t, numbersTable()) // 1 schema, 2 mark
	f.tx(rows(1, 5))                // 3-7, mark 8
	f.tx(rows(6, 30))               // 9-33, mark 34: longer than the cut, one batch
	f.exec(rows(31, 33))            // 35-37: no mark
	f.tx(rows(34, 35))              // 38-39, mark 40
	f.exec(rows(36, 40))            // 41-45: no mark, the end of the span
	ends := func(o changelog.CutOptions) (list []int64) {
		tip := tip0()
		for _, b := range f.cut(tip0(), o) {
			is.Equal(b.From, tip.Sequence+1)
			is.Equal(b.PrevHash, tip.Hash)
			tip = b.Tip()
			list = append(list, b.To)
		}
		return list
	}
	is.Equal(ends(changelog.CutOptions{}), []int64{45})
	is.Equal(ends(changelog.CutOptions{Entries: 1}), []int64{2, 8, 34, 40, 45})
	is.Equal(ends(changelog.CutOptions{Entries: 8}), []int64{8, 34, 45})
	is.Equal(ends(changelog.CutOptions{Bytes: 1}), []int64{2, 8, 34, 40, 45})
	is.Equal(ends(changelog.CutOptions{Bytes: 800}), []int64{2, 34, 45}) // the schema entry alone is longer
	is.Equal(ends(changelog.CutOptions{To: 40}), []int64{40})
	is.Equal(ends(changelog.CutOptions{Entries: 8, To: 37}), []int64{8, 34, 37}) // where a snapshot's transaction ended
	checkReplay(t, f, changelog.CutOptions{Entries: 1})
}

// A schema entry begins a batch if rows stand before it.
func TestSchemaEntrySplits(t *testing.T) {
	is := is.New(t)
	f := newFile(t, numbersTable())
	f.exec(rows(1, 3)) // 3-5, no mark
	more := numbersTable()
	more.Name = "more"
	f.create(more)                                 // 6 schema, 7 mark
	f.tx(`INSERT INTO more VALUES (1, 'x')`)       // 8, 9
	f.tx(`UPDATE numbers SET t = 'y' WHERE n = 1`) // 10, 11
	batches := f.cut(tip0(), changelog.CutOptions{})
	is.Equal(len(batches), 2)
	is.Equal(batches[0].To, int64(5))
	is.Equal(batches[0].SchemaVersion, int64(0))
	is.Equal(batches[1].SchemaVersion, int64(1))
	is.Equal(batches[1].Tip().SchemaVersion, int64(6))
	checkReplay(t, f, changelog.CutOptions{})
	encodeAgain(t, f, batches)
}

func TestGaps(t *testing.T) {
	t.Run("in the middle", func(t *testing.T) {
		f := newFile(t, numbersTable())
		f.tx(rows(1, 5))
		f.exec(`DELETE FROM _driftdb_log WHERE sequence = 5`)
		_, err := f.tryCut(tip0(), changelog.CutOptions{})
		is.New(t).True(errors.Is(err, changelog.ErrLogGap))
	})
	t.Run("at the beginning", func(t *testing.T) {
		f := newFile(t, numbersTable())
		f.tx(rows(1, 5))
		f.exec(`DELETE FROM _driftdb_log WHERE sequence < 3`)
		_, err := f.tryCut(tip0(), changelog.CutOptions{})
		is.New(t).True(errors.Is(err, changelog.ErrLogGap))
	})
	t.Run("at the end", func(t *testing.T) {
		f := newFile(t, numbersTable())
		f.tx(rows(1, 5))
		batches := f.cut(tip0(), changelog.CutOptions{})
		f.exec(`DELETE FROM _driftdb_log WHERE sequence > 5`)
		_, err := f.tryCut(batches[0].Tip(), changelog.CutOptions{})
		is.New(t).True(errors.Is(err, changelog.ErrLogGap))
		_, err = changelog.Encode(t.Context(), f.w, batches[0].Seal())
		is.New(t).True(errors.Is(err, changelog.ErrLogGap))
	})
	t.Run("other content", func(t *testing.T) {
		f := newFile(t, numbersTable())
		f.tx(rows(1, 5))
		batches := f.cut(tip0(), changelog.CutOptions{})
		f.exec(`UPDATE _driftdb_log SET data = '{"n":7,"t":null}' WHERE sequence = 5`)
		_, err := changelog.Encode(t.Context(), f.w, batches[0].Seal())
		is.New(t).True(errors.Is(err, changelog.ErrSealed))
	})
	t.Run("newer encoder", func(t *testing.T) {
		f := newFile(t, numbersTable())
		s := f.cut(tip0(), changelog.CutOptions{})[0].Seal()
		s.Encoder = 2
		_, err := changelog.Encode(t.Context(), f.w, s)
		is.New(t).True(err != nil && strings.Contains(err.Error(), "encoder version 2"))
	})
}

// A transaction that is rolled back leaves no gap: its sequences are given
// again.
func TestRollbackLeavesNoGap(t *testing.T) {
	is := is.New(t)
	f := newFile(t, numbersTable())
	f.tx(rows(1, 2))
	f.exec(`BEGIN IMMEDIATE`)
	f.exec(rows(3, 50))
	f.exec(`SAVEPOINT s`)
	f.exec(rows(51, 60))
	f.exec(`ROLLBACK TO s`)
	f.exec(`ROLLBACK`)
	f.tx(rows(3, 4))
	is.Equal(f.value(`SELECT group_concat(sequence) FROM _driftdb_log`), "1,2,3,4,5,6,7,8")
	is.Equal(f.value(`SELECT group_concat(operation) FROM _driftdb_log`), "schema,mark,insert,insert,mark,insert,insert,mark")
	checkReplay(t, f, changelog.CutOptions{})
}

// A mark is written only behind something, and only once.
func TestMarks(t *testing.T) {
	is := is.New(t)
	f := newFile(t)
	f.exec(changelog.MarkSQL)
	is.Equal(f.value(`SELECT count(*) FROM _driftdb_log`), "0")
	f.create(numbersTable())
	f.tx(`DELETE FROM numbers`) // changes nothing
	f.tx()
	is.Equal(f.value(`SELECT group_concat(operation) FROM _driftdb_log`), "schema,mark")
	is.Equal(f.value(`SELECT typeof(timestamp) FROM _driftdb_log WHERE operation = 'mark'`), "integer")
}

// Rows that no trigger of ours writes are not shipped, and the error does not
// show them.
func TestForeignRows(t *testing.T) {
	for _, row := range []string{
		`(1, NULL, 'numbers', 'insert', NULL, '{"n":1}', NULL)`,
		`(1, 'soon', 'numbers', 'insert', NULL, '{"n":1}', NULL)`,
		`(1, 1e300, 'numbers', 'insert', NULL, '{"n":1}', NULL)`,
		`(1, 5, 'numbers', 'upsert', NULL, '{"n":"secret"}', NULL)`,
		`(1, 5, 'numbers', '', NULL, '{"n":1}', NULL)`,
		`(1, 5, NULL, 'insert', NULL, '{"n":1}', NULL)`,
		`(1, 5, 'numbers', 'insert', '{"n":1}', '{"n":1}', NULL)`,
		`(1, 5, 'numbers', 'insert', NULL, '{"n":"secret"', NULL)`,
		`(1, 5, 'numbers', 'insert', NULL, '{"n":secret}', NULL)`,
		`(1, 5, 'numbers', 'insert', NULL, '{}', NULL)`,
		`(1, 5, 'numbers', 'insert', NULL, '[1]', NULL)`,
		`(1, 5, 'numbers', 'insert', NULL, '{"n":1,"n":2}', NULL)`,
		`(1, 5, 'numbers', 'insert', NULL, '{"n": 1}', NULL)`,
		`(1, 5, 'numbers', 'insert', NULL, '{"n":1} ', NULL)`,
		`(1, 5, 'numbers', 'insert', NULL, '{"n":01}', NULL)`,
		`(1, 5, 'numbers', 'insert', NULL, '{"n":9223372036854775808}', NULL)`,
		`(1, 5, 'numbers', 'insert', NULL, '{"n":true}', NULL)`,
		`(1, 5, 'numbers', 'insert', NULL, '{"n":{"x":"0"}}', NULL)`,
		`(1, 5, 'numbers', 'insert', NULL, '{"n":{"t":"ff"}}', NULL)`,
		`(1, 5, 'numbers', 'insert', NULL, '{"n":{"y":"ff"}}', NULL)`,
		`(1, 5, 'numbers', 'insert', NULL, '{"n":"\ud800"}', NULL)`,
		`(1, 5, 'numbers', 'insert', NULL, x'7b7d', NULL)`,
		`(1, 5, 'numbers', 'update', '{"n":1}', '{"t":1}', '{"n":1}')`,
		`(1, 5, 'numbers', 'update', '{"n":1}', NULL, NULL)`,
		`(1, 5, 'numbers', 'delete', '', NULL, '{"n":1}')`,
		`(1, 5, NULL, 'schema', NULL, '{"version":0}', NULL)`,
		`(1, 5, NULL, 'schema', NULL, 'secret', NULL)`,
		`(1, 5, 'numbers', 'mark', NULL, '', NULL)`,
	} {
		t.Run(row, func(t *testing.T) {
			is := is.New(t)
			f := newFile(t)
			f.exec(`INSERT INTO _driftdb_log VALUES ` + row)
			_, err := f.tryCut(tip0(), changelog.CutOptions{})
			is.True(errors.Is(err, changelog.ErrLogRow))
			is.True(!strings.Contains(err.Error(), "secret"))
		})
	}
}
