package times_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"
	"go.uber.org/goleak"

	"github.com/driftdb/driftdb"
	. "github.com/driftdb/driftdb/gen_test/times"
	"github.com/driftdb/driftdb/orm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What Create leaves in the struct is what the column holds, whatever the
// precision and the zone of what it was given.
func TestPrecision(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	at := time.Date(2026, 7, 8, 9, 10, 11, 123_456_789, time.FixedZone("x", 3600))
	db, err := driftdb.Open(ctx, filepath.Join(t.TempDir(), "test.sqlite"), Schema, driftdb.Options{Now: func() time.Time { return at }})
	is.NoErr(err)
	defer func() { is.NoErr(db.Close()) }()

	utc := at.UTC()
	given := Event{ID: 1, Second: at, Milli: at, Micro: at, Nano: at, MaybeS: &at, MaybeUS: &at}
	e := given
	is.NoErr(Events.Create(ctx, db, &e))
	want := Event{
		ID: 1, Second: utc.Truncate(time.Second), Milli: utc.Truncate(time.Millisecond), Micro: utc.Truncate(time.Microsecond), Nano: utc,
		MaybeS: new(utc.Truncate(time.Second)), MaybeUS: new(utc.Truncate(time.Microsecond)),
		Made: utc.Truncate(time.Microsecond), Modified: utc.Truncate(time.Microsecond),
	}
	if d := cmp.Diff(want, e); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
	is.Equal(at.Nanosecond(), 123_456_789) // the caller's own, which two fields point to
	got, err := Events.Find(ctx, db, 1)
	is.NoErr(err)
	if d := cmp.Diff(e, *got); d != "" {
		t.Errorf("the struct and the row differ:\n%s", d)
	}

	// Stored as integers of the unit.
	type row struct{ Second, Milli, Micro, Nano, MaybeS, MaybeUS int64 }
	r, err := orm.RawOne[row](ctx, db, `SELECT second, milli, micro, nano, maybe_s, maybe_us FROM events`)
	is.NoErr(err)
	is.Equal(r, row{at.Unix(), at.UnixMilli(), at.UnixMicro(), at.UnixNano(), at.Unix(), at.UnixMicro()})

	// A condition takes any time, and a key is found by one.
	n, err := Events.Count(ctx, db, Events.Micro.Eq(at.Truncate(time.Microsecond)), Events.Nano.Lte(at), Events.MaybeS.IsNull())
	is.NoErr(err)
	is.Equal(n, int64(0))
	n, err = Events.Count(ctx, db, Events.Micro.Eq(at.Truncate(time.Microsecond)), Events.Nano.Lte(at), Events.MaybeS.NotNull())
	is.NoErr(err)
	is.Equal(n, int64(1))
	_, err = Events.ByMaybeUS.Find(ctx, db, at.Truncate(time.Microsecond))
	is.NoErr(err)
}

// The zero time is a time like others, except in created and updated columns.
func TestZeroTimes(t *testing.T) {
	is := is.New(t)
	ctx := t.Context()
	db, err := driftdb.Open(ctx, driftdb.Memory, Schema, driftdb.Options{})
	is.NoErr(err)
	defer func() { is.NoErr(db.Close()) }()
	// Nanoseconds since 1970 do not reach the year 1: refused, not stored as another time.
	err = Events.Create(ctx, db, &Event{ID: 1})
	is.True(err != nil)
	e := Event{ID: 1, Nano: time.Unix(0, 0)}
	is.NoErr(Events.Create(ctx, db, &e))
	got, err := Events.Find(ctx, db, 1)
	is.NoErr(err)
	is.True(got.Second.IsZero() && got.Milli.IsZero() && got.Micro.IsZero())
	is.True(!got.Made.IsZero() && !got.Modified.IsZero())
	is.True(got.MaybeS == nil && got.MaybeUS == nil)
}
