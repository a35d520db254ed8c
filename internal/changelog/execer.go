package changelog

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
)

// Execer runs statements on one connection, inside the transaction that is
// open there, if any.
type Execer interface {
	// Exec runs query, which may be several statements.
	Exec(ctx context.Context, query string, args ...driver.Value) error
	// QueryRow returns the first row of the result, nil if it has none.
	// TEXT comes as string or []byte.
	QueryRow(ctx context.Context, query string, args ...driver.Value) ([]driver.Value, error)
}

// SQL is an Execer on a connection of database/sql.
func SQL(c *sql.Conn) Execer { return sqlExecer{c} }

// Driver is an Execer on a driver's connection that implements
// driver.ExecerContext and driver.QueryerContext.
func Driver(c driver.Conn) Execer { return driverExecer{c} }

type sqlExecer struct{ c *sql.Conn }

// Exec implements Execer.
func (x sqlExecer) Exec(ctx context.Context, query string, args ...driver.Value) error {
	return x.c.Raw(func(dc any) error { return driverExecer{dc}.Exec(ctx, query, args...) })
}

// QueryRow implements Execer.
func (x sqlExecer) QueryRow(ctx context.Context, query string, args ...driver.Value) (row []driver.Value, err error) {
	err = x.c.Raw(func(dc any) error {
		row, err = driverExecer{dc}.QueryRow(ctx, query, args...)
		return err
	})
	return row, err
}

type driverExecer struct{ c any }

var errDriver = errors.New("the driver's connection has no ExecerContext or QueryerContext")

// Exec implements Execer.
func (x driverExecer) Exec(ctx context.Context, query string, args ...driver.Value) error {
	c, ok := x.c.(driver.ExecerContext)
	if !ok {
		return errDriver
	}
	_, err := c.ExecContext(ctx, query, named(args))
	return err
}

// QueryRow implements Execer.
func (x driverExecer) QueryRow(ctx context.Context, query string, args ...driver.Value) (row []driver.Value, err error) {
	c, ok := x.c.(driver.QueryerContext)
	if !ok {
		return nil, errDriver
	}
	rows, err := c.QueryContext(ctx, query, named(args))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row = make([]driver.Value, len(rows.Columns()))
	if err := rows.Next(row); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, err
	}
	return row, nil
}

func named(args []driver.Value) []driver.NamedValue {
	nv := make([]driver.NamedValue, len(args))
	for i, a := range args {
		nv[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	return nv
}

// one returns the single value of a one-row, one-column query, nil for no row.
func one(ctx context.Context, x Execer, query string, args ...driver.Value) (driver.Value, error) {
	row, err := x.QueryRow(ctx, query, args...)
	if err != nil || row == nil {
		return nil, err
	}
	return row[0], nil
}

// oneInt is one for an integer; NULL and no row are 0.
func oneInt(ctx context.Context, x Execer, query string, args ...driver.Value) (int64, error) {
	v, err := one(ctx, x, query, args...)
	if err != nil || v == nil {
		return 0, err
	}
	n, ok := v.(int64)
	if !ok {
		return 0, fmt.Errorf("an integer was expected, %T is stored", v)
	}
	return n, nil
}

// text returns a TEXT value as a string.
func text(v driver.Value) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	}
	return "", false
}
