package kinds_test

import (
	"testing"
	"time"

	"github.com/matryer/is"

	. "github.com/driftdb/driftdb/gen_test/kinds"
)

// Where nil is NULL in the model it is NULL in a setter, not an empty value or
// the JSON null, which IsNull would not find.
func TestSettersOfNil(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), open(t)
	doc := Doc{Meta: map[string]any{"a": 1.0}, Tags: []string{}}
	is.NoErr(Docs.Create(ctx, db, &doc))
	is.NoErr(Docs.Update(ctx, db, doc.ID, Docs.Meta.Set(nil), Docs.RawCol.SetPtr(new(doc.Raw))))
	n, err := Docs.Where(Docs.Meta.IsNull(), Docs.RawCol.IsNull()).Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(1))
	is.NoErr(Docs.Update(ctx, db, doc.ID, Docs.Meta.Set(map[string]any{})))
	n, err = Docs.Where(Docs.Meta.NotNull()).Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(1))

	row := Times{NS: time.Unix(1, 0), NBlob: []byte{1}, Blob: []byte{1}}
	is.NoErr(Timeses.Create(ctx, db, &row))
	is.NoErr(Timeses.Update(ctx, db, row.ID, Timeses.NBlob.Set(nil), Timeses.Blob.Set(nil)))
	got, err := Timeses.Find(ctx, db, row.ID)
	is.NoErr(err)
	is.True(got.NBlob == nil)
	is.True(got.Blob != nil && len(got.Blob) == 0) // NOT NULL
	is.NoErr(Timeses.Update(ctx, db, row.ID, Timeses.NBlob.Set([]byte{})))
	n, err = Timeses.Where(Timeses.NBlob.IsNull()).Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(0))
}
