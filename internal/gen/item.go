package gen

import (
	"errors"
	"go/token"
	"slices"
	"strings"

	"github.com/driftdb/driftdb/schema"
)

// form says what may follow an item's name.
type form int

const (
	flag     form = iota // nothing
	optional             // nothing or =word
	word                 // =word
	expr                 // =(SQL)
	any_                 // =word or =(SQL)
)

// forms is the grammar of items.
func forms() map[form][]string {
	return map[form][]string{
		flag: {
			"-", "pk", "uuid7", "uuid4", "auto", "null", "nocase", "created", "updated", "embed", "omitzero", "writezero", "deferred",
			"json", "enum", "version", "softdelete", "createonly", "readonly", "stored", "nolog", "secret",
		},
		optional: {"unique", "uniquelive", "index"},
		word: {
			"column", "name", "prefix", "ref", "ondelete", "onupdate", "time", "min", "max", "minlen", "maxlen", "type", "was",
			"one", "many", "via",
		},
		expr: {"check", "generated"},
		any_: {"default"},
	}
}

// formOf returns the form of an item; ok is false for a name that is no item.
func formOf(key string) (f form, ok bool) {
	for f, names := range forms() {
		if slices.Contains(names, key) {
			return f, true
		}
	}
	return flag, false
}

// itemNames are the names to suggest from.
func itemNames() (all []string) {
	for _, names := range forms() {
		all = append(all, names...)
	}
	slices.Sort(all)
	return all
}

// readItems splits the text of a drift tag and checks the form of each item.
// place maps an offset in the text to the source.
func readItems(r *reporter, text string, place func(int) token.Position) (items []item) {
	parsed, err := schema.ParseTag(text)
	if err != nil {
		pos, msg := place(0), err.Error()
		if te, ok := errors.AsType[*schema.TagError](err); ok {
			pos, msg = place(te.Offset), te.Msg
			if te.Suggest != "" {
				msg += "; did you mean " + quoted(te.Suggest) + "?"
			}
		}
		r.errorf(pos, "%s", msg)
		return nil
	}
	for _, p := range parsed {
		it := item{Item: p, pos: place(p.Offset), value: place(p.Offset)}
		if p.HasValue {
			it.value = place(p.ValueOffset)
		}
		if checkForm(r, it) {
			items = append(items, it)
		}
	}
	return items
}

func checkForm(r *reporter, it item) bool {
	f, ok := formOf(it.Key)
	var msg string
	switch {
	case !ok:
		msg = "unknown option " + quoted(it.Key)
		if s := schema.Nearest(it.Key, itemNames()); s != "" {
			msg += "; did you mean " + quoted(s) + "?"
		}
		r.errorf(it.pos, "%s", msg)
		return false
	case f == flag && it.HasValue:
		msg = it.Key + " takes no value"
	case f == word && !it.HasValue:
		msg = it.Key + " needs a value: " + it.Key + "=…"
	case (f == word || f == optional) && it.Paren:
		msg = it.Key + " takes a word, not an expression in parentheses"
	case f == expr && !it.Paren:
		msg = it.Key + " needs an SQL expression in parentheses: " + it.Key + "=(…)"
	case f == any_ && !it.HasValue:
		msg = it.Key + " needs a value: " + it.Key + "=v or " + it.Key + "=(SQL)"
	case it.HasValue && f != any_ && it.Value == "":
		msg = it.Key + " has an empty value"
	default:
		return true
	}
	r.errorf(it.value, "%s", msg)
	return false
}

func quoted(s string) string { return `"` + s + `"` }

// isWord says whether s can be the name of a group: it becomes part of
// identifiers in SQL and Go.
func isWord(s string) bool {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
