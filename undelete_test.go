package driftdb_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/gen_test/changes"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// A deleted row comes back from the bucket as it was, with those that were
// deleted because of it if that is wanted, into a file that is in use; and not
// where anything stands in its way.
func TestUndelete(t *testing.T) {
	is := is.New(t)
	ctx, store := t.Context(), memstore.New()
	path := filepath.Join(t.TempDir(), "shop.sqlite")
	r, err := replicate.New("shop", store, replicate.Options{Sync: replicate.Sync{Manual: true}})
	is.NoErr(err)
	db, err := driftdb.Open(ctx, path, changes.Schema, driftdb.Options{Replica: r})
	is.NoErr(err)
	defer func() { is.NoErr(db.Close()) }()
	O, I := changes.Owners, changes.Items
	at := time.UnixMilli(1_700_000_000_123).UTC()
	item := changes.Item{ID: "i1", OwnerID: new("o"), Name: "X\x00é", N: 1<<61 + 1, F: 0.1, Data: []byte{0, 255}, At: &at, Meta: map[string]any{"a": "b"}}
	is.NoErr(O.Create(ctx, db, &changes.Owner{ID: "o", Name: "Ada"}))
	is.NoErr(O.Create(ctx, db, &changes.Owner{ID: "p", Name: "Bob"}))
	is.NoErr(I.Create(ctx, db, &item))
	is.NoErr(I.Create(ctx, db, &changes.Item{ID: "i2", OwnerID: new("o"), Name: "y"}))
	is.NoErr(I.Create(ctx, db, &changes.Item{ID: "i3", OwnerID: new("p"), Name: "z"}))
	is.NoErr(I.Update(ctx, db, "i1", I.N.Set(1<<61)))
	is.NoErr(db.Tx(ctx, func(ctx context.Context, tx *orm.Tx) error {
		if _, err := I.Delete(ctx, tx, "i3"); err != nil { // not because of o
			return err
		}
		_, err := O.Delete(ctx, tx, "o")
		return err
	}))
	is.NoErr(r.Flush(ctx))
	before, err := I.Count(ctx, db)
	is.NoErr(err)
	is.Equal(before, int64(0))
	undelete := func(table, key string, o replicate.UndeleteOptions) (replicate.UndeleteReport, error) {
		return replicate.Undelete(ctx, "shop", store, path, table, key, o)
	}

	_, err = undelete("items", `{"id":"i1"}`, replicate.UndeleteOptions{})
	is.True(err != nil && strings.Contains(err.Error(), "undelete that one first")) // its owner is not there
	dry, err := undelete("owners", `{"id":"o"}`, replicate.UndeleteOptions{Dependents: true, DryRun: true})
	is.NoErr(err)
	is.Equal(len(dry.Rows), 3)
	n, err := O.Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(1)) // Bob

	folded, err := undelete("OWNERS", `{"id":"o"}`, replicate.UndeleteOptions{Dependents: true, DryRun: true})
	is.NoErr(err)
	is.Equal(folded, dry) // as SQLite does not tell the two names apart

	report, err := undelete("owners", `{"id":"o"}`, replicate.UndeleteOptions{Dependents: true})
	is.NoErr(err)
	dry.DryRun = false
	is.Equal(report, dry)
	is.Equal(report.Rows[0].Table, "owners")
	is.Equal(string(report.Rows[0].Key), `{"id":"o"}`)
	is.Equal(report.LeftOut, []string(nil))
	got, err := I.Find(ctx, db, "i1")
	is.NoErr(err)
	want := item
	want.N, want.Twice = 1<<61, 1<<62
	is.Equal(*got, want)
	there, err := I.Exists(ctx, db, "i3")
	is.NoErr(err)
	is.True(!there)

	// It is a change like any other, in one transaction, and is shipped.
	is.NoErr(r.Flush(ctx))
	txs := map[int64]int{}
	for e, err := range replicate.ReadLog(ctx, "shop", store, replicate.LogOptions{From: replicate.Moment{Sequence: report.Sequence}}) {
		is.NoErr(err)
		if e.Operation == "insert" {
			txs[e.Tx]++
		}
	}
	is.Equal(len(txs), 1)
	past, err := driftdb.OpenAt(ctx, replicate.Source{Name: "shop", Store: store}, changes.Schema, driftdb.AtOptions{})
	is.NoErr(err)
	defer func() { is.NoErr(past.Close()) }()
	got, err = I.Find(ctx, past, "i1")
	is.NoErr(err)
	is.Equal(*got, want)

	// What stands in the way.
	for _, c := range []struct {
		table, key string
		o          replicate.UndeleteOptions
		want       error
		text       string
	}{
		{"owners", `{"id":"o"}`, replicate.UndeleteOptions{}, replicate.ErrKeyTaken, "nothing was changed"},
		{"owners", `{"id":"never"}`, replicate.UndeleteOptions{}, replicate.ErrNotDeleted, "right key"},
		{"owners", `{"id":"o"}`, replicate.UndeleteOptions{To: replicate.Moment{Sequence: 4}}, replicate.ErrNotDeleted, ""},
		{"owners", `{"name":"Ada"}`, replicate.UndeleteOptions{}, nil, "the primary key of owners is (id)"},
		{"owners", `o`, replicate.UndeleteOptions{}, nil, "JSON object"},
		{"owner", `{"id":"o"}`, replicate.UndeleteOptions{}, nil, `no table "owner"`},
		{"_driftdb_log", `{"sequence":1}`, replicate.UndeleteOptions{}, nil, "no table"},
	} {
		_, err := undelete(c.table, c.key, c.o)
		is.True(err != nil)
		is.True(c.want == nil || errors.Is(err, c.want))
		is.True(strings.Contains(err.Error(), c.text))
		is.True(!strings.Contains(err.Error(), "Ada"))
	}
	_, err = I.Delete(ctx, db, "i2")
	is.NoErr(err)
	is.NoErr(I.Create(ctx, db, &changes.Item{ID: "i9", OwnerID: new("p"), Name: "Y"}))
	is.NoErr(r.Flush(ctx))
	_, err = undelete("items", `{"id":"i2"}`, replicate.UndeleteOptions{})
	is.True(err != nil && strings.Contains(err.Error(), "another row of items has the same (name)"))
	_, err = replicate.Undelete(ctx, "shop", store, path+"x", "owners", `{"id":"o"}`, replicate.UndeleteOptions{})
	is.True(err != nil && strings.Contains(err.Error(), "does not exist"))
}
