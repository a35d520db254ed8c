package schema_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/driftdb/driftdb/schema"
	"github.com/google/go-cmp/cmp"
	"github.com/matryer/is"
)

func TestParseTag(t *testing.T) {
	for tag, want := range map[string][]schema.Item{
		"":                nil,
		"unique,index":    {{Key: "unique"}, {Key: "index", Offset: 7}},
		" pk , uuid7 ":    {{Key: "pk", Offset: 1}, {Key: "uuid7", Offset: 6}},
		"-":               {{Key: "-"}},
		"column=full":     {{Key: "column", Value: "full", HasValue: true, ValueOffset: 7}},
		"default='it''s'": {{Key: "default", Value: "it's", HasValue: true, Quoted: true, ValueOffset: 9}},
		"default=''":      {{Key: "default", HasValue: true, Quoted: true, ValueOffset: 9}},
		"default=-1.5":    {{Key: "default", Value: "-1.5", HasValue: true, ValueOffset: 8}},
		"check=(a IN (1, ')')),pk": {
			{Key: "check", Value: "a IN (1, ')')", HasValue: true, Paren: true, ValueOffset: 7},
			{Key: "pk", Offset: 22},
		},
	} {
		got, err := schema.ParseTag(tag)
		if err != nil {
			t.Errorf("%q: %v", tag, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", tag, diff)
		}
	}
}

func TestParseTagErrors(t *testing.T) {
	for tag, want := range map[string]struct {
		offset int
		msg    string
	}{
		"pk,,unique":          {3, "missing"},
		"pk,":                 {3, "missing"},
		"pk unique":           {3, "comma"},
		"pk,pk":               {3, "twice"},
		"column=":             {7, "no value"},
		"default='x":          {8, "not closed"},
		"default='x'y":        {11, "comma"},
		"check=(a":            {6, "not closed"},
		"check=()":            {6, "empty"},
		"check=(a -- b)":      {9, "comment"},
		"check=(a; DROP)":     {8, "unexpected"},
		"check=a>(1)":         {8, "parentheses"},
		"default=it's":        {10, "quotes"},
		"\"quoted\"":          {0, "unexpected"},
		"check=('unclosed)":   {7, "not closed"},
		"default=(1), =value": {13, "unexpected"},
		"column=a\rb":         {8, "unexpected"},
		"default='a\x00b'":    {10, "NUL"},
	} {
		_, err := schema.ParseTag(tag)
		var tagErr *schema.TagError
		if !errors.As(err, &tagErr) {
			t.Errorf("%q: no error", tag)
			continue
		}
		if tagErr.Offset != want.offset || !strings.Contains(tagErr.Msg, want.msg) {
			t.Errorf("%q: %d %q, want %d %q", tag, tagErr.Offset, tagErr.Msg, want.offset, want.msg)
		}
	}
}

func TestParseTagSuggests(t *testing.T) {
	is := is.New(t)
	for tag, want := range map[string]string{
		"column:full_name": `did you mean "column="?`,
		"pk;uuid7":         `did you mean "pk,"?`,
		"pk uuid7":         `did you mean "pk,"?`,
		"pk)":              `write a comma between options, or = before a value`,
		"größe=1":          `unexpected 'ö' after "gr"`,
		"pk,\n":            `unexpected '\n'`,
		"default=('a\xff":  `the '\'' is not closed`,
	} {
		_, err := schema.ParseTag(tag)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", tag, err, want)
		}
	}
	is.Equal(schema.Nearest(strings.Repeat("x", 1<<20), []string{"pk"}), "") // no table of a million rows
}

func FuzzParseTag(f *testing.F) {
	for _, s := range []string{"pk,uuid7", "default='a''b',check=(x > (1))", "ref=Team.Slug,ondelete=cascade", "check=('", ",", "=", "a=\x00", "0=\u00a0", "0=(\u00a0x)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, tag string) {
		items, err := schema.ParseTag(tag)
		if err != nil {
			var tagErr *schema.TagError
			if !errors.As(err, &tagErr) || tagErr.Offset < 0 || tagErr.Offset > len(tag) || tagErr.Msg == "" {
				t.Fatalf("%q: bad error %#v", tag, err)
			}
			return
		}
		for _, it := range items {
			if !strings.HasPrefix(tag[it.Offset:], it.Key) {
				t.Fatalf("%q: item %q is not at %d", tag, it.Key, it.Offset)
			}
			there := strings.TrimLeft(tag[it.ValueOffset:], " \t") // SQL may begin with other white space
			if it.Paren {
				there = strings.TrimSpace(there)
			}
			if it.HasValue && !it.Quoted && !strings.HasPrefix(there, it.Value) {
				t.Fatalf("%q: value %q is not at %d", tag, it.Value, it.ValueOffset)
			}
		}
	})
}

func TestNames(t *testing.T) {
	is := is.New(t)
	for name, want := range map[string]string{
		"ID": "id", "UserID": "user_id", "HTTPServer": "http_server", "CreatedAt": "created_at", "Line2": "line2",
		"IDs": "ids", "UserIDs": "user_ids", "URLsSeen": "urls_seen", "A": "a", "Größe": "größe",
	} {
		is.Equal(schema.SnakeCase(name), want)
	}
	for name, want := range map[string]string{
		"User": "Users", "Category": "Categories", "Box": "Boxes", "Key": "Keys", "Class": "Classes", "Match": "Matches", "": "",
		"Member": "Members", "Person": "Persons", "Dish": "Dishes", "Day": "Days", "TTY": "TTYs", "y": "ys", "category": "categories",
	} {
		is.Equal(schema.Plural(name), want)
	}
	is.Equal(schema.Nearest("defalt", []string{"default", "unique"}), "default")
	is.Equal(schema.Nearest("uinque", []string{"default", "unique"}), "unique")
	is.Equal(schema.Nearest("xyz", []string{"default", "unique"}), "")
	is.Equal(schema.QuoteIdent(`a"b`), `"a""b"`)
	is.Equal(schema.QuoteText("it's"), "'it''s'")
}
