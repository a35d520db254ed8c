package replicate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/driftdb/driftdb/internal/changelog"
)

// Position is a place in the history of one file.
type Position = changelog.Position

// RestoreOptions of Restore. The zero value restores to the newest state. At
// most one of At, Sequence and Point is set; a restore always ends at the end of
// a transaction.
type RestoreOptions struct {
	// At restores what was there at a time: everything before the first
	// transaction that is later. Times are those of the writing machine's clock. Where
	// that was ahead for a while, what came after is left out, too, though it says an
	// earlier time: RestoreResult.Next lies in the future then, and Sequence goes on.
	At time.Time

	// Sequence restores every transaction that ends at or before an entry of
	// the log.
	Sequence int64

	// Point restores to where Replica.Mark gave the name. ErrNoPoint: there is
	// none of that name.
	Point string

	// DryRun reads the manifest and lists the objects that a restore would
	// read, and writes nothing. The result says what they are. Defaults to
	// false.
	DryRun bool

	// DisableResume keeps nothing of a restore that is interrupted, and begins
	// anew. It saves disk space, as much as is read from the store. Defaults to
	// false: the next Restore to the same path goes on.
	DisableResume bool

	Retry      Retry                 // as in Options
	Encryption Encryption            // as in Options
	Logger     *slog.Logger          // defaults to none
	Progress   func(RestoreProgress) // called in the restore's goroutine, after every MiB or batch; defaults to none
}

// RestoreProgress is how far a restore has come.
type RestoreProgress struct {
	Sequence   int64   // reached
	Target     int64   // at the end, as far as it is known
	Bytes      int64   // stored bytes that were read, those that an interrupted restore has left included
	TotalBytes int64   // stored bytes to read, as far as it is known
	Rate       float64 // bytes per second, since the reading began
}

// RestoreResult is what a restore did.
type RestoreResult struct {
	Position             Position      // where the restored file stands: its new generation, the source's sequence
	NodeID               string        // whose manifest it came from
	Epoch                uint32        // the manifest's
	Snapshot             int64         // sequence of the snapshot it began with; 0 for none
	Damaged              []string      // snapshots that were passed over because they are damaged or missing
	Batches              int           // applied
	Entries              int64         // applied
	Tail                 int64         // entries beyond the manifest's head
	Bytes                int64         // read from the store; of a dry run: to be read at most
	Resumed              int64         // bytes that an interrupted restore had read already
	Time                 time.Time     // of the newest change in the file; zero for an empty one
	Next                 time.Time     // of a restore to a time: when the first transaction that was too late was made, by its machine's clock; zero for none
	ForeignKeyViolations int           // rows that broke a foreign key in the source already; -1: it cannot be looked up
	Superseded           int64         // changes that found no row as they describe it: a trigger of the application had changed it again; 0 without such triggers
	Duration             time.Duration // from first request to the file in place
}

// Restore rebuilds the database called name at path, where no file may be. The
// file appears whole and verified, or not at all. ErrNoBackup: the store was
// read and holds no backup of that name.
func Restore(ctx context.Context, name string, store Store, path string, o RestoreOptions) (RestoreResult, error) {
	result, err := restore(ctx, name, store, path, o)
	if err != nil {
		return RestoreResult{}, fmt.Errorf("restore %q to %s: %w", name, path, err)
	}
	return result, nil
}

func restore(ctx context.Context, name string, store Store, path string, o RestoreOptions) (_ RestoreResult, err error) {
	filled := Options{Retry: o.Retry, Logger: o.Logger, Encryption: o.Encryption}.withDefaults()
	if err := errors.Join(checkName("database name", name), filled.validate()); err != nil {
		return RestoreResult{}, err
	}
	if path == ":memory:" || path == "" {
		return RestoreResult{}, errors.New("a restore needs the path of a file; driftdb.OpenAt has a private one to look at, and driftdb.Open with Options.From one to write to")
	}
	from := &bucket{store, o.Encryption}
	if err := from.unlock(ctx); err != nil {
		return RestoreResult{}, err
	}
	if err := ctx.Err(); err != nil {
		return RestoreResult{}, err
	}
	file, err := resolve(path)
	if errors.Is(err, fs.ErrNotExist) {
		return RestoreResult{}, fmt.Errorf("its directory does not exist: create it first: %w", err)
	}
	if err != nil {
		return RestoreResult{}, err
	}
	if there, err := exists(file); err != nil {
		return RestoreResult{}, err
	} else if there {
		return RestoreResult{}, inTheWay(path, file)
	}
	// Before anything is made at the path: a name with a slip in it leaves nothing.
	r := &restorer{name: name, store: from, retry: filled.Retry, logger: filled.Logger, now: filled.Now, o: o}
	var m *versioned
	if err := r.retry.do(ctx, func() error {
		m, err = lookUp(ctx, from, name)
		return err
	}); err != nil {
		return RestoreResult{}, err
	}
	if _, err := o.target(m.manifest); err != nil {
		return RestoreResult{}, err
	}
	if o.DryRun {
		return r.run(ctx, m, nil)
	}
	if r.side, err = openSidecarWithin(ctx, path, o.Retry.LockWait); err != nil {
		return RestoreResult{}, err
	}
	defer func() { err = errors.Join(err, r.side.close()) }()
	if there, err := exists(r.side.file); err != nil {
		return RestoreResult{}, err
	} else if there {
		return RestoreResult{}, ErrExists
	}
	if err := r.side.clean(); err != nil {
		return RestoreResult{}, err
	}
	return r.resume(ctx, m, nil)
}

// resume is run with what an interrupted restore has left, and leaves what the
// next one can use.
func (r *restorer) resume(ctx context.Context, m *versioned, ours *token) (RestoreResult, error) {
	kept := newPartial(r.store.Store, r.side)
	if r.o.DisableResume {
		if err := kept.remove(); err != nil {
			return RestoreResult{}, err
		}
		return r.run(ctx, m, ours)
	}
	r.kept, r.store = kept, &bucket{kept, r.store.Encryption}
	result, err := r.run(ctx, m, ours)
	if unusable(err) && kept.doubtful() && ctx.Err() == nil {
		// What was left may be what is damaged: read all of it from the store.
		if err := kept.remove(); err != nil {
			return RestoreResult{}, err
		}
		result, err = r.run(ctx, m, ours)
	}
	if err != nil && !unusable(err) && !errors.Is(err, ErrExists) {
		return RestoreResult{}, err
	}
	return result, errors.Join(err, kept.remove())
}

// restorer rebuilds one file: plan, execute, place.
type restorer struct {
	name   string
	store  *bucket
	side   *sidecar
	retry  Retry
	logger *slog.Logger
	now    func() time.Time
	o      RestoreOptions // of Restore; the zero value for a take-over
	aside  string         // where a file that stands in the way is moved; "" refuses
	kept   *partial       // what is kept of an interrupted restore; nil for nothing
	began  time.Time      // when the reading began
	hook   func(point string) error
}

// errMoved: the manifest has changed since the plan was made.
var errMoved = errors.New("the manifest has moved on")

// run restores the state of m, and of what follows it, until the manifest stays
// where it is. ours is the token of a take-over: then nothing follows head, and
// a manifest with another token is ErrFenced.
func (r *restorer) run(ctx context.Context, m *versioned, ours *token) (RestoreResult, error) {
	began := time.Now()
	r.began = began
	for round := 0; ; round++ {
		result, err := r.attempt(ctx, m, ours)
		if err == nil {
			result.Duration = elapsed(began, time.Now())
			return result, nil
		}
		last := round+1 >= r.retry.MaxAttempts || ctx.Err() != nil
		switch {
		case errors.Is(err, errMoved) || isAny(err, ErrNotExist, ErrMissing, ErrCorrupt):
			// What is missing may have been pruned for a newer snapshot, so an
			// unmoved manifest alone makes it an error.
			if errors.Is(err, ErrNotExist) {
				err = fmt.Errorf("%w: %w", ErrMissing, err)
			}
			now, readErr := r.manifest(ctx, ours)
			if readErr != nil {
				return RestoreResult{}, readErr
			}
			if now.Nonce == m.Nonce {
				return RestoreResult{}, err
			}
			if last {
				return RestoreResult{}, fmt.Errorf("planned %d times: %w (%s)", round+1, ErrMoved, err.Error())
			}
			m = now
		default:
			return RestoreResult{}, err
		}
	}
}

// manifest reads the manifest again.
func (r *restorer) manifest(ctx context.Context, ours *token) (*versioned, error) {
	var m *versioned
	err := r.retry.do(ctx, func() (err error) {
		m, err = readManifest(ctx, r.store, r.name)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case m == nil:
		return nil, ErrForeignManifest
	case ours != nil && m.ClaimToken != *ours:
		return nil, ErrFenced
	}
	return m, nil
}

// attempt restores by the manifest m from the best starting point that is
// whole.
func (r *restorer) attempt(ctx context.Context, m *versioned, ours *token) (RestoreResult, error) {
	points := m.startingPoints()
	if len(points) == 0 {
		return RestoreResult{}, ErrNoRestorePoint
	}
	to, err := r.o.target(m.manifest)
	if err != nil {
		return RestoreResult{}, err
	}
	points = slices.DeleteFunc(points, func(p plan) bool { return !to.reaches(p) })
	if len(points) == 0 {
		return RestoreResult{}, to.tooOld(m.manifest)
	}
	var damaged []string
	var first error
	for i := range points {
		p := &points[i]
		p.to = to
		result, err := r.from(ctx, p, m, ours == nil)
		if err == nil {
			result.Damaged = damaged
			return result, nil
		}
		if first == nil {
			first = err
		}
		if !unusable(err) || ctx.Err() != nil {
			return RestoreResult{}, err
		}
		if p.snapshot == nil {
			break
		}
		damaged = append(damaged, p.snapshot.Key)
		r.logger.Warn("a restore point cannot be used", "database", r.name, "key", p.snapshot.Key, "error", err)
		// A snapshot that is gone may mean that the manifest is old news.
		now, err := r.manifest(ctx, ours)
		if err != nil {
			return RestoreResult{}, err
		}
		if !now.names(p.snapshot.Key) {
			return RestoreResult{}, errMoved
		}
	}
	return RestoreResult{}, first
}

// from carries out one plan in a directory of its own and gives the file its
// name.
func (r *restorer) from(ctx context.Context, p *plan, m *versioned, beyond bool) (result RestoreResult, err error) {
	if err := r.retry.do(ctx, func() error { return p.fill(ctx, r.store, m, beyond) }); err != nil {
		return result, err
	}
	if p.snapshot == nil && m.Head.Sequence == 0 && p.tail[1] == (objectKey{}) {
		return result, fmt.Errorf("the name was claimed and nothing stored yet: %w", ErrNoRestorePoint)
	}
	if r.o.DryRun {
		return p.preview(), nil
	}
	if err := r.kept.begin(r.name, p); err != nil {
		return result, err
	}
	result, err = r.follow(ctx, p)
	for len(p.packs) > 0 && unusable(err) && ctx.Err() == nil {
		// The batches of a damaged pack may be there still, one by one.
		r.logger.Warn("a pack cannot be used", "database", r.name, "error", err)
		p.leaveOut(err)
		again := r.retry.do(ctx, func() error { return p.fill(ctx, r.store, m, beyond) })
		if errors.Is(again, ErrMissing) {
			return result, err
		}
		if again == nil {
			again = r.kept.begin(r.name, p)
		}
		if again != nil {
			return result, again
		}
		result, err = r.follow(ctx, p)
	}
	return result, err
}

// follow carries out a plan by the first of its paths that is the right one.
func (r *restorer) follow(ctx context.Context, p *plan) (result RestoreResult, err error) {
	for i := 0; i < len(p.paths); i++ {
		b, err := r.build(ctx, p, p.paths[i])
		if inside, ok := errors.AsType[*insideError](err); ok && inside.whole < p.to.sequence {
			p.to.sequence = inside.whole
			i--
			continue
		}
		if err == nil {
			result, err = r.finish(ctx, b, p)
			return result, errors.Join(err, b.discard())
		}
		if i+1 == len(p.paths) || !unusable(err) {
			return result, err
		}
		p.to.next = 0 // it was of another history
	}
	return result, errMoved // not reached: fill returns at least one path
}

// finish confirms a tail, checks the file and puts it in its place.
func (r *restorer) finish(ctx context.Context, b *build, p *plan) (RestoreResult, error) {
	if err := r.at("applied"); err != nil {
		return RestoreResult{}, err
	}
	if b.result.Tail > 0 {
		now, err := r.manifest(ctx, nil)
		if err != nil {
			return RestoreResult{}, err
		}
		// What was read beyond head counts only while its owner owns the name.
		if now.Epoch != p.m.Epoch || now.ClaimToken != p.m.ClaimToken || now.open() >= 0 {
			return RestoreResult{}, errMoved
		}
	}
	if err := b.close(ctx); err != nil {
		return RestoreResult{}, err
	}
	if err := r.place(ctx, b.path); err != nil {
		return RestoreResult{}, err
	}
	b.result.NodeID, b.result.Epoch = p.m.NodeID, p.m.Epoch
	b.result.Resumed = r.kept.reusedBytes()
	b.result.Bytes = max(b.result.Bytes-b.result.Resumed, 0)
	return b.result, nil
}

func (r *restorer) at(point string) error {
	if r.hook == nil {
		return nil
	}
	return r.hook(point)
}

func isExist(err error) bool { return errors.Is(err, fs.ErrExist) }
