package changelog

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
)

var (
	// ErrLogGap says that rows of the log are missing where the next batch
	// begins: they were pruned or deleted, or the file is not the one whose
	// batches were sealed.
	ErrLogGap = errors.New("the change log has a gap")
	// ErrTables is something in the tables of the log that this package does not
	// write there.
	ErrTables = errors.New("the tables of the change log were changed by something else")
	// ErrLogRow is a row of the log that no trigger of ours writes.
	ErrLogRow = errors.New("the change log has a row that cannot be read")
)

// Op is what a log row records.
type Op byte

// The operations. Their value is the letter that stands in a batch.
const (
	Insert Op = 'i'
	Update Op = 'u'
	Delete Op = 'd'
	Schema Op = 's'
	Mark   Op = 'm'
)

// Row is one row of _driftdb_log.
type Row struct {
	Sequence int64
	Time     int64 // Unix milliseconds
	Op       Op
	Table    string
	Key      string // JSON objects as they stand in the log, "" for NULL
	Data     string
	Before   string
}

// Rows yields the log rows after the sequence after up to and including to
// (0: all) that conn sees. The caller holds a read transaction on conn, so that
// the last row is a transaction boundary. A missing sequence is ErrLogGap; the
// error is the last thing yielded. conn must not be used inside the loop.
func Rows(ctx context.Context, conn *sql.Conn, after, to int64) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		if to == 0 {
			to = math.MaxInt64
		}
		more := true
		err := conn.Raw(func(dc any) error {
			return eachRow(ctx, dc, after, to, func(r Row) bool {
				more = yield(r, nil)
				return more
			})
		})
		if err != nil && more {
			yield(Row{}, fmt.Errorf("read the change log: %w", err))
		}
	}
}

// rowsSQL has the operation as the letter that stands in a batch: a small
// integer costs no allocation.
const rowsSQL = `SELECT sequence, timestamp,
	CASE operation WHEN 'insert' THEN 105 WHEN 'update' THEN 117 WHEN 'delete' THEN 100 WHEN 'schema' THEN 115 WHEN 'mark' THEN 109 END,
	"table", key, data, before
FROM _driftdb_log WHERE sequence > ?1 AND sequence <= ?2 ORDER BY sequence`

// eachRow reads on the driver's connection: database/sql would copy every value
// twice.
func eachRow(ctx context.Context, dc any, after, to int64, yield func(Row) bool) (err error) {
	c, ok := dc.(driver.QueryerContext)
	if !ok {
		return errDriver
	}
	rows, err := c.QueryContext(ctx, rowsSQL, named([]driver.Value{after, to}))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	v := make([]driver.Value, 7)
	for next := after + 1; ; next++ {
		if err := rows.Next(v); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		r, ok := rowOf(v)
		if !ok {
			return fmt.Errorf("row %v: %w", v[0], ErrLogRow)
		}
		if r.Sequence != next {
			return fmt.Errorf("row %d where %d is next: %w", r.Sequence, next, ErrLogGap)
		}
		if !yield(r) {
			return nil
		}
	}
}

func rowOf(v []driver.Value) (r Row, ok bool) {
	if r.Sequence, ok = v[0].(int64); !ok {
		return r, false
	}
	if r.Time, ok = v[1].(int64); !ok || r.Time > maxTime || r.Time < -maxTime {
		return r, false
	}
	op, ok := v[2].(int64)
	if !ok {
		return r, false
	}
	r.Op = Op(op)
	texts := [...]*string{&r.Table, &r.Key, &r.Data, &r.Before}
	for i, t := range v[3:] {
		if t == nil {
			continue
		}
		if *texts[i], ok = text(t); !ok {
			return r, false
		}
	}
	return r, true
}

// maxTime bounds timestamps, so that differences of two never overflow.
const maxTime = 1 << 53

// String returns the operation as it stands in the log.
func (o Op) String() string {
	switch o {
	case Insert:
		return "insert"
	case Update:
		return "update"
	case Delete:
		return "delete"
	case Schema:
		return "schema"
	case Mark:
		return "mark"
	}
	return "unknown"
}
