package replicate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/sqlite"
)

// local is the database file as the engine sees it, through connections of its
// own.
type local struct {
	file  string
	pools []*sql.DB
	conns []*sql.Conn // one of each pool

	reader *sql.Conn        // spans and batches
	sealer *changelog.Queue // synchronous=FULL: seals
	marker *changelog.Queue // synchronous=NORMAL: how far a batch got
	marks  *sql.Conn        // the connection of marker

	cut changelog.CutOptions // tests: smaller batches

	// fresh is the batch that was sealed last, still encoded.
	fresh *changelog.Batch
}

// openLocal opens the existing file.
func openLocal(ctx context.Context, file string) (_ *local, err error) {
	there, err := exists(file)
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, fmt.Errorf("%s does not exist", file)
	}
	l := &local{file: file}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	// The writer comes first: it puts the file in WAL mode, or says why not.
	if l.marks, err = l.connect(ctx, sqlite.Writer); err != nil {
		return nil, err
	}
	x := changelog.SQL(l.marks)
	row, err := x.QueryRow(ctx, `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('_driftdb_log', '_driftdb_queue', '_driftdb_meta')`)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if n, ok := row[0].(int64); !ok || n != 3 {
		return nil, fmt.Errorf("%s: %w", file, ErrNotPrepared)
	}
	if err := changelog.Init(ctx, x); err != nil { // checks the format, writes nothing
		return nil, err
	}
	if l.reader, err = l.connect(ctx, sqlite.Reader); err != nil {
		return nil, err
	}
	seals, err := l.connect(ctx, sqlite.Seal)
	if err != nil {
		return nil, err
	}
	l.marker = changelog.NewQueue(l.marks, sqlite.IsBusy)
	l.sealer = changelog.NewQueue(seals, sqlite.IsBusy)
	return l, nil
}

// connect opens one connection that lives as long as l. Its cache is small: the
// engine reads most pages once.
func (l *local) connect(ctx context.Context, m sqlite.Mode) (*sql.Conn, error) {
	db := sql.OpenDB(sqlite.Connector(l.file, m))
	db.SetMaxOpenConns(1)
	l.pools = append(l.pools, db)
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	l.conns = append(l.conns, c)
	// A short busy timeout: whoever waits for the write lock looks at its
	// context in between.
	_, err = c.ExecContext(ctx, "PRAGMA cache_size=-2000; PRAGMA busy_timeout=100")
	return c, err
}

// close closes every connection.
func (l *local) close() error {
	var errs []error
	for _, c := range l.conns {
		errs = append(errs, c.Close())
	}
	for _, db := range l.pools {
		errs = append(errs, db.Close())
	}
	l.pools, l.conns = nil, nil
	return errors.Join(errs...)
}

// newest returns the largest sequence of the log, 0 for an empty log.
func (l *local) newest(ctx context.Context) (int64, error) {
	var n int64
	if err := l.reader.QueryRowContext(ctx, changelog.NewestSQL).Scan(&n); err != nil {
		return 0, fmt.Errorf("read the log: %w", err)
	}
	return n, nil
}

// waits returns how many bytes of log follow the sequence after, about, and the
// time of the first entry there, Unix ms, 0 for none.
func (l *local) waits(ctx context.Context, after int64) (bytes, since int64, err error) {
	const q = `SELECT coalesce((SELECT timestamp FROM _driftdb_log WHERE sequence > ?1 ORDER BY sequence LIMIT 1), 0),
coalesce((SELECT avg(n) * (SELECT max(sequence) - ?1 FROM _driftdb_log) FROM
	(SELECT 40 + coalesce(octet_length(key), 0) + coalesce(octet_length(data), 0) + coalesce(octet_length(before), 0) AS n
	 FROM _driftdb_log WHERE sequence > ?1 ORDER BY sequence LIMIT 100)), 0)`
	var size float64
	if err := l.reader.QueryRowContext(ctx, q, after).Scan(&since, &size); err != nil {
		return 0, 0, fmt.Errorf("read the log: %w", err)
	}
	return int64(size), since, nil
}

// schemaVersion returns SQLite's number of the schema, which every change of it
// moves, and some that are none.
func (l *local) schemaVersion(ctx context.Context) (n int64, err error) {
	if err := l.reader.QueryRowContext(ctx, "PRAGMA schema_version").Scan(&n); err != nil {
		return 0, fmt.Errorf("read the version of the schema: %w", err)
	}
	return n, nil
}

// structure returns what the file consists of, and the schema entries behind the
// sequence after.
func (l *local) structure(ctx context.Context, after int64) (s changelog.Structure, entries []changelog.SchemaEntry, err error) {
	err = inRead(ctx, l.reader, func() error {
		s, entries, err = changelog.ReadStructure(ctx, l.reader, after)
		return err
	})
	return s, entries, err
}

// chain returns the sealed chain of the file under the name db. It records
// where the chain begins if it has none yet.
func (l *local) chain(ctx context.Context, db string) (chain, error) {
	tip, err := l.sealer.Begin(ctx, db)
	if err != nil {
		return chain{}, fmt.Errorf("read the chain: %w", err)
	}
	c := chain{base: link{Sequence: tip.Sequence, Hash: tip.Hash, MaxTime: tip.MaxTime}}
	rows, err := l.sealer.Records(ctx)
	if err != nil {
		return chain{}, fmt.Errorf("read the sealed batches: %w", err)
	}
	if len(rows) > 0 && (rows[0].IsBase() || rows[0].Status == changelog.Done) {
		c.base = endOf(rows[0])
		rows = rows[1:]
	}
	c.rows = rows
	if c.gap, err = l.gap(ctx); err != nil {
		return chain{}, err
	}
	return c, c.check()
}

// rebase lets the chain begin anew where the log stands now. Once it returns that
// is on the disk.
func (l *local) rebase(ctx context.Context, db string) (link, error) {
	tip, err := l.sealer.Restart(ctx, db)
	if err != nil {
		return link{}, err
	}
	return link{Sequence: tip.Sequence, Hash: tip.Hash, MaxTime: tip.MaxTime}, nil
}

// setFloor keeps that the first snapshot is stored: where the chain begins is a
// point that can be restored.
func (l *local) setFloor(ctx context.Context, at link) error {
	return l.marker.SetFloor(ctx, changelog.Floor{Sequence: at.Sequence, Hash: at.Hash})
}

// unstored returns where the file's chain began on data that no snapshot is known
// to hold. ok is false for any other file.
func (l *local) unstored(ctx context.Context) (at link, ok bool, err error) {
	f, err := l.marker.Floor(ctx)
	if err != nil || !f.Unstored {
		return link{}, false, err
	}
	return link{Sequence: f.Sequence, Hash: f.Hash}, true, nil
}

// seal cuts the next batch, or the parts of the next transaction, from what one
// read transaction sees and forces them to the disk. limit, if not 0, is where
// they must end at the latest. It returns nil if there is nothing to seal.
func (l *local) seal(ctx context.Context, limit int64) (sealed []changelog.Seal, err error) {
	tip, err := l.sealer.Tip(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the end of the chain: %w", err)
	}
	var batch *changelog.Batch
	if err := inRead(ctx, l.reader, func() error {
		for b, err := range changelog.Cut(ctx, l.reader, tip, l.cutTo(limit)) {
			if err != nil {
				return err
			}
			batch, sealed = b, append(sealed, b.Seal())
			if b.Part == b.Parts {
				return nil // the rest is cut the same next time
			}
		}
		return nil
	}); err != nil {
		return nil, logError("cut a batch", err)
	}
	if batch == nil {
		return nil, nil
	}
	if err := l.sealer.Seal(ctx, sealed...); err != nil {
		return nil, fmt.Errorf("force batch %d-%d to the local disk: %w", sealed[0].From, batch.To, err)
	}
	if l.fresh = nil; len(sealed) == 1 {
		l.fresh = batch
	}
	return sealed, nil
}

func (l *local) cutTo(limit int64) changelog.CutOptions {
	o := l.cut
	o.To = limit
	return o
}

// encode returns the canonical plaintext of a sealed batch.
func (l *local) encode(ctx context.Context, s changelog.Seal) ([]byte, error) {
	if b := l.fresh; b != nil && b.From == s.From && b.To == s.To && b.Hash == s.Hash {
		return b.Canonical(), nil
	}
	var batch *changelog.Batch
	if err := inRead(ctx, l.reader, func() error {
		var err error
		batch, err = changelog.Encode(ctx, l.reader, s)
		return err
	}); err != nil {
		return nil, logError(fmt.Sprintf("encode batch %d-%d", s.From, s.To), err)
	}
	return batch.Canonical(), nil
}

// logError names damage of the log, which stops shipping for good.
func logError(what string, err error) error {
	if isAny(err, changelog.ErrSealed, changelog.ErrLogGap, changelog.ErrLogRow) {
		return fmt.Errorf("%s: %w: %w", what, err, ErrLogDamaged)
	}
	if sqlite.IsSQL(err) { // of our own tables: they are not what we have made
		return fmt.Errorf("%s: %w: %w", what, err, ErrDamaged)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// began, failed and uploaded keep how far a batch got.
func (l *local) began(ctx context.Context, s changelog.Seal) error {
	s.Status = changelog.Processing
	return l.update(ctx, s)
}

func (l *local) failed(ctx context.Context, s changelog.Seal, attempts int, next time.Time, why error) error {
	s.Status, s.Attempts, s.NextRetryAt, s.Error = changelog.Failed, attempts, next.UnixMilli(), why.Error()
	return l.update(ctx, s)
}

func (l *local) uploaded(ctx context.Context, s changelog.Seal) error {
	s.Status, s.NextRetryAt, s.Error = changelog.Uploaded, 0, ""
	return l.update(ctx, s)
}

func (l *local) update(ctx context.Context, s changelog.Seal) error {
	if err := l.marker.Update(ctx, s); err != nil {
		return fmt.Errorf("keep the state of batch %d-%d: %w", s.From, s.To, err)
	}
	return nil
}

// acknowledge keeps that everything up to head is acknowledged, and prunes the
// log but for the newest tail entries.
func (l *local) acknowledge(ctx context.Context, head link, tail int64) error {
	if err := l.marker.Ack(ctx, head.Sequence); err != nil {
		return fmt.Errorf("keep that %d is acknowledged: %w", head.Sequence, err)
	}
	if _, err := l.marker.PruneLog(ctx, max(tail, 0)); err != nil {
		return fmt.Errorf("prune the log: %w", err)
	}
	return nil
}

// size returns the bytes of the file and its write-ahead log, 0 if they cannot
// be told.
func (l *local) size() int64 {
	n, err := sqlite.DiskSize(l.file)
	if err != nil {
		return 0
	}
	return n
}

// pages returns the bytes of the database without its write-ahead log.
func (l *local) pages(ctx context.Context) (n int64, err error) {
	err = l.reader.QueryRowContext(ctx, `SELECT page_count * page_size FROM pragma_page_count, pragma_page_size`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("read the size of the database: %w", err)
	}
	return n, nil
}

// heldRead is a read transaction on a connection of its own.
type heldRead struct {
	db   *sql.DB
	conn *sql.Conn
}

// hold opens a read transaction and returns the newest sequence that it sees.
func (l *local) hold(ctx context.Context) (_ *heldRead, sequence int64, err error) {
	db := sql.OpenDB(sqlite.Connector(l.file, sqlite.Reader))
	db.SetMaxOpenConns(1)
	h := &heldRead{db: db}
	if h.conn, err = db.Conn(ctx); err == nil {
		// A small cache: every page is read once.
		if _, err = h.conn.ExecContext(ctx, "PRAGMA cache_size=-1000; BEGIN"); err == nil {
			err = h.conn.QueryRowContext(ctx, changelog.NewestSQL).Scan(&sequence)
		}
	}
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("begin a copy: %w", err), db.Close())
	}
	return h, sequence, nil
}

func (h *heldRead) copyTo(ctx context.Context, path string) error {
	return sqlite.Backup(ctx, path, h.conn)
}

// release ends the transaction and closes the connection. Nothing that was
// committed meanwhile could be checkpointed past it: that is made up for here, in
// our time, where the next commit of the application would do all of it at once.
// A passive checkpoint holds nobody up; one that another runs already is as good.
func (h *heldRead) release() error {
	_, err := h.conn.ExecContext(context.Background(), "ROLLBACK")
	if err == nil {
		_, err = h.conn.ExecContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)")
	}
	return errors.Join(err, h.conn.Close(), h.db.Close())
}

// inRead runs f inside a read transaction on conn.
func inRead(ctx context.Context, conn *sql.Conn, f func() error) error {
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	err := f()
	_, end := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	return errors.Join(err, end)
}
