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
// holds its old value or already the new one.
func (s *statements) relaxed(ctx context.Context, l *Layout, u *lateChange) (change, error) {
	s.updateHead(l, u.columns)
	s.where(l.Key)
	n := len(u.columns)
	args := slices.Clone(u.args[:n+len(l.Key)])
	for i, c := range u.columns {
		s.sql.WriteString(" AND (")
		s.is(l.Columns[c])
		s.sql.WriteString(" OR ")
		s.is(l.Columns[c])
		s.sql.WriteString(")")
		args = append(args, u.args[n+len(l.Key)+i], u.args[i])
	}
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

// The statements have OR REPLACE: a REPLACE in the source removed rows without
// a log entry if the program that ran it had not set recursive_triggers.

func (s *statements) insertSQL(l *Layout) string {
	s.sql.Reset()
	s.sql.WriteString("INSERT OR REPLACE INTO ")
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
	return s.sql.String()
}

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
	s.sql.Reset()
	s.sql.WriteString("DELETE FROM ")
	s.sql.WriteString(quoteIdent(l.Name))
	s.where(l.Key)
	if old {
		for _, c := range l.Columns {
			s.and(c)
		}
	}
	return s.sql.String()
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
