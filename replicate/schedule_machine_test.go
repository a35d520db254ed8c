package replicate_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/replicate"
)

// machine is a computer with one database file and at most one process that
// ships it.
type machine struct {
	w     *world
	index int
	path  string
	file  int // counts the files that it has had: lost, copied over, made anew

	starts  int
	replica *replicate.Replica // nil: no process
	up      bool               // Start has returned
	port    *port
	crash   int // steps of the process until it dies; below 0 never
	tasks   []*task
	saw     string // claim token of the manifest it has read last
	db      driver.Conn

	keeping sync.Mutex  // the engine's goroutine keeps, the schedule looks
	kept    []diskImage // what a power loss may leave: the disk at the last seal, and states since
}

// diskImage is a database file and its write-ahead log.
type diskImage struct{ db, wal []byte }

// task is a call that runs beside the schedule.
type task struct {
	what string
	stop context.CancelFunc
	done chan struct{}
	err  error
	then func(err error)
}

// run begins a call; then is called by the schedule when it has ended.
func run(what string, f func(ctx context.Context) error, then func(error)) *task {
	ctx, cancel := context.WithCancel(context.Background())
	t := &task{what: what, stop: cancel, done: make(chan struct{}), then: then}
	go func() {
		defer close(t.done)
		defer cancel()
		t.err = f(ctx)
	}()
	return t
}

func (t *task) ended() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

func (m *machine) name() string { return fmt.Sprintf("%c%d", 'A'+m.index, m.starts) }

func (m *machine) by() ownership { return ownership{m.index, m.file} }

// hasFile says whether a database file is there.
func (m *machine) hasFile() bool {
	_, err := os.Lstat(m.path)
	return err == nil
}

// start starts a process. Everything it does is left to the schedule.
func (m *machine) start(o replicate.Options) {
	w := m.w
	m.starts++
	m.port = &port{post: w.post, name: m.name(), machine: m.index, by: m.by()}
	r, err := replicate.New(dbName, m.port, o)
	w.must(err)
	r.SetCut(2+w.rand.IntN(3), 2)
	r.SetFan(2)
	m.crash = -1
	if !w.ending && w.rand.IntN(6) == 0 {
		m.crash = w.rand.IntN(30)
	}
	r.SetHook(func(point string) error {
		switch point {
		case "sealed":
			m.keep(true)
		case "gap-sealed":
			m.keep(true)
			if err := w.gapSealed(m.path); err != nil {
				return err
			}
		case "rebased":
			m.keep(true)
			if err := w.rebased(m.path); err != nil {
				return err
			}
		}
		if m.crash--; m.crash == -1 {
			return errCrash
		}
		return nil
	})
	m.replica, m.up, m.saw = r, false, ""
	m.tasks = append(m.tasks, run("start", func(ctx context.Context) error {
		if err := r.Prepare(ctx, m.path); err != nil {
			return err
		}
		if !m.hasFile() {
			m.file++
			m.port.by = m.by()
			if err := os.WriteFile(m.path, w.template, 0o600); err != nil {
				return err
			}
		}
		return r.Start(ctx, m.path)
	}, func(err error) {
		w.note("%s: start: %v", m.name(), err)
		if err == nil {
			m.up = true
			m.keep(true) // what is there was there before, or restored and synced
			return
		}
		m.failed(err)
		m.kill()
	}))
}

// ask calls one of Flush, Snapshot and Shutdown.
func (m *machine) ask(what string) {
	w, r := m.w, m.replica
	rows := m.rows()
	call := map[string]func(context.Context) error{"flush": r.Flush, "snapshot": r.Snapshot, "shutdown": r.Shutdown}[what]
	name := m.name()
	m.tasks = append(m.tasks, run(what, call, func(err error) {
		w.note("%s: %s of %v: %v", name, what, rows, err)
		if err == nil {
			w.rules.acknowledged(name, rows)
		} else {
			m.failed(err)
		}
		if what == "shutdown" || errors.Is(err, errCrash) {
			m.kill()
		}
	}))
	w.note("%s: %s begins", name, what)
}

// shutting says whether a Shutdown is under way: a second one would wait for it.
func (m *machine) shutting() bool {
	return slices.ContainsFunc(m.tasks, func(t *task) bool { return t.what == "shutdown" })
}

// failed checks that an error of this machine's process is one that a person can
// act on, and that it is not the owner who gets it.
func (m *machine) failed(err error) {
	for _, refusal := range []error{replicate.ErrForked, replicate.ErrBehind, replicate.ErrFenced, replicate.ErrOwned} {
		if errors.Is(err, refusal) {
			// A take-over that arrives after its sender has died makes this machine
			// the owner behind its process's back: the next start finishes it.
			if b, readErr := os.ReadFile(m.sidecar()); readErr == nil && m.saw != "" && strings.Contains(string(b), m.saw) && errors.Is(err, replicate.ErrFenced) {
				return
			}
			m.w.rules.refused(m.name(), m.by(), m.saw, err)
			return
		}
	}
	if c := m.w.rules.claim; errors.Is(err, replicate.ErrNoRestorePoint) && c != nil && c.Nothing {
		return // whoever has a file can go on
	}
	for _, known := range []error{errCrash, errNet, context.Canceled, replicate.ErrClosed} {
		if errors.Is(err, known) {
			return
		}
	}
	m.w.fail("%s: an error without a name, or one that must not be: %v", m.name(), err)
}

// kill ends the process as a crash does: what it has under way at the store may
// or may not arrive.
func (m *machine) kill() {
	if m.replica == nil {
		return
	}
	r := m.replica
	m.replica = nil
	for _, t := range m.tasks {
		t.stop()
	}
	for _, t := range m.tasks {
		<-t.done
	}
	m.tasks = nil
	m.w.must(r.Kill())
	m.close()
	m.up = false
}

// open opens the application's own connection.
func (m *machine) open() changelog.Execer {
	if m.db == nil {
		c, err := sqlite.Connector(m.path, sqlite.Writer).Connect(context.Background())
		m.w.must(err)
		m.db = c
	}
	return changelog.Driver(m.db)
}

func (m *machine) close() {
	if m.db != nil {
		m.w.must(m.db.Close())
		m.db = nil
	}
}

// write commits one transaction of n rows.
func (m *machine) write(n int) {
	ctx, x, w := context.Background(), m.open(), m.w
	first := w.row + 1
	w.must(x.Exec(ctx, "BEGIN IMMEDIATE"))
	for range n {
		w.row++
		w.must(x.Exec(ctx, `INSERT INTO rows (id) VALUES (?)`, w.row))
	}
	if w.rand.IntN(5) > 0 { // else as a program does that knows of no marks
		w.must(x.Exec(ctx, changelog.MarkSQL))
	}
	w.must(x.Exec(ctx, "COMMIT"))
	w.note("%s: wrote %d to %d", m.name(), first, w.row)
	m.keep(false)
	m.replica.Notify()
}

func (m *machine) rows() []int64 {
	rows, err := rowsOf(m.open())
	m.w.must(err)
	return rows
}

// rowsOf returns the rows of a file in the order in which they were written.
func rowsOf(x changelog.Execer) ([]int64, error) {
	row, err := x.QueryRow(context.Background(), `SELECT coalesce(group_concat(id), '') FROM (SELECT id FROM rows ORDER BY id)`)
	if err != nil {
		if strings.Contains(err.Error(), "no such table") { // from before the table was made
			return nil, nil
		}
		return nil, err
	}
	var text string
	switch v := row[0].(type) {
	case string:
		text = v
	case []byte:
		text = string(v)
	}
	var ids []int64
	for f := range strings.SplitSeq(text, ",") {
		if f == "" {
			continue
		}
		id, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// keep notes the disk as it is now: as what a power loss cannot take back, or
// as one of the states that it may leave.
func (m *machine) keep(sealed bool) {
	if !m.w.power {
		return
	}
	m.keeping.Lock()
	defer m.keeping.Unlock()
	if sealed {
		m.kept = m.kept[:0]
	}
	m.kept = append(m.kept, m.image())
}

// mayLosePower says whether there is a state to go back to.
func (m *machine) mayLosePower() bool {
	m.keeping.Lock()
	defer m.keeping.Unlock()
	return len(m.kept) > 0
}

func (m *machine) image() (i diskImage) {
	i.db, _ = os.ReadFile(m.path)
	i.wal, _ = os.ReadFile(m.path + "-wal")
	return i
}

func (m *machine) put(i diskImage) {
	m.remove()
	m.w.must(os.WriteFile(m.path, i.db, 0o600))
	if len(i.wal) > 0 {
		m.w.must(os.WriteFile(m.path+"-wal", i.wal, 0o600))
	}
}

// remove deletes the database file; what is beside it stays.
func (m *machine) remove() {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(m.path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			m.w.must(err)
		}
	}
}

// powerLoss ends the process and puts the disk back to a state that it may be
// left in: never before the last seal.
func (m *machine) powerLoss() {
	m.kill() // nothing is kept from here on
	n := len(m.kept)
	i := m.w.rand.IntN(n)
	m.w.note("%s: power loss, %d of %d", m.name(), i, n)
	m.put(m.kept[i])
}

// lose loses the file, or everything.
func (m *machine) lose(all bool) {
	m.w.note("%s: the file is lost, all %v", m.name(), all)
	m.file++
	m.kept = nil
	m.remove()
	if all {
		m.w.must(os.RemoveAll(m.path + "-drift"))
		m.w.nodes++
		m.identify(fmt.Sprintf("%c%d", 'a'+m.index, m.w.nodes))
	}
}

// identify makes the directory beside the file, so that node ids are the same in
// every run of a schedule.
func (m *machine) identify(node string) {
	m.w.must(os.MkdirAll(m.path+"-drift", 0o700))
	m.w.must(os.WriteFile(m.sidecar(), fmt.Appendf(nil, `{"version":2,"nodeId":%q,"databases":{}}`, node), 0o600))
}

func (m *machine) sidecar() string { return filepath.Join(m.path+"-drift", "node.json") }

// clone puts a copy of the other machine's file here, while it may be in use;
// with the directory beside it, as when a whole machine is copied.
func (m *machine) clone(from *machine, whole bool) {
	if !from.hasFile() {
		return
	}
	m.w.note("%s: becomes a copy of %s, whole %v", m.name(), from.name(), whole)
	m.file++
	m.kept = nil
	m.put(from.image())
	if whole {
		b, err := os.ReadFile(from.sidecar())
		m.w.must(err)
		m.w.must(os.WriteFile(m.sidecar(), b, 0o600))
	}
}
