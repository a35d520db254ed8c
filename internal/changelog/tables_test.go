package changelog_test

import (
	"context"
	"errors"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/internal/changelog"
	"github.com/driftdb/driftdb/internal/sqlite"
)

func TestInit(t *testing.T) {
	ctx := context.Background()
	meta := func(t *testing.T, f *file, key string) string {
		t.Helper()
		v, err := changelog.Meta(ctx, changelog.SQL(f.w), key)
		must(t, err)
		return v
	}
	t.Run("empty file", func(t *testing.T) {
		is := is.New(t)
		f := newFile(t)
		is.Equal(meta(t, f, "format"), "2")
		is.Equal(meta(t, f, "complete"), "1")
		is.Equal(len(meta(t, f, "generation")), 32)
		before := query(t, f.w, `SELECT * FROM _driftdb_meta`)
		f.create() // again: nothing
		is.Equal(query(t, f.w, `SELECT * FROM _driftdb_meta`), before)
		p, err := changelog.ReadPosition(ctx, changelog.SQL(f.w))
		is.NoErr(err)
		is.Equal(p, changelog.Position{Generation: meta(t, f, "generation")})
		f.create(numbersTable())
		p, err = changelog.ReadPosition(ctx, changelog.SQL(f.w))
		is.NoErr(err)
		is.Equal(p.Sequence, int64(2))
	})
	t.Run("on the driver's connection", func(t *testing.T) {
		is := is.New(t)
		dc, err := sqlite.Connector(t.TempDir()+"/x", sqlite.Writer).Connect(ctx)
		is.NoErr(err)
		defer func() { is.NoErr(dc.Close()) }()
		x := changelog.Driver(dc)
		is.NoErr(changelog.Init(ctx, x))
		v, err := changelog.Meta(ctx, x, "complete")
		is.NoErr(err)
		is.Equal(v, "1")
		is.NoErr(x.Exec(ctx, changelog.MarkSQL))
		row, err := x.QueryRow(ctx, changelog.NewestSQL)
		is.NoErr(err)
		is.Equal(row[0], int64(0))
	})
	t.Run("file with data", func(t *testing.T) {
		is := is.New(t)
		f := &file{t: t, path: t.TempDir() + "/data"}
		f.w = f.conn(sqlite.Writer)
		f.exec(`CREATE TABLE mine (x)`)
		f.create()
		is.Equal(meta(t, f, "format"), "2")
		is.Equal(meta(t, f, "complete"), "")
	})
	t.Run("newer format", func(t *testing.T) {
		is := is.New(t)
		f := newFile(t)
		f.exec(`UPDATE _driftdb_meta SET value = '3' WHERE key = 'format'`)
		is.True(errors.Is(changelog.Init(ctx, changelog.SQL(f.w)), changelog.ErrFormat))
	})
	t.Run("half a log", func(t *testing.T) {
		is := is.New(t)
		f := newFile(t)
		f.exec(`DROP TABLE _driftdb_queue`)
		is.True(changelog.Init(ctx, changelog.SQL(f.w)) != nil)
	})
	t.Run("rolled back", func(t *testing.T) {
		is := is.New(t)
		f := &file{t: t, path: t.TempDir() + "/data"}
		f.w = f.conn(sqlite.Writer)
		f.exec(`BEGIN IMMEDIATE`)
		is.NoErr(changelog.Init(ctx, changelog.SQL(f.w)))
		f.exec(`ROLLBACK`)
		is.Equal(f.value(`SELECT count(*) FROM sqlite_schema`), "0")
	})
}

func TestSchemaEntryJSON(t *testing.T) {
	is := is.New(t)
	e := changelog.SchemaEntry{Version: 3, Name: "add <b> & \"c\"", SQL: []string{"CREATE TABLE x (y)\n"}, Tables: []changelog.Layout{{Name: "x", Columns: []string{"y"}, Key: []string{"y"}}}}
	j, err := e.JSON()
	is.NoErr(err)
	is.Equal(j, `{"version":3,"name":"add <b> & \"c\"","sql":["CREATE TABLE x (y)\n"],"tables":[{"name":"x","columns":["y"],"key":["y"]}]}`)
	back, err := changelog.ParseSchemaEntry([]byte(j))
	is.NoErr(err)
	is.Equal(back, e)
	j, err = changelog.SchemaEntry{}.JSON()
	is.NoErr(err)
	is.Equal(j, `{"version":0,"name":"","sql":[],"tables":[]}`)
	for _, bad := range []string{``, `{`, `[]`, `{} {}`, `{"versions":1}`, `{"version":"1"}`} {
		_, err := changelog.ParseSchemaEntry([]byte(bad))
		is.True(err != nil)
	}
}

func TestHashes(t *testing.T) {
	is := is.New(t)
	// printf 'driftdb2\0myapp' | sha256sum
	is.Equal(changelog.Hash0("myapp").String(), "315e856df059f2f07530cadf891b6fe8e006fafec119d091855d12adf19a2303")
	h, err := changelog.ParseHash(changelog.Hash0("myapp").String())
	is.NoErr(err)
	is.Equal(h, changelog.Hash0("myapp"))
	for _, bad := range []string{"", "00", changelog.Hash0("x").String() + "0", "F" + changelog.Hash0("x").String()[1:], "g" + changelog.Hash0("x").String()[1:]} {
		_, err := changelog.ParseHash(bad)
		is.True(err != nil)
	}
}
