package v1

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"slices"
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

	// The random bytes of an encrypted object look like JSON or gzip now and then.
	key := bytes.Repeat([]byte{7}, 32)
	block, err := aes.NewCipher(key)
	is.NoErr(err)
	gcm, err := cipher.NewGCM(block)
	is.NoErr(err)
	for _, iv := range []string{`{"abcdefghij`, "\x1f\x8b\x08\x00abcdefgh", "SQLite form."} {
		sealed := gcm.Seal(nil, []byte(iv), plain, nil)
		n := len(sealed) - 16
		stored := slices.Concat([]byte(iv), sealed[n:], sealed[:n])
		got, err := Open(stored, key)
		is.NoErr(err)
		is.Equal(got, plain)
		_, err = Open(stored, nil)
		is.True(errors.Is(err, ErrKey))
	}
}

func TestKeys(t *testing.T) {
	is := is.New(t)
	is.Equal(ManifestKey(" a b "), "databases/a b/manifest.json")
	is.Equal(ManifestKey("\ufeff\u00a0 a\u0085\n"), "databases/a\u0085/manifest.json") // JavaScript's white space, not Go's
	for configured, want := range map[string]string{"": "driftdb/", "p": "p/", "p/": "p/", "p//": "p//", "/": "/", "a b/ü": "a b/ü/"} {
		is.Equal(Prefix(configured), want)
	}
	for key, want := range map[string]Place{
		"databases/a/b/nodes/n/x/snapshots/17.sqlite":                                 {Node: "n/x", Time: 17},
		"databases/a/b/nodes/x/snapshots/y/snapshots/17.sqlite":                       {Node: "x/snapshots/y", Time: 17},
		"databases/a/b/nodes/n/logs/000000000001-1000000000000.json":                  {Node: "n", From: 1, To: 1_000_000_000_000},
		"databases/a/b/nodes/n/logs/m/logs/000000000001-000000000002.json":            {Node: "n/logs/m", From: 1, To: 2},
		"databases/a/b/nodes/../ ü%20/nodes/logs/logs/000000000009-000000000009.json": {Node: "../ ü%20/nodes/logs", From: 9, To: 9},
	} {
		want.Key = key
		got, ok := Locate(" a/b ", key)
		is.True(ok)
		is.Equal(got, want)
	}
	const dir = "databases/a/b/nodes/n/logs/"
	for _, bad := range []string{
		"", "databases/c/nodes/n/snapshots/17.sqlite", "databases/a/b/nodes/n/17.sqlite", "databases/a/b/nodes/n/snapshots/x.sqlite", "databases/a/b/nodes/17.sqlite",
		dir + "1-2.json", dir + "000000000001-000000000002.json.gz", dir + "000000000003-000000000002.json", dir + "000000000000-000000000002.json", dir + "00000000000x-000000000002.json",
		"databases/a/b/nodes/logs/000000000001-000000000002.json",
	} {
		_, ok := Locate("a/b", bad)
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
		`{"a":{"$like":"x%"}}`:               ` WHERE (typeof("a") <> 'blob' AND "a" LIKE ?)`, `{"a":[],"b":["x","y"]}`: ` WHERE "a" = ? AND "b" = ?`,
		`{"rowid":1}`: ` WHERE "rowid" = ?`, `{"a":{"$gt":[1]}}`: ` WHERE "a" > ?`, `{"a":{"$like":null,"$ne":null}}`: ` WHERE "a" != ? AND (typeof("a") <> 'blob' AND "a" LIKE ?)`,
	} {
		s := &statement{r: r, columns: map[string]column{"a": {}, "b": {}}}
		m, err := members(json.RawMessage(text))
		is.NoErr(err)
		is.NoErr(s.where(m))
		is.Equal(s.String(), want)
		is.Equal(len(s.args), strings.Count(want, "?"))
	}
	for _, bad := range []string{`{"c":1}`, `{"a":["x","y"]}`, `{"a":[]}`, `{"c":{"$gt":1}}`, `{"a\" = 1 OR \"a":1}`} {
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
