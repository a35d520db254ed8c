package orm

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// errBreak says that a loop's body ended it.
var errBreak = errors.New("break")

// runRows runs a query and calls fn for every row. A break inside fn must not
// be followed by another call of a yield function, so cleaning up loses no
// error but those of closing after a break.
func runRows(ctx context.Context, r Reader, loop bool, t *text, fn func(*rows) error) (err error) {
	if t.err != nil {
		return t.err
	}
	c, release, err := r.reader(ctx, loop)
	if err != nil {
		return err
	}
	defer func() { err = keep(err, release()) }()
	rs, err := c.query(ctx, t.String(), t.args)
	if err != nil {
		return err
	}
	defer func() { err = keep(err, rs.close()) }()
	if columns := rs.dr.Columns(); t.head != nil && len(columns) > 0 { // none: not a query
		if err := t.head(columns); err != nil {
			return err
		}
	}
	for {
		ok, err := rs.next()
		if err != nil || !ok {
			return err
		}
		if err := fn(rs); err != nil {
			return err
		}
	}
}

// keep joins two errors, but a break stays the only one.
func keep(err, after error) error {
	if errors.Is(err, errBreak) {
		return err
	}
	return also(err, after)
}

// number runs a query of one integer.
func (m *model) number(ctx context.Context, r Reader, what string, t *text) (n int64, err error) {
	err = runRows(ctx, r, false, t, func(rs *rows) error {
		var ok bool
		if n, ok = rs.dest[0].(int64); !ok {
			return errors.New("not an integer: " + strconv.Quote(fmt.Sprintf("%T", rs.dest[0])))
		}
		return nil
	})
	return n, m.wrap(what, err)
}
