package changelog

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Status is how far a sealed batch got.
type Status string

// The states of a sealed batch.
const (
	Pending    Status = "pending"    // sealed
	Processing Status = "processing" // an upload was begun; blocks nothing after a restart
	Failed     Status = "failed"     // the last attempt failed; tried again at NextRetryAt
	Uploaded   Status = "uploaded"   // the object is stored
	Done       Status = "done"       // acknowledged: a manifest covers it
)

// Seal is the record of a sealed batch: its boundaries, hashes and encoder
// version are final. A record with Parts 0 is a starting point, no batch: From
// and To are the sequence it stands for.
type Seal struct {
	From, To int64
	Part     int
	Parts    int
	PrevHash Hash
	Hash     Hash
	MaxTime  int64 // Unix milliseconds
	Encoder  int

	Status      Status
	Attempts    int
	NextRetryAt int64  // Unix milliseconds, 0 for none
	Error       string // of the last failed attempt
}

// IsBase says that s is a starting point, no batch.
func (s Seal) IsBase() bool { return s.Parts == 0 }

// ErrLocked says that another connection held the write lock for as long as
// the context allowed.
var ErrLocked = errors.New("the database stayed locked by another transaction")

// Queue reads and writes the seal records on one connection, outside any
// transaction. Its writing methods wait for the write lock for as long as their
// context lives. It is used by one goroutine at a time.
type Queue struct {
	conn   *sql.Conn
	isBusy func(error) bool

	// The last schema entry up to the sequence schemaAt, so that looking for
	// it reads every row of the log once.
	schemaAt, schema int64
}

// NewQueue returns the queue of the file that conn has open. Seal and Begin
// are only as durable as conn: they want a connection with synchronous=FULL;
// the other methods do not. isBusy recognises SQLITE_BUSY; a busy timeout of
// conn's own of about 100 ms lets a context end the wait.
func NewQueue(conn *sql.Conn, isBusy func(error) bool) *Queue {
	return &Queue{conn: conn, isBusy: isBusy}
}

// Begin returns where this file's chain begins, and records it if the file has
// no chain yet: {0, Hash0(db)} if the log alone rebuilds the file, otherwise
// {newest sequence, a random hash} — a snapshot must then carry what was there, and
// no other file may pass for this one. With a chain it returns the oldest point that is still recorded.
func (q *Queue) Begin(ctx context.Context, db string) (t Tip, err error) { return q.begin(ctx, db, "") }

// Restart is Begin for a file whose chain leads nowhere any more: it is forgotten,
// and the file's chain begins anew.
func (q *Queue) Restart(ctx context.Context, db string) (Tip, error) {
	return q.begin(ctx, db, `DELETE FROM _driftdb_queue; DELETE FROM _driftdb_meta WHERE key IN ('floor', 'dropped', 'gap')`)
}

// begin is Begin after forget, in one commit.
func (q *Queue) begin(ctx context.Context, db, forget string) (t Tip, err error) {
	err = q.write(ctx, func(ctx context.Context, x Execer) error {
		if forget != "" {
			if err := x.Exec(ctx, forget); err != nil {
				return err
			}
		}
		s, ok, err := first(ctx, x, `ORDER BY "from"`)
		if err != nil || ok {
			t = Tip{Sequence: s.To, Hash: s.Hash, MaxTime: s.MaxTime}
			if ok && !s.IsBase() && s.Status != Done {
				t = Tip{Sequence: s.From - 1, Hash: s.PrevHash}
			}
			return err
		}
		row, err := x.QueryRow(ctx, `SELECT coalesce(min(sequence), 1), coalesce(max(sequence), 0), coalesce(max(timestamp), 0),
	EXISTS (SELECT 1 FROM _driftdb_meta WHERE key = 'complete') FROM _driftdb_log`)
		if err != nil {
			return err
		}
		t = Tip{Hash: Hash0(db)}
		unstored := row[0] != int64(1) || row[3] != int64(1)
		if unstored {
			t.Sequence, _ = row[1].(int64)
			t.MaxTime, _ = row[2].(int64)
			rand.Read(t.Hash[:]) // never fails: see crypto/rand
		}
		return writeBase(ctx, x, t, unstored)
	})
	if err != nil {
		return Tip{}, fmt.Errorf("begin the chain: %w", err)
	}
	t.SchemaVersion, err = q.schemaVersion(ctx, t.Sequence)
	return t, err
}

// writeBase records t as the point where the file's chain begins.
func writeBase(ctx context.Context, x Execer, t Tip, unstored bool) error {
	if err := insert(ctx, x, Seal{From: t.Sequence, To: t.Sequence, PrevHash: t.Hash, Hash: t.Hash, MaxTime: t.MaxTime, Status: Done}); err != nil {
		return err
	}
	return writeMeta(ctx, x, metaFloor, Floor{Sequence: t.Sequence, Hash: t.Hash, Unstored: unstored})
}

// Floor is the oldest point of a file's chain that can be restored, or is to be.
type Floor struct {
	Sequence int64 `json:"sequence"`
	Hash     Hash  `json:"hash"`

	// Unstored: the file held data there, and no snapshot of it is known to be
	// stored.
	Unstored bool `json:"unstored,omitempty"`
}

// Floor returns what Begin and SetFloor have recorded.
func (q *Queue) Floor(ctx context.Context) (f Floor, err error) {
	v, err := Meta(ctx, SQL(q.conn), metaFloor)
	if err != nil || v == "" {
		return f, err
	}
	if err := json.Unmarshal([]byte(v), &f); err != nil {
		return f, fmt.Errorf("_driftdb_meta: %s: %w: %w", metaFloor, err, ErrTables)
	}
	return f, nil
}

// SetFloor records that the first snapshot is stored, and where.
func (q *Queue) SetFloor(ctx context.Context, f Floor) error {
	err := q.write(ctx, func(ctx context.Context, x Execer) error { return writeMeta(ctx, x, metaFloor, f) })
	if err != nil {
		return fmt.Errorf("keep where the chain begins: %w", err)
	}
	return nil
}

// Seal records batches, the parts of one transaction or a single one, in a
// commit of its own. Once it returns nil everything up to the last one's end is
// on the disk and they are final. A record that does not follow the last one is
// ErrChain.
func (q *Queue) Seal(ctx context.Context, seals ...Seal) error {
	err := q.write(ctx, func(ctx context.Context, x Execer) error {
		last, ok, err := first(ctx, x, `ORDER BY "from" DESC`)
		if err != nil {
			return err
		}
		for _, s := range seals {
			if !ok || s.From != last.To+1 || s.To < s.From || s.PrevHash != last.Hash {
				return fmt.Errorf("the last record ends at %d, the next begins at %d: %w", last.To, s.From, ErrChain)
			}
			s.Status = Pending
			if err := insert(ctx, x, s); err != nil {
				return err
			}
			last = s
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("seal %d-%d: %w", seals[0].From, seals[len(seals)-1].To, err)
	}
	return nil
}

// Records returns the newest done record, if any, and everything after it, in
// order.
func (q *Queue) Records(ctx context.Context) (list []Seal, err error) {
	rows, err := q.conn.QueryContext(ctx, selectSeal+`
WHERE "from" >= coalesce((SELECT max("from") FROM _driftdb_queue WHERE status = 'done'), 0) ORDER BY "from"`)
	if err != nil {
		return nil, fmt.Errorf("read the queue: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		v := make([]driver.Value, sealColumns)
		dst := make([]any, sealColumns)
		for i := range v {
			dst[i] = &v[i]
		}
		if err := rows.Scan(dst...); err != nil {
			return nil, fmt.Errorf("read the queue: %w", err)
		}
		s, err := sealOf(v)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the queue: %w", err)
	}
	return list, nil
}

// Tip returns the end of the sealed chain, complete with the schema version
// that the next batch needs. Without a chain it is an error: see Begin.
func (q *Queue) Tip(ctx context.Context) (Tip, error) {
	s, ok, err := first(ctx, SQL(q.conn), `ORDER BY "from" DESC`)
	if err != nil {
		return Tip{}, fmt.Errorf("read the queue: %w", err)
	}
	if !ok {
		return Tip{}, errors.New("read the queue: the file has no chain yet")
	}
	version, err := q.schemaVersion(ctx, s.To)
	return Tip{Sequence: s.To, Hash: s.Hash, MaxTime: s.MaxTime, SchemaVersion: version}, err
}

func (q *Queue) schemaVersion(ctx context.Context, sequence int64) (int64, error) {
	after := q.schemaAt
	if sequence < after {
		after = 0
	}
	v, err := schemaVersion(ctx, SQL(q.conn), after, sequence)
	if err != nil {
		return 0, err
	}
	if after > 0 {
		v = max(v, q.schema)
	}
	q.schemaAt, q.schema = sequence, v
	return v, nil
}

// ByTo returns the record that ends at sequence.
func (q *Queue) ByTo(ctx context.Context, sequence int64) (Seal, bool, error) {
	s, ok, err := first(ctx, SQL(q.conn), `WHERE "to" = ? ORDER BY "from" DESC`, sequence)
	if err != nil {
		return Seal{}, false, fmt.Errorf("read the queue: %w", err)
	}
	return s, ok, nil
}

// Update stores the Status, Attempts, NextRetryAt and Error of the record that
// begins at s.From.
func (q *Queue) Update(ctx context.Context, s Seal) error {
	err := q.write(ctx, func(ctx context.Context, x Execer) error {
		return x.Exec(ctx, `UPDATE _driftdb_queue SET status = ?, attempts = ?, nextRetryAt = ?, error = ? WHERE "from" = ?`,
			string(s.Status), int64(s.Attempts), orNull(s.NextRetryAt), orNull(s.Error), s.From)
	})
	if err != nil {
		return fmt.Errorf("record the state of batch %d-%d: %w", s.From, s.To, err)
	}
	return nil
}

// Ack marks every record up to the sequence upTo as done and deletes done
// records older than the newest.
func (q *Queue) Ack(ctx context.Context, upTo int64) error {
	err := q.write(ctx, func(ctx context.Context, x Execer) error {
		if err := x.Exec(ctx, `UPDATE _driftdb_queue SET status = 'done', nextRetryAt = NULL, error = NULL WHERE "to" <= ? AND status <> 'done'`, upTo); err != nil {
			return err
		}
		return x.Exec(ctx, `DELETE FROM _driftdb_queue WHERE "from" < (SELECT max("from") FROM _driftdb_queue WHERE status = 'done')`)
	})
	if err != nil {
		return fmt.Errorf("acknowledge up to %d: %w", upTo, err)
	}
	return nil
}

// write runs f in a write transaction of its own. Only the wait for the lock
// heeds ctx's end: what was begun is finished.
func (q *Queue) write(ctx context.Context, f func(context.Context, Execer) error) error {
	x := SQL(q.conn)
	if err := q.lock(ctx, x); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	err := f(ctx, x)
	if err == nil {
		err = x.Exec(ctx, "COMMIT")
	}
	if err != nil {
		// SQLite may have rolled back already, after a full disk for example.
		if rollback := x.Exec(ctx, "ROLLBACK"); rollback != nil {
			return fmt.Errorf("%w (and rolling back: %w)", err, rollback)
		}
	}
	return err
}

// lock begins a transaction that holds the write lock.
func (q *Queue) lock(ctx context.Context, x Execer) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	for {
		began := time.Now()
		err := x.Exec(ctx, "BEGIN IMMEDIATE")
		if err == nil {
			return nil
		}
		if cause := context.Cause(ctx); cause != nil {
			if q.isBusy(err) {
				return fmt.Errorf("%w: %w", ErrLocked, cause)
			}
			return cause
		}
		if !q.isBusy(err) {
			return err
		}
		if time.Since(began) < time.Millisecond { // no busy timeout that waits
			wait := time.NewTimer(5 * time.Millisecond)
			select {
			case <-ctx.Done():
			case <-wait.C:
			}
			wait.Stop()
		}
	}
}

const (
	selectSeal  = `SELECT "from", "to", part, parts, prevHash, hash, maxTime, encoder, status, attempts, coalesce(nextRetryAt, 0), coalesce(error, '') FROM _driftdb_queue`
	sealColumns = 12
)

func insert(ctx context.Context, x Execer, s Seal) error {
	return x.Exec(ctx, `INSERT INTO _driftdb_queue ("from", "to", part, parts, prevHash, hash, maxTime, encoder, status, attempts)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)`,
		s.From, s.To, int64(s.Part), int64(s.Parts), s.PrevHash.String(), s.Hash.String(), s.MaxTime, int64(s.Encoder), string(s.Status))
}

// first returns the first record that the rest of a query selects.
func first(ctx context.Context, x Execer, rest string, args ...driver.Value) (Seal, bool, error) {
	row, err := x.QueryRow(ctx, selectSeal+" "+rest+" LIMIT 1", args...)
	if err != nil || row == nil {
		return Seal{}, false, err
	}
	s, err := sealOf(row)
	return s, err == nil, err
}

func sealOf(v []driver.Value) (s Seal, err error) {
	var n [sealColumns]int64
	for _, i := range []int{0, 1, 2, 3, 6, 7, 9, 10} {
		var ok bool
		if n[i], ok = v[i].(int64); !ok {
			return s, fmt.Errorf("_driftdb_queue holds a row that is not a seal record: %w", ErrTables)
		}
	}
	s = Seal{From: n[0], To: n[1], Part: int(n[2]), Parts: int(n[3]), MaxTime: n[6], Encoder: int(n[7]), Attempts: int(n[9]), NextRetryAt: n[10]}
	for i, h := range map[int]*Hash{4: &s.PrevHash, 5: &s.Hash} {
		t, _ := text(v[i])
		if *h, err = ParseHash(t); err != nil {
			return s, fmt.Errorf("_driftdb_queue: record %d: %w: %w", s.From, err, ErrTables)
		}
	}
	status, _ := text(v[8])
	s.Status = Status(status)
	s.Error, _ = text(v[11])
	return s, nil
}

// orNull returns nil for a zero value.
func orNull[T int64 | string](v T) driver.Value {
	var zero T
	if v == zero {
		return nil
	}
	return v
}
