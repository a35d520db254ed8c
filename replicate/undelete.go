package replicate

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"
)

// UndeleteOptions of Undelete. The zero value looks at all that the backup has.
type UndeleteOptions struct {
	// From is where the search begins: the deletion is later. Defaults to the
	// oldest state that the backup still has.
	From Moment

	// To is where it ends: a deletion after it is not looked at. Defaults to the
	// newest acknowledged state.
	To Moment

	// Dependents brings back, too, the rows that referred to it with ON DELETE
	// CASCADE and were deleted in the same transaction, and those that referred
	// to them. Defaults to false.
	Dependents bool

	// DryRun says what would come back, and writes nothing. Defaults to false.
	DryRun bool

	Retry      Retry        // as in Options
	Encryption Encryption   // as in Options
	Logger     *slog.Logger // defaults to none
}

// UndeleteReport is what Undelete did. It encodes as JSON.
type UndeleteReport struct {
	Sequence int64          `json:"sequence"` // of the deletion
	Time     time.Time      `json:"time"`     // of the deletion
	DryRun   bool           `json:"dryRun"`
	Rows     []UndeletedRow `json:"rows"` // that came back, the one that was asked for first

	// LeftOut are columns, as table.column, that the file does not have any more,
	// or computes itself.
	LeftOut []string `json:"leftOut,omitempty"`
}

// UndeletedRow is a row that came back. Key is a JSON object from the columns of
// the primary key to their values, Row from all that the log has.
type UndeletedRow struct {
	Table string          `json:"table"`
	Key   json.RawMessage `json:"key"`
	Row   json.RawMessage `json:"row"`
}

// Errors of Undelete.
var (
	// ErrNotDeleted: the backup tells of no deletion of the row.
	ErrNotDeleted = errors.New("the backup tells of no deletion of this row: is it the right key, was the deletion shipped already, is it older than what the backup keeps?")

	// ErrKeyTaken: a row with the key is there. Nothing was changed.
	ErrKeyTaken = errors.New("a row with this key is in the file; nothing was changed")
)

// Undelete brings a row back into the database file at path, as it was when it
// was deleted last, from the log in the backup of the database called name. The
// key is a JSON object from the columns of the table's primary key to their
// values, such as {"id":"u1"}. The file may be in use: the row comes as the
// change of another program would, in one transaction, is in the change log and
// is shipped by whoever ships the file.
//
// ErrNotDeleted and ErrKeyTaken say why a row does not come back; so does a
// constraint of the table that it would break. Then nothing was changed. ErrGap:
// the row was deleted before changes were dropped that could not be stored, and
// what became of it there is not known; UndeleteOptions.To before them takes it.
func Undelete(ctx context.Context, name string, store Store, path, table, key string, o UndeleteOptions) (UndeleteReport, error) {
	report, err := undelete(ctx, name, store, path, table, key, o)
	if err != nil {
		return UndeleteReport{}, fmt.Errorf("undelete a row of %s in %s from %q: %w", table, path, name, err)
	}
	return report, nil
}

func undelete(ctx context.Context, name string, store Store, path, table, key string, o UndeleteOptions) (report UndeleteReport, err error) {
	want, err := tokens(json.RawMessage(key))
	if err != nil {
		return report, fmt.Errorf("the key is a JSON object from columns to values, as in {\"id\":1}: %w", err)
	}
	f, err := openUndelete(ctx, path)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	if err := f.checkKey(ctx, table, want); err != nil {
		return report, err
	}
	lo := LogOptions{From: o.From, To: o.To, Retry: o.Retry, Encryption: o.Encryption, Logger: o.Logger}
	gone := deletion{table: table, key: want, all: o.Dependents}
	for e, err := range ReadLog(ctx, name, store, lo) {
		if err != nil {
			return report, err
		}
		if err := gone.add(e); err != nil {
			return report, err
		}
	}
	if gone.end(); gone.found == nil {
		return report, ErrNotDeleted
	}
	if gone.gap != nil {
		return report, gone.gap.err(fmt.Sprintf("the row was deleted at %d, and whether it was deleted again is not known", gone.found.entry.Sequence))
	}
	rows, err := f.dependents(ctx, gone.found, gone.with)
	if err != nil {
		return report, err
	}
	report = UndeleteReport{Sequence: gone.found.entry.Sequence, Time: gone.found.entry.Time, DryRun: o.DryRun}
	for _, row := range rows {
		report.Rows = append(report.Rows, UndeletedRow{Table: row.entry.Table, Key: row.entry.Key, Row: joined(row.values)})
	}
	report.LeftOut, err = f.insert(ctx, rows, o.DryRun)
	return report, err
}

// deleted is a row as it was when it was deleted.
type deleted struct {
	entry  *LogEntry
	values map[string]json.RawMessage // nil: the log does not tell
}

// deletion finds the newest deletion of a row, and what was deleted with it.
type deletion struct {
	table string
	key   map[string]json.RawMessage
	all   bool // the others of its transaction are wanted, too

	tx    int64
	here  *deleted   // of the transaction that is being read
	also  []*deleted // the others of it
	found *deleted
	with  []*deleted

	row map[string]json.RawMessage // the row while it is there, as far as it is whole
	gap *BackupGap                 // behind what was found
}

func (d *deletion) add(e *LogEntry) error {
	if e.Tx != d.tx {
		d.end()
		d.tx = e.Tx
	}
	here := sameName(e.Table, d.table)
	ours := here && e.has(e.Key, d.key)
	switch {
	case e.Operation == "gap":
		d.row, d.gap = nil, e.Gap
	case e.Operation == "delete" && (ours || d.all):
		row := &deleted{entry: e}
		var err error
		if row.values, err = members(e.Before); err != nil {
			return fmt.Errorf("entry %d: %w: %w", e.Sequence, err, ErrCorrupt)
		}
		if !ours {
			d.also = append(d.also, row)
			return nil
		}
		if len(row.values) == 0 { // before=off: what earlier entries say
			row.values = d.row
		}
		d.here, d.row = row, nil
	case here && (ours || e.has(e.newKey(), d.key)):
		return d.follow(e)
	}
	return nil
}

// follow keeps the row as the log tells of it from its insertion on: that is
// needed where a deletion does not say what was deleted.
func (d *deletion) follow(e *LogEntry) error {
	data, err := members(e.Data)
	if err != nil {
		return fmt.Errorf("entry %d: %w: %w", e.Sequence, err, ErrCorrupt)
	}
	switch {
	case e.Operation == "insert":
		d.row = data
	case e.has(e.newKey(), d.key) && e.has(e.Key, d.key) && d.row != nil:
		maps.Copy(d.row, data)
	default:
		d.row = nil // came from another key, or went to one
	}
	return nil
}

// end is the end of a transaction, and of the log.
func (d *deletion) end() {
	if d.here != nil {
		d.found, d.with, d.gap = d.here, d.also, nil
	}
	d.here, d.also = nil, nil
}

// unknown is the error for a row that the log has not got whole.
func (r *deleted) unknown() error {
	return fmt.Errorf("the log of table %s does not say what was deleted at %d: restore to %d (drift restore --to %d) and copy the row: %w",
		r.entry.Table, r.entry.Sequence, r.entry.Sequence-1, r.entry.Sequence-1, ErrNoPoint)
}

// bound are the columns and values of a row, to be bound.
type bound struct {
	columns []string
	values  []driver.Value
}
