// Package packages tests models of several packages in one database.
package packages

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb"
	"github.com/driftdb/driftdb/gen_test/packages/auth"
	"github.com/driftdb/driftdb/gen_test/packages/docs"
	"github.com/driftdb/driftdb/gen_test/packages/tags"
	"github.com/driftdb/driftdb/orm"
	"github.com/driftdb/driftdb/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func names(s schema.Schema) string {
	var all []string
	for _, t := range s.Tables {
		all = append(all, t.Name)
	}
	return strings.Join(all, " ")
}

// The schema of a package has the tables that its own refer to, and schemas are
// joined in whatever order.
func TestJoin(t *testing.T) {
	is := is.New(t)
	is.Equal(names(auth.Schema), "accounts sessions")
	is.Equal(names(docs.Schema), "accounts sessions tags docs marks")
	is.NoErr(docs.Schema.Validate())
	for _, s := range []schema.Schema{schema.Join(docs.Schema, auth.Schema), schema.Join(tags.Schema, auth.Schema, docs.Schema), schema.Join(docs.Schema, docs.Schema)} {
		is.NoErr(s.Validate())
		is.Equal(len(s.Tables), 5)
	}
	other := auth.Schema.Tables[0]
	other.Model = "Customer" // another model with a table of the same name
	err := schema.Join(auth.Schema, schema.Schema{Tables: []schema.Table{other}}).Validate()
	is.True(err != nil && strings.Contains(err.Error(), `"accounts" stands twice`))
	alone := schema.Schema{Tables: docs.Schema.Tables[3:4]}
	err = alone.Validate()
	is.True(err != nil && strings.Contains(err.Error(), "schema.Join"))
}

func TestRelationsAcrossPackages(t *testing.T) {
	is, ctx := is.New(t), t.Context()
	path := filepath.Join(t.TempDir(), "test.sqlite")
	db, err := driftdb.Open(ctx, path, docs.Schema, driftdb.Options{})
	is.NoErr(err)
	ann := auth.User{Name: "ann"}
	is.NoErr(auth.Users.Create(ctx, db, &ann))
	is.NoErr(auth.Sessions.Create(ctx, db, &auth.Session{UserID: ann.ID}))
	doc := docs.Doc{OwnerID: ann.ID, Reader: new("ann")}
	is.NoErr(docs.Docs.Create(ctx, db, &doc))
	var fk *orm.ForeignKeyError
	is.True(errors.As(docs.Docs.Create(ctx, db, &docs.Doc{OwnerID: "nobody"}), &fk))
	words := []tags.Tag{{ID: 1, Word: "one"}, {ID: 2, Word: "two"}}
	is.NoErr(tags.Tags.CreateMany(ctx, db, words))
	is.NoErr(docs.Docs.Tags.Add(ctx, db, &doc, &words[0], &words[1]))

	D := docs.Docs
	got, err := D.Where(D.Owner.Some(auth.Users.Name.Eq("ann"), auth.Users.Sessions.Some()), D.Tags.Some(tags.Tags.Word.Eq("two"))).
		With(D.Owner.With(auth.Users.Sessions), D.Tags.OrderBy(tags.Tags.Word.Desc()), D.ReadBy).All(ctx, db)
	is.NoErr(err)
	is.Equal(len(got), 1)
	is.Equal(got[0].Owner.Name, "ann")
	is.Equal(len(got[0].Owner.Sessions), 1)
	is.Equal(got[0].Tags[0].Word, "two")
	is.Equal(got[0].ReadBy.ID, ann.ID)
	is.NoErr(db.Close())

	db, err = driftdb.Open(ctx, path, schema.Join(docs.Schema, auth.Schema), driftdb.Options{}) // the same tables
	is.NoErr(err)
	_, err = auth.Users.Delete(ctx, db, ann.ID) // cascades into the other package
	is.NoErr(err)
	n, err := D.Count(ctx, db)
	is.NoErr(err)
	is.Equal(n, int64(0))
	is.NoErr(db.Close())
}
