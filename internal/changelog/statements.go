package changelog

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxStatements bounds the cache: updates of any set of columns have each
// their own.
const maxStatements = 256

// statements prepares what the entries of a batch need. It is used on the
// driver's connection.
type statements struct {
	conn   any
	bySQL  map[string]driver.Stmt
	tables []tableStatements // of the current document
	args   []driver.NamedValue
	sql    strings.Builder
	key    []byte
}

// tableStatements are those of one element of a batch's tables.
type tableStatements struct {
	insert  driver.Stmt
	delete  [2]driver.Stmt // without and with old values
	updates map[string]driver.Stmt
}

// use begins a document.
func (s *statements) use(d *Document) {
	s.tables = slices.Grow(s.tables[:0], len(d.Tables))[:len(d.Tables)]
	clear(s.tables)
}

// change binds an entry.
func (s *statements) change(ctx context.Context, d *Document, e *Entry) (change, error) {
	stmt, err := s.statement(ctx, d, e)
	if err != nil {
		return change{}, err
	}
	s.args = s.args[:0]
	for _, tokens := range [][]string{e.New, e.Key, e.Old} {
		for _, t := range tokens {
			v, err := value(t)
			if err != nil {
				return change{}, err
			}
			s.args = append(s.args, driver.NamedValue{Ordinal: len(s.args) + 1, Value: v})
		}
	}
	return change{stmt: stmt, args: s.args}, nil
}

// relaxed makes of an update one that finds its row if every changed column
// holds its old value or already the new one; of anything else nothing.
func (s *statements) relaxed(ctx context.Context, u *lateChange) (change, error) {
	if u.op != Update || !u.old {
		return change{}, nil
	}
	s.updateHead(u.layout, u.columns)
	s.where(u.layout.Key)
	n := len(u.columns)
	args := slices.Clone(u.args[:n+len(u.layout.Key)])
	for i, c := range u.columns {
		s.sql.WriteString(" AND (")
		s.is(u.layout.Columns[c])
		s.sql.WriteString(" OR ")
		s.is(u.layout.Columns[c])
		s.sql.WriteString(")")
		args = append(args, u.args[n+len(u.layout.Key)+i], u.args[i])
	}
	return s.bound(ctx, args)
}

// forced makes of an update or a delete one that finds its row by the key alone; of
// an insert nothing.
func (s *statements) forced(ctx context.Context, u *lateChange) (change, error) {
	switch {
	case u.op == Insert || !u.old:
		return change{}, nil
	case u.op == Delete:
		s.deleteHead(u.layout)
	default:
		s.updateHead(u.layout, u.columns)
	}
	s.where(u.layout.Key)
	return s.bound(ctx, slices.Clone(u.args[:len(u.columns)+len(u.layout.Key)]))
}

// replacing makes of an insert one that takes the place of what is there; of
// anything else nothing.
func (s *statements) replacing(ctx context.Context, u *lateChange) (change, error) {
	if u.op != Insert {
		return change{}, nil
	}
	s.insertHead(u.layout, "INSERT OR REPLACE")
	return s.bound(ctx, slices.Clone(u.args))
}

// standing makes of a delete a change of nothing, which hits if the row is there as
// the delete describes it.
func (s *statements) standing(ctx context.Context, d *Document, e *Entry) (change, error) {
	c, err := s.change(ctx, d, e)
	if err != nil {
		return change{}, err
	}
	l := &d.Tables[e.Table]
	s.sql.Reset()
	s.sql.WriteString("UPDATE ")
	s.sql.WriteString(quoteIdent(l.Name))
	s.sql.WriteString(" SET ")
	s.sql.WriteString(quoteIdent(l.Key[0]))
	s.sql.WriteString(" = ")
	s.sql.WriteString(quoteIdent(l.Key[0]))
	s.where(l.Key)
	if len(e.Old) > 0 {
		for _, column := range l.Columns {
			s.and(column)
		}
	}
	return s.bound(ctx, c.args)
}

// bound prepares what s.sql holds.
func (s *statements) bound(ctx context.Context, args []driver.NamedValue) (change, error) {
	for i := range args {
		args[i].Ordinal = i + 1
	}
	stmt, err := s.prepare(ctx, s.sql.String())
	return change{stmt: stmt, args: args}, err
}

func (s *statements) statement(ctx context.Context, d *Document, e *Entry) (driver.Stmt, error) {
	l, t := &d.Tables[e.Table], &s.tables[e.Table]
	switch e.Op {
	case Insert:
		if t.insert == nil {
			stmt, err := s.prepare(ctx, s.insertSQL(l))
			if err != nil {
				return nil, err
			}
			t.insert = stmt
		}
		return t.insert, nil
	case Delete:
		old := min(len(e.Old), 1)
		if t.delete[old] == nil {
			stmt, err := s.prepare(ctx, s.deleteSQL(l, old == 1))
			if err != nil {
				return nil, err
			}
			t.delete[old] = stmt
		}
		return t.delete[old], nil
	default:
		return s.update(ctx, l, t, e)
	}
}

// update returns the statement for one set of columns.
func (s *statements) update(ctx context.Context, l *Layout, t *tableStatements, e *Entry) (driver.Stmt, error) {
	s.key = append(s.key[:0], byte(min(len(e.Old), 1)))
	for _, c := range e.Columns {
		s.key = binary.BigEndian.AppendUint32(s.key, uint32(c))
	}
	if stmt := t.updates[string(s.key)]; stmt != nil {
		return stmt, nil
	}
	stmt, err := s.prepare(ctx, s.updateSQL(l, e))
	if err != nil {
		return nil, err
	}
	if t.updates == nil {
		t.updates = map[string]driver.Stmt{}
	}
	t.updates[string(s.key)] = stmt
	return stmt, nil
}

// prepare returns the statement for query, from the cache if it is there.
func (s *statements) prepare(ctx context.Context, query string) (driver.Stmt, error) {
	if stmt := s.bySQL[query]; stmt != nil {
		return stmt, nil
	}
	c, ok := s.conn.(driver.ConnPrepareContext)
	if !ok {
		return nil, errDriver
	}
	stmt, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReplay, err)
	}
	if s.bySQL == nil {
		s.bySQL = map[string]driver.Stmt{}
	}
	s.bySQL[query] = stmt
	return stmt, nil
}

// trim empties a cache that has grown too large. Nothing may hold a change.
func (s *statements) trim() error {
	if len(s.bySQL) <= maxStatements {
		return nil
	}
	return s.close()
}

func (s *statements) close() error {
	var errs []error
	for _, stmt := range s.bySQL {
		errs = append(errs, stmt.Close())
	}
	clear(s.bySQL)
	clear(s.tables)
	return errors.Join(errs...)
}

// insertSQL is an insert that does nothing where its place is taken.
func (s *statements) insertSQL(l *Layout) string {
	s.insertHead(l, "INSERT")
	s.sql.WriteString(" ON CONFLICT DO NOTHING")
	return s.sql.String()
}

func (s *statements) insertHead(l *Layout, verb string) {
	s.sql.Reset()
	s.sql.WriteString(verb)
	s.sql.WriteString(" INTO ")
	s.sql.WriteString(quoteIdent(l.Name))
	s.sql.WriteString(" (")
	for i, c := range l.Columns {
		if i > 0 {
			s.sql.WriteString(", ")
		}
		s.sql.WriteString(quoteIdent(c))
	}
	s.sql.WriteString(") VALUES (?")
	s.sql.WriteString(strings.Repeat(", ?", len(l.Columns)-1))
	s.sql.WriteString(")")
}

// updateSQL has OR REPLACE: an UPDATE OR REPLACE in the source removed rows without
// a log entry if the program that ran it had not set recursive_triggers.
func (s *statements) updateSQL(l *Layout, e *Entry) string {
	s.updateHead(l, e.Columns)
	s.where(l.Key)
	for range min(len(e.Old), 1) {
		for _, c := range e.Columns {
			s.and(l.Columns[c])
		}
	}
	return s.sql.String()
}

func (s *statements) updateHead(l *Layout, columns []int) {
	s.sql.Reset()
	s.sql.WriteString("UPDATE OR REPLACE ")
	s.sql.WriteString(quoteIdent(l.Name))
	s.sql.WriteString(" SET ")
	for i, c := range columns {
		if i > 0 {
			s.sql.WriteString(", ")
		}
		s.sql.WriteString(quoteIdent(l.Columns[c]))
		s.sql.WriteString(" = ?")
	}
}

func (s *statements) deleteSQL(l *Layout, old bool) string {
	s.deleteHead(l)
	s.where(l.Key)
	if old {
		for _, c := range l.Columns {
			s.and(c)
		}
	}
	return s.sql.String()
}

func (s *statements) deleteHead(l *Layout) {
	s.sql.Reset()
	s.sql.WriteString("DELETE FROM ")
	s.sql.WriteString(quoteIdent(l.Name))
}

func (s *statements) where(key []string) {
	for i, c := range key {
		if i == 0 {
			s.sql.WriteString(" WHERE ")
		} else {
			s.sql.WriteString(" AND ")
		}
		s.sql.WriteString(quoteIdent(c))
		s.sql.WriteString(" IS ?")
	}
}

func (s *statements) and(column string) {
	s.sql.WriteString(" AND ")
	s.is(column)
}

// is compares with a logged value, byte for byte.
func (s *statements) is(column string) {
	s.sql.WriteString(quoteIdent(column))
	s.sql.WriteString(" IS ? COLLATE BINARY")
}

func quoteIdent(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
