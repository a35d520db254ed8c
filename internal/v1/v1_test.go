package v1

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/matryer/is"
)

func TestOpen(t *testing.T) {
	is := is.New(t)
	plain := []byte(`{"version":1}`)
	got, err := Open(plain, nil)
	is.NoErr(err)
	is.Equal(got, plain)
	for _, bad := range [][]byte{nil, []byte("x"), []byte("\x1f\x8b\x08\x00 no gzip"), make([]byte, 100)} {
		_, err := Open(bad, nil)
		is.True(errors.Is(err, ErrKey))
		_, err = Open(bad, make([]byte, 32))
		is.True(errors.Is(err, ErrKey))
	}
	_, err = Open([]byte("x"), make([]byte, 5))
	is.True(err != nil)
}

func TestKeys(t *testing.T) {
	is := is.New(t)
	is.Equal(ManifestKey(" a b "), "databases/a b/manifest.json")
	node, err := SnapshotNode("a/b", "databases/a/b/nodes/n/x/snapshots/17.sqlite")
	is.NoErr(err)
	is.Equal(node, "n/x")
	for _, bad := range []string{"", "databases/c/nodes/n/snapshots/17.sqlite", "databases/a/b/nodes/n/17.sqlite"} {
		_, err := SnapshotNode("a/b", bad)
		is.True(errors.Is(err, ErrFormat))
	}
	from, to, ok := Range(LogsPrefix("x", "n") + "000000000001-1000000000000.json")
	is.True(ok && from == 1 && to == 1_000_000_000_000)
	for _, bad := range []string{"", "1-2.json", "000000000001-000000000002.json.gz", "000000000003-000000000002.json", "000000000000-000000000002.json", "00000000000x-000000000002.json"} {
		_, _, ok := Range(bad)
		is.True(!ok)
	}
	for _, bad := range []string{``, `[]`, `{"version":2,"nodeId":"x"}`, `{"dbName":"x"}`, `{"nodeId":`} {
		_, err := ParseManifest([]byte(bad))
		is.True(errors.Is(err, ErrFormat))
	}
}

func TestUnquote(t *testing.T) {
	is := is.New(t)
	for text, want := range map[string]string{
		`""`: "", `"aé\n\t\b\f\r\"\\\/"`: "aé\n\t\b\f\r\"\\/", `"\u0000\u00e9\uD83D\uDE00"`: "\x00é😀",
		`"\ud800"`: "\xed\xa0\x80", `"\ud800\ud800\udc00"`: "\xed\xa0\x80\U00010000", `"\udc00x"`: "\xed\xb0\x80x", `"\ud800\u0041"`: "\xed\xa0\x80A",
	} {
		got, lone, err := unquote([]byte(text))
		is.NoErr(err)
		is.Equal(got, want)
		is.Equal(lone, strings.Contains(want, "\xed"))
	}
	_, _, err := unquote([]byte(`"\x"`))
	is.True(err != nil)
}

// Where JSON has no half surrogate pairs, the standard library reads the same.
func FuzzUnquote(f *testing.F) {
	for _, s := range []string{`"a"`, `"\ud83d\ude00"`, `"\\u0041"`, `"\ud800"`, `"é"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var want string
		if !strings.HasPrefix(text, `"`) || json.Unmarshal([]byte(text), &want) != nil || text[len(text)-1] != '"' {
			return
		}
		got, lone, err := unquote([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if !lone && strings.ToValidUTF8(got, "\uFFFD") != strings.ToValidUTF8(want, "\uFFFD") && !strings.ContainsRune(want, '\uFFFD') {
			t.Fatalf("%q: %q, want %q", text, got, want)
		}
	})
}

// where becomes the conditions that the original makes.
func TestWhere(t *testing.T) {
	is := is.New(t)
	r := &Replayer{}
	for text, want := range map[string]string{
		`{}`: ``, `{"a":1}`: ` WHERE "a" = ?`, `{"A":null}`: ` WHERE "A" IS NULL`, `{"a":["x"]}`: ` WHERE "a" = ?`,
		`{"a":{"$lt":1,"$gt":2,"$foo":3}}`: ` WHERE "a" > ? AND "a" < ?`, `{"a":{}}`: ``, `{"none":{"x":1}}`: ``,
		`{"a":{"$in":[]}}`: ` WHERE 0 = 1`, `{"a":{"$in":[1,2]},"b":true}`: ` WHERE "a" IN (?, ?) AND "b" = ?`, `{"a":{"$in":"abc"}}`: ``,
		`{"a":{"type":"Buffer","data":[1]}}`: ``,
	} {
		s := &statement{r: r, columns: map[string]column{"a": {}, "b": {}}}
		m, err := members(json.RawMessage(text))
		is.NoErr(err)
		is.NoErr(s.where(m))
		is.Equal(s.String(), want)
		is.Equal(len(s.args), strings.Count(want, "?"))
	}
	for _, bad := range []string{`{"c":1}`, `{"a":["x","y"]}`, `{"c":{"$gt":1}}`, `{"a\" = 1 OR \"a":1}`} {
		s := &statement{r: r, columns: map[string]column{"a": {}}}
		m, err := members(json.RawMessage(bad))
		is.NoErr(err)
		is.True(s.where(m) != nil)
	}
}

func TestValues(t *testing.T) {
	is := is.New(t)
	r := &Replayer{}
	for text, want := range map[string]any{
		`null`: nil, `true`: float64(1), `false`: float64(0), `42`: float64(42), `-0.5e3`: -500.0, `"x"`: "x", `[1,2]`: "[1,2]", `{"a":1}`: `{"a":1}`,
		`{"type":"Buffer","data":[256]}`: `{"type":"Buffer","data":[256]}`, `{"type":"Buffer","data":[0],"x":1}`: `{"type":"Buffer","data":[0],"x":1}`,
	} {
		got, err := r.bound(json.RawMessage(text))
		is.NoErr(err)
		is.Equal(got, want)
	}
	b, err := r.bound(json.RawMessage(`{"data":[0,255],"type":"Buffer"}`))
	is.NoErr(err)
	is.Equal(b, []byte{0, 255})
	_, err = r.bound(nil)
	is.True(err != nil)
	is.True(dateLike("1970-01-01T00:00:00.000Z") && !dateLike("1970-01-01T00:00:00.000z") && !dateLike("1970-01-01"))
}
