package kinds_test

import (
	"math"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/matryer/is"

	. "github.com/driftdb/driftdb/gen_test/kinds"
	"github.com/driftdb/driftdb/orm"
)

// A sum that the field could not hold is refused: the row could not be read
// again.
func TestSumsStayInRange(t *testing.T) {
	is := is.New(t)
	ctx, db, c := t.Context(), open(t), Numberses
	n := Numbers{I8: 100, I16: -30000, I32: math.MaxInt32, I64: math.MaxInt64, U8: 255, U16: 65535, U32: math.MaxUint32, F64: math.MaxFloat64}
	is.NoErr(c.Create(ctx, db, &n))
	for name, set := range map[string]orm.Set[Numbers]{
		"i8": c.I8.Add(28), "i16": c.I16.Add(-3000), "i32": c.I32.Add(1), "i64": c.I64.Add(1), "u8": c.U8.Add(1), "u16": c.U16.Add(65535), "u32": c.U32.Add(1),
	} {
		err := c.Update(ctx, db, n.ID, set)
		if err == nil || !strings.Contains(err.Error(), "numberses."+name+":") {
			t.Errorf("%s: %v", name, err)
		}
		_, err = c.Where(c.ID.Eq(n.ID)).Update(ctx, db, set)
		is.True(err != nil)
	}
	got, err := c.Find(ctx, db, n.ID)
	is.NoErr(err)
	same(t, *got, n)
	is.NoErr(c.Update(ctx, db, n.ID, c.I8.Add(27), c.I16.Add(-2768), c.I32.Add(-1), c.I64.Add(-1), c.U8.Add(0), c.P8.Add(1)))
	got, err = c.Find(ctx, db, n.ID)
	is.NoErr(err)
	is.Equal([]any{got.I8, got.I16, got.I32, got.I64, got.U8}, []any{int8(127), int16(-32768), int32(math.MaxInt32 - 1), int64(math.MaxInt64 - 1), uint8(255)})
	is.True(got.P8 == nil) // NULL stays NULL
	up := *got
	is.True(c.Upsert(ctx, db, &up, orm.UpdateSet(c.I8.Add(1))) != nil)
}

// What a type of the application says of a stored value may quote it: its text
// is not in ours, and errors.Is and errors.As find it.
func TestStoredValuesAreNotInErrors(t *testing.T) {
	is := is.New(t)
	ctx, db, c := t.Context(), open(t), Customs
	m := Custom{Name: "n", Addr: netip.IPv4Unspecified(), Owner: uuid.New()}
	is.NoErr(c.Create(ctx, db, &m))
	for column, value := range map[string]string{"addr": "canary", "owner": "canary", "name": "<"} {
		_, err := orm.Exec(ctx, db, "UPDATE customs SET "+column+" = ?", value)
		is.NoErr(err)
		_, err = c.Find(ctx, db, m.ID)
		is.True(err != nil)
		is.True(strings.Contains(err.Error(), "customs."+column))
		is.True(!strings.Contains(err.Error(), "canary"))
		_, err = orm.Exec(ctx, db, "UPDATE customs SET addr = '::', owner = ?, name = '<n>'", m.Owner.String())
		is.NoErr(err)
	}
}
