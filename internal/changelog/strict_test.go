package changelog

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawRows draws log rows of a few tables whose columns come and go, which is
// what opens second elements in a batch's tables.
func drawRows(t *rapid.T) []Row {
	tables := rapid.SampledFrom([]string{"t", "u"})
	names := rapid.SampledFrom([]string{"a", "b", "c", `q"x`})
	tokens := rapid.SampledFrom([]string{"1", "null", "0.5", `"s"`, "\"\xff\"", `{"x":"00"}`})
	object := func(label string, n int) string {
		cols := rapid.SliceOfNDistinct(names, 1, n, rapid.ID[string]).Draw(t, label)
		values := make([]string, len(cols))
		for i := range values {
			values[i] = string(appendToken(nil, tokens.Draw(t, "value"), false))
		}
		b := ""
		for i := range cols {
			b += "{,"[min(i, 1):min(i, 1)+1] + string(AppendString(nil, cols[i])) + ":" + values[i]
		}
		return b + "}"
	}
	rows := make([]Row, rapid.IntRange(1, 12).Draw(t, "rows"))
	for i := range rows {
		r := &rows[i]
		*r = Row{Sequence: int64(i + 1), Time: rapid.Int64Range(-3, 3).Draw(t, "time"), Op: rapid.SampledFrom([]Op{Insert, Insert, Update, Update, Delete, Mark}).Draw(t, "op")}
		if r.Op == Mark {
			continue
		}
		r.Table = tables.Draw(t, "table")
		if r.Op != Insert {
			r.Key = object("key", 2)
		}
		if r.Op != Delete {
			r.Data = object("data", 4)
		}
		if r.Op == Delete && rapid.Bool().Draw(t, "before") {
			r.Before = object("before", 4)
		}
		if r.Op == Update && rapid.Bool().Draw(t, "before") {
			r.Before = r.Data
		}
	}
	return rows
}

func encodeRows(rows []Row, tip Tip) (*Batch, error) {
	e := new(encoder)
	e.begin(tip)
	for i := range rows {
		if err := e.add(&rows[i]); err != nil {
			return nil, err
		}
	}
	return e.finish(), nil
}

// Every run of log rows has one encoding: it reads back as the same rows, and
// a document with any byte changed is refused or is the encoding of other rows.
func TestOneEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := drawRows(t)
		b, err := encodeRows(rows, Tip{})
		if err != nil {
			t.Fatal(err)
		}
		id := Identity{DBName: "d", NodeID: "n", Epoch: 1, Part: 1, Parts: 1}
		doc := AddIdentity(id, b.Canonical())
		d, err := ParseBatch(doc)
		if err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		i := 0
		for e, err := range d.Entries() {
			if err != nil {
				t.Fatalf("%s: %v", doc, err)
			}
			if got := rowFrom(d, e); got != rows[i] {
				t.Fatalf("row %d reads as %+v", i, got)
			}
			i++
		}
		if i != len(rows) {
			t.Fatalf("%d of %d rows", i, len(rows))
		}

		changed := append([]byte(nil), doc...)
		for range rapid.IntRange(1, 2).Draw(t, "changes") {
			at := rapid.IntRange(0, len(changed)-1).Draw(t, "at")
			switch rapid.IntRange(0, 2).Draw(t, "change") {
			case 0:
				changed[at] = rapid.SampledFrom([]byte(`0123456789abtuidmq"[]{},:-.nx`)).Draw(t, "byte")
			case 1:
				changed = append(changed[:at], changed[at+1:]...)
			case 2:
				changed = append(changed[:at], append([]byte{changed[at]}, changed[at:]...)...)
			}
			if len(changed) == 0 {
				return
			}
		}
		if err := reencodes(changed); err != nil {
			t.Fatal(err)
		}
	})
}

// reencodes returns an error if doc is accepted and encodes to other bytes.
func reencodes(doc []byte) error {
	d, err := ParseBatch(doc)
	if err != nil {
		return nil // refused is fine
	}
	var rows []Row
	for e, err := range d.Entries() {
		if err != nil {
			return nil // refused is fine
		}
		rows = append(rows, rowFrom(d, e))
	}
	b, err := encodeRows(rows, Tip{Sequence: d.From - 1, Hash: d.PrevHash, MaxTime: d.MaxTime, SchemaVersion: d.SchemaVersion})
	if err != nil {
		return fmt.Errorf("accepted, and refused on the way back: %w", err)
	}
	if got := AddIdentity(d.Identity, b.Canonical()); string(got) != string(doc) {
		return fmt.Errorf("encodes again as\n%s\ninstead of\n%s", got, doc)
	}
	return nil
}

// Documents that say what the encoder would have said in another way.
func TestRefusedDocuments(t *testing.T) {
	const (
		head  = `{"dbName":"d","nodeId":"n","epoch":1,"part":1,"parts":1,`
		chain = `"prevHash":"0000000000000000000000000000000000000000000000000000000000000000","schemaVersion":0,`
		ab    = `{"name":"t","columns":["a","b"],"key":[]}`
		bc    = `{"name":"t","columns":["b","c"],"key":[]}`
	)
	doc := func(n, tables, entries string) string {
		return head + `"version":2,"fromSequence":1,"toSequence":` + n + `,` + chain + `"time":0,"maxTime":5,"tables":[` + tables + `],"entries":[` + entries + `]}`
	}
	good := []string{
		doc("1", ab, `["i",0,0,[1,2]]`),
		doc("2", ab+","+bc, `["i",0,0,[1,2]],["i",0,1,[1,2]]`),
		doc("3", ab+","+bc, `["i",0,0,[1,2]],["i",0,1,[1,2]],["i",0,0,[1,2]]`),
		doc("1", `{"name":"t","columns":["b"],"key":["a"]}`, `["u",0,0,[1],[0],[2],[]]`),
		doc("2", `{"name":"t","columns":["b","a"],"key":["a"]}`, `["u",0,0,[1],[0],[2],[]],["u",0,0,[1],[1,0],[2,3],[4,5]]`),
		doc("1", `{"name":"t","columns":[],"key":["a"]}`, `["d",0,0,[1],[]]`),
		doc("2", "", `["m",0],["m",5]`),
	}
	for _, d := range good {
		if err := accepts(d); err != nil {
			t.Errorf("%s\n%v", d, err)
		}
		if err := reencodes([]byte(d)); err != nil {
			t.Error(err)
		}
	}
	for name, d := range map[string]string{
		"a table listed twice":            doc("2", ab+","+ab, `["i",0,0,[1,2]],["i",0,1,[1,2]]`),
		"a table that no entry names":     doc("1", ab+","+bc, `["i",0,0,[1,2]]`),
		"tables out of order":             doc("2", ab+","+bc, `["i",0,1,[1,2]],["i",0,0,[1,2]]`),
		"no such table":                   doc("1", ab, `["i",0,1,[1,2]]`),
		"a key that no entry has":         doc("1", `{"name":"t","columns":["a"],"key":["a"]}`, `["i",0,0,[1]]`),
		"a key that is not listed":        doc("1", `{"name":"t","columns":["a"],"key":[]}`, `["d",0,0,[1],[1]]`),
		"too few values":                  doc("1", ab, `["i",0,0,[1]]`),
		"too many values":                 doc("1", ab, `["i",0,0,[1,2,3]]`),
		"no values":                       doc("1", `{"name":"t","columns":[],"key":[]}`, `["i",0,0,[]]`),
		"columns out of order":            doc("1", `{"name":"t","columns":["a","b"],"key":["k"]}`, `["u",0,0,[1],[1,0],[1,2],[]]`),
		"a column twice":                  doc("1", `{"name":"t","columns":["a","b"],"key":["k"]}`, `["u",0,0,[1],[0,1,0],[1,2,3],[]]`),
		"a column that is never named":    doc("1", `{"name":"t","columns":["a","b"],"key":["k"]}`, `["u",0,0,[1],[0],[1],[]]`),
		"an update without columns":       doc("1", `{"name":"t","columns":[],"key":["k"]}`, `["u",0,0,[1],[],[],[]]`),
		"half the old values":             doc("1", `{"name":"t","columns":["a","b"],"key":["k"]}`, `["u",0,0,[1],[0,1],[1,2],[1]]`),
		"an update that fits the first":   doc("3", `{"name":"t","columns":["a","b"],"key":["k"]},{"name":"t","columns":["a"],"key":["k"]}`, `["i",0,0,[1,2]],["u",0,0,[1],[0],[1],[]],["u",0,1,[1],[0],[1],[]]`),
		"a delete that fits the first":    doc("2", `{"name":"t","columns":["a","b"],"key":["k"]},{"name":"t","columns":[],"key":["k"]}`, `["i",0,0,[1,2]],["d",0,1,[1],[]]`),
		"a name that is listed twice":     doc("1", `{"name":"t","columns":["a","a"],"key":[]}`, `["i",0,0,[1,2]]`),
		"an empty name":                   doc("1", `{"name":"","columns":["a"],"key":[]}`, `["i",0,0,[1]]`),
		"a name with a needless escape":   doc("1", `{"name":"\u0074","columns":["a"],"key":[]}`, `["i",0,0,[1]]`),
		"white space":                     doc("1", "", `["m", 0]`),
		"time of the first entry":         doc("1", "", `["m",1]`),
		"time after the newest":           doc("2", "", `["m",0],["m",6]`),
		"unknown entry":                   doc("1", "", `["x",0]`),
		"too few entries":                 doc("2", "", `["m",0]`),
		"too many entries":                doc("1", "", `["m",0],["m",0]`),
		"something behind":                doc("1", "", `["m",0]`) + "\n",
		"a schema entry behind rows":      doc("2", ab, `["i",0,0,[1,2]],["s",0,{"version":0,"name":"","sql":[],"tables":[]}]`),
		"a schema entry with more":        doc("1", "", `["s",0,{"version":0,"name":"","sql":[],"tables":[],"x":1}]`),
		"a schema entry with white space": doc("1", "", `["s",0,{"version":0, "name":"","sql":[],"tables":[]}]`),
		"a value that is no value":        doc("1", ab, `["i",0,0,[1,true]]`),
		"valid text in hex":               doc("1", ab, `["i",0,0,[1,{"t":"41"}]]`),
		"invalid UTF-8":                   doc("1", ab, "[\"i\",0,0,[1,\"\xff\"]]"),
		"an unknown member":               strings.Replace(doc("1", "", `["m",0]`), `"time"`, `"x":1,"time"`, 1),
		"members out of order":            strings.Replace(doc("1", "", `["m",0]`), `"time":0,"maxTime":5`, `"maxTime":5,"time":0`, 1),
		"an upper-case hash":              strings.Replace(doc("1", "", `["m",0]`), `"prevHash":"0`, `"prevHash":"A`, 1),
		"from 0":                          strings.Replace(doc("1", "", `["m",0]`), `"fromSequence":1`, `"fromSequence":0`, 1),
		"to before from":                  strings.Replace(doc("1", "", `["m",0]`), `"toSequence":1`, `"toSequence":0`, 1),
		"part above parts":                strings.Replace(doc("1", "", `["m",0]`), `"part":1`, `"part":2`, 1),
		"a name that climbs":              strings.Replace(doc("1", "", `["m",0]`), `"dbName":"d"`, `"dbName":"d/../e"`, 1),
		"a name with dots":                strings.Replace(doc("1", "", `["m",0]`), `"dbName":"d"`, `"dbName":"d..e"`, 1),
		"a schema version in the future":  strings.Replace(doc("1", "", `["m",0]`), `"schemaVersion":0`, `"schemaVersion":1`, 1),
		"an integer with a leading zero":  strings.Replace(doc("1", "", `["m",0]`), `"epoch":1`, `"epoch":01`, 1),
		"an integer beyond 64 bits":       strings.Replace(doc("1", "", `["m",0]`), `"epoch":1`, `"epoch":18446744073709551617`, 1),
		"nothing":                         "",
		"half a document":                 doc("1", "", `["m",0]`)[:150],
	} {
		t.Run(name, func(t *testing.T) {
			err := accepts(d)
			if !errors.Is(err, ErrBatch) {
				t.Errorf("%v for\n%s", err, d)
			}
		})
	}
	if err := accepts(strings.Replace(good[0], `"version":2`, `"version":3`, 1)); !errors.Is(err, ErrVersion) {
		t.Errorf("a newer version is %v", err)
	}
}

func accepts(doc string) error {
	d, err := ParseBatch([]byte(doc))
	if err != nil {
		return err
	}
	for _, err := range d.Entries() {
		if err != nil {
			return err
		}
	}
	return nil
}
