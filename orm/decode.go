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
	_ [0]func(M)
	d decoder
}

// decoder is a Decoder without its type.
type decoder struct {
	m    *model
	rows map[string][]driver.Value // by key, what is known of them
}

// Decoder returns one for the table. An entry of an update tells what has
// changed; the rest the decoder knows from the entries that it was given before,
// so it keeps every row that is there. Change.Unknown names the columns of which
// none has told.
func (t Table[M, K]) Decoder() *Decoder[M] {
	return &Decoder[M]{d: decoder{m: t.m, rows: make(map[string][]driver.Value)}}
}

// Change makes a change of an entry. ok is false for entries of other tables and
// those that are about no row.
func (d *Decoder[M]) Change(e LogEntry) (c Change[M], ok bool, err error) {
	if d == nil {
		return c, false, errNoTable
	}
	found, err := d.d.decode(e)
	if err != nil || found == nil {
		return c, false, err
	}
	return changeOf[M](found), true, nil
}

// decode makes a change of an entry, nil if it is about no row of the table.
func (d *decoder) decode(e LogEntry) (*change, error) {
	if d.m == nil || e == nil {
		return nil, errNoTable
	}
	table, operation, key, data, before := e.What()
	if table != d.m.schema.Name || table == "" {
		return nil, nil
	}
	c := new(change)
	c.seq.Sequence, c.tx, c.at, c.node = e.When()
	if err := d.change(c, operation, key, data, before); err != nil {
		return nil, d.m.wrap("decode a change", fmt.Errorf("entry %d: %w", c.seq.Sequence, err))
	}
	return c, nil
}

func (d *decoder) change(c *change, operation, key, data, before string) error {
	r := &replayed{d.m}
	values := []driver.Value{c.seq.Sequence, c.at.UnixMilli(), operation}
	for _, object := range []string{key, data, before} {
		var v driver.Value
		if object != "" {
			v = object
		}
		values = append(values, v)
	}
	e, err := r.entry(values)
	if err != nil {
		return err
	}
	if e.op == 0 {
		return fmt.Errorf("an operation %q is none of a row", operation)
	}
	c.op, c.columns = e.op, e.columns
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
		c.unknown = r.unknown(is)
	} else {
		c.unknown = r.unknown(was)
	}
	if c.old, err = d.m.made(was); err == nil {
		c.new, err = d.m.made(is)
	}
	return err
}
