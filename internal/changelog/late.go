package changelog

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"
)

// change is an entry bound to its statement.
type change struct {
	stmt driver.Stmt
	args []driver.NamedValue
}

// run executes the change. It reports false if no row was there as the entry
// describes it.
func (c change) run(ctx context.Context) (bool, error) {
	s, ok := c.stmt.(driver.StmtExecContext)
	if !ok {
		return false, errDriver
	}
	res, err := s.ExecContext(ctx, c.args)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrReplay, err)
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// late holds the updates and deletes of a transaction that found no row as they
// describe it. The log's order is that in which our triggers fired: what a
// cascade, or a trigger of the application that was made after ours, does to
// the very row that is being changed stands before the change that set it off.
// Such a change fits once the other one was applied.
type late struct {
	tables  map[string]*lateTable
	n       int
	dropped int64 // changes that fitted at no time
}

type lateTable struct {
	layout *Layout // one that has the key
	keys   map[string][]*lateChange
}

type lateChange struct {
	change
	layout  *Layout
	columns []int // updates with old values
}

// add keeps a change for later.
func (p *late) add(l *Layout, e *Entry, c change) {
	if p.tables == nil {
		p.tables = map[string]*lateTable{}
	}
	t := p.tables[l.Name]
	if t == nil {
		t = &lateTable{layout: l, keys: map[string][]*lateChange{}}
		p.tables[l.Name] = t
	}
	u := &lateChange{change: change{stmt: c.stmt, args: slices.Clone(c.args)}, layout: l}
	if e.Op == Update && len(e.Old) > 0 {
		u.columns = slices.Clone(e.Columns)
	}
	k := strings.Join(e.Key, ",")
	t.keys[k] = append(t.keys[k], u)
	p.n++
}

// retry runs the changes of the row that e left behind, newest first.
func (p *late) retry(ctx context.Context, l *Layout, e *Entry) error {
	t := p.tables[l.Name]
	if t == nil || e.Op == Delete {
		return nil
	}
	key := make([]string, 0, len(t.layout.Key))
	for i, name := range t.layout.Key {
		switch at := slices.Index(l.Columns, name); {
		case e.Op == Insert && at >= 0:
			key = append(key, e.New[at])
		case e.Op == Update && slices.Contains(e.Columns, at):
			key = append(key, e.New[slices.Index(e.Columns, at)])
		case e.Op == Update && i < len(e.Key):
			key = append(key, e.Key[i])
		}
	}
	return p.fit(ctx, t, strings.Join(key, ","))
}

// fit runs the changes of a key, newest first, until none fits.
func (p *late) fit(ctx context.Context, t *lateTable, key string) error {
	for {
		list := t.keys[key]
		found := -1
		for i := len(list) - 1; i >= 0 && found < 0; i-- {
			hit, err := list[i].run(ctx)
			if err != nil {
				return err
			}
			if hit {
				found = i
			}
		}
		if found < 0 {
			return nil
		}
		t.keys[key] = slices.Delete(list, found, found+1)
		p.n--
	}
}

// settle is the end of a transaction. A BEFORE trigger of the application that
// changes the row itself leaves our trigger with old values that are too old;
// such an update is applied over what is there. The others were overtaken by a
// change within the transaction: they are dropped.
func (p *late) settle(ctx context.Context, s *statements) error {
	if p.n == 0 {
		return nil
	}
	for _, t := range p.tables {
		for key, list := range t.keys {
			for i := 0; i < len(list); {
				if list[i].columns == nil {
					i++
					continue
				}
				c, err := s.relaxed(ctx, list[i].layout, list[i])
				if err != nil {
					return err
				}
				hit, err := c.run(ctx)
				if err != nil {
					return err
				}
				if !hit {
					i++
					continue
				}
				t.keys[key] = slices.Delete(list, i, i+1)
				p.n--
				if err := p.fit(ctx, t, key); err != nil {
					return err
				}
				list, i = t.keys[key], 0
			}
		}
	}
	p.dropped += int64(p.n)
	p.n = 0
	clear(p.tables)
	return nil
}
