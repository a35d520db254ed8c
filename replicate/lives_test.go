package replicate_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/faultstore"
	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// TestLives plays random lives of two machines under one name: writes, flushes,
// snapshots, crashes between any two steps, lost files, copied files,
// take-overs, requests that fail or whose answer is lost. After every step a
// real restore must give back a history that has everything any machine was told
// is safe. One request follows the other here; TestSchedules interleaves them.
// DRIFTDB_LIVES sets the number of lives, DRIFTDB_SEED the first.
func TestLives(t *testing.T) {
	n, seed := env("DRIFTDB_LIVES", 15), env("DRIFTDB_SEED", 1)
	for i := range n {
		t.Run(strconv.Itoa(seed+i), func(t *testing.T) {
			t.Parallel()
			w := newLives(t, uint64(seed+i))
			for range 14 {
				w.step()
				w.check()
			}
			w.finish()
		})
	}
}

type lives struct {
	t        *testing.T
	rand     *rand.Rand
	store    *faultstore.Store
	machines [2]*program
	row      int64
	acked    map[int64]bool // rows that somebody was told are safe
	log      []string
}

// program is one on a computer of its own.
type program struct {
	path    string
	app     *app
	replica *replicate.Replica
}

func newLives(t *testing.T, seed uint64) *lives {
	w := &lives{t: t, rand: rand.New(rand.NewPCG(seed, 0)), store: faultstore.New(memstore.New()), acked: map[int64]bool{}}
	for i := range w.machines {
		w.machines[i] = &program{path: filepath.Join(t.TempDir(), "app.sqlite")}
	}
	t.Cleanup(func() {
		for _, m := range w.machines {
			w.stop(m)
		}
	})
	return w
}

func (w *lives) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

func (w *lives) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\nafter:\n  %s", fmt.Sprintf(format, args...), strings.Join(w.log, "\n  "))
}

// step does one thing on one machine, under a fault or none.
func (w *lives) step() {
	i := w.rand.IntN(2)
	m := w.machines[i]
	w.store.Set()
	if w.rand.IntN(4) == 0 {
		kinds := []faultstore.Kind{faultstore.Error, faultstore.LostReply, faultstore.Permanent}
		rule := faultstore.Rule{Nth: 1 + w.rand.IntN(4), Times: 1 + w.rand.IntN(4), Kind: kinds[w.rand.IntN(len(kinds))]}
		w.note("next requests: from %d, %d times %v", rule.Nth, rule.Times, rule.Kind)
		w.store.Set(rule)
	}
	if m.replica == nil {
		switch w.rand.IntN(6) {
		case 0:
			w.lose(i, m)
		case 1:
			w.clone(i, m)
		}
		w.start(i, m)
		return
	}
	switch w.rand.IntN(8) {
	case 0:
		w.note("%d: crash", i)
		w.stop(m)
	case 1:
		w.note("%d: shutdown: %v", i, m.replica.Shutdown(w.t.Context()))
		w.stop(m)
	case 2:
		w.write(i, m)
		w.flush(i, m, true)
	default:
		w.write(i, m)
		w.flush(i, m, w.rand.IntN(5) == 0)
	}
}

// start starts a program whose life may end at any step.
func (w *lives) start(i int, m *program) {
	o := fast()
	o.AutoRestore, o.TakeOver = w.rand.IntN(4) > 0, w.rand.IntN(4) == 0
	o.LogTail = int64(w.rand.IntN(20))
	if w.rand.IntN(4) == 0 {
		o.NodeID = "twin" // both machines set up alike
	}
	r, err := replicate.New(dbName, w.store, o)
	if err != nil {
		w.t.Fatal(err)
	}
	crash := -1
	if w.rand.IntN(3) == 0 {
		crash = w.rand.IntN(25)
	}
	r.SetHook(func(string) error {
		if crash--; crash == -1 {
			return errCrash
		}
		return nil
	})
	err = r.Prepare(w.t.Context(), m.path)
	w.note("%d: prepare (AutoRestore %v, TakeOver %v, node %q): %v", i, o.AutoRestore, o.TakeOver, o.NodeID, err)
	if err == nil {
		m.app = openApp(w.t, m.path)
		err = r.Start(w.t.Context(), m.path)
		w.note("%d: start: %v", i, err)
	}
	m.replica = r
	if err != nil {
		w.named(err)
		w.stop(m)
	}
}

// stop ends the program as a crash does.
func (w *lives) stop(m *program) {
	if m.replica != nil {
		if err := m.replica.Kill(); err != nil {
			w.fail("kill: %v", err)
		}
		m.replica = nil
	}
	if m.app != nil {
		m.app.close()
		m.app = nil
	}
}

func (w *lives) lose(i int, m *program) {
	w.note("%d: the file is lost", i)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(m.path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			w.t.Fatal(err)
		}
	}
}

// clone copies the other machine's file here, if there is one and nobody has it
// open.
func (w *lives) clone(i int, m *program) {
	from := w.machines[1-i]
	b, err := os.ReadFile(from.path)
	if from.replica != nil || err != nil {
		return
	}
	w.note("%d: gets the file of %d", i, 1-i)
	w.lose(i, m)
	for _, suffix := range []string{"", "-wal"} {
		if suffix != "" {
			if b, err = os.ReadFile(from.path + suffix); err != nil {
				continue
			}
		}
		if err := os.WriteFile(m.path+suffix, b, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *lives) write(i int, m *program) {
	for range 1 + w.rand.IntN(3) {
		w.row++
		m.app.in(func(x changelog.Execer) error {
			return x.Exec(w.t.Context(), `INSERT INTO items (id, name, n) VALUES (?, ?, ?)`, w.row, fmt.Sprintf("row %d", w.row), int64(i))
		})
	}
	w.note("%d: wrote up to row %d", i, w.row)
}

// flush asks that everything be safe; the rows of the file count as safe from
// then on if the answer was yes.
func (w *lives) flush(i int, m *program, snapshot bool) {
	rows := w.rows(m.path)
	var err error
	if snapshot {
		err = m.replica.Snapshot(w.t.Context())
	} else {
		err = m.replica.Flush(w.t.Context())
	}
	w.note("%d: flush (snapshot %v): %v", i, snapshot, err)
	switch {
	case err == nil:
		for r := range rows {
			w.acked[r] = true
		}
	case errors.Is(err, errCrash):
		w.stop(m)
	default:
		w.named(err)
		if w.rand.IntN(3) == 0 {
			w.note("%d: is stopped", i)
			w.stop(m)
		}
	}
}

// named asserts that err is one that a caller can act on.
func (w *lives) named(err error) {
	w.t.Helper()
	for _, known := range []error{
		errCrash, faultstore.ErrInjected, replicate.ErrFenced, replicate.ErrForked, replicate.ErrBehind, replicate.ErrOwned, replicate.ErrNoRestorePoint,
	} {
		if errors.Is(err, known) {
			return
		}
	}
	w.fail("an error without a name: %v", err)
}

func (w *lives) rows(path string) map[int64]bool {
	w.t.Helper()
	db := sql.OpenDB(sqlite.Connector(path, sqlite.Plain))
	defer db.Close() //nolint:errcheck // only read
	rows, err := db.QueryContext(context.Background(), `SELECT id FROM items`)
	if err != nil {
		w.fail("%v", err)
	}
	defer rows.Close()
	found := map[int64]bool{}
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			w.fail("%v", err)
		}
		found[id] = true
	}
	if err := rows.Err(); err != nil {
		w.fail("%v", err)
	}
	return found
}

// check restores from the healed store.
func (w *lives) check() {
	w.t.Helper()
	w.store.Set()
	path := filepath.Join(w.t.TempDir(), "check.sqlite")
	_, err := replicate.Restore(w.t.Context(), dbName, w.store, path, replicate.RestoreOptions{Retry: fast().Retry})
	if err != nil {
		if len(w.acked) > 0 || !errors.Is(err, replicate.ErrNoBackup) && !errors.Is(err, replicate.ErrNoRestorePoint) {
			w.fail("the bucket does not restore: %v", err)
		}
		return
	}
	rows := w.rows(path)
	for r := range w.acked {
		if !rows[r] {
			w.fail("row %d was acknowledged and is not restored", r)
		}
	}
}

// finish lets one machine take over at the end: somebody can always go on.
func (w *lives) finish() {
	w.store.Set()
	m := w.machines[w.rand.IntN(2)]
	w.stop(m)
	r := newReplica(w.t, w.store, replicate.Options{AutoRestore: true, TakeOver: true, Sync: replicate.Sync{Manual: true}})
	if err := r.Prepare(w.t.Context(), m.path); err != nil {
		if errors.Is(err, replicate.ErrNoRestorePoint) && len(w.acked) == 0 || errors.Is(err, replicate.ErrForked) && len(w.acked) == 0 {
			return
		}
		w.fail("the last take-over: %v", err)
	}
	m.app = openApp(w.t, m.path)
	if err := r.Start(w.t.Context(), m.path); err != nil {
		w.fail("the last start: %v", err)
	}
	m.replica = r
	w.write(9, m)
	w.flush(9, m, false)
	if !w.acked[w.row] {
		w.fail("nobody can go on")
	}
	w.check()
	w.stop(m)
}
