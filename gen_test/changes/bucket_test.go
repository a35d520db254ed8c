package changes_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/matryer/is"

	"github.com/driftdb/driftdb"
	. "github.com/driftdb/driftdb/gen_test/changes"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/replicate"
	"github.com/driftdb/driftdb/replicate/memstore"
)

// The log in the bucket gives the same typed changes as the file's own.
func TestChangesFromTheBucket(t *testing.T) {
	is := is.New(t)
	store := memstore.New()
	r, err := replicate.New("items", store, replicate.Options{})
	is.NoErr(err)
	ctx, db := t.Context(), openAt(t, t.TempDir()+"/x.sqlite", driftdb.Options{Replica: r})
	is.NoErr(Owners.Create(ctx, db, &Owner{"o", "owner"}))
	is.NoErr(Items.Create(ctx, db, &Item{ID: "a", OwnerID: new("o"), Name: "Ä\x00'", N: 7, F: 0.1, Data: []byte{0, 255}, Meta: map[string]any{"k": "v"}}))
	is.NoErr(Items.Update(ctx, db, "a", Items.N.Set(8), Items.Data.SetNull()))
	is.NoErr(Items.Update(ctx, db, "a", Items.ID.Set("b")))
	is.NoErr(Items.Create(ctx, db, &Item{ID: "c", Name: "c"}))
	_, err = Owners.Delete(ctx, db, "o")
	is.NoErr(err)
	is.NoErr(r.Flush(ctx))
	var got []orm.Change[Item]
	d := Items.Decoder()
	for e, err := range replicate.ReadLog(ctx, "items", store, replicate.LogOptions{}) {
		is.NoErr(err)
		c, ok, err := d.Change(e)
		is.NoErr(err)
		if ok {
			is.True(c.Node != "" && c.Unknown == nil)
			got = append(got, c)
		}
	}
	want := collect(t, Items.Changes(ctx, db, orm.Position{}))
	is.Equal(len(got), 5)
	if d := cmp.Diff(want, got, cmpopts.IgnoreUnexported(orm.Change[Item]{}), cmpopts.IgnoreFields(orm.Change[Item]{}, "Node"), cmpopts.IgnoreFields(orm.Position{}, "Generation")); d != "" {
		t.Error(d)
	}
	is.True(got[1].Has(Items.N) && !got[1].Has(Items.Name))

	// A row is put back as it was before it was deleted.
	gone := got[4].Old
	gone.OwnerID = nil
	is.NoErr(Items.Upsert(ctx, db, gone))
	back, err := Items.Find(ctx, db, "b")
	is.NoErr(err)
	is.Equal(back.Name, "Ä\x00'")

	// From the middle on, what nothing has told is unknown.
	d = Items.Decoder()
	for e, err := range replicate.ReadLog(ctx, "items", store, replicate.LogOptions{From: replicate.Moment{Sequence: got[0].Seq.Sequence + 1}}) {
		is.NoErr(err)
		c, ok, err := d.Change(e)
		is.NoErr(err)
		if ok && c.Seq.Sequence == got[1].Seq.Sequence {
			is.Equal(c.New.N, int64(8))
			is.Equal(c.Unknown, []string{"owner_id", "name", "f", "at", "meta"})
		}
	}
	var none *orm.Decoder[Item]
	_, _, err = none.Change(nil)
	is.True(err != nil)
}
