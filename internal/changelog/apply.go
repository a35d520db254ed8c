package changelog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

var (
	// ErrChain is a batch that does not follow what was sealed or applied
	// before it.
	ErrChain = errors.New("the batch does not follow the one before it")
	// ErrReplay is an entry that cannot be applied to the file as it is.
	ErrReplay = errors.New("the change cannot be applied")
)

// ApplyOptions configures an Applier.
type ApplyOptions struct {
	// DDLOnly switches the connection's authorizer on and off: while it is on
	// the connection prepares DDL on anything but _driftdb_* tables and
	// nothing else. It is called before and after each statement of a schema
	// entry.
	DDLOnly func(on bool) error
}

// Applier replays batches into a private file: an empty one or a snapshot's.
// Its statements run in one transaction that Finish commits.
type Applier struct {
	conn     *sql.Conn
	x        Execer
	o        ApplyOptions
	tip      Tip
	triggers []Object // in order of creation; none of them is in the file
	stmts    statements
	late     late
	changes  int64
	migrated migrated // by the newest schema entry of a migration
	detached bool
	over     bool
}

// migrated is how far the schema was migrated, as _driftdb_meta keeps it. What
// it says of the structure beyond that is the file's own: it is read anew.
type migrated struct {
	Version int    `json:"version"`
	Name    string `json:"name"`
}

// NewApplier begins a replay on conn, which has foreign keys off and is used by
// nobody else until Finish or Close. start is the point of the chain that the
// file holds: Tip{Hash: Hash0(db)} for an empty one, otherwise the snapshot's
// (its SchemaVersion is read from the file). The file's triggers are set aside.
func NewApplier(ctx context.Context, conn *sql.Conn, start Tip, o ApplyOptions) (*Applier, error) {
	a := &Applier{conn: conn, x: SQL(conn), o: o, tip: start}
	if err := a.begin(ctx); err != nil {
		return nil, fmt.Errorf("begin the replay: %w", err)
	}
	return a, nil
}

func (a *Applier) begin(ctx context.Context) error {
	fk, err := oneInt(ctx, a.x, `PRAGMA foreign_keys`)
	if err != nil {
		return err
	}
	if fk != 0 {
		return errors.New("the connection has foreign keys on")
	}
	if err := a.x.Exec(ctx, `BEGIN IMMEDIATE`); err != nil {
		return err
	}
	for _, stmt := range TablesSQL() {
		if err := a.x.Exec(ctx, stmt); err != nil {
			return err
		}
	}
	newest, err := oneInt(ctx, a.x, NewestSQL)
	if err != nil {
		return err
	}
	if newest != a.tip.Sequence {
		return fmt.Errorf("the file holds the changes up to %d where %d was expected", newest, a.tip.Sequence)
	}
	if a.tip.SchemaVersion, err = schemaVersion(ctx, a.x, 0, a.tip.Sequence); err != nil {
		return err
	}
	return a.takeTriggers(ctx)
}

// ddl runs a statement that came from a bucket.
func (a *Applier) ddl(ctx context.Context, stmt string) (err error) {
	if a.o.DDLOnly == nil {
		return errors.New("no authorizer was given")
	}
	if err := a.o.DDLOnly(true); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.o.DDLOnly(false)) }()
	return a.x.Exec(ctx, stmt)
}

// Apply replays a batch. It is ErrChain if the batch does not follow the last
// one, by sequence and hash. After an error the file is worth nothing.
func (a *Applier) Apply(ctx context.Context, d *Document) error { return a.ApplyTo(ctx, d, d.To) }

// ApplyTo is Apply for the changes of d up to the sequence to, which must be the
// end of a transaction. The file can take no other batch after it when to is not
// d's last.
func (a *Applier) ApplyTo(ctx context.Context, d *Document, to int64) error {
	if d.From != a.tip.Sequence+1 || d.PrevHash != a.tip.Hash {
		return fmt.Errorf("batch %d-%d after %d: %w", d.From, d.To, a.tip.Sequence, ErrChain)
	}
	newest, err := a.apply(ctx, d, to)
	if err != nil {
		return fmt.Errorf("apply batch %d-%d: %w", d.From, d.To, err)
	}
	a.tip.Sequence, a.tip.Hash = to, d.Hash()
	if a.tip.MaxTime = max(a.tip.MaxTime, newest); to == d.To {
		a.tip.MaxTime = d.MaxTime
	} else {
		a.Detach()
	}
	return nil
}

// Detach lets the file have a history of its own from here on: it is not the
// newest state of the one that it comes from.
func (a *Applier) Detach() {
	if !a.detached {
		a.tip.Hash, a.detached = Detached(a.tip.Hash, a.tip.Sequence), true
	}
}

// apply replays d's entries up to the sequence to on the driver's connection;
// schema entries, which need the connection themselves, interrupt it. It returns
// the newest time among them.
func (a *Applier) apply(ctx context.Context, d *Document, to int64) (newest int64, err error) {
	// The statements themselves run without the context's end: the driver
	// would start a goroutine for each.
	quiet := context.WithoutCancel(ctx)
	r := d.reader()
	a.stmts.use(d)
	newest = d.Time
	for {
		var schema *Entry
		err := a.conn.Raw(func(dc any) error {
			a.stmts.conn = dc
			for r.next() && r.e.Sequence <= to {
				newest = max(newest, r.e.Time)
				if r.e.Op == Schema {
					schema = &r.e
					return a.late.settle(quiet, &a.stmts)
				}
				if err := a.entry(ctx, quiet, r); err != nil {
					return fmt.Errorf("change %d: %w", r.e.Sequence, err)
				}
			}
			if r.c.err != nil || d.Part < d.Parts && to == d.To {
				return r.c.err // the transaction goes on in the next part
			}
			return a.late.settle(quiet, &a.stmts)
		})
		if err != nil || schema == nil {
			return newest, err
		}
		if err := a.schema(ctx, schema); err != nil {
			return newest, fmt.Errorf("schema entry %d: %w", schema.Sequence, err)
		}
	}
}

// entry replays r's row entry or mark.
func (a *Applier) entry(ctx, quiet context.Context, r *entryReader) error {
	d, e := r.d, &r.e
	if e.Op == Mark {
		return a.late.settle(quiet, &a.stmts) // the end of a transaction
	}
	if a.changes++; a.changes%4096 == 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if a.late.n == 0 {
		if err := a.stmts.trim(); err != nil {
			return err
		}
	}
	c, err := a.stmts.change(quiet, d, e)
	if err != nil {
		return err
	}
	l := &d.Tables[e.Table]
	hit := false
	if e.Op != Insert || a.late.n == 0 || !a.late.awaits(l, e) {
		hit, err = c.run(quiet)
		if err == nil && !hit && e.Op == Insert {
			hit, err = a.replace(quiet, r, &c)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case !hit:
		if a.late.add(l, e, c); a.late.n > maxLate {
			return a.late.settle(quiet, &a.stmts)
		}
	case a.late.n > 0:
		return a.late.retry(quiet, l, e)
	}
	return nil
}

// peeked is how far ahead replace looks.
const peeked = 64

// replace carries out the insert c that finds its place taken. Either what is there
// was removed without an entry, by a REPLACE of a program that had not set
// recursive_triggers, and the insert takes its place; or its delete is among the
// next entries, because the insert was made by a trigger that fired on it, and the
// insert has to wait.
func (a *Applier) replace(ctx context.Context, r *entryReader, c *change) (done bool, err error) {
	l := &r.d.Tables[r.e.Table]
	t := lateTable{layout: l}
	key := t.newKey(l, &r.e)
	c.args = slices.Clone(c.args) // else they are those of what is bound next
	for p, n := r.ahead(), 0; n < peeked && p.next() && p.e.Op != Mark && p.e.Op != Schema; n++ {
		if p.e.Op != Delete || r.d.Tables[p.e.Table].Name != l.Name || strings.Join(p.e.Key, ",") != key {
			continue
		}
		if slices.Equal(p.e.Old, r.e.New) {
			break // of the very row that is inserted
		}
		is, err := a.stmts.standing(ctx, r.d, &p.e)
		if err == nil {
			done, err = is.run(ctx)
		}
		if done || err != nil {
			return false, err
		}
	}
	over, err := a.stmts.replacing(ctx, &lateChange{change: *c, op: Insert, layout: l})
	if err != nil {
		return false, err
	}
	return over.run(ctx)
}

// Tip returns the point of the chain that was reached.
func (a *Applier) Tip() Tip { return a.tip }

// Changes returns how many rows were inserted, updated or deleted.
func (a *Applier) Changes() int64 { return a.changes }

// Superseded returns how many changes found no row as they describe it, not
// even at the end of their transaction: triggers of the application had changed
// the row again. Without such triggers it is 0.
func (a *Applier) Superseded() int64 { return a.late.dropped }

// Finish makes the triggers again, gives the file a new generation, its
// starting point in the queue and its newest log row, and commits. The caller
// then checks the file, closes conn and syncs it.
func (a *Applier) Finish(ctx context.Context) (Position, error) {
	p, err := a.finish(ctx)
	if err != nil {
		return Position{}, fmt.Errorf("finish the replay: %w", err)
	}
	a.over = true
	return p, nil
}

func (a *Applier) finish(ctx context.Context) (Position, error) {
	if err := a.closeStatements(); err != nil {
		return Position{}, err
	}
	if err := a.putTriggers(ctx); err != nil {
		return Position{}, err
	}
	p := Position{Generation: newGeneration(), Sequence: a.tip.Sequence}
	// How far the schema was migrated is not only in the log: a snapshot has it.
	if err := a.x.Exec(ctx, `DELETE FROM _driftdb_queue; DELETE FROM _driftdb_meta WHERE key <> 'migration'`); err != nil {
		return Position{}, err
	}
	if err := a.x.Exec(ctx, `DELETE FROM _driftdb_log WHERE sequence <> ?`, p.Sequence); err != nil {
		return Position{}, err
	}
	if p.Sequence > 0 {
		// A snapshot's own newest row stays if nothing was applied on top.
		if err := a.x.Exec(ctx, `INSERT OR IGNORE INTO _driftdb_log (sequence, timestamp, operation) VALUES (?, ?, 'mark')`, p.Sequence, a.tip.MaxTime); err != nil {
			return Position{}, err
		}
	}
	if a.migrated.Version > 0 {
		text, err := json.Marshal(a.migrated)
		if err != nil {
			return Position{}, err
		}
		if err := a.x.Exec(ctx, setMeta, metaMigration, string(text)); err != nil {
			return Position{}, err
		}
	}
	for _, m := range [][2]string{
		{metaFormat, Format},
		{metaGeneration, p.Generation},
		{metaSchemaVersion, strconv.FormatInt(a.tip.SchemaVersion, 10)},
	} {
		if err := a.x.Exec(ctx, setMeta, m[0], m[1]); err != nil {
			return Position{}, err
		}
	}
	if err := writeBase(ctx, a.x, a.tip, false); err != nil {
		return Position{}, err
	}
	return p, a.x.Exec(ctx, `COMMIT`)
}

// Close releases the prepared statements, and rolls back what Finish has not
// committed: without a journal that is to say, the file is worth nothing.
func (a *Applier) Close() error {
	err := a.closeStatements()
	if !a.over {
		a.over = true
		err = errors.Join(err, a.x.Exec(context.Background(), `ROLLBACK`))
	}
	return err
}

func (a *Applier) closeStatements() error {
	return a.conn.Raw(func(any) error { return a.stmts.close() })
}
