package model_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/driftdb/driftdb"
	. "github.com/driftdb/driftdb/gen_test/model"
	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/sqlite"
	"github.com/driftdb/driftdb/orm"
)

// feed makes every table anew from its changes.
func (m *machine) feed(t *rapid.T) {
	feed(t, m, accounts)
	feed(t, m, items)
	feed(t, m, links)
	feed(t, m, nodes)
}

func feed[M any, K comparable](t *rapid.T, m *machine, k *kind[M, K]) {
	rows := map[K]M{}
	var last orm.Position
	for c, err := range k.table.Changes(m.ctx, m.db, orm.Position{}) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Seq.Sequence <= last.Sequence || c.Tx > c.Seq.Sequence || c.Unknown != nil || (c.Old == nil) != (c.Op == orm.OpInsert) || (c.New == nil) != (c.Op == orm.OpDelete) {
			t.Fatalf("a change after %v: %+v", last, c)
		}
		last = c.Seq
		if c.Old != nil {
			key := k.key(c.Old)
			if before, ok := rows[key]; !ok || !same(&before, c.Old) {
				t.Fatalf("%s: a change of a row that was (-) otherwise (+):\n%s", k.name, gocmp.Diff(before, *c.Old))
			}
			delete(rows, key)
		}
		if c.New != nil {
			key := k.key(c.New)
			if _, there := rows[key]; there {
				t.Fatalf("%s: a row comes twice", k.name)
			}
			rows[key] = *c.New
		}
	}
	want := byKey(k, *k.rows(m.world))
	for key, row := range want {
		k.blank(&row)
		want[key] = row
	}
	if d := gocmp.Diff(want, rows); d != "" {
		t.Fatalf("%s: the changes end with other rows (+) than the table (-):\n%s", k.name, d)
	}
}

// replay applies the whole change log to an empty file, as a restore does, and
// compares what is in it.
func (m *machine) replay(t *rapid.T) {
	path := filepath.Join(m.dir, "replayed.sqlite")
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	src := sql.OpenDB(sqlite.Connector(m.path(), sqlite.Reader))
	from, err := src.Conn(m.ctx)
	must(err)
	_, err = from.ExecContext(m.ctx, "BEGIN")
	must(err)
	dst := sql.OpenDB(sqlite.Connector(path, sqlite.Replay))
	to, err := dst.Conn(m.ctx)
	must(err)
	start := changelog.Tip{Hash: changelog.Hash0("model")}
	a, err := changelog.NewApplier(m.ctx, to, start, changelog.ApplyOptions{DDLOnly: func(on bool) error { return sqlite.SetDDLOnly(to, on) }})
	must(err)
	for b, err := range changelog.Cut(m.ctx, from, start, changelog.CutOptions{Entries: 50}) {
		must(err)
		d, err := changelog.ParseBatch(changelog.AddIdentity(changelog.Identity{DBName: "model", NodeID: "0123456789ab", Epoch: 1, Part: 1, Parts: 1}, b.Canonical()))
		must(err)
		must(a.Apply(m.ctx, d))
	}
	_, err = a.Finish(m.ctx)
	must(err)
	if n := a.Superseded(); n != 0 {
		t.Fatalf("%d changes of the log did not fit", n)
	}
	must(errors.Join(a.Close(), to.Close(), dst.Close(), from.Close(), src.Close()))
	db, err := driftdb.Open(m.ctx, path, Schema, driftdb.Options{Now: func() time.Time { return m.clock }})
	must(err)
	m.same(t, m.ctx, db, m.world)
	must(errors.Join(db.IntegrityCheck(m.ctx), db.Close()))
}
