package model_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/driftdb/driftdb"
	. "github.com/driftdb/driftdb/gen_test/model"
	"github.com/driftdb/driftdb/orm"
)

func TestMain(m *testing.M) {
	describe()
	for name, value := range map[string]string{"rapid.checks": "2", "rapid.steps": "250"} { // before the command line
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// steps is how many verbs are tried: DRIFTDB_MODEL_STEPS, or few.
func steps(t *testing.T) int64 {
	text := os.Getenv("DRIFTDB_MODEL_STEPS")
	if text == "" {
		return 4000
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		t.Fatalf("DRIFTDB_MODEL_STEPS=%s is not a number of steps", text)
	}
	return n
}

// TestVerbsAgreeWithAModel runs random verbs on a database and on a model of
// it in memory. After every step they hold the same rows; after every run a
// replay of the change log into an empty file, and the change feed, do too.
func TestVerbsAgreeWithAModel(t *testing.T) {
	want := steps(t)
	var done tally
	t.Run("workers", func(t *testing.T) {
		for worker := range 2 {
			t.Run(strconv.Itoa(worker), func(t *testing.T) {
				t.Parallel()
				for done.steps.Load() < want {
					rapid.Check(t, func(rt *rapid.T) { run(t, rt, &done) })
				}
			})
		}
	})
	t.Logf("%d steps; of what was written or refused:\n%s", done.steps.Load(), &done)
	// Most of what is tried is possible, and every sort of refusal is tried.
	if n := done.of(succeeded); n < want/5 {
		t.Errorf("%d writes succeeded", n)
	}
	for _, reason := range []string{stale, notFound, refused, foreignKey, "accounts unique accounts_email_key", "accounts check accounts_age_check", "items unique items_title_key", "nodes unique "} {
		if done.of(reason) == 0 && want >= 50_000 {
			t.Errorf("nothing was %s", reason)
		}
	}
}

const succeeded = "done"

// tally counts what happened.
type tally struct {
	steps   atomic.Int64
	mu      sync.Mutex
	reasons map[string]int64
}

func (c *tally) add(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reasons == nil {
		c.reasons = map[string]int64{}
	}
	c.reasons[reason]++
}

func (c *tally) of(reason string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reasons[reason]
}

func (c *tally) String() string {
	var lines []string
	for reason, n := range c.reasons {
		lines = append(lines, fmt.Sprintf("%8d %s", n, reason))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// machine is a database with the model of what it holds.
type machine struct {
	dir   string
	db    *orm.DB
	clock time.Time
	done  *tally

	outer     context.Context //nolint:containedctx // that belongs to no transaction
	committed *world

	ctx   context.Context //nolint:containedctx // of the transaction whose function runs the steps
	w     orm.Writer      // the database, or the open transaction
	world *world          // as w sees it
}

func (m *machine) path() string { return filepath.Join(m.dir, "model.sqlite") }

func (m *machine) open(t *rapid.T) {
	db, err := driftdb.Open(m.outer, m.path(), Schema, driftdb.Options{LogTail: 1 << 40, Now: func() time.Time { return m.clock }})
	if err != nil {
		t.Fatal(err)
	}
	m.db, m.w = db, db
}

func run(t *testing.T, rt *rapid.T, done *tally) {
	dir, err := os.MkdirTemp(t.TempDir(), "run") //nolint:usetesting // removed after every run, not at the test's end
	if err != nil {
		rt.Fatal(err)
	}
	m := &machine{
		dir: dir, clock: time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, time.UTC), done: done,
		outer: t.Context(), ctx: t.Context(), committed: new(world), world: new(world),
	}
	m.open(rt)
	defer func() {
		if err := errors.Join(m.db.Close(), os.RemoveAll(dir)); err != nil {
			rt.Error(err)
		}
	}()
	actions := map[string]func(*rapid.T){"": m.check}
	for name, action := range m.actions() {
		actions[name] = func(t *rapid.T) { action(t); m.committed = m.world }
	}
	rt.Repeat(actions)
	m.feed(rt)
	m.replay(rt)
}

// actions are what can happen inside a transaction and outside one.
func (m *machine) actions() map[string]func(*rapid.T) {
	all := map[string]func(*rapid.T){"transaction": m.transaction, "rename": m.rename, "replace": m.replace, "with": m.with, "like": m.like, "reopen": m.reopen}
	add(all, m, accounts)
	add(all, m, items)
	add(all, m, links)
	add(all, m, nodes)
	return all
}

func add[M any, K comparable](all map[string]func(*rapid.T), m *machine, k *kind[M, K]) {
	v := &table[M, K]{m, k}
	for name, verb := range map[string]func(*rapid.T){
		"create": v.create, "create many": v.createMany, "upsert": v.upsert, "save": v.save, "edit": v.edit,
		"update": v.update, "update many": v.updateMany, "delete": v.delete, "delete row": v.deleteRow,
		"delete many": v.deleteMany, "restore": v.restore, "purge": v.purge, "find": v.find, "query": v.query, "raw": v.raw,
	} {
		all[k.name+" "+name] = verb
	}
	for _, again := range []string{"2", "3", "4", "5"} { // or tables would be empty most of the time
		all[k.name+" create "+again] = v.create
	}
	if len(k.uniques) > 0 {
		all[k.name+" by key"] = v.byKey
		all[k.name+" find or create"] = v.findOrCreate
	}
}

// check compares every row, deleted or not.
func (m *machine) check(t *rapid.T) {
	m.done.steps.Add(1)
	m.same(t, m.ctx, m.w, m.world)
	if m.w != orm.Writer(m.db) { // others see what was there before the transaction
		m.same(t, m.outer, m.db, m.committed)
	}
	m.clock = m.clock.Add(time.Second + 1_234_567*time.Nanosecond)
}

func (m *machine) same(t *rapid.T, ctx context.Context, r orm.Reader, w *world) {
	sameRows(t, ctx, r, accounts, w)
	sameRows(t, ctx, r, items, w)
	sameRows(t, ctx, r, links, w)
	sameRows(t, ctx, r, nodes, w)
}

func sameRows[M any, K comparable](t *rapid.T, ctx context.Context, r orm.Reader, k *kind[M, K], w *world) {
	got, err := k.table.Where().WithDeleted().All(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	want := *k.rows(w)
	agree := len(got) == len(want)
	for i := 0; i < len(got) && agree; i++ {
		row := k.get(w, k.key(&got[i]))
		agree = row != nil && same(&got[i], row)
	}
	if !agree {
		t.Fatalf("%s: want -, got +:\n%s", k.name, gocmp.Diff(byKey(k, want), byKey(k, got)))
	}
}

func byKey[M any, K comparable](k *kind[M, K], rows []M) map[K]M {
	all := make(map[K]M, len(rows))
	for i := range rows {
		all[k.key(&rows[i])] = rows[i]
	}
	return all
}

var errUndo = errors.New("undo")

// transaction runs some actions in a transaction, or in a savepoint of the one
// that is open, and ends it in one of the ways in which transactions end.
func (m *machine) transaction(t *rapid.T) {
	end := pick(t, "end", []string{"commit", "commit", "error", "panic", "cancel"})
	saved := *m
	ctx, cancel := context.WithCancel(m.ctx)
	defer cancel()
	body := func(ctx context.Context, tx *orm.Tx) error {
		m.ctx, m.w = ctx, tx
		m.world = m.world.clone()
		m.check(t)
		actions := m.actions()
		delete(actions, "reopen")
		names := sortedKeys(actions)
		for range rapid.IntRange(0, 5).Draw(t, "actions") {
			actions[pick(t, "action", names)](t)
			m.check(t)
		}
		if _, err := Nodes.Exists(ctx, m.db, 1); !errors.Is(err, orm.ErrInTx) {
			t.Fatalf("the database in its own transaction: %v", err)
		}
		switch end {
		case "error":
			return errUndo
		case "panic":
			panic(errUndo)
		case "cancel":
			cancel()
		}
		return nil
	}
	err := func() (err error) {
		defer func() {
			if end == "panic" {
				if p := recover(); p != errUndo { //nolint:errorlint // the very value
					panic(p)
				}
				err = errUndo
			}
		}()
		if tx, ok := m.w.(*orm.Tx); ok {
			return tx.Tx(ctx, body)
		}
		return m.db.Tx(ctx, body)
	}()
	kept := m.world
	m.ctx, m.w, m.world = saved.ctx, saved.w, saved.world
	switch {
	case end == "commit" && err == nil:
		m.world = kept
	case end == "cancel" && errors.Is(err, context.Canceled):
	case (end == "error" || end == "panic") && err == errUndo: //nolint:errorlint // the very value
	default:
		t.Fatalf("a transaction that ends with %s: %v", end, err)
	}
}

// reopen closes the database and opens the file again, now and then.
func (m *machine) reopen(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "really") != 0 {
		return
	}
	if err := m.db.Close(); err != nil {
		t.Fatal(err)
	}
	m.open(t)
}
