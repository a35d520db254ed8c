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
	later                // part of the grammar that this version does not know yet
)

// formOf is the grammar of items; ok is false for a name that is no item.
func formOf(key string) (f form, ok bool) {
	switch key {
	case "-", "pk", "uuid7", "uuid4", "null", "nocase", "created", "updated", "embed", "omitzero", "writezero":
		return flag, true
	case "unique", "index":
		return optional, true
	case "column", "name", "prefix", "ref", "ondelete", "onupdate", "time", "min", "max", "minlen", "maxlen":
		return word, true
	case "check":
		return expr, true
	case "default":
		return any_, true
	}
	return later, slices.Contains(laterItems(), key)
}

// itemNames are the names to suggest from.
func itemNames() []string {
	return append(laterItems(), "pk", "uuid7", "uuid4", "null", "nocase", "created", "updated", "embed", "omitzero", "writezero",
		"unique", "index", "column", "name", "prefix", "ref", "ondelete", "onupdate", "time", "min", "max", "minlen", "maxlen",
		"check", "default")
}

// laterItems are the items that this version refuses.
func laterItems() []string {
	return []string{
		"auto", "uniquelive", "deferred", "type", "json", "enum", "version", "softdelete", "createonly", "readonly",
		"generated", "stored", "nolog", "secret", "was", "one", "many", "via",
	}
}

// readItems splits the text of a drift tag and checks the form of each item.
// place maps an offset in the text to the source. notYet says that an item was
// refused because this version does not know it yet.
func readItems(r *reporter, text string, place func(int) token.Position) (items []item, notYet bool) {
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
		return nil, false
	}
	for _, p := range parsed {
		it := item{Item: p, pos: place(p.Offset), value: place(p.Offset)}
		if p.HasValue {
			it.value = place(p.ValueOffset)
		}
		if checkForm(r, it) {
			items = append(items, it)
		} else if f, ok := formOf(it.Key); ok && f == later {
			notYet = true
		}
	}
	return items, notYet
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
	case f == later:
		r.errorf(it.pos, "%s is not supported yet", it.Key)
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
