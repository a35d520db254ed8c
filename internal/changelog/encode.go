package changelog

import (
	"fmt"
	"slices"
	"strconv"
)

// encoder makes one batch out of log rows, encoder version 1.
type encoder struct {
	tip     Tip // before the batch
	from    int64
	to      int64
	time    int64
	maxTime int64
	schema  int64 // sequence of the last schema entry seen
	rows    bool  // the batch has row entries
	text    int   // bytes of log text

	layouts layouts
	entries []byte

	key, data, before []member // of the current row
	at                []int
}

// begin starts a batch behind tip.
func (e *encoder) begin(tip Tip) {
	e.tip, e.from, e.to = tip, tip.Sequence+1, tip.Sequence
	e.time, e.maxTime, e.schema = 0, tip.MaxTime, tip.SchemaVersion
	e.rows, e.text = false, 0
	e.layouts.reset()
	e.entries = e.entries[:0]
}

func (e *encoder) empty() bool { return e.to < e.from }

func (e *encoder) count() int { return int(e.to - e.from + 1) }

// add appends the row that follows.
func (e *encoder) add(r *Row) error {
	if r.Sequence != e.to+1 {
		return fmt.Errorf("row %d where %d is next: %w", r.Sequence, e.to+1, ErrLogGap)
	}
	if e.empty() {
		e.time = r.Time
	} else {
		e.entries = append(e.entries, ',')
	}
	e.entries = append(e.entries, '[', '"', byte(r.Op), '"', ',')
	e.entries = strconv.AppendInt(e.entries, r.Time-e.time, 10)
	if !e.body(r) {
		return fmt.Errorf("row %d (%s of %s): %w", r.Sequence, r.Op, r.Table, ErrLogRow)
	}
	e.entries = append(e.entries, ']')
	e.to = r.Sequence
	e.maxTime = max(e.maxTime, r.Time)
	e.text += len(r.Table) + len(r.Key) + len(r.Data) + len(r.Before)
	return nil
}

// body appends what follows the time. It reports false for a row that no
// trigger of ours writes.
func (e *encoder) body(r *Row) bool {
	if !hasForm(r) {
		return false
	}
	switch r.Op {
	case Mark:
		return true
	case Schema:
		e.entries = append(e.entries, ',')
		e.entries = append(e.entries, r.Data...)
		e.schema = r.Sequence
		return canonicalSchema(r.Data)
	default:
		return e.row(r)
	}
}

// row appends a row entry.
func (e *encoder) row(r *Row) bool {
	e.rows = true
	var ok [3]bool
	e.key, ok[0] = members(e.key, r.Key)
	e.data, ok[1] = members(e.data, r.Data)
	e.before, ok[2] = members(e.before, r.Before)
	if !ok[0] || !ok[1] || !ok[2] {
		return false
	}
	switch r.Op { //nolint:exhaustive // body has seen to the others
	case Insert:
		e.head(e.layouts.row(r.Table, nil, e.data))
		e.values(e.data)
	case Update:
		if len(e.before) > 0 && !slices.EqualFunc(e.before, e.data, func(a, b member) bool { return a.name == b.name }) {
			return false
		}
		var t int
		t, e.at = e.layouts.change(r.Table, e.key, e.data, e.at)
		e.head(t)
		e.values(e.key)
		e.entries = append(e.entries, ',', '[')
		for i, c := range e.at {
			if i > 0 {
				e.entries = append(e.entries, ',')
			}
			e.entries = strconv.AppendInt(e.entries, int64(c), 10)
		}
		e.entries = append(e.entries, ']')
		e.values(e.data)
		e.values(e.before)
	case Delete:
		var t int
		if len(e.before) > 0 {
			t = e.layouts.row(r.Table, e.key, e.before)
		} else {
			t, e.at = e.layouts.change(r.Table, e.key, nil, e.at)
		}
		e.head(t)
		e.values(e.key)
		e.values(e.before)
	}
	return true
}

func (e *encoder) head(t int) {
	e.entries = append(e.entries, ',')
	e.entries = strconv.AppendInt(e.entries, int64(t), 10)
}

func (e *encoder) values(m []member) {
	e.entries = append(e.entries, ',', '[')
	for i := range m {
		if i > 0 {
			e.entries = append(e.entries, ',')
		}
		e.entries = appendToken(e.entries, m[i].token, m[i].invalid)
	}
	e.entries = append(e.entries, ']')
}

// finish returns the batch and the tip behind it.
func (e *encoder) finish() *Batch {
	b := &Batch{
		From: e.from, To: e.to, PrevHash: e.tip.Hash, SchemaVersion: e.tip.SchemaVersion,
		Time: e.time, MaxTime: e.maxTime, Encoder: Encoder, Part: 1, Parts: 1,
	}
	c := make([]byte, 0, len(e.entries)+512+64*len(e.layouts.list))
	c = append(c, `{"version":2,"fromSequence":`...)
	c = strconv.AppendInt(c, b.From, 10)
	c = append(c, `,"toSequence":`...)
	c = strconv.AppendInt(c, b.To, 10)
	c = append(c, `,"prevHash":"`...)
	c = append(c, b.PrevHash.String()...)
	c = append(c, `","schemaVersion":`...)
	c = strconv.AppendInt(c, b.SchemaVersion, 10)
	c = append(c, `,"time":`...)
	c = strconv.AppendInt(c, b.Time, 10)
	c = append(c, `,"maxTime":`...)
	c = strconv.AppendInt(c, b.MaxTime, 10)
	c = append(c, `,"tables":[`...)
	for i := range e.layouts.list {
		if i > 0 {
			c = append(c, ',')
		}
		c = appendLayout(c, &e.layouts.list[i].Layout)
	}
	c = append(c, `],"entries":[`...)
	c = append(c, e.entries...)
	b.canonical = append(c, ']', '}')
	b.Hash = Chain(b.PrevHash, b.canonical)
	b.end = Tip{Sequence: b.To, Hash: b.Hash, MaxTime: b.MaxTime, SchemaVersion: e.schema}
	return b
}

func appendLayout(b []byte, l *Layout) []byte {
	b = append(b, `{"name":`...)
	b = AppendString(b, l.Name)
	b = append(b, `,"columns":`...)
	b = appendNames(b, l.Columns)
	b = append(b, `,"key":`...)
	b = appendNames(b, l.Key)
	return append(b, '}')
}

func appendNames(b []byte, names []string) []byte {
	b = append(b, '[')
	for i, n := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendString(b, n)
	}
	return append(b, ']')
}

// members reads an object of the log into the storage of buf; "" is none.
func members(buf []member, s string) ([]member, bool) {
	if s == "" {
		return buf[:0], true
	}
	return appendMembers(buf[:0], s)
}

// hasForm says that the row has the columns of its operation and no others.
func hasForm(r *Row) bool {
	table, key, data, before := r.Table != "", r.Key != "", r.Data != "", r.Before != ""
	switch r.Op {
	case Insert:
		return table && !key && data && !before
	case Update:
		return table && key && data
	case Delete:
		return table && key && !data
	case Schema:
		return !table && !key && data && !before
	case Mark:
		return !table && !key && !data && !before
	}
	return false
}

// canonicalSchema says that s is a schema entry's one encoding.
func canonicalSchema(s string) bool {
	e, err := ParseSchemaEntry([]byte(s))
	if err != nil {
		return false
	}
	again, err := e.JSON()
	return err == nil && again == s
}
