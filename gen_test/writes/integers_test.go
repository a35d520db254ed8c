package writes_test

import (
	"encoding/json"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/drifttest"
	. "github.com/driftdb/driftdb/gen_test/writes"
	"github.com/driftdb/driftdb/orm"
)

// TestIntegersInJSON: encoding/json reads every number into a float64, which
// holds integers up to 2^53 only. What was written comes back and is written
// again as it was.
func TestIntegersInJSON(t *testing.T) {
	is := is.New(t)
	ctx, db := t.Context(), drifttest.Open(t, Schema)
	const big = int64(1)<<60 + 1
	const text = `{"big":1152921504606846977,"deep":[{"least":-9223372036854775808,"long":123456789012345678901234567890}],"pi":3.141592653589793,"round":1152921504606846976,"small":7}`
	p := page(t, db)
	p.Meta = map[string]any{"big": big, "round": int64(1) << 60, "small": 7, "pi": 3.141592653589793,
		"deep": []any{map[string]any{"least": int64(-1) << 63, "long": json.Number("123456789012345678901234567890")}}}
	stored := func() string {
		t.Helper()
		s, err := orm.RawOne[string](ctx, db, "SELECT meta FROM pages WHERE id = ?", p.ID)
		is.NoErr(err)
		return s
	}
	is.NoErr(Pages.Save(ctx, db, &p)) // by way of a copy, which is decoded from JSON
	is.Equal(stored(), text)

	got, err := Pages.Find(ctx, db, p.ID)
	is.NoErr(err)
	is.Equal(got.Meta["big"], json.Number("1152921504606846977"))   // a float64 would be another number
	is.Equal(got.Meta["round"], json.Number("1152921504606846976")) // one that would be written with other digits
	is.Equal(got.Meta["small"], 7.0)
	is.Equal(got.Meta["pi"], 3.141592653589793)
	got.Title = "again"
	is.NoErr(Pages.Save(ctx, db, got))
	is.Equal(stored(), text)
	_, err = Pages.Edit(ctx, db, p.ID, func(p *Page) error { p.Meta["small"] = 7; return nil })
	is.NoErr(err)
	is.Equal(stored(), text)

	var patch PagePatch
	is.NoErr(json.Unmarshal([]byte(`{"meta":{"n":9007199254740993}}`), &patch))
	is.NoErr(Pages.Update(ctx, db, p.ID, patch.Sets()...))
	is.Equal(stored(), `{"n":9007199254740993}`)
}
