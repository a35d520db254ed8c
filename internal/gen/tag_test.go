package gen

import (
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/matryer/is"
)

// The place of a mistake is found through both layers of quotes: the literal
// in the source, and the value inside the tag.
func TestTagPositions(t *testing.T) {
	for _, tc := range []struct {
		name, source string
		line, col    int // of the misspelt item
	}{
		{"raw", "`drift:\"pk,uniqe\"`", 3, 23},
		{"raw, second key", "`json:\"a\" drift:\"pk,uniqe\"`", 3, 32},
		{"interpreted", `"drift:\"pk,uniqe\""`, 3, 24},
		{"escape before it", `"\x64rift:\"\u0070k,uniqe\""`, 3, 32},
		{"escape in the value of a raw tag", "`drift:\"check=(a = \\\"x\\\"),uniqe\"`", 3, 38},
		{"not ASCII before it", "`json:\"ä\" drift:\"pk,uniqe\"`", 3, 33},
	} {
		t.Run(tc.name, func(t *testing.T) {
			is := is.New(t)
			r := &reporter{}
			l := newLiteral(tc.source, token.Position{Filename: "m.go", Line: 3, Column: 12})
			tag := readTag(r, l, token.Position{})
			is.True(tag.found)
			is.Equal(len(r.all), 1)
			is.Equal(r.all[0].text(""), token.Position{Filename: "m.go", Line: tc.line, Column: tc.col}.String()+`: unknown option "uniqe"; did you mean "unique"?`)
		})
	}
}

func TestMalformedTags(t *testing.T) {
	for source, want := range map[string]string{
		"`drift: \"pk\"`":             "1:2: malformed struct tag",
		"`json:\"a\" drift`":          "1:11: malformed struct tag",
		"`drift:\"pk`":                "1:2: malformed struct tag",
		"`json:\"a\"\n drift:\"pk\"`": "1:10: malformed struct tag",
		"`drift:\"pk\" drift:\"pk\"`": "1:13: second drift tag",
		"`dirft:\"pk\"`":              "1:2: warning: struct tag key \"dirft\"; did you mean \"drift\"?",
	} {
		r := &reporter{}
		readTag(r, newLiteral(source, token.Position{Line: 1, Column: 1}), token.Position{})
		if len(r.all) != 1 {
			t.Errorf("%s: %v", source, r.all)
			continue
		}
		d := r.all[0]
		text := d.Pos.String() + ": " + map[bool]string{true: "warning: "}[d.Warning] + d.Msg
		if len(text) < len(want) || text[:len(want)] != want {
			t.Errorf("%s:\n got %s\nwant %s…", source, text, want)
		}
	}
}

// FuzzTag: no tag makes the reader panic, and every place it names lies in
// the literal.
func FuzzTag(f *testing.F) {
	for _, s := range []string{"`drift:\"pk\"`", `"drift:\"check=(a = 'x')\""`, "`drift:\"default='a''b',x=\"`", `"\u00e4 drift:\"\xff\""`, "`drift: \"`"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		if !validLiteral(source) {
			t.Skip()
		}
		r := &reporter{}
		l := newLiteral(source, token.Position{Filename: "m.go", Line: 1, Column: 1})
		tag := readTag(r, l, token.Position{Filename: "m.go", Line: 1, Column: 1})
		for _, d := range r.all {
			if d.Pos.Offset < 0 || d.Pos.Offset > len(source) || d.Pos.Line < 1 || d.Pos.Column < 1 {
				t.Errorf("%q: %v outside", source, d.Pos)
			}
		}
		for _, it := range tag.items {
			if it.pos.Offset >= len(source) || it.value.Offset > len(source) {
				t.Errorf("%q: item %s at %v", source, it.Key, it.pos)
			}
		}
	})
}

// validLiteral says whether source is a string literal, as the parser would
// hand it out.
func validLiteral(source string) bool {
	if source == "" || source[0] != '`' && source[0] != '"' {
		return false
	}
	_, err := parser.ParseExpr("map[struct{ x int " + source + " }]int{}")
	return err == nil && strings.Count(source, "`") <= 2
}
