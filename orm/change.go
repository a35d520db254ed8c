package orm

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"
)

// Op is what a change did to a row.
type Op uint8

// The operations of changes.
const (
	OpInsert Op = iota + 1
	OpUpdate
	OpDelete
)

func (op Op) String() string {
	switch op {
	case OpInsert:
		return "insert"
	case OpUpdate:
		return "update"
	case OpDelete:
		return "delete"
	}
	return "unknown"
}

// Change is one committed change of one row, whoever made it: generated code,
// raw SQL, a cascade, another process.
type Change[M any] struct {
	Seq  Position  // where it stands in the change log; reading goes on after it
	Tx   int64     // the same for all changes of one transaction; other programs' transactions may share one with those that follow
	At   time.Time // when it was made, in UTC, to the millisecond
	Node string    // which node made it, where the source knows; "" for a local file
	Op   Op

	// Old is the row before, nil for an insert; New the row after, nil for a
	// delete. They are whole rows; columns that the log leaves out (nolog, and
	// generated ones) are zero.
	Old, New *M

	// Unknown are the columns, by their names in the table, that are zero in Old
	// and New because nothing tells their values any more: a program without our
	// settings replaced the row, which leaves no entry, and the log was pruned
	// up to there. Else it is nil.
	Unknown []string

	columns []string // that an update changed
}

// change is a Change without its type.
type change struct {
	seq      Position
	tx       int64
	at       time.Time
	node     string
	op       Op
	old, new any // nil for none
	unknown  []string
	columns  []string
	err      error // why the rows cannot be read; old and new are nil then
}

func changeOf[M any](c *change) Change[M] {
	return Change[M]{
		Seq: c.seq, Tx: c.tx, At: c.at, Node: c.node, Op: c.op,
		Old: rowOf[M](c.old), New: rowOf[M](c.new), Unknown: c.unknown, columns: c.columns,
	}
}

// Has says whether the change gave the column another value. Every column of an
// insert or delete has.
func (c Change[M]) Has(col Column[M]) bool {
	return col != nil && (c.Op != OpUpdate || slices.Contains(c.columns, col.ref().name))
}

// ChangeSource is where changes can be read: a *DB.
type ChangeSource interface {
	Reader
	feed() *feed
}

var _ ChangeSource = (*DB)(nil)

// Changes yields the changes of the table that were committed after since, in
// the order in which they were made, up to now. The zero Position is the oldest
// that the log still has.
//
// A reader that stores the Seq of the last change it has worked off, and begins
// there the next time, sees every change at least once: those that were worked
// off and not stored come again. When the log does not reach back to since, or
// since belongs to another history (the file was restored or put back), the
// error is ErrCursorLost and nothing is yielded. The loop may write to the
// database.
//
// A row that the model cannot hold, which only SQL of your own can have written,
// comes as an error beside a change that has its Seq, Op and Tx and no rows; a
// loop that goes on gets the changes behind it.
func (t Table[M, K]) Changes(ctx context.Context, src ChangeSource, since Position) iter.Seq2[Change[M], error] {
	return func(yield func(Change[M], error) bool) {
		err := t.m.ready(src)
		if err == nil {
			err = t.m.changes(ctx, src, since, 0, func(c *change) bool { return yield(changeOf[M](c), t.m.wrap("read changes", c.err)) })
		}
		if err != nil {
			yield(Change[M]{}, t.m.wrap("read changes", err))
		}
	}
}

// Follow yields the changes of the table that were committed after since, and
// goes on with those that are committed from then on, by whatever process. It
// ends with ctx, whose error is yielded last, or when the loop does. In all else
// it is like Changes.
func (t Table[M, K]) Follow(ctx context.Context, src ChangeSource, since Position) iter.Seq2[Change[M], error] {
	return func(yield func(Change[M], error) bool) {
		err := t.m.ready(src)
		if err == nil {
			err = t.m.follow(ctx, src, since, func(c *change) bool { return yield(changeOf[M](c), t.m.wrap("follow changes", c.err)) })
		}
		if err != nil && !errors.Is(err, errBreak) {
			yield(Change[M]{}, t.m.wrap("follow changes", err))
		}
	}
}

// History yields the changes of one row that the log still has, the oldest
// first: those of the row that has the primary key now, or had it last, also
// from when its key was another one. When a row was deleted and the key used
// again, those of the deleted row come before. It begins behind the last
// migration that rebuilt the table or renamed a column of it.
func (t Table[M, K]) History(ctx context.Context, src ChangeSource, key K) iter.Seq2[Change[M], error] {
	return func(yield func(Change[M], error) bool) {
		err := t.m.ready(src)
		if err == nil {
			var a Args
			t.arg(&a, key)
			var found []change
			if err = a.err; err == nil {
				found, err = t.m.history(ctx, src, t.m.keyText(a.values))
			}
			for i := range found {
				if !yield(changeOf[M](&found[i]), t.m.wrap("read the history", found[i].err)) {
					return
				}
			}
		}
		if err != nil {
			yield(Change[M]{}, t.m.wrap("read the history", err))
		}
	}
}

// OnChange calls fn for every change of the table that is committed from now
// on, in order, until stop is called or the DB is closed. All listeners of a DB
// are called one after the other by one goroutine, which Close waits for: a
// slow one delays the others, and none of them the writers. ctx ends when the DB
// is closed.
//
// When fn returns an error it is logged, and fn is called again with the same
// change after a while; later changes of this table wait for it. A listener that
// fails for so long that the log is pruned goes on with what comes then, and the
// loss is logged. A change whose rows the model cannot hold, which only SQL of
// your own can have written, is logged and left out. A panic is not recovered. What was not worked off when the DB is
// closed is not remembered: Changes is for those who must see everything. fn may
// use the DB and call stop, and must not close the DB, which would wait for it.
//
// After stop has returned no further call begins; one that has begun may still be
// running.
func (t Table[M, K]) OnChange(src ChangeSource, fn func(context.Context, Change[M]) error) (stop func()) {
	if t.m.ready(src) != nil || fn == nil {
		return func() {}
	}
	return t.m.onChange(src, func(ctx context.Context, c *change) error { return fn(ctx, changeOf[M](c)) })
}

func (m *model) onChange(src ChangeSource, fn func(context.Context, *change) error) (stop func()) {
	return src.feed().listen(m.schema.Name, func(ctx context.Context, stopped func() bool, at *Position, to int64) error {
		var failed error
		err := m.changes(ctx, src, *at, to, func(c *change) bool {
			if stopped() {
				return false
			}
			if c.err != nil { // calling again would not help
				src.base().o.Logger.ErrorContext(ctx, "a change cannot be read and is left out for a listener", "table", m.schema.Name, "sequence", c.seq.Sequence, "error", c.err)
			} else if failed = fn(ctx, c); failed != nil {
				return false
			}
			at.Sequence = c.seq.Sequence
			return ctx.Err() == nil
		})
		if failed != nil {
			return failed
		}
		return err
	})
}
