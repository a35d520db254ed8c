package replicate_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// TestDamagedFile damages the local file between two lives of a program, as a failing
// disk does: bytes, whole pages, its length. Whatever SQLite makes of that, nothing
// crashes, every error has a name, what was acknowledged before can be restored as it
// was, and the bucket never takes a file that SQLite knows to be broken: the newest
// state restores, too, and a start without the file goes on with it.
// DRIFTDB_DAMAGES sets how many files are damaged, DRIFTDB_SEED with which the first.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	rounds, seed := 30, int64(1)
	if s := os.Getenv("DRIFTDB_DAMAGES"); s != "" {
		var err error
		if rounds, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	if s := os.Getenv("DRIFTDB_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseInt(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	outcomes := map[string]int{}
	for i := range rounds {
		outcomes[damagedLife(t, seed+int64(i))]++
	}
	t.Logf("seed %d: %v", seed, outcomes)
}

// damagedLife is one of them. It returns how far the second life came.
func damagedLife(t *testing.T, seed int64) (outcome string) {
	is := is.New(t)
	random := rand.New(rand.NewPCG(uint64(seed), 7))
	dir, err := os.MkdirTemp(memoryDir(t), "") //nolint:usetesting // removed with its round
	is.NoErr(err)
	defer func() { is.NoErr(os.RemoveAll(dir)) }()
	store := memstore.New()
	a := openApp(t, filepath.Join(dir, "app.sqlite"))
	r := start(t, a, store, fast())
	a.bulk(1, 200)
	a.insert(201, 220)
	is.NoErr(r.Snapshot(t.Context()))
	a.exec(`UPDATE items SET name = name || '!' WHERE id % 3 = 0`)
	a.insert(221, 230)
	flush(t, r)
	acked := r.Status().Acknowledged
	if random.IntN(2) == 0 {
		shutdown(t, r)
	} else {
		kill(t, r)
	}
	want := dump(t, a.path)
	a.close()
	is.NoErr(damage(random, a.path))

	outcome, err = secondLife(t.Context(), random, a.path, store)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	before := filepath.Join(dir, "before.sqlite")
	if _, err := replicate.Restore(t.Context(), dbName, store, before, replicate.RestoreOptions{Sequence: acked, Retry: fast().Retry}); err != nil {
		t.Fatalf("seed %d, %s: restore what was acknowledged before: %v", seed, outcome, err)
	}
	if diff := cmp.Diff(want, dump(t, before)); diff != "" {
		t.Fatalf("seed %d, %s: what was acknowledged before (-was +restored):\n%s", seed, outcome, diff)
	}
	latest := filepath.Join(dir, "latest.sqlite")
	if _, err := replicate.Restore(t.Context(), dbName, store, latest, replicate.RestoreOptions{Retry: fast().Retry}); err != nil {
		t.Fatalf("seed %d, %s: restore the newest state: %v", seed, outcome, err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(a.path+suffix, filepath.Join(dir, "damaged"+suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	o := fast()
	o.AutoRestore = true
	r = newReplica(t, store, o)
	if err := r.Start(t.Context(), a.path); err != nil {
		t.Fatalf("seed %d, %s: start without the file: %v", seed, outcome, err)
	}
	// quick_check, which a snapshot must pass, does not compare indexes with their
	// tables: a broken one is no row lost.
	const items = `SELECT id || ' ' || quote(name) || ' ' || quote(n) || ' ' || quote(x) || ' ' || quote(data) FROM items NOT INDEXED ORDER BY id`
	if diff := cmp.Diff(lines(t, latest, items), lines(t, a.path, items)); diff != "" {
		t.Fatalf("seed %d, %s: what a start without the file has (-restored +started):\n%s", seed, outcome, diff)
	}
	is.NoErr(r.Kill())
	return outcome
}

// damage changes a closed database file.
func damage(random *rand.Rand, path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	const page = 4096
	at := func() []byte { n := random.IntN(len(b) / page); return b[n*page:][:page] }
	switch random.IntN(6) {
	case 0: // some bits anywhere
		for range 1 + random.IntN(8) {
			b[random.IntN(len(b))] ^= 1 << random.IntN(8)
		}
	case 1: // bits of one page's head, where SQLite keeps its pointers
		p := at()
		for range 1 + random.IntN(4) {
			p[random.IntN(64)] ^= 1 << random.IntN(8)
		}
	case 2: // a page that was never written
		clear(at())
	case 3: // a page of another time
		copy(at(), at())
	case 4: // noise
		for p := at(); len(p) > 0; p = p[1:] {
			p[0] = byte(random.Uint32())
		}
	case 5: // the end is missing
		b = b[:random.IntN(len(b))]
	}
	return os.WriteFile(path, b, 0o600)
}

// secondLife goes on with the file, whatever becomes of it.
func secondLife(ctx context.Context, random *rand.Rand, path string, store replicate.Store) (outcome string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	r, err := replicate.New(dbName, store, fast())
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, r.Kill()) }()
	if err := r.Start(ctx, path); err != nil {
		return "not started", named(err)
	}
	db := sql.OpenDB(sqlite.Connector(path, sqlite.Writer))
	db.SetMaxOpenConns(1)
	defer func() { _ = db.Close() }()
	a := &app{path: path, db: db}
	written := 0
	for i := range 20 {
		query := fmt.Sprintf(`INSERT INTO items (id, name, n) VALUES (%d, 'new', 1)`, 1000+i)
		if i%2 == 1 {
			query = fmt.Sprintf(`UPDATE items SET name = 'changed', x = 1.5 WHERE id = %d`, 1+random.IntN(230))
		}
		if a.try(func(x changelog.Execer) error { return x.Exec(ctx, query) }) == nil {
			written++
		}
	}
	outcome = "nothing written"
	if written > 0 {
		outcome = "written"
	}
	if err := r.Flush(ctx); err != nil {
		return outcome + ", not flushed", named(err)
	}
	outcome += ", flushed"
	if err := r.Snapshot(ctx); err != nil {
		return outcome + ", no snapshot", named(err)
	}
	return outcome + ", snapshot", nil
}

// named returns err if it is none of those that say what to do about the file.
func named(err error) error {
	for _, of := range []error{replicate.ErrDamaged, replicate.ErrLogDamaged, replicate.ErrSchemaDrift, replicate.ErrNotPrepared, replicate.ErrForked} {
		if errors.Is(err, of) {
			return nil
		}
	}
	return err
}
