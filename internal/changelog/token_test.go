package changelog

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/matryer/is"
)

func TestTokens(t *testing.T) {
	for token, want := range map[string]any{
		`null`: nil, `0`: int64(0), `-1`: int64(-1), `9223372036854775807`: int64(math.MaxInt64), `-9223372036854775808`: int64(math.MinInt64),
		`0.0`: 0.0, `-0.0`: math.Copysign(0, -1), `1e3`: 1000.0, `1E+3`: 1000.0, `1.5e-3`: 0.0015, `9e999`: math.Inf(1), `-9e999`: math.Inf(-1), `9.0e+999`: math.Inf(1),
		`""`: "", `"a"`: "a", `"\u0000"`: "\x00", `"\"\\\/\b\f\n\r\t"`: "\"\\/\b\f\n\r\t", `"\u00e9\uD83D\uDE00"`: "é\U0001f600", `"é"`: "é",
		`{"x":""}`: []byte{}, `{"x":"00FF"}`: []byte{0, 255}, `{"t":"FF"}`: "\xff",
	} {
		t.Run(token, func(t *testing.T) {
			is := is.New(t)
			for _, rest := range []string{"", ",", "]", "}"} {
				end, _, invalid, err := scanToken(token+rest, 0)
				is.NoErr(err)
				is.Equal(end, len(token))
				is.True(!invalid)
			}
			got, err := value(token)
			is.NoErr(err)
			if f, ok := want.(float64); ok {
				bits, ok := got.(float64)
				is.True(ok)
				is.Equal(math.Float64bits(bits), math.Float64bits(f))
				return
			}
			is.Equal(got, want)
		})
	}
	for _, bad := range []string{
		``, ` 1`, `-`, `+1`, `.5`, `1.`, `1.e3`, `1e`, `1e+`, `-0`, `01`, `00`, `-01`, `9223372036854775808`, `-9223372036854775809`, `99999999999999999999`,
		`true`, `nul`, `NaN`, `Infinity`, `[`, `{}`, `{"x":"0"}`, `{"x":"ff"}`, `{"x":"GG"}`, `{"x":"00"`, `{"x": "00"}`, `{"t":"41"}`, `{"t":""}`, `{"y":"00"}`,
		`"`, `"a`, `"\`, `"\"`, `"\x"`, `"\u12"`, `"\u12G4"`, `"\ud800"`, `"\ud800\u0041"`, `"\ude00"`, "\"\n\"", "\"\x00\"",
	} {
		t.Run("bad "+bad, func(t *testing.T) {
			end, _, _, err := scanToken(bad, 0)
			if err == nil && end == len(bad) {
				t.Error("accepted")
			}
		})
	}
	if _, _, invalid, err := scanToken("\"\xff\"", 0); err != nil || !invalid {
		t.Error("invalid UTF-8 is not seen")
	}
	if _, err := value(`1e999`); err == nil {
		t.Error("a real out of range is accepted")
	}
	if got := string(appendToken(nil, "\"\xff\\u0000\"", true)); got != `{"t":"FF00"}` {
		t.Error(got)
	}
}

func FuzzToken(f *testing.F) {
	for _, s := range []string{`null`, `-12`, `1.5e3`, `"a\u0041\\"`, `{"x":"0F"}`, `{"t":"FF"}`, `"\ud83d\ude00"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		end, k, invalid, err := scanToken(s, 0)
		if err != nil {
			return
		}
		token := s[:end]
		v, err := value(token)
		if err != nil && k != kindReal {
			t.Fatalf("%q is accepted and has no value: %v", token, err)
		}
		if text, ok := v.(string); ok && k == kindText {
			if invalid != !utf8.ValidString(text) {
				t.Fatalf("%q: invalid is %t", token, invalid)
			}
			if !invalid && unquote(string(AppendString(nil, text))) != text {
				t.Fatalf("%q does not survive", text)
			}
		}
		b := string(appendToken(nil, token, invalid))
		if end, _, invalid, err := scanToken(b, 0); err != nil || invalid || end != len(b) {
			t.Fatalf("%q is written as %q, which is no token", token, b)
		}
		again, err2 := value(b)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("%q: %v, %v", token, err, err2)
		}
		if text, ok := v.(string); ok && again != text {
			t.Fatalf("%q reads as %q, then as %q", token, text, again)
		}
	})
}

// FuzzBatch: what is accepted encodes to the same bytes again.
func FuzzBatch(f *testing.F) {
	e := new(encoder)
	seeds := [][]Row{
		{{Sequence: 1, Time: 5, Op: Mark}},
		{{Sequence: 1, Time: 5, Op: Schema, Data: `{"version":0,"name":"open","sql":["x"],"tables":[{"name":"t","columns":["a"],"key":["a"]}]}`}, {Sequence: 2, Time: 6, Op: Insert, Table: "t", Data: `{"a":1}`}},
		{{Sequence: 1, Time: 5, Op: Update, Table: "t", Key: `{"a":1}`, Data: `{"b":"x","c":null}`, Before: `{"b":1.5,"c":{"x":"00"}}`},
			{Sequence: 2, Time: 4, Op: Update, Table: "t", Key: `{"a":1}`, Data: `{"d":"x","c":null}`},
			{Sequence: 3, Time: 5, Op: Delete, Table: "t", Key: `{"a":1}`},
			{Sequence: 4, Time: 5, Op: Insert, Table: "t", Data: `{"a":1,"b":2}`},
			{Sequence: 5, Time: 5, Op: Delete, Table: "t", Key: `{"a":1}`, Before: `{"b":1,"c":2,"d":3}`},
			{Sequence: 6, Time: 5, Op: Insert, Table: "u", Data: `{"a":1,"b":2}`}},
	}
	for _, rows := range seeds {
		e.begin(Tip{})
		for i := range rows {
			if err := e.add(&rows[i]); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(AddIdentity(Identity{DBName: "d", NodeID: "n", Epoch: 1, Part: 1, Parts: 1}, e.finish().Canonical()))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if err := reencodes(doc); err != nil {
			t.Fatal(err)
		}
	})
}

// rowFrom makes the log row that an entry was encoded from.
func rowFrom(d *Document, e *Entry) Row {
	r := Row{Sequence: e.Sequence, Time: e.Time, Op: e.Op, Data: e.Schema}
	if e.Op == Mark || e.Op == Schema {
		return r
	}
	l := &d.Tables[e.Table]
	r.Table = l.Name
	if e.Op != Insert {
		r.Key = objectFrom(l.Key, e.Key)
	}
	columns := l.Columns
	if e.Op == Update {
		columns = nil
		for _, c := range e.Columns {
			columns = append(columns, l.Columns[c])
		}
	}
	r.Data, r.Before = objectFrom(columns, e.New), objectFrom(columns, e.Old)
	return r
}

func objectFrom(names, tokens []string) string {
	if len(tokens) == 0 {
		return ""
	}
	var b strings.Builder
	for i, token := range tokens {
		b.WriteByte("{,"[min(i, 1)])
		b.Write(AppendString(nil, names[i]))
		b.WriteByte(':')
		if strings.HasPrefix(token, `{"t"`) {
			v, err := value(token)
			text, ok := v.(string)
			if err != nil || !ok {
				return "not text"
			}
			token = string(AppendString(nil, text))
		}
		b.WriteString(token)
	}
	return b.String() + "}"
}
