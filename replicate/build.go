package replicate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/durable"
	"github.com/driftdb/driftdb/internal/sqlite"
)

// build is a database being rebuilt, in a private directory in the sidecar.
type build struct {
	r      *restorer
	dir    string
	path   string
	db     *sql.DB
	conn   *sql.Conn
	apply  *changelog.Applier
	plan   *plan
	ended  bool  // there are more changes, which are not wanted
	whole  int64 // the newest end of a transaction that was applied
	done   int64 // stored bytes of the objects that were read
	total  int64 // of those that are to be read
	result RestoreResult
}

// build carries out p along path: the snapshot, the batches up to head, and
// what chains beyond. The file is whole but not yet checked when it returns.
func (r *restorer) build(ctx context.Context, p *plan, path []objectKey) (_ *build, err error) {
	b := &build{r: r}
	if b.dir, err = os.MkdirTemp(r.side.dir, "restore-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.discard())
		}
	}()
	b.path, b.total = filepath.Join(b.dir, "new.sqlite"), p.preview().Bytes
	if p.snapshot != nil {
		if err := b.fetch(ctx, p.snapshot); err != nil {
			return nil, err
		}
	}
	b.db = sql.OpenDB(sqlite.Connector(b.path, sqlite.Replay))
	b.db.SetMaxOpenConns(1)
	if b.conn, err = b.db.Conn(ctx); err != nil {
		return nil, damaged(err)
	}
	if p.snapshot != nil {
		if err := b.checkSnapshot(ctx, p.snapshot); err != nil {
			return nil, err
		}
	}
	b.plan, b.whole = p, p.start.Sequence
	start := changelog.Tip{Sequence: p.start.Sequence, Hash: p.start.Hash, MaxTime: p.start.MaxTime}
	b.apply, err = changelog.NewApplier(ctx, b.conn, start, changelog.ApplyOptions{
		DDLOnly: func(on bool) error { return sqlite.SetDDLOnly(b.conn, on) },
	})
	if err != nil {
		return nil, damaged(err)
	}
	if err := b.replay(ctx, path); err != nil {
		return nil, err
	}
	if !b.ended {
		if err := b.follow(ctx, p); err != nil {
			return nil, err
		}
	}
	got := b.tip()
	if got.Sequence != b.whole {
		return nil, &insideError{b.whole}
	}
	if err := p.to.missed(got, b.ended); err != nil {
		return nil, err
	}
	if got.Sequence > 0 {
		b.result.Time = time.UnixMilli(got.MaxTime)
	}
	if p.to.next > 0 {
		b.result.Next = time.UnixMilli(p.to.next)
	}
	if b.ended || !p.end.is(p.m.Head) { // the backup goes on behind it, with a gap or without
		b.apply.Detach()
	}
	return b, nil
}

// replay applies the batches of path as far as they are wanted, and makes sure
// that they lead to where they should.
func (b *build) replay(ctx context.Context, path []objectKey) error {
	end := b.plan.end
	if b.tip().Sequence == b.plan.to.sequence && len(path) > 0 {
		b.ended = true
		path = b.unsure(path)
	}
	var beyond link // the chain behind where the replay ended
	for d, err := range b.documents(ctx, path, b.tip().Sequence) {
		if err != nil {
			return err
		}
		if b.ended { // only to learn whether this path is the one that counts
			if d.From != beyond.Sequence+1 || d.PrevHash != beyond.Hash {
				return fmt.Errorf("batch %d-%d does not follow %d: %w", d.From, d.To, beyond.Sequence, ErrCorrupt)
			}
			beyond = link{Sequence: d.To, Hash: d.Hash(), MaxTime: d.MaxTime}
			continue
		}
		if err := b.add(ctx, d, end.Sequence); err != nil {
			return fmt.Errorf("batch %d-%d: %w: %w", d.From, d.To, err, ErrCorrupt)
		}
		beyond = link{Sequence: d.To, Hash: d.Hash(), MaxTime: d.MaxTime}
		if b.ended && len(b.plan.paths) == 1 {
			return nil
		}
	}
	if b.ended && len(b.plan.paths) == 1 {
		return nil
	}
	at := b.tip()
	if b.ended {
		at = beyond
	}
	return b.plan.arrived(at)
}

// unsure returns the rest of a path that is read only to learn whether it is
// the one that counts: nothing, where it is the only one.
func (b *build) unsure(path []objectKey) []objectKey {
	if len(b.plan.paths) == 1 {
		return nil
	}
	return path
}

// tip is the point that was reached.
func (b *build) tip() link {
	t := b.apply.Tip()
	return link{Sequence: t.Sequence, Hash: t.Hash, MaxTime: t.MaxTime}
}

// follow applies the batches beyond head as long as they chain. A damaged or
// foreign one ends it: nothing beyond head was acknowledged.
func (b *build) follow(ctx context.Context, p *plan) error {
	for {
		tip := b.apply.Tip()
		k, ok := p.tail[tip.Sequence+1]
		if !ok {
			return nil
		}
		d, err := b.read(ctx, k)
		switch {
		case errors.Is(err, ErrCorrupt):
			b.r.logger.Warn("a batch that was not acknowledged is damaged; the restore ends before it", "database", b.r.name, "key", k.String(), "error", err)
			return nil
		case err != nil:
			return err
		case d.PrevHash != tip.Hash:
			return nil
		}
		if d.Part == 1 && d.Parts > 1 && !b.complete(ctx, k) {
			return nil
		}
		if err := b.add(ctx, d, d.To); err != nil {
			return fmt.Errorf("batch %s: %w: %w", k, err, ErrCorrupt)
		}
		b.result.Tail += b.tip().Sequence - tip.Sequence
		if b.ended {
			return nil
		}
	}
}

// complete says whether every part of the transaction whose first one is k can
// be read: beyond head nobody has said so.
func (b *build) complete(ctx context.Context, k objectKey) bool {
	at := b.tip()
	for part := 1; part <= k.parts; part++ {
		next, ok := b.plan.tail[at.Sequence+1]
		if !ok || next.part != part || next.parts != k.parts {
			return false
		}
		err := b.r.retry.object(ctx, func() (err error) {
			at, err = followLink(ctx, b.r.store, next, at)
			return err
		})
		if err != nil {
			return false
		}
	}
	return true
}

func (b *build) read(ctx context.Context, k objectKey) (*changelog.Document, error) {
	d, n, err := b.r.read(ctx, k)
	b.result.Bytes += n
	b.done += b.plan.sizes[k]
	return d, err
}

// add applies what is wanted of d.
func (b *build) add(ctx context.Context, d *changelog.Document, target int64) error {
	to, ended, late, err := b.plan.to.within(d)
	if err != nil {
		return err
	}
	if late > 0 {
		b.plan.to.next = late // also of a long transaction, which the next attempt does without
	}
	if b.ended = ended; to < d.From {
		return nil
	}
	if err := b.apply.ApplyTo(ctx, d, to); err != nil {
		return err
	}
	if err := b.note(d, to); err != nil {
		return err
	}
	b.result.Batches++
	b.result.Entries += to - d.From + 1
	b.report(to, min(target, b.plan.to.sequence), 0)
	return nil
}

// note keeps where the newest transaction ended that is whole.
func (b *build) note(d *changelog.Document, to int64) error {
	if to < d.To || d.Part == d.Parts {
		b.whole = to
		return nil
	}
	if d.Part > 1 {
		return nil
	}
	return d.Boundaries(true, func(at changelog.Boundary) bool {
		b.whole = at.Sequence
		return true
	})
}

// insideError: a restore to a point came to stand inside of a transaction of
// several parts, which is known only behind its first ones. It is begun again,
// to end before that transaction.
type insideError struct{ whole int64 }

func (e *insideError) Error() string {
	return fmt.Sprintf("the point lies inside of the transaction behind %d", e.whole)
}

// report tells how far the restore has come; inside are the bytes that were read
// of the present object.
func (b *build) report(sequence, target, inside int64) {
	if b.r.o.Progress == nil {
		return
	}
	p := RestoreProgress{Sequence: sequence, Target: max(sequence, target), Bytes: b.done + inside, TotalBytes: max(b.total, b.done+inside)}
	if since := elapsed(b.r.began, time.Now()).Seconds(); since > 0 {
		p.Rate = float64(p.Bytes) / since
	}
	b.r.o.Progress(p)
}

// fetch writes the snapshot to the file, checking every sum on the way.
func (b *build) fetch(ctx context.Context, s *snapshotEntry) error {
	key, err := parseKey(s.Key)
	if err != nil {
		return err
	}
	if err := b.r.retry.object(ctx, func() error {
		err := b.fetchOnce(ctx, key, s)
		b.r.kept.distrust(s.Key, err)
		return err
	}); err != nil {
		return fmt.Errorf("snapshot %s: %w", s.Key, err)
	}
	b.result.Snapshot = s.Sequence
	b.done = s.StoredSize
	b.report(s.Sequence, s.Sequence, 0)
	return nil
}

func (b *build) fetchOnce(ctx context.Context, key objectKey, s *snapshotEntry) (err error) {
	f, err := os.OpenFile(b.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := readSnapshot(ctx, b.r.store, key, s, &writeBack{file: f}, func(read int64) { b.report(0, s.Sequence, read) })
	b.result.Bytes += n
	return err
}

// checkSnapshot compares what the copy says about itself with the manifest.
func (b *build) checkSnapshot(ctx context.Context, s *snapshotEntry) error {
	h, err := changelog.ReadSnapshotHeader(ctx, b.conn)
	if err != nil {
		return damaged(err)
	}
	key, err := parseKey(s.Key)
	if err != nil {
		return err
	}
	want := changelog.SnapshotHeader{DBName: key.db, NodeID: key.node, Epoch: key.epoch, Sequence: s.Sequence, Hash: s.Hash, MaxTime: s.MaxTime}
	if h != want {
		return fmt.Errorf("snapshot %s says %+v: %w", s.Key, h, ErrCorrupt)
	}
	return nil
}

// close ends the replay, checks the file and forces it to the disk.
func (b *build) close(ctx context.Context) error {
	position, err := b.apply.Finish(ctx)
	if err != nil {
		return damaged(fmt.Errorf("end the replay: %w", err))
	}
	b.result.Position, b.result.Superseded = position, b.apply.Superseded()
	if err := sqlite.QuickCheck(ctx, b.conn); err != nil {
		return damaged(err)
	}
	if b.result.ForeignKeyViolations, err = foreignKeyViolations(ctx, b.conn); err != nil {
		return err
	}
	if err := b.shut(); err != nil {
		return err
	}
	if err := toWAL(ctx, b.path); err != nil {
		return err
	}
	return durable.SyncFile(b.path)
}

// toWAL leaves the file in WAL mode, in which everyone opens it.
func toWAL(ctx context.Context, path string) error {
	db := sql.OpenDB(sqlite.Connector(path, sqlite.Writer))
	err := db.PingContext(ctx)
	return errors.Join(err, db.Close())
}

// foreignKeyViolations counts rows that break a foreign key. They were so in
// the source; -1 when a foreign key cannot be looked up (a missing parent table,
// a parent without a unique index), which was so in the source too.
func foreignKeyViolations(ctx context.Context, conn *sql.Conn) (n int, err error) {
	rows, err := conn.QueryContext(ctx, "PRAGMA foreign_key_check")
	if err != nil {
		return -1, ctx.Err()
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		n++
	}
	return n, rows.Err()
}

// shut closes the connections.
func (b *build) shut() error {
	var errs []error
	if b.apply != nil {
		errs = append(errs, b.apply.Close())
		b.apply = nil
	}
	if b.conn != nil {
		errs = append(errs, b.conn.Close())
		b.conn = nil
	}
	if b.db != nil {
		errs = append(errs, b.db.Close())
		b.db = nil
	}
	return errors.Join(errs...)
}

// discard removes what is left of the build.
func (b *build) discard() error { return errors.Join(b.shut(), os.RemoveAll(b.dir)) }

// place gives the finished file its name. A name that is taken is never
// written over: the file there is moved aside if that was asked for.
func (r *restorer) place(ctx context.Context, path string) error {
	if r.aside != "" {
		if err := r.moveAside(ctx); err != nil {
			return err
		}
	}
	if err := moveLeftovers(r.side.file, r.now()); err != nil {
		return err
	}
	if err := r.at("placing"); err != nil {
		return err
	}
	err := durable.LinkNew(path, r.side.file)
	if isExist(err) {
		return ErrExists
	}
	return err
}

// moveAside renames the local file, which nobody has open: the lock is ours and
// the database was not opened yet.
func (r *restorer) moveAside(ctx context.Context) error {
	there, err := exists(r.side.file)
	if err != nil || !there {
		return err
	}
	// Everything into the main file first: it goes alone.
	db := sql.OpenDB(sqlite.Connector(r.side.file, sqlite.Writer))
	_, err = db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	if err := errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("before moving the local file aside: %w", err)
	}
	to := r.aside
	for i := 2; ; i++ {
		taken, err := exists(to)
		if err != nil {
			return err
		}
		if !taken {
			break
		}
		to = fmt.Sprintf("%s.%d", r.aside, i)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		err := os.Rename(r.side.file+suffix, to+suffix)
		if err != nil && !(suffix != "" && errors.Is(err, os.ErrNotExist)) {
			return fmt.Errorf("move the local file aside: %w", err)
		}
	}
	r.aside = to
	return durable.SyncDir(filepath.Dir(r.side.file))
}

// ofFile marks what SQLite finds wrong with the local file as ErrDamaged, which what it
// finds wrong with a restored one is not, and bookkeeping that is not ours as
// ErrLogDamaged.
func ofFile(err error) error {
	switch {
	case errors.Is(err, ErrCorrupt), errors.Is(err, ErrLogDamaged):
		return err
	case errors.Is(err, changelog.ErrTables):
		return fmt.Errorf("%w: %w", err, ErrLogDamaged)
	}
	return sqlite.OfFile(err)
}

// damaged marks what SQLite finds wrong with a restored file as ErrCorrupt.
func damaged(err error) error {
	if sqlite.IsCorrupt(err) || errors.Is(err, sqlite.ErrDamaged) {
		return fmt.Errorf("%w: %w", err, ErrCorrupt)
	}
	return err
}

// escapeGlob makes a path a pattern that matches itself.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
