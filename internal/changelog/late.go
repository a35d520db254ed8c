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

// maxLate bounds the changes that wait at one time: beyond it those that are there
// are settled in the middle of a transaction, as they would be at its end.
const maxLate = 10_000

// late holds the changes of a transaction that did not find their row as they
// describe it, or an insert that found its place taken. The log's order is that in
// which our triggers fired: what a cascade, or a trigger of the application that
// was made after ours, does to the very row that is being changed stands before the
// change that set it off. Such a change fits once the other one was applied.
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
	op      Op
	layout  *Layout
	columns []int // that an update sets
	old     bool  // it has old values
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
	u := &lateChange{
		change: change{stmt: c.stmt, args: slices.Clone(c.args)},
		op:     e.Op, layout: l, columns: slices.Clone(e.Columns), old: len(e.Old) > 0,
	}
	k := strings.Join(e.Key, ",")
	if e.Op == Insert {
		k = t.newKey(l, e)
	}
	t.keys[k] = append(t.keys[k], u)
	p.n++
}

// newKey returns the key of the row that e leaves behind.
func (t *lateTable) newKey(l *Layout, e *Entry) string {
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
	return strings.Join(key, ",")
}

// retry runs the changes of the row that e left behind, or of the one that it has
// taken away, in their order.
func (p *late) retry(ctx context.Context, l *Layout, e *Entry) error {
	t := p.tables[l.Name]
	if t == nil {
		return nil
	}
	if e.Op != Insert { // its place is free
		if err := p.fit(ctx, t, strings.Join(e.Key, ",")); err != nil || e.Op == Delete {
			return err
		}
	}
	return p.fit(ctx, t, t.newKey(l, e))
}

// awaits says whether the insert e stands behind a delete of its row that waits:
// the row was gone when it was made.
func (p *late) awaits(l *Layout, e *Entry) bool {
	t := p.tables[l.Name]
	return t != nil && slices.ContainsFunc(t.keys[t.newKey(l, e)], isDelete)
}

func isDelete(u *lateChange) bool { return u.op == Delete }

// fit runs the changes of a key, the oldest that fits first, until none does.
func (p *late) fit(ctx context.Context, t *lateTable, key string) error {
	for i := 0; i < len(t.keys[key]); i++ {
		list := t.keys[key]
		if list[i].op == Insert && slices.ContainsFunc(list[:i], isDelete) {
			continue
		}
		hit, err := list[i].run(ctx)
		if err != nil {
			return err
		}
		if hit {
			p.remove(t, key, i)
			i = -1
		}
	}
	return nil
}

// root runs the newest insert of a key: what stands before it has happened to the
// row that it made. It reports whether its place was free.
func (p *late) root(ctx context.Context, t *lateTable, key string) (hit bool, err error) {
	for i, u := range slices.Backward(t.keys[key]) {
		if u.op != Insert {
			continue
		}
		if hit, err = u.run(ctx); hit {
			p.remove(t, key, i)
		}
		return hit, err
	}
	return false, nil
}

func (p *late) remove(t *lateTable, key string, i int) {
	t.keys[key] = slices.Delete(t.keys[key], i, i+1)
	p.n--
}

// settle is the end of a transaction. A BEFORE trigger of the application that
// changes the row itself leaves our triggers with old values that are too old: such
// an update is applied over what is there, such a delete removes it, in the log's
// order. A REPLACE of a program that had not set recursive_triggers removed rows
// that no entry tells of: its insert takes their place. What finds no row even so
// was overtaken by a change within the transaction, and is dropped.
func (p *late) settle(ctx context.Context, s *statements) error {
	if p.n == 0 {
		return nil
	}
	for _, t := range p.tables {
		for key := range t.keys {
			for more := true; more; {
				if err := p.fit(ctx, t, key); err != nil {
					return err
				}
				var err error
				if more, err = p.root(ctx, t, key); err == nil && !more {
					more, err = p.insist(ctx, s, t, key)
				}
				if err != nil {
					return err
				}
			}
		}
	}
	p.dropped += int64(p.n)
	p.n = 0
	clear(p.tables)
	return nil
}

// insist applies the first change of a key that its row takes in spite of what the
// change describes; best is one whose columns hold their old values or already the
// new ones. It reports whether there was one.
func (p *late) insist(ctx context.Context, s *statements, t *lateTable, key string) (hit bool, err error) {
	for _, less := range []func(context.Context, *lateChange) (change, error){s.relaxed, s.forced, s.replacing} {
		for i, u := range t.keys[key] {
			c, err := less(ctx, u)
			if err != nil {
				return false, err
			}
			if c.stmt == nil {
				continue
			}
			if hit, err = c.run(ctx); err != nil {
				return false, err
			}
			if hit {
				p.remove(t, key, i)
				return true, nil
			}
		}
	}
	return false, nil
}
