package changelog_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/sqlite"
)

func (f *file) queue(m sqlite.Mode) *changelog.Queue {
	return changelog.NewQueue(f.conn(m), sqlite.IsBusy)
}

func TestSealSurvives(t *testing.T) {
	is := is.New(t)
	ctx := context.Background()
	f := newFile(t, numbersTable())
	f.tx(rows(1, 5))
	sealConn := f.conn(sqlite.Seal)
	q := changelog.NewQueue(sealConn, sqlite.IsBusy)
	is.Equal(query(t, sealConn, `PRAGMA synchronous`), []string{"int 2"}) // FULL: the commit is on the disk

	begin, err := q.Begin(ctx, dbName)
	is.NoErr(err)
	is.Equal(begin, tip0())
	tip, err := q.Tip(ctx)
	is.NoErr(err)
	is.Equal(tip, tip0())
	batches := f.cut(tip, changelog.CutOptions{Entries: 1})
	is.Equal(len(batches), 2)
	for _, b := range batches {
		is.NoErr(q.Seal(ctx, b.Seal()))
		tip, err := q.Tip(ctx)
		is.NoErr(err)
		is.Equal(tip, b.Tip())
	}

	// Another process, later: the same boundaries, the same bytes.
	f.tx(rows(6, 9))
	q = f.queue(sqlite.Seal)
	records, err := q.Records(ctx)
	is.NoErr(err)
	is.Equal(len(records), 3)
	is.True(records[0].IsBase())
	for i, b := range batches {
		if d := cmp.Diff(b.Seal(), records[1+i]); d != "" {
			t.Fatal(d)
		}
	}
	encodeAgain(t, f, batches)
	begin, err = q.Begin(ctx, dbName)
	is.NoErr(err)
	is.Equal(begin, tip0())
	s, ok, err := q.ByTo(ctx, batches[0].To)
	is.NoErr(err)
	is.True(ok)
	is.Equal(s.Hash, batches[0].Hash)
	_, ok, err = q.ByTo(ctx, 4)
	is.NoErr(err)
	is.True(!ok)
	rest := f.cut(batches[1].Tip(), changelog.CutOptions{})
	is.Equal(len(rest), 1)
	is.NoErr(q.Seal(ctx, rest[0].Seal()))
}

// Only the record that follows is taken.
func TestSealIsAChain(t *testing.T) {
	is := is.New(t)
	ctx := context.Background()
	f := newFile(t, numbersTable())
	f.tx(rows(1, 5))
	q := f.queue(sqlite.Seal)
	b := f.cut(tip0(), changelog.CutOptions{Entries: 1})
	is.True(errors.Is(q.Seal(ctx, b[0].Seal()), changelog.ErrChain)) // nothing began
	_, err := q.Tip(ctx)
	is.True(err != nil)
	_, err = q.Begin(ctx, dbName)
	is.NoErr(err)
	is.True(errors.Is(q.Seal(ctx, b[1].Seal()), changelog.ErrChain))
	is.NoErr(q.Seal(ctx, b[0].Seal()))
	is.True(errors.Is(q.Seal(ctx, b[0].Seal()), changelog.ErrChain))
	other := b[1].Seal()
	other.PrevHash[0]++
	is.True(errors.Is(q.Seal(ctx, other), changelog.ErrChain))
	other = b[1].Seal()
	other.To = other.From - 1
	is.True(errors.Is(q.Seal(ctx, other), changelog.ErrChain))
	is.NoErr(q.Seal(ctx, b[1].Seal()))
}

// A seal waits for a writer's lock; only its context ends the wait.
func TestSealWaits(t *testing.T) {
	ctx := context.Background()
	f := newFile(t, numbersTable())
	refused := make(chan struct{}, 1000) // the lock was asked for and not given
	q := changelog.NewQueue(f.conn(sqlite.Seal), func(err error) bool {
		if !sqlite.IsBusy(err) {
			return false
		}
		refused <- struct{}{}
		return true
	})
	_, err := q.Begin(ctx, dbName)
	must(t, err)
	b := f.cut(tip0(), changelog.CutOptions{})
	t.Run("ends with the context", func(t *testing.T) {
		is := is.New(t)
		f.exec(`BEGIN IMMEDIATE`)
		defer f.exec(`ROLLBACK`)
		ctx, cancel := context.WithTimeout(ctx, 250*time.Millisecond) // longer than the connection's own timeout
		defer cancel()
		err := q.Seal(ctx, b[0].Seal())
		is.True(len(refused) > 1) // it tried again
		is.True(errors.Is(err, changelog.ErrLocked))
		is.True(errors.Is(err, context.DeadlineExceeded))
	})
	t.Run("gets the lock", func(t *testing.T) {
		is := is.New(t)
		for len(refused) > 0 {
			<-refused
		}
		f.exec(`BEGIN IMMEDIATE`)
		f.exec(rows(1, 2))
		sealed := make(chan error, 1)
		go func() { sealed <- q.Seal(ctx, b[0].Seal()) }()
		for range 3 {
			<-refused
		}
		is.Equal(len(sealed), 0)
		f.exec(`COMMIT`)
		is.NoErr(<-sealed)
	})
	t.Run("cancelled before", func(t *testing.T) {
		is := is.New(t)
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		is.True(errors.Is(q.Ack(ctx, 1), context.Canceled))
		is.NoErr(q.Ack(context.Background(), 0)) // no transaction was left open
	})
}

func TestStates(t *testing.T) {
	is := is.New(t)
	ctx := context.Background()
	f := newFile(t, numbersTable())
	for i := range 5 {
		f.tx(rows(i*10, i*10+4))
	}
	q := f.queue(sqlite.Writer)
	_, err := q.Begin(ctx, dbName)
	is.NoErr(err)
	batches := f.cut(tip0(), changelog.CutOptions{Entries: 1})
	for _, b := range batches {
		is.NoErr(q.Seal(ctx, b.Seal()))
	}
	s := batches[1].Seal()
	s.Status, s.Attempts, s.NextRetryAt, s.Error = changelog.Failed, 3, 12345, "no route"
	is.NoErr(q.Update(ctx, s))
	records, err := q.Records(ctx)
	is.NoErr(err)
	is.Equal(len(records), 7)
	is.Equal(records[2], s)

	is.NoErr(q.Ack(ctx, batches[1].To))
	records, err = q.Records(ctx)
	is.NoErr(err)
	is.Equal(len(records), 5) // the newest done one and what follows
	is.Equal(records[0].Status, changelog.Done)
	is.Equal(records[0].Hash, batches[1].Hash)
	is.Equal(records[0].Error, "")
	is.Equal(records[1].Status, changelog.Pending)
	is.NoErr(q.Ack(ctx, batches[0].To)) // again, and earlier: nothing
	begin, err := q.Begin(ctx, dbName)
	is.NoErr(err)
	is.Equal(begin.Sequence, batches[1].To)
	is.Equal(begin.Hash, batches[1].Hash)
}

func TestPruneLog(t *testing.T) {
	is := is.New(t)
	ctx := context.Background()
	f := newFile(t, numbersTable())
	f.tx(rows(1, 3000))
	f.tx(rows(3001, 3010))
	q := f.queue(sqlite.Writer)
	_, err := q.Begin(ctx, dbName)
	is.NoErr(err)
	batches := f.cut(tip0(), changelog.CutOptions{Entries: 2000})
	is.Equal(len(batches), 2)
	for _, b := range batches {
		is.NoErr(q.Seal(ctx, b.Seal()))
	}
	n, err := q.PruneLog(ctx, 0)
	is.NoErr(err)
	is.Equal(n, int64(0)) // nothing is acknowledged
	is.NoErr(q.Ack(ctx, batches[0].To))
	n, err = q.PruneLog(ctx, 500)
	is.NoErr(err)
	is.Equal(n, batches[1].To-500)
	n, err = q.PruneLog(ctx, 1)
	is.NoErr(err)
	is.Equal(n, int64(500-11))
	is.Equal(f.value(`SELECT min(sequence) FROM _driftdb_log`), "3004")

	// The schema version outlives its entry, and sealed batches encode as ever.
	encodeAgain(t, f, batches[1:])
	tip, err := f.queue(sqlite.Seal).Tip(ctx)
	is.NoErr(err)
	is.Equal(tip, batches[1].Tip())

	is.NoErr(q.Ack(ctx, batches[1].To))
	_, err = q.PruneLog(ctx, 0)
	is.NoErr(err)
	is.Equal(f.value(`SELECT group_concat(sequence) FROM _driftdb_log`), "3014") // the newest row stays
	f.tx(`INSERT INTO numbers VALUES (9999, NULL)`)
	is.Equal(f.value(`SELECT group_concat(sequence) FROM _driftdb_log`), "3014,3015,3016")
	batches = f.cut(tip, changelog.CutOptions{})
	is.Equal(batches[0].SchemaVersion, int64(1))
}

// A file that had data before its log begins where it stands.
func TestBeginOnExistingData(t *testing.T) {
	ctx := context.Background()
	for name, prepare := range map[string]func(f *file){
		"tables before the log": func(f *file) {
			f.exec(`DELETE FROM _driftdb_meta WHERE key = 'complete'`)
		},
		"pruned log": func(f *file) {
			f.exec(`DELETE FROM _driftdb_log WHERE sequence < 4`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			is := is.New(t)
			f := newFile(t, numbersTable())
			f.tx(rows(1, 5))
			prepare(f)
			q := f.queue(sqlite.Seal)
			for range 2 {
				tip, err := q.Begin(ctx, dbName)
				is.NoErr(err)
				is.Equal(tip.Sequence, int64(8))
				is.True(tip.Hash != changelog.Hash0(dbName)) // or other files would pass for this one
				is.True(tip.MaxTime > 0)
				floor, err := q.Floor(ctx)
				is.NoErr(err)
				is.Equal(floor, changelog.Floor{Sequence: 8, Hash: tip.Hash, Unstored: true})
			}
			f.tx(rows(6, 7))
			tip, err := q.Tip(ctx)
			is.NoErr(err)
			b := f.cut(tip, changelog.CutOptions{})
			is.Equal(b[0].From, int64(9))
			is.NoErr(q.Seal(ctx, b[0].Seal()))
		})
	}
}
