package orm

import (
	"container/list"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
)

// statements is how many prepared statements one connection keeps.
const statements = 256

// conn is one connection with its prepared statements. One goroutine uses it
// at a time.
type conn struct {
	dc     driver.Conn
	byText map[string]*list.Element // of *stmt
	recent *list.List               // most recently used first
	live   []*rows                  // being read

	impatient bool // its busy timeout is busyPoll

	seen map[string]int // if not nil, query adds its texts here, with the number of their arguments
}

type stmt struct {
	text string
	ds   driver.Stmt
	busy bool // its rows are being read
	n    int  // of its placeholders, negative if the driver cannot say
}

func connect(ctx context.Context, c driver.Connector) (*conn, error) {
	dc, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return newConn(dc), nil
}

func newConn(dc driver.Conn) *conn {
	return &conn{dc: dc, byText: make(map[string]*list.Element), recent: list.New()}
}

func (c *conn) close() error {
	var errs []error
	for e := c.recent.Front(); e != nil; e = e.Next() {
		errs = append(errs, stmtOf(e).ds.Close())
	}
	return errors.Join(append(errs, c.dc.Close())...)
}

func stmtOf(e *list.Element) *stmt {
	s, _ := e.Value.(*stmt) // the list holds nothing else
	return s
}

// prepare returns a statement that nobody reads from: the kept one, or a new
// one. done gives it back.
func (c *conn) prepare(ctx context.Context, text string) (*stmt, error) {
	if e, ok := c.byText[text]; ok {
		s := stmtOf(e)
		if !s.busy {
			c.recent.MoveToFront(e)
			s.busy = true
			return s, nil
		}
	}
	p, ok := c.dc.(driver.ConnPrepareContext)
	if !ok {
		return nil, fmt.Errorf("the driver's %T cannot prepare statements with a context", c.dc)
	}
	ds, err := p.PrepareContext(context.WithoutCancel(ctx), text)
	if err != nil {
		return nil, err
	}
	return &stmt{text: text, ds: ds, busy: true, n: ds.NumInput()}, nil
}

// takes refuses arguments that are too few, which SQLite would take for NULL,
// or too many.
func (s *stmt) takes(args []driver.NamedValue) error {
	if s.n < 0 || s.n == len(args) {
		return nil
	}
	return fmt.Errorf("the SQL has %d placeholders and %d arguments", s.n, len(args))
}

// done gives s back. A statement that is kept already under the same text is
// closed, and so is the least recently used one when there are too many.
func (c *conn) done(s *stmt) error {
	s.busy = false
	if e, ok := c.byText[s.text]; ok {
		if stmtOf(e) == s {
			return nil
		}
		return s.ds.Close()
	}
	c.byText[s.text] = c.recent.PushFront(s)
	if c.recent.Len() <= statements {
		return nil
	}
	for e := c.recent.Back(); e != nil; e = e.Prev() {
		if old := stmtOf(e); !old.busy {
			c.recent.Remove(e)
			delete(c.byText, old.text)
			return old.ds.Close()
		}
	}
	return nil
}

// forget drops a kept statement. EXPLAIN needs that: SQLite compiles statements
// anew when the tables have changed, but lists the program of an EXPLAIN as it
// was.
func (c *conn) forget(text string) error {
	e, ok := c.byText[text]
	if !ok || stmtOf(e).busy {
		return nil
	}
	c.recent.Remove(e)
	delete(c.byText, text)
	return stmtOf(e).ds.Close()
}

// exec runs a statement that returns no rows. Statements of one row do not
// watch the context while they run; they take microseconds.
func (c *conn) exec(ctx context.Context, text string, args []driver.NamedValue) (_ driver.Result, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := c.prepare(ctx, text)
	if err != nil {
		return nil, err
	}
	defer func() { err = also(err, c.done(s)) }()
	if err := s.takes(args); err != nil {
		return nil, err
	}
	x, ok := s.ds.(driver.StmtExecContext)
	if !ok {
		return nil, fmt.Errorf("the driver's %T cannot run statements with a context", s.ds)
	}
	return x.ExecContext(ctx, args)
}

// execLong is exec for a statement that may run for long. SQLite forgets an
// interrupt that comes before the first step of the only running statement, and
// the driver sends no second one: the statement would run on, for ever if need
// be. While another one is running SQLite remembers it.
func (c *conn) execLong(ctx context.Context, text string, args []driver.NamedValue) (_ driver.Result, err error) {
	if ctx.Done() == nil {
		return c.exec(ctx, text, args)
	}
	awake, err := c.query(quiet(ctx), "SELECT 1 UNION ALL SELECT 2", nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = also(err, awake.close()) }()
	if _, err := awake.next(); err != nil {
		return nil, err
	}
	return c.exec(ctx, text, args)
}

// execRaw is execLong for SQL of the application, whose rows, if it has any, are
// read to the end: the driver's exec takes the first step only, and the statement
// would go on running. It returns how many rows were changed.
func (c *conn) execRaw(ctx context.Context, text string, args []driver.NamedValue) (n int64, err error) {
	const counts = "SELECT total_changes(), changes()"
	before, err := c.one(quiet(ctx), counts, nil)
	if err != nil {
		return 0, err
	}
	if ctx.Done() != nil { // see execLong
		awake, err := c.query(quiet(ctx), "SELECT 1 UNION ALL SELECT 2", nil)
		if err != nil {
			return 0, err
		}
		defer func() { err = also(err, awake.close()) }()
		if _, err := awake.next(); err != nil {
			return 0, err
		}
	}
	if err := c.drain(ctx, text, args); err != nil {
		return 0, err
	}
	after, err := c.one(quiet(ctx), counts, nil)
	if err != nil || before[0] == after[0] {
		return 0, err // changes() is that of an earlier statement
	}
	n, _ = after[1].(int64)
	return n, nil
}

// drain runs a statement to its end.
func (c *conn) drain(ctx context.Context, text string, args []driver.NamedValue) (err error) {
	rs, err := c.query(ctx, text, args)
	if err != nil {
		return err
	}
	defer func() { err = also(err, rs.close()) }()
	for {
		if ok, err := rs.next(); err != nil || !ok {
			return err
		}
	}
}

// rows are the rows of a running statement.
type rows struct {
	c    *conn
	s    *stmt
	dr   driver.Rows
	ctx  context.Context //nolint:containedctx // lives as long as the loop over the rows
	dest []driver.Value
	over bool // closed
}

// query starts a statement that returns rows. The caller closes them.
func (c *conn) query(ctx context.Context, text string, args []driver.NamedValue) (*rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := c.prepare(ctx, text)
	if err != nil {
		return nil, err
	}
	if err := s.takes(args); err != nil {
		return nil, also(err, c.done(s))
	}
	if c.seen != nil {
		c.seen[text] = len(args)
	}
	q, ok := s.ds.(driver.StmtQueryContext)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the driver's %T cannot run queries with a context", s.ds), c.done(s))
	}
	dr, err := q.QueryContext(ctx, args)
	if err != nil {
		return nil, errors.Join(err, c.done(s))
	}
	r := &rows{c: c, s: s, dr: dr, ctx: ctx, dest: make([]driver.Value, len(dr.Columns()))}
	c.live = append(c.live, r)
	return r, nil
}

// next reads the next row into r.dest; false at the end.
func (r *rows) next() (bool, error) {
	if r.over {
		return false, ErrTxDone
	}
	if err := r.ctx.Err(); err != nil {
		return false, err
	}
	err := r.dr.Next(r.dest)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err != nil && r.ctx.Err() != nil {
		return false, r.ctx.Err() // interrupted
	}
	return err == nil, err
}

// close ends the reading. A second call does nothing.
func (r *rows) close() error {
	if r.over {
		return nil
	}
	r.over = true
	if i := slices.Index(r.c.live, r); i >= 0 {
		r.c.live = slices.Delete(r.c.live, i, i+1)
	}
	return errors.Join(r.dr.Close(), r.c.done(r.s))
}

// closeRows ends what is still being read when a transaction ends: a loop that
// was pulled by hand would hold its state of the database for ever.
func (c *conn) closeRows() error {
	var errs []error
	for len(c.live) > 0 {
		errs = append(errs, c.live[len(c.live)-1].close())
	}
	return errors.Join(errs...)
}

// open says whether a transaction is open; known is false if the driver cannot
// say.
func (c *conn) open() (yes, known bool) {
	a, ok := c.dc.(interface{ AutoCommit() bool })
	return ok && !a.AutoCommit(), ok
}

// one runs a query of at most one row and copies it; nil for no row.
func (c *conn) one(ctx context.Context, text string, args []driver.NamedValue) (row []driver.Value, err error) {
	r, err := c.query(ctx, text, args)
	if err != nil {
		return nil, err
	}
	defer func() { err = also(err, r.close()) }()
	ok, err := r.next()
	if err != nil || !ok {
		return nil, err
	}
	return append(row, r.dest...), nil
}
