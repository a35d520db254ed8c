package replicate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/driftdb/driftdb/internal/changelog"
)

// Moment is a point in the history of a database: a time, a sequence, or a point
// that Mark has named. At most one of them is set. What it includes always ends
// with a transaction.
type Moment struct {
	At       time.Time // everything before the first transaction that is later
	Sequence int64     // every transaction that ends at or before it
	Point    string    // as far as when the point was marked
}

// target returns the end that the moment means. Not set, it is the newest state.
func (w Moment) target(m *manifest) (target, error) {
	return RestoreOptions{At: w.At, Sequence: w.Sequence, Point: w.Point}.target(m)
}

// LogOptions of ReadLog, History and Diff.
type LogOptions struct {
	// From is where reading begins: what follows it is yielded. Defaults to the
	// oldest state that the backup still has.
	From Moment

	// To is where reading ends. Defaults to the newest acknowledged state.
	To Moment

	Retry      Retry        // as in Options
	Encryption Encryption   // as in Options
	Logger     *slog.Logger // defaults to none
}

// LogEntry is an entry of the change log. Key, Data and Before are JSON objects
// from columns to values as section 1.1 of docs/format.md has them, so every
// value is exact. It encodes as JSON.
type LogEntry struct {
	Sequence  int64     `json:"sequence"`
	Tx        int64     `json:"tx"` // the same for all entries of one transaction: its first sequence
	Time      time.Time `json:"time"`
	Node      string    `json:"node"` // that wrote it; empty for a gap
	Epoch     uint32    `json:"epoch"`
	Operation string    `json:"operation"` // insert, update, delete, schema or gap
	Table     string    `json:"table,omitempty"`

	Key    json.RawMessage `json:"key,omitempty"`    // of an update or delete: the primary key before it
	Data   json.RawMessage `json:"data,omitempty"`   // an inserted row, or what an update has set; of schema, the statements
	Before json.RawMessage `json:"before,omitempty"` // a deleted row, or what an update has replaced

	Gap *BackupGap `json:"gap,omitempty"` // of a gap: the points on both sides
}

// When and What are what the generated decoder wants to know of an entry, see
// [github.com/driftdb/driftdb/orm.LogEntry].
func (e *LogEntry) When() (sequence, tx int64, at time.Time, node string) {
	return e.Sequence, e.Tx, e.Time, e.Node
}

// What returns the change: objects are "" where the entry has none.
func (e *LogEntry) What() (table, operation, key, data, before string) {
	return e.Table, e.Operation, string(e.Key), string(e.Data), string(e.Before)
}

// ReadLog yields what the backup of the database called name says has happened
// between two moments, up to what is acknowledged, oldest first and only whole
// transactions. The hash chain is checked on the way: an error comes instead of
// what cannot be trusted. ErrNoPoint: the backup does not reach back so far.
//
// Where changes were dropped before they could be stored (BacklogResnapshot), an
// entry with the operation "gap" stands for them. A moment inside of a gap is
// ErrGap.
func ReadLog(ctx context.Context, name string, store Store, o LogOptions) iter.Seq2[*LogEntry, error] {
	return func(yield func(*LogEntry, error) bool) {
		l, err := openLog(ctx, name, store, o)
		if err == nil {
			err = l.read(ctx, yield)
		}
		if err != nil && !errors.Is(err, errDone) {
			yield(nil, fmt.Errorf("read the log of %q: %w", name, err))
		}
	}
}

type logReader struct {
	r        *restorer
	m        *versioned
	from, to target
	plan     plan
	at       link // of the chain, read
	known    map[int64]hash
	tx       int64 // first sequence of the transaction that comes next
	begun    bool  // what comes now lies behind from
}

func openLog(ctx context.Context, name string, store Store, o LogOptions) (*logReader, error) {
	b, m, filled, err := openBackup(ctx, name, store, ReadOptions{Retry: o.Retry, Encryption: o.Encryption})
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = filled.Logger
	}
	l := &logReader{m: m, r: &restorer{name: name, store: b, retry: filled.Retry, logger: o.Logger, now: filled.Now}}
	if l.to, err = o.To.target(m.manifest); err != nil {
		return nil, err
	}
	points := m.startingPoints()
	if len(points) == 0 {
		return nil, ErrNoRestorePoint
	}
	oldest := points[len(points)-1]
	if o.From == (Moment{}) {
		l.from, l.plan = target{sequence: oldest.start.Sequence, millis: newestState().millis}, oldest
	} else {
		if l.from, err = o.From.target(m.manifest); err != nil {
			return nil, err
		}
		i := slices.IndexFunc(points, func(p plan) bool { return l.from.reaches(p) }) // the newest
		if i < 0 {
			return nil, l.from.tooOld(m.manifest)
		}
		l.plan = points[i]
	}
	l.at, l.tx = l.plan.start, l.plan.start.Sequence+1
	l.plan.to = newestState()
	v := &verifier{m: m}
	l.known = v.anchors()
	return l, nil
}

// read yields the entries, and an entry for each gap on the way.
func (l *logReader) read(ctx context.Context, yield func(*LogEntry, error) bool) error {
	for {
		if err := l.r.retry.do(ctx, func() error { return l.plan.fill(ctx, l.r.store, l.m, false) }); err != nil {
			return err
		}
		err := l.readWay(ctx, yield)
		g, ok := l.m.gapAt(l.plan.end)
		if err != nil || !ok || l.to.low < g.To.Sequence {
			return err
		}
		if !yield(g.entry(), nil) {
			return errDone
		}
		l.plan, l.begun = plan{start: g.To, to: newestState()}, true
		l.at, l.tx = g.To, g.To.Sequence+1
	}
}

// entry is how ReadLog tells of a gap.
func (g gapEntry) entry() *LogEntry {
	first := g.From.Sequence + 1
	b := g.backup()
	return &LogEntry{Sequence: first, Tx: first, Time: b.Time.UTC(), Operation: "gap", Gap: &b}
}

// readWay yields the entries by the way that leads to head, or to the next gap.
func (l *logReader) readWay(ctx context.Context, yield func(*LogEntry, error) bool) error {
	path := l.plan.paths[0]
	if len(l.plan.paths) > 1 {
		// Which is the right one, only its end says.
		right := slices.IndexFunc(l.plan.paths, func(p []objectKey) bool { return l.follow(ctx, p, nil) == nil })
		if right < 0 {
			return fmt.Errorf("no batches lead to the manifest's head: %w", ErrCorrupt)
		}
		path = l.plan.paths[right]
	}
	return l.follow(ctx, path, yield)
}

// follow reads the batches of path and checks them. yield may be nil.
func (l *logReader) follow(ctx context.Context, path []objectKey, yield func(*LogEntry, error) bool) error {
	at := l.at
	var parts []*changelog.Document // of a transaction whose end is not read yet
	b := &build{r: l.r, plan: &l.plan}
	for d, err := range b.documents(ctx, path, at.Sequence) {
		if err != nil {
			return err
		}
		if at, err = checkLink(d, at, l.known); err != nil {
			return err
		}
		if yield == nil {
			continue
		}
		if parts = append(parts, d); d.Part < d.Parts {
			continue
		}
		skip := parts[0].From - 1
		if !l.begun {
			if skip, l.begun, err = whole(l.from, parts); err != nil {
				return err
			}
		}
		end, ended, err := whole(l.to, parts)
		if err != nil {
			return err
		}
		for _, d := range parts {
			if err := l.yield(d, skip, end, yield); err != nil {
				return err
			}
		}
		if parts = parts[:0]; ended {
			return nil
		}
	}
	if err := l.plan.arrived(at); err != nil {
		return err
	}
	if yield == nil || !l.plan.end.is(l.m.Head) {
		return nil
	}
	return l.to.missed(at, false)
}

// whole is target.within for a batch, or all parts of a transaction, the first
// of which may begin with others.
func whole(t target, parts []*changelog.Document) (end int64, ended bool, err error) {
	last := parts[len(parts)-1]
	end, ended, _, err = t.within(last)
	if err != nil || !ended || end >= last.From || len(parts) == 1 {
		return end, ended, err
	}
	end = parts[0].From - 1
	err = parts[0].Boundaries(true, func(b changelog.Boundary) bool {
		if b.Sequence > t.sequence || b.Time > t.millis {
			return false
		}
		end = b.Sequence
		return true
	})
	return end, true, err
}

// yield yields the entries of d that lie beyond skip and not beyond end.
func (l *logReader) yield(d *changelog.Document, skip, end int64, yield func(*LogEntry, error) bool) error {
	for e, err := range d.Entries() {
		if err != nil {
			return fmt.Errorf("batch %d-%d: %w: %w", d.From, d.To, err, ErrCorrupt)
		}
		out := &LogEntry{Sequence: e.Sequence, Tx: l.tx, Time: time.UnixMilli(e.Time).UTC(), Node: d.NodeID, Epoch: d.Epoch}
		if e.Op == changelog.Mark {
			l.tx = e.Sequence + 1
			continue
		}
		if e.Sequence <= skip || e.Sequence > end {
			continue
		}
		if out.fill(d, e); !yield(out, nil) {
			return errDone
		}
	}
	return nil
}

func (e *LogEntry) fill(d *changelog.Document, from *changelog.Entry) {
	if from.Op == changelog.Schema {
		e.Operation, e.Data = "schema", json.RawMessage(from.Schema)
		return
	}
	table := d.Tables[from.Table]
	e.Table = table.Name
	all := func(i int) string { return table.Columns[i] }
	changed := func(i int) string { return table.Columns[from.Columns[i]] }
	if len(from.Key) > 0 {
		e.Key = object(from.Key, func(i int) string { return table.Key[i] })
	}
	switch from.Op {
	case changelog.Insert:
		e.Operation, e.Data = "insert", object(from.New, all)
	case changelog.Update:
		e.Operation, e.Data = "update", object(from.New, changed)
		if len(from.Old) > 0 {
			e.Before = object(from.Old, changed)
		}
	case changelog.Delete:
		e.Operation = "delete"
		if len(from.Old) > 0 {
			e.Before = object(from.Old, all)
		}
	}
}

// object makes a JSON object of tokens.
func object(tokens []string, name func(i int) string) json.RawMessage {
	b := []byte{'{'}
	for i, t := range tokens {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(changelog.AppendString(b, name(i)), ':'), t...)
	}
	return append(b, '}')
}

// History yields the entries about the row of a table that has, or had, the
// key: a JSON object from the columns of the primary key to their values, such as
// {"id":"u1"}. Of a change of the key the entry is yielded under both. An entry
// with the operation "gap" stands for changes that may have been of the row.
func History(ctx context.Context, name string, store Store, table, key string, o LogOptions) iter.Seq2[*LogEntry, error] {
	return func(yield func(*LogEntry, error) bool) {
		want, err := tokens(json.RawMessage(key))
		if err != nil {
			yield(nil, fmt.Errorf("the key is a JSON object from columns to values, as in {\"id\":1}: %w", err))
			return
		}
		for e, err := range ReadLog(ctx, name, store, o) {
			if err != nil {
				yield(nil, err)
				return
			}
			ours := e.Table == table && (e.has(e.Key, want) || e.has(e.newKey(), want))
			if (ours || e.Operation == "gap") && !yield(e, nil) {
				return
			}
		}
	}
}

// newKey is the key after an update; of an insert, the row.
func (e *LogEntry) newKey() json.RawMessage {
	if e.Operation == "insert" {
		return e.Data
	}
	now, err := tokens(e.Key)
	if err != nil || e.Operation != "update" {
		return nil
	}
	set, err := tokens(e.Data)
	if err != nil {
		return nil
	}
	for name := range now {
		if v, ok := set[name]; ok {
			now[name] = v
		}
	}
	return joined(now)
}

func tokens(object json.RawMessage) (map[string]json.RawMessage, error) {
	var m map[string]json.RawMessage
	err := json.Unmarshal(object, &m)
	return m, err
}

// has says whether the values in key are those that are wanted, whatever the
// white space and escapes in which they were written.
func (e *LogEntry) has(key json.RawMessage, want map[string]json.RawMessage) bool {
	got, err := tokens(key)
	if err != nil || len(want) == 0 || e.Operation != "insert" && len(got) != len(want) {
		return false
	}
	for name, v := range want {
		if have, ok := got[name]; !ok || plainToken(have) != plainToken(v) {
			return false
		}
	}
	return true
}

// plainToken is one text for all ways to write a value.
func plainToken(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return "\"" + s
	}
	return strings.Join(strings.Fields(string(v)), "")
}
