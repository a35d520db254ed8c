package replicate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
	"github.com/driftdb/driftdb/schema"
)

// TestSchedules interleaves two machines that write under one name, a restorer
// and a pruner: the real engine on real files, over a network that delays, drops
// and duplicates requests. Each request, crash, power loss, copied or lost file,
// take-over, snapshot, pack and deletion is one step, and a random schedule says
// which is next. The invariants are those of the protocol's model: see rules.
//
// DRIFTDB_SCHEDULES sets the number of schedules, DRIFTDB_SEED the first.
func TestSchedules(t *testing.T) {
	n, seed := env("DRIFTDB_SCHEDULES", 60), env("DRIFTDB_SEED", 1)
	template := newTemplate(t)
	var next, steps atomic.Int64
	began := time.Now()
	for range runtime.GOMAXPROCS(0) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for !t.Failed() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, uint64(seed+i), filepath.Join(dir, fmt.Sprint(i)), template)
					defer w.end()
					w.play()
					steps.Add(int64(w.steps))
				})
				if done := i + 1; done%1000 == 0 && !t.Failed() {
					t.Logf("%d schedules, %d steps, %s", done, steps.Load(), time.Since(began).Round(time.Second))
				}
			}
		})
	}
}

func env(name string, otherwise int) int {
	var n int
	if _, err := fmt.Sscan(os.Getenv(name), &n); err == nil {
		return n
	}
	return otherwise
}

// newTemplate returns a new database as an application leaves it that has opened
// it once: with the log, a table and its triggers.
func newTemplate(t testing.TB) []byte {
	path := filepath.Join(t.TempDir(), "template.sqlite")
	c, err := sqlite.Connector(path, sqlite.Writer).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	x := changelog.Driver(c)
	err = x.Exec(t.Context(), "BEGIN")
	if err == nil {
		err = changelog.Init(t.Context(), x)
	}
	if err == nil {
		rows := schema.Table{Name: "rows", Key: []string{"id"}, Columns: []schema.Column{{Name: "id", Type: schema.Integer, NotNull: true}}}
		statements := []string{rows.CreateSQL()}
		for _, trigger := range rows.TriggerSQL() {
			statements = append(statements, trigger.SQL)
		}
		err = makeSchema(t.Context(), x, changelog.SchemaEntry{
			Name: "open", SQL: statements,
			Tables: []changelog.Layout{{Name: rows.Name, Key: rows.Key, Columns: []string{"id"}}},
		})
	}
	if err == nil {
		err = x.Exec(t.Context(), "COMMIT")
	}
	if err = errors.Join(err, c.Close()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// world is one schedule.
type world struct {
	t        *testing.T
	seed     uint64
	rand     *rand.Rand
	dir      string
	template []byte
	post     *post
	rules    *rules
	telling  sync.Mutex // processes tell the rules of gaps and beginnings
	machines [2]*machine
	others   []*task // restores and prunings
	restores int
	flying   []*call // of callers that have gone, or that were told they failed
	row      int64
	nodes    int
	power    bool // power losses happen
	bounded  bool // little log may wait: what is too much is dropped
	weights  map[string]int
	errors   int // of a hundred requests, how many go wrong
	steps    int
	ending   bool // nothing goes wrong any more
	log      []string
}

func newWorld(t *testing.T, seed uint64, dir string, template []byte) *world {
	w := &world{
		t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 0)), dir: dir, template: template,
		post: &post{bucket: memstore.NewWithOptions(memstore.Options{Now: later})},
	}
	w.rules = newRules(w.fail)
	for i := range w.machines {
		d := filepath.Join(dir, string(rune('a'+i)))
		w.must(os.MkdirAll(d, 0o700))
		m := &machine{w: w, index: i, path: filepath.Join(d, "app.sqlite")}
		w.machines[i] = m
		m.identify(string(rune('a' + i)))
	}
	w.must(os.WriteFile(w.machines[0].path, template, 0o600))
	// Not every schedule has everything in it: a rare step must not hide
	// behind frequent ones.
	w.weights = map[string]int{}
	for _, step := range []string{"crash", "power", "lose", "clone", "shutdown", "snapshot", "prune", "restore", "touch", "day"} {
		w.weights[step] = []int{0, 1, 1, 3}[w.rand.IntN(4)]
	}
	w.power = w.weights["power"] > 0
	w.errors = []int{0, 5, 15, 40}[w.rand.IntN(4)]
	if w.bounded = w.rand.IntN(3) == 0; w.bounded {
		w.errors = max(w.errors, 15) // nothing is dropped while all goes well
	}
	return w
}

// backlog is what all processes of a schedule do when too much waits.
func (w *world) backlog() replicate.Backlog {
	if !w.bounded {
		return replicate.Backlog{}
	}
	return replicate.Backlog{Policy: replicate.BacklogResnapshot, Alarm: 1, Bound: 1}
}

func (w *world) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

func (w *world) must(err error) {
	if err != nil {
		w.fail("%v", err)
	}
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("schedule %d: %s\nafter:\n  %s", w.seed, fmt.Sprintf(format, args...), strings.Join(w.log, "\n  "))
}

// end leaves nothing behind.
func (w *world) end() {
	for _, m := range w.machines {
		m.kill()
	}
	for _, t := range w.others {
		t.stop()
		<-t.done
	}
	if err := os.RemoveAll(w.dir); err != nil {
		w.t.Error(err)
	}
}

// play carries out a schedule, and then lets somebody go on.
func (w *world) play() {
	for range 50 {
		w.settle()
		w.step()
		w.steps++
	}
	w.finish()
}

// settle waits until nothing happens by itself, and takes what has ended.
func (w *world) settle() {
	for {
		synctest.Wait()
		var ended []*task
		for _, m := range w.machines {
			m.tasks = take(m.tasks, &ended)
		}
		w.others = take(w.others, &ended)
		for _, c := range w.post.abandoned() {
			if c.writes() && w.rand.IntN(2) == 0 {
				w.note("%v is still on its way", c)
				w.flying = append(w.flying, c)
			}
		}
		if len(ended) == 0 {
			return
		}
		for _, t := range ended {
			t.then(t.err)
		}
	}
}

// take moves the tasks that have ended.
func take(tasks []*task, ended *[]*task) []*task {
	kept := tasks[:0]
	for _, t := range tasks {
		if t.ended() {
			*ended = append(*ended, t)
		} else {
			kept = append(kept, t)
		}
	}
	return kept
}

// step does one thing that can happen now.
func (w *world) step() {
	type choice struct {
		weight int
		do     func()
	}
	var all []choice
	can := func(weight int, do func()) {
		if weight > 0 {
			all = append(all, choice{weight, do})
		}
	}
	for _, c := range w.post.pending() {
		can(24, func() { w.request(c) })
	}
	for i := range w.flying {
		can(4, func() { w.arrive(i) })
	}
	for _, m := range w.machines {
		w.machineSteps(m, can)
	}
	can(w.weights["restore"], w.restore)
	can(2*w.weights["prune"], w.prune)
	if w.rules.claim != nil {
		can(w.weights["touch"], w.touch)
	}
	can(2*w.weights["day"], func() { w.pass(25 * time.Hour) })
	can(4, func() { w.pass(1100 * time.Millisecond) })
	can(6, func() { w.pass(2 * time.Millisecond) })
	total := 0
	for _, c := range all {
		total += c.weight
	}
	n := w.rand.IntN(total)
	for _, c := range all {
		if n -= c.weight; n < 0 {
			c.do()
			return
		}
	}
}

func (w *world) machineSteps(m *machine, can func(int, func())) {
	other := w.machines[1-m.index]
	if m.replica == nil {
		can(8, func() { w.start(m) })
		can(w.weights["lose"], func() { m.lose(w.rand.IntN(2) == 0) })
		can(w.weights["clone"], func() { m.clone(other, w.rand.IntN(2) == 0) })
		return
	}
	can(w.weights["crash"], func() {
		w.note("%s: crash", m.name())
		m.kill()
	})
	if !m.up {
		return
	}
	if m.mayLosePower() {
		can(w.weights["power"], m.powerLoss)
	}
	can(12, func() { m.write(1 + w.rand.IntN(3)) })
	if len(m.tasks) < 2 && !m.shutting() {
		can(16, func() { m.ask("flush") })
		can(2*w.weights["snapshot"], func() { m.ask("snapshot") })
		can(w.weights["shutdown"], func() { m.ask("shutdown") })
	}
}

func (w *world) start(m *machine) {
	o := replicate.Options{
		AutoRestore: w.rand.IntN(4) > 0, TakeOver: w.rand.IntN(4) == 0,
		LogTail:            int64(w.rand.IntN(20)) - 1,
		DisableCompression: w.rand.IntN(64) > 0,
		Snapshot:           replicate.SnapshotRule{Disabled: true},
		Retry:              retries(3),
		Retention:          replicate.Retention{Window: time.Hour, Snapshots: 1, Disabled: w.rand.IntN(2) == 0},
		Backlog:            w.backlog(),
		Now:                later,
	}
	o.Sync.Manual, o.Sync.Interval = w.rand.IntN(2) == 0, 10_000*time.Hour
	m.start(o)
	w.note("%s: starts (AutoRestore %v, TakeOver %v, Manual %v)", m.name(), o.AutoRestore, o.TakeOver, o.Sync.Manual)
}

func retries(n int) replicate.Retry {
	return replicate.Retry{Base: time.Microsecond, Max: time.Millisecond, MaxAttempts: n}
}

// request lets a request happen: as it should, or not.
func (w *world) request(c *call) {
	if w.rand.IntN(100) >= w.errors {
		w.note("%v", c)
		w.carryOut(c)
		w.post.answer(c, nil)
		return
	}
	fate := "dropped"
	if c.writes() {
		fate = []string{"dropped", "answer lost", "delayed", "duplicated"}[w.rand.IntN(4)]
	}
	w.note("%v: %s", c, fate)
	again := &call{from: c.from, op: c.op, key: c.key, do: c.do}
	switch fate {
	case "dropped":
		w.post.answer(c, errNet)
	case "answer lost":
		w.carryOut(c)
		w.post.answer(c, errNet)
	case "delayed":
		w.post.answer(c, errNet)
		w.flying = append(w.flying, again)
	case "duplicated":
		w.carryOut(c)
		w.post.answer(c, nil)
		w.flying = append(w.flying, again)
	}
}

// arrive lets a request arrive that nobody waits for any more.
func (w *world) arrive(i int) {
	c := w.flying[i]
	w.flying = append(w.flying[:i:i], w.flying[i+1:]...)
	w.note("%v arrives late", c)
	w.carryOut(c)
}

// carryOut does what c asks for at the bucket, and looks at the outcome.
func (w *world) carryOut(c *call) {
	kind := replicate.KindOf(c.key)
	var before []byte
	if c.op == "put" {
		before = w.post.stored(c.key)
	}
	c.do()
	if c.from.machine >= 0 && kind == "manifest" && w.rules.claim != nil {
		if m := w.machines[c.from.machine]; m.port == c.from {
			m.saw = w.rules.claim.Token
		}
	}
	if !c.writes() {
		return
	}
	if after := w.post.stored(c.key); c.op == "put" && string(after) != string(before) {
		switch kind {
		case "manifest":
			w.rules.manifestLanded(after, c.from.by)
		case "batch":
			w.rules.batchLanded(c.key, after)
		}
	}
	w.rules.bucket(w.post.bucket)
}

// restore begins a restore, each of whose requests is a step.
func (w *world) restore() {
	if len(w.others) >= 2 {
		return
	}
	w.restores++
	acked := w.rules.acked
	p := &port{post: w.post, name: fmt.Sprint("restore", w.restores), machine: -1, by: ownership{machine: -1}}
	path := filepath.Join(w.dir, p.name+".sqlite")
	var result replicate.RestoreResult
	w.note("%s begins", p.name)
	w.others = append(w.others, run(p.name, func(ctx context.Context) (err error) {
		result, err = replicate.Restore(ctx, dbName, p, path, replicate.RestoreOptions{Retry: retries(20)})
		return err
	}, func(err error) {
		w.note("%s: at %d: %v", p.name, result.Position.Sequence, err)
		switch {
		case err == nil:
			w.rules.restored(result.Position.Sequence, w.read(path), acked)
		case len(acked) == 0 && isOne(err, replicate.ErrNoBackup, replicate.ErrNoRestorePoint):
		case errors.Is(err, errNet):
		default:
			w.fail("I6: %v", err)
		}
	}))
}

func isOne(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// gapSealed tells the rules what a gap will stand for that may end here. It is
// called by the process that has sealed it.
func (w *world) gapSealed(path string) error {
	meta, rows, err := look(path, func(ctx context.Context, x changelog.Execer) (string, error) {
		return changelog.Meta(ctx, x, "gap")
	})
	if err != nil {
		return err
	}
	var end struct{ Hash changelog.Hash }
	if err := json.Unmarshal([]byte(meta), &end); err != nil {
		return err
	}
	w.telling.Lock()
	defer w.telling.Unlock()
	w.rules.gapSealed(string(end.Hash[:]), rows)
	return nil
}

// rebased tells the rules with what a chain may begin. It is called by the process
// that is about to claim the name.
func (w *world) rebased(path string) error {
	meta, rows, err := look(path, func(ctx context.Context, x changelog.Execer) (string, error) {
		return changelog.Meta(ctx, x, "floor")
	})
	if err != nil {
		return err
	}
	var floor changelog.Floor
	if err := json.Unmarshal([]byte(meta), &floor); err != nil {
		return err
	}
	w.telling.Lock()
	defer w.telling.Unlock()
	w.rules.rebased(string(floor.Hash[:]), rows)
	return nil
}

// look reads something and the rows of a file that may be in use.
func look[T any](path string, read func(ctx context.Context, x changelog.Execer) (T, error)) (v T, rows []int64, err error) {
	ctx := context.Background()
	c, err := sqlite.Connector(path, sqlite.Plain).Connect(ctx)
	if err != nil {
		return v, nil, err
	}
	x := changelog.Driver(c)
	if v, err = read(ctx, x); err == nil {
		rows, err = rowsOf(x)
	}
	return v, rows, errors.Join(err, c.Close())
}

// read returns the rows of a restored file.
func (w *world) read(path string) []int64 {
	c, err := sqlite.Connector(path, sqlite.Plain).Connect(context.Background())
	w.must(err)
	rows, err := rowsOf(changelog.Driver(c))
	w.must(errors.Join(err, c.Close()))
	return rows
}

// prune begins to prune with a tool that is none of the two machines.
func (w *world) prune() {
	if len(w.others) >= 2 {
		return
	}
	p := &port{post: w.post, name: fmt.Sprint("prune", w.steps), machine: -1, by: ownership{machine: -1}}
	w.note("%s begins", p.name)
	w.others = append(w.others, run(p.name, func(ctx context.Context) error {
		_, err := replicate.Prune(ctx, dbName, p, replicate.PruneOptions{
			Retention: replicate.Retention{Window: time.Hour, Snapshots: 1}, Retry: retries(10), Now: later,
		})
		return err
	}, func(err error) { w.note("%s: %v", p.name, err) }))
}

func (w *world) touch() {
	w.note("a tool writes the manifest again")
	w.must(replicate.Touch(context.Background(), w.post.bucket, dbName))
	w.rules.manifestLanded(w.post.stored(replicate.ManifestKey(dbName)), ownership{machine: -1})
}

func (w *world) pass(d time.Duration) {
	w.note("%v pass", d)
	<-time.After(d)
}

// finish heals everything: the owner goes on, or else somebody takes over, and
// what is restored then is the file that was written.
func (w *world) finish() {
	w.settle()
	w.errors = 0
	for range 1000 {
		if len(w.others) == 0 {
			break
		}
		for _, c := range w.post.pending() {
			if c.from.machine < 0 {
				w.request(c)
			}
		}
		w.pass(time.Second)
		w.settle()
	}
	for _, m := range w.machines {
		m.kill()
	}
	w.settle()
	m := w.machines[w.rand.IntN(2)]
	o := replicate.Options{AutoRestore: true, TakeOver: true, DisableCompression: true, Retry: retries(3), Backlog: w.backlog(), Now: later, Sync: replicate.Sync{Manual: true, Interval: 10_000 * time.Hour}}
	if c := w.rules.claim; c != nil {
		if by := w.rules.owner[c.Token]; by.machine >= 0 && by == w.machines[by.machine].by() && w.machines[by.machine].hasFile() {
			m, o.TakeOver = w.machines[by.machine], false
		}
	}
	if c := w.rules.claim; c != nil && c.Nothing && !m.hasFile() {
		m.file++ // whoever has a file can go on, were it a new one
		w.must(os.WriteFile(m.path, w.template, 0o600))
	}
	w.note("the end: %s starts (TakeOver %v)", m.name(), o.TakeOver)
	w.ending = true
	m.start(o)
	w.drive(m)
	if !m.up {
		w.fail("I5: nobody can go on")
	}
	m.write(1)
	m.ask("flush")
	w.drive(m)
	if !isPrefix([]int64{w.row}, w.rules.acked[max(len(w.rules.acked)-1, 0):]) {
		w.fail("I5: nobody can go on")
	}
	rows := m.rows()
	w.restore()
	for len(w.others) > 0 {
		w.pass(time.Second)
		for _, c := range w.post.pending() {
			w.request(c)
		}
		w.settle()
	}
	if end := w.rules.links[w.rules.claim.Head.Hash].rows; !isPrefix(rows, end) || len(rows) != len(end) {
		w.fail("the file holds %v, the bucket %v", rows, end)
	}
}

// drive lets every request happen until m has nothing more to do.
func (w *world) drive(m *machine) {
	for range 1000 {
		w.settle()
		if len(m.tasks) == 0 {
			return
		}
		for _, c := range w.post.pending() {
			w.request(c)
		}
		w.pass(2 * time.Millisecond)
	}
	w.fail("%s does not come to an end", m.name())
}
