package orm

import (
	"database/sql/driver"
	"fmt"
	"slices"
	"time"
)

// LogEntry is an entry of a change log that lies somewhere else than in a DB: a
// *replicate.LogEntry, read from a bucket.
type LogEntry interface {
	// When returns the entry's sequence, that of its transaction, its time and
	// the node that wrote it.
	When() (sequence, tx int64, at time.Time, node string)

	// What returns the table, the operation (insert, update or delete), and the
	// key, the new values and the old ones as JSON objects from columns to
	// values, "" for none, as section 1.1 of docs/format.md describes them.
	What() (table, operation, key, data, before string)
}

// Decoder makes changes of entries. It is for one goroutine.
type Decoder[M any] struct {
	m    *model[M]
	rows map[string][]driver.Value // by key, what is known of them
}

// Decoder returns one for the table. An entry of an update tells what has
// changed; the rest the decoder knows from the entries that it was given before,
// so it keeps every row that is there. Change.Unknown names the columns of which
// none has told.
func (t Table[M, K]) Decoder() *Decoder[M] {
	return &Decoder[M]{m: t.m, rows: make(map[string][]driver.Value)}
}

// Change makes a change of an entry. ok is false for entries of other tables and
// those that are about no row.
func (d *Decoder[M]) Change(e LogEntry) (c Change[M], ok bool, err error) {
	if d == nil || d.m == nil || e == nil {
		return c, false, errNoTable
	}
	table, operation, key, data, before := e.What()
	if table != d.m.schema.Name || table == "" {
		return c, false, nil
	}
	c.Seq.Sequence, c.Tx, c.At, c.Node = e.When()
	if c, err = d.change(c, operation, key, data, before); err != nil {
		return Change[M]{}, false, d.m.wrap("decode a change", fmt.Errorf("entry %d: %w", c.Seq.Sequence, err))
	}
	return c, true, nil
}

func (d *Decoder[M]) change(c Change[M], operation, key, data, before string) (Change[M], error) {
	r := &replayed{info: &d.m.info}
	values := []driver.Value{c.Seq.Sequence, c.At.UnixMilli(), operation}
	for _, object := range []string{key, data, before} {
		var v driver.Value
		if object != "" {
			v = object
		}
		values = append(values, v)
	}
	e, err := r.entry(values)
	if err != nil {
		return c, err
	}
	if e.op == 0 {
		return c, fmt.Errorf("an operation %q is none of a row", operation)
	}
	c.Op, c.columns = e.op, e.columns
	var was, is []driver.Value
	if e.op != OpInsert {
		if was = d.rows[e.old]; was == nil {
			was = r.blank()
			overlay(was, e.named)
		}
		was = slices.Clone(was)
		overlay(was, e.before)
		delete(d.rows, e.old)
	}
	switch e.op {
	case OpInsert:
		is = e.data
	case OpUpdate:
		is = slices.Clone(was)
		overlay(is, e.data)
	}
	if is != nil {
		d.rows[e.new] = is
		c.Unknown = r.unknown(is)
	} else {
		c.Unknown = r.unknown(was)
	}
	if c.Old, err = d.m.made(was); err == nil {
		c.New, err = d.m.made(is)
	}
	return c, err
}
