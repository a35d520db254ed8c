package orm

import (
	"database/sql/driver"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

// RowScanner is a struct with the directive //drift:row: generated code reads it
// without reflection.
type RowScanner interface {
	RowColumns() []string
	ScanRow(r *Row)
}

// rowReader reads rows of a query into RowScanners.
type rowReader struct {
	table  *schema.Table // named as the Go type, for errors
	places []int         // for each column of the type, its place in the result
	values []driver.Value
}

// newRowReader matches the columns of a result with those of the type: each has
// to be in the other.
func newRowReader(name reflect.Type, want, have []string) (*rowReader, error) {
	r := &rowReader{table: &schema.Table{Name: name.String()}, values: make([]driver.Value, len(want))}
	for _, w := range want {
		i := slices.IndexFunc(have, func(h string) bool { return strings.EqualFold(h, w) })
		if i < 0 {
			return nil, fmt.Errorf("the query has no column %s for a %s: name it with AS", w, name)
		}
		r.places = append(r.places, i)
		r.table.Columns = append(r.table.Columns, schema.Column{Name: w})
	}
	for i, h := range have {
		if !slices.ContainsFunc(want, func(w string) bool { return strings.EqualFold(w, h) }) {
			return nil, fmt.Errorf("%s has no field for column %s of the query: name it with AS, or add a field", name, h)
		}
		if slices.ContainsFunc(have[:i], func(before string) bool { return strings.EqualFold(before, h) }) {
			return nil, fmt.Errorf("the query returns column %s twice: name one with AS", h)
		}
	}
	return r, nil
}

func (r *rowReader) read(into RowScanner, values []driver.Value) error {
	for i, p := range r.places {
		r.values[i] = values[p]
	}
	row := Row{values: r.values, table: r.table}
	into.ScanRow(&row)
	return row.err
}
