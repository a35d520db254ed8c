package changelog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// SchemaEntry is the content of a schema entry: DDL that ran in its
// transaction, and the layout of the drift tables after it. It is the first
// entry of its transaction.
type SchemaEntry struct {
	Version int      `json:"version"` // of the application's schema; 0: made by Open
	Name    string   `json:"name"`    // of the migration; "open": made by Open
	SQL     []string `json:"sql"`     // one statement each, in the order they ran
	Tables  []Layout `json:"tables"`  // every drift table
}

// Layout is what the log records of a table: its logged columns in order of
// definition, and its primary key.
type Layout struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
	Key     []string `json:"key"`
}

// JSON returns the entry as it stands in the log, for SchemaSQL.
func (e SchemaEntry) JSON() (string, error) {
	if e.SQL == nil {
		e.SQL = []string{}
	}
	tables := make([]Layout, len(e.Tables))
	for i, t := range e.Tables {
		if t.Columns == nil {
			t.Columns = []string{}
		}
		if t.Key == nil {
			t.Key = []string{}
		}
		tables[i] = t
	}
	e.Tables = tables
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // DDL is full of < and >
	if err := enc.Encode(e); err != nil {
		return "", fmt.Errorf("encode schema entry: %w", err)
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// ParseSchemaEntry reads what JSON wrote. Unknown members are refused.
func ParseSchemaEntry(b []byte) (SchemaEntry, error) {
	var e SchemaEntry
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		return SchemaEntry{}, fmt.Errorf("schema entry: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return SchemaEntry{}, errors.New("schema entry: something follows the object")
	}
	return e, nil
}
