package driftdb_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/gen_test/changes"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// A past state is a database on which every read works, and which leaves nothing
// behind.
func TestOpenAt(t *testing.T) {
	is := is.New(t)
	ctx, store := t.Context(), memstore.New()
	r, err := replicate.New("shop", store, replicate.Options{})
	is.NoErr(err)
	db, err := driftdb.Open(ctx, filepath.Join(t.TempDir(), "shop.sqlite"), changes.Schema, driftdb.Options{Replica: r})
	is.NoErr(err)
	O, I := changes.Owners, changes.Items
	is.NoErr(O.Create(ctx, db, &changes.Owner{ID: "o", Name: "then"}))
	is.NoErr(I.Create(ctx, db, &changes.Item{ID: "i", Name: "x", OwnerID: new("o")}))
	is.NoErr(r.Mark(ctx, "before"))
	is.NoErr(O.Update(ctx, db, "o", O.Name.Set("now")))
	is.NoErr(db.Close())

	dir := t.TempDir()
	at := func(o replicate.RestoreOptions) *orm.ReadDB {
		t.Helper()
		p, err := driftdb.OpenAt(ctx, replicate.Source{Name: "shop", Store: store, Options: o}, changes.Schema, driftdb.AtOptions{Dir: dir})
		is.NoErr(err)
		return p
	}
	then, now := at(replicate.RestoreOptions{Point: "before"}), at(replicate.RestoreOptions{})
	for past, want := range map[*orm.ReadDB]string{then: "then", now: "now"} {
		got, err := O.Find(ctx, past, "o")
		is.NoErr(err)
		is.Equal(got.Name, want)
		n, err := I.Where(I.Name.Eq("X")).Count(ctx, past)
		is.NoErr(err)
		is.Equal(n, int64(1))
		names, err := orm.RawAll[string](ctx, past, `SELECT name FROM owners`)
		is.NoErr(err)
		is.Equal(names, []string{want})
		is.NoErr(past.ReadTx(ctx, func(ctx context.Context, tx *orm.ReadTx) error {
			n, err := I.Count(ctx, tx)
			is.Equal(n, int64(1))
			return err
		}))
		is.NoErr(past.Close())
		_, err = O.Find(ctx, past, "o")
		is.True(errors.Is(err, orm.ErrClosed))
	}
	left, err := os.ReadDir(dir)
	is.NoErr(err)
	is.Equal(len(left), 0)

	_, err = driftdb.OpenAt(ctx, replicate.Source{Name: "nobody", Store: store}, changes.Schema, driftdb.AtOptions{Dir: dir})
	is.True(errors.Is(err, replicate.ErrNoBackup))
	_, err = driftdb.OpenAt(ctx, replicate.Source{Name: "shop", Store: store, Options: replicate.RestoreOptions{Point: "x"}}, changes.Schema, driftdb.AtOptions{Dir: dir})
	is.True(errors.Is(err, replicate.ErrNoPoint))
	_, err = driftdb.OpenAt(context.Background(), nil, changes.Schema, driftdb.AtOptions{})
	is.True(err != nil)
	left, err = os.ReadDir(dir)
	is.NoErr(err)
	is.Equal(len(left), 0)
	is.True((*orm.ReadDB)(nil).Close() != nil)
}
