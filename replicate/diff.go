package replicate

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// RowDiff is what became of a row between two moments. Old and New are JSON
// objects from columns to values: the whole row where it was inserted or deleted,
// and else the columns that differ. It encodes as JSON.
type RowDiff struct {
	Table     string          `json:"table"`
	Operation string          `json:"operation"`     // insert, update or delete
	Key       json.RawMessage `json:"key,omitempty"` // at the earlier moment; of an insert, at the later, if anything tells which columns are the key
	Old       json.RawMessage `json:"old,omitempty"`
	New       json.RawMessage `json:"new,omitempty"`
}

// Diff returns what the rows of a backup differ in between the moments o.From and
// o.To, by table and key. Rows that were changed and changed back are not among
// them. It needs memory for the rows that were touched. ErrGap: what was dropped
// before it could be stored lies between the two moments.
func Diff(ctx context.Context, name string, store Store, o LogOptions) ([]RowDiff, error) {
	f := folding{rows: map[string]*folded{}, keys: map[string][]string{}, new: map[string][]*folded{}}
	for e, err := range ReadLog(ctx, name, store, o) {
		if err != nil {
			return nil, err
		}
		switch e.Operation {
		case "schema":
			continue
		case "gap":
			return nil, fmt.Errorf("compare two moments of %q: %w", name, e.Gap.err("what lies between them is not known"))
		}
		if err := f.add(e); err != nil {
			return nil, fmt.Errorf("entry %d: %w: %w", e.Sequence, err, ErrCorrupt)
		}
	}
	return f.diffs(), nil
}

type folding struct {
	rows map[string]*folded   // by table and present key, or the key they were deleted under
	keys map[string][]string  // the columns of each table's primary key; an insert does not tell
	new  map[string][]*folded // inserted rows of tables whose key is not known yet
	gone []*folded            // deleted rows whose key another row was given
}

// folded is a row between two moments. Values are JSON tokens.
type folded struct {
	table    string
	key      json.RawMessage
	was, is  bool // it was there before, it is there now
	old, now map[string]json.RawMessage
}

// rowID is the key of a row that has it among its values.
func (f *folding) rowID(table string, values map[string]json.RawMessage) string {
	id := []string{table}
	for _, name := range f.keys[table] {
		id = append(id, name, plainToken(values[name]))
	}
	return strings.Join(id, "\x00")
}

// learn notes the columns of a table's key.
func (f *folding) learn(table string, key map[string]json.RawMessage) {
	if f.keys[table] != nil || len(key) == 0 {
		return
	}
	f.keys[table] = slices.Sorted(maps.Keys(key))
	for _, row := range f.new[table] {
		f.rows[f.rowID(table, row.now)] = row
	}
	delete(f.new, table)
}

func (f *folding) add(e *LogEntry) error {
	key, err := members(e.Key)
	if err != nil {
		return err
	}
	data, err := members(e.Data)
	if err != nil {
		return err
	}
	f.learn(e.Table, key)
	if f.keys[e.Table] == nil {
		f.new[e.Table] = append(f.new[e.Table], &folded{table: e.Table, is: true, now: data})
		return nil
	}
	if e.Operation == "insert" {
		key = data
	}
	id := f.rowID(e.Table, key)
	row := f.rows[id]
	if row == nil {
		row = &folded{table: e.Table, was: e.Operation != "insert", old: map[string]json.RawMessage{}, now: map[string]json.RawMessage{}}
		if row.was {
			row.key = e.Key
		}
	}
	before, err := members(e.Before)
	if err != nil {
		return err
	}
	for name, v := range before {
		if _, known := row.old[name]; !known && row.was {
			if _, set := row.now[name]; !set {
				row.old[name] = v
			}
		}
	}
	delete(f.rows, id)
	row.is = e.Operation != "delete"
	switch e.Operation {
	case "delete":
		row.now = map[string]json.RawMessage{}
	case "insert":
		row.now = data
	case "update":
		maps.Copy(row.now, data)
		maps.Copy(key, data)
		id = f.rowID(e.Table, key)
	}
	if other := f.rows[id]; other != nil {
		f.gone = append(f.gone, other)
	}
	f.rows[id] = row
	return nil
}

func members(b json.RawMessage) (map[string]json.RawMessage, error) {
	if len(b) == 0 {
		return nil, nil
	}
	return tokens(b)
}

func (f *folding) diffs() []RowDiff {
	var all []RowDiff
	rows := append(slices.Collect(maps.Values(f.rows)), f.gone...)
	for _, inserted := range f.new {
		rows = append(rows, inserted...)
	}
	for _, row := range rows {
		d := RowDiff{Table: row.table, Key: row.key}
		switch {
		case !row.was && !row.is:
			continue
		case !row.was:
			d.Operation, d.New = "insert", joined(row.now)
			if key := f.keys[row.table]; key != nil {
				values := make(map[string]json.RawMessage, len(key))
				for _, name := range key {
					values[name] = row.now[name]
				}
				d.Key = joined(values)
			}
		case !row.is:
			d.Operation, d.Old = "delete", joined(row.old)
		default:
			d.Operation = "update"
			maps.DeleteFunc(row.old, func(name string, v json.RawMessage) bool { return plainToken(row.now[name]) == plainToken(v) })
			maps.DeleteFunc(row.now, func(name string, _ json.RawMessage) bool { _, differs := row.old[name]; return !differs })
			if len(row.old) == 0 {
				continue
			}
			d.Old, d.New = joined(row.old), joined(row.now)
		}
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b RowDiff) int {
		if c := strings.Compare(a.Table, b.Table); c != 0 {
			return c
		}
		return strings.Compare(string(a.Key)+string(a.New), string(b.Key)+string(b.New))
	})
	return all
}

func joined(m map[string]json.RawMessage) json.RawMessage {
	names := slices.Sorted(maps.Keys(m))
	values := make([]string, len(names))
	for i, n := range names {
		values[i] = string(m[n])
	}
	return object(values, func(i int) string { return names[i] })
}
