package changelog

import (
	"fmt"
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
			b += "{,"[min(i, 1):min(i, 1)+1] + string(appendString(nil, cols[i])) + ":" + values[i]
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
		return nil //nolint:nilerr // refused is fine
	}
	var rows []Row
	for e, err := range d.Entries() {
		if err != nil {
			return nil //nolint:nilerr // refused is fine
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
