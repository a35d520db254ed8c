package orm

import (
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/driftdb/driftdb/schema"
)

// Gen1 is the type of GenVersion1. It is for generated code.
type Gen1 struct{}

// GenVersion1 is named by generated code: a runtime that is too old for the
// code does not have the name, so the program does not build.
var GenVersion1 = Gen1{} //nolint:gochecknoglobals // a constant cannot be of this type

// Base is embedded by models that want the usual three columns: id, created_at
// and updated_at. Create fills them.
type Base struct {
	ID        string    `drift:"pk,uuid7"`
	CreatedAt time.Time `drift:"created"`
	UpdatedAt time.Time `drift:"updated"`
}

// Def is what generated code tells of a model M whose primary key is a K.
type Def[M, K any] struct {
	Version Gen1
	Schema  *schema.Table

	Select string // SELECT every column FROM the table, in the order of Scan
	Insert string // INSERT of every column that Create writes, in the order of Bind

	ReadOnly   []string // columns that Create does not write, besides generated ones
	CreateOnly []string // columns that only Create writes, besides Created

	Scan    func(*Row, *M)
	Bind    func(*Args, *M)
	BindKey func(*Args, K)

	Fill        func(*Fill, *M) // what Create chooses; nil for nothing
	Omit        func(*M) uint64 // the columns that take their default; nil for none
	OmitCols    []int           // the column of each bit of Omit
	Created     string          // column set by Create only, "" for none
	Updated     string          // column set by every update, "" for none
	UpdatedUnit Unit

	Clone       func(*M) M      // a deep copy; nil where a plain copy is one
	Lock        func(*M) *int64 // the field of the version column; nil for none
	LockCol     string          // the version column, "" for none
	Deleted     string          // the column that a soft delete sets, "" for none
	DeletedUnit Unit

	m *model
}

// Table has the verbs of a model M whose primary key is a K. Generated code
// embeds it in the type of the model's table value.
type Table[M, K any] struct {
	_   [0]func(M, K)
	m   *model
	arg func(*Args, K)
}

// NewTable is called by generated code.
func NewTable[M, K any](d *Def[M, K]) Table[M, K] {
	return Table[M, K]{m: d.model(), arg: d.BindKey}
}

// model is what the runtime knows of a model. It has no type parameter: Go
// compiles generic code anew for every model, so all that works on rows works on
// a row as an any that holds a *M, and on many as an any that holds a *[]M (a
// list). The verbs that users call put the types back.
type model struct {
	rowType
	hooks hookSet

	schema   *schema.Table
	selects  string
	insert   string
	bound    []int    // columns that Bind binds
	fixed    []string // columns that no write of a whole row changes: key, created, create-only
	omitCols []int
	created  string
	updated  string
	unit     Unit
	columns  string // all, quoted, comma separated
	lockCol  string
	deleted  string
	delUnit  Unit
}

// live is the condition that leaves out rows that were soft deleted, nil for a
// model without.
func (m *model) live() *node {
	if m.deleted == "" {
		return nil
	}
	return &node{op: opNull, col: ref{m.schema.Name, m.deleted}, sql: " IS NULL"}
}

// model is the same for a table and its unique keys. Package variables are
// initialised one after the other, so nobody else is here.
func (d *Def[M, K]) model() *model {
	if d.m != nil {
		return d.m
	}
	d.m = &model{
		rowType: rowTypeOf(d), hooks: hooksIn((*M)(nil)),
		schema: d.Schema, selects: d.Select, insert: d.Insert, omitCols: d.OmitCols,
		created: d.Created, updated: d.Updated, unit: d.UpdatedUnit,
		lockCol: d.LockCol, deleted: d.Deleted, delUnit: d.DeletedUnit,
	}
	d.m.prepare(d.ReadOnly, d.CreateOnly)
	return d.m
}

// prepare works out what follows from the rest.
func (m *model) prepare(readOnly, createOnly []string) {
	m.columns = columnList(m.schema)
	for i, c := range m.schema.Columns {
		if c.Generated == "" && !slices.Contains(readOnly, c.Name) {
			m.bound = append(m.bound, i)
		}
	}
	m.fixed = slices.Concat(m.schema.Key, createOnly)
	if m.created != "" {
		m.fixed = append(m.fixed, m.created)
	}
}

func columnList(t *schema.Table) string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = schema.QuoteIdent(c.Name)
	}
	return strings.Join(names, ", ")
}

// ready refuses a table or query that generated code did not make, and a nil
// Reader or Writer.
func (m *model) ready(r Reader) error {
	if m == nil {
		return errNoTable
	}
	return usable(r)
}

// readyFor is ready for a verb that takes a row.
func (m *model) readyFor(w Reader, row any) error {
	if err := m.ready(w); err != nil {
		return err
	}
	if row == nil {
		return errNoRow
	}
	return nil
}

// wrap says what was done to which table.
func (m *model) wrap(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case m == nil:
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s %s: %w", what, m.schema.Name, err)
}

// read makes a row of the current one of a result.
func (m *model) read(values []driver.Value, into any) error {
	r := Row{values: values, table: m.schema}
	m.scan(&r, into)
	return r.err
}

// spread returns a function that puts the values of some columns where Scan
// looks for them. columns are their indexes, nil for all of them.
func (m *model) spread(columns []int) func([]driver.Value) []driver.Value {
	if columns == nil {
		return func(v []driver.Value) []driver.Value { return v }
	}
	all := make([]driver.Value, len(m.schema.Columns))
	for i := range all {
		all[i] = absent{}
	}
	return func(v []driver.Value) []driver.Value {
		for i, c := range columns {
			all[c] = v[i]
		}
		return all
	}
}
