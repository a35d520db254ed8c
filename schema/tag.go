package schema

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Item is one item of a drift tag: a flag such as unique, or a key with a
// value such as column=full_name.
type Item struct {
	Key      string
	Value    string // without its quotes or outer parentheses
	HasValue bool
	Quoted   bool // written as 'quoted '' text'
	Paren    bool // written as (SQL)

	Offset      int // bytes from the start of the tag to Key
	ValueOffset int // bytes from the start of the tag to what Value was made of, 0 without a value
}

// TagError is a mistake in the text of a tag.
type TagError struct {
	Offset  int    // bytes from the start of the tag, at most its length
	Msg     string // what is wrong
	Suggest string // what was probably meant, "" for nothing
}

func (e *TagError) Error() string {
	if e.Suggest != "" {
		return e.Msg + "; did you mean \"" + e.Suggest + "\"?"
	}
	return e.Msg
}

// ParseTag splits the text of a drift tag into its items:
//
//	tag   = item { "," item }
//	item  = flag | key "=" value
//	value = bare | 'quoted '' text' | "(" balanced SQL ")"
//
// Flags and keys are lower-case words; "-" stands alone. White space around
// items is not part of them. Every error is a *TagError. What the items mean
// is not judged here.
func ParseTag(tag string) ([]Item, error) {
	if strings.TrimSpace(tag) == "" {
		return nil, nil
	}
	p := tagParser{text: tag}
	var items []Item
	seen := make(map[string]bool)
	for {
		item, err := p.item()
		if err != nil {
			return nil, err
		}
		id := item.Key
		switch id { // a column can be part of several groups and have several checks
		case "unique", "uniquelive", "index", "check":
			id += "=" + item.Value
		}
		if seen[id] {
			return nil, &TagError{Offset: item.Offset, Msg: "option \"" + item.Key + "\" is given twice"}
		}
		seen[id] = true
		items = append(items, item)
		if p.at == len(tag) {
			return items, nil
		}
		p.at++ // the comma
	}
}

type tagParser struct {
	text string
	at   int
}

func (p *tagParser) fail(at int, msg string) (Item, error) {
	return Item{}, &TagError{Offset: at, Msg: msg}
}

func (p *tagParser) space() {
	for p.at < len(p.text) && (p.text[p.at] == ' ' || p.text[p.at] == '\t') {
		p.at++
	}
}

func (p *tagParser) ends() bool { return p.at == len(p.text) || p.text[p.at] == ',' }

// item reads up to the next comma outside quotes and parentheses, or the end.
func (p *tagParser) item() (Item, error) {
	p.space()
	it := Item{Offset: p.at}
	for p.at < len(p.text) && isWord(p.text[p.at]) {
		p.at++
	}
	it.Key = p.text[it.Offset:p.at]
	p.space()
	if it.Key == "" {
		if p.ends() {
			return p.fail(it.Offset, "an option is missing between two commas")
		}
		return p.fail(it.Offset, "unexpected "+quoteRune(p.text[p.at:])+": an option is a lower-case word, alone or with =value")
	}
	if p.ends() {
		return it, nil
	}
	if p.text[p.at] != '=' {
		return Item{}, &TagError{
			Offset:  p.at,
			Msg:     "unexpected " + quoteRune(p.text[p.at:]) + " after \"" + it.Key + "\": write a comma between options, or = before a value",
			Suggest: separator(it.Key, p.text[p.at]),
		}
	}
	p.at++
	p.space()
	it.HasValue = true
	if err := p.value(&it); err != nil {
		return Item{}, err
	}
	return it, nil
}

// separator suggests what stands after key in our grammar for what other
// tags, gorm's and json schema's, write there.
func separator(key string, wrote byte) string {
	switch {
	case wrote == ':':
		return key + "="
	case wrote == ';' || wrote == '|' || isWord(wrote):
		return key + ","
	}
	return ""
}

func (p *tagParser) value(it *Item) error {
	switch {
	case p.ends():
		return &TagError{Offset: p.at, Msg: "option \"" + it.Key + "\" has = but no value"}
	case p.text[p.at] == '\'':
		return p.quoted(it)
	case p.text[p.at] == '(':
		return p.paren(it)
	}
	it.ValueOffset = p.at
	for !p.ends() {
		if c := p.text[p.at]; c != '\t' && (c < ' ' || c == 0x7f) || strings.IndexByte(`'()"=`, c) >= 0 {
			return &TagError{Offset: p.at, Msg: "unexpected " + quoteRune(p.text[p.at:]) + " in the value of \"" + it.Key + "\": put text in single quotes and SQL in parentheses"}
		}
		p.at++
	}
	it.Value = strings.TrimRight(p.text[it.ValueOffset:p.at], " \t")
	return nil
}

func (p *tagParser) quoted(it *Item) error {
	open := p.at
	p.at++
	it.ValueOffset, it.Quoted = p.at, true
	var b strings.Builder
	for {
		i := strings.IndexByte(p.text[p.at:], '\'')
		if i < 0 {
			return &TagError{Offset: open, Msg: "the quote of \"" + it.Key + "\" is not closed; a quote inside is written twice"}
		}
		if nul := strings.IndexByte(p.text[p.at:p.at+i], 0); nul >= 0 {
			return &TagError{Offset: p.at + nul, Msg: "text of a tag cannot hold a NUL: SQL would end there"}
		}
		b.WriteString(p.text[p.at : p.at+i])
		p.at += i + 1
		if p.at < len(p.text) && p.text[p.at] == '\'' {
			b.WriteByte('\'')
			p.at++
			continue
		}
		it.Value = b.String()
		return p.after(it)
	}
}

func (p *tagParser) paren(it *Item) error {
	open := p.at
	end, err := balanced(p.text, open)
	if err != nil {
		return err
	}
	it.ValueOffset, it.Paren = open+1, true
	it.Value = strings.TrimSpace(p.text[open+1 : end])
	if it.Value == "" {
		return &TagError{Offset: open, Msg: "the parentheses of \"" + it.Key + "\" are empty"}
	}
	p.at = end + 1
	return p.after(it)
}

func (p *tagParser) after(it *Item) error {
	p.space()
	if !p.ends() {
		return &TagError{Offset: p.at, Msg: "unexpected " + quoteRune(p.text[p.at:]) + " after the value of \"" + it.Key + "\": write a comma"}
	}
	return nil
}

// balanced returns the index of the parenthesis that closes the one at open.
// Parentheses inside SQL strings and quoted names do not count. Comments and
// semicolons are refused: they could end the statement the text is put in.
func balanced(s string, open int) (int, error) {
	depth := 0
	for i := open; i < len(s); i++ {
		switch c := s[i]; c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i, nil
			}
		case '\'', '"', '`', '[':
			quote := c
			if c == '[' {
				quote = ']'
			}
			n := strings.IndexByte(s[i+1:], quote)
			if n < 0 {
				return 0, &TagError{Offset: i, Msg: "the " + quoteRune(s[i:]) + " is not closed"}
			}
			i += n + 1
		case ';', 0:
			return 0, &TagError{Offset: i, Msg: "unexpected " + quoteRune(s[i:]) + " in SQL"}
		case '-', '/':
			if i+1 < len(s) && (s[i:i+2] == "--" || s[i:i+2] == "/*") {
				return 0, &TagError{Offset: i, Msg: "a comment cannot stand in SQL of a tag"}
			}
		}
	}
	return 0, &TagError{Offset: open, Msg: "the parenthesis is not closed"}
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// quoteRune shows the first character of s, escaped when it cannot be seen.
func quoteRune(s string) string {
	r, _ := utf8.DecodeRuneInString(s)
	return strconv.QuoteRune(r)
}
