package model_test

import (
	"reflect"
	"slices"
	"strings"

	. "github.com/driftdb/driftdb/gen_test/model"
)

// world is what the database should hold. Rows are never changed in place, so
// a copy of the slices is a copy of the world.
type world struct {
	accounts []Account
	items    []Item
	links    []Link
	nodes    []Node
}

func (w *world) clone() *world {
	return &world{slices.Clone(w.accounts), slices.Clone(w.items), slices.Clone(w.links), slices.Clone(w.nodes)}
}

// find returns the first row that matches, nil if there is none.
func find[M any](rows []M, match func(*M) bool) *M {
	for i := range rows {
		if match(&rows[i]) {
			return &rows[i]
		}
	}
	return nil
}

func (w *world) account(id string) *Account {
	return find(w.accounts, func(a *Account) bool { return a.ID == id })
}

func (w *world) item(number int64) *Item {
	return find(w.items, func(i *Item) bool { return i.Number == number })
}

func (w *world) link(k LinkKey) *Link {
	return find(w.links, func(l *Link) bool { return l.AccountID == k.AccountID && l.ItemNumber == k.ItemNumber })
}

func (w *world) node(id int64) *Node {
	return find(w.nodes, func(n *Node) bool { return n.ID == id })
}

// settle does what foreign keys do when rows have gone.
func (w *world) settle() {
	w.items = slices.DeleteFunc(w.items, func(i Item) bool { return w.account(i.AccountID) == nil })
	for i := range w.items {
		if o := w.items[i].OwnerID; o != nil && w.account(*o) == nil {
			w.items[i].OwnerID = nil
		}
	}
	w.links = slices.DeleteFunc(w.links, func(l Link) bool { return w.account(l.AccountID) == nil || w.item(l.ItemNumber) == nil })
}

// renamed does what foreign keys do when an account's key has changed.
func (w *world) renamed(from, to string) {
	for i := range w.items {
		if w.items[i].AccountID == from {
			w.items[i].AccountID = to
		}
		if o := w.items[i].OwnerID; o != nil && *o == from {
			w.items[i].OwnerID = &to
		}
	}
	for i := range w.links {
		if w.links[i].AccountID == from {
			w.links[i].AccountID = to
		}
	}
}

// What a write can violate.
const foreignKey = "foreign key"

// violations returns every constraint that the rows as they are would violate.
func (w *world) violations() (bad []string) {
	bad = append(bad, accounts.violations(w)...)
	bad = append(bad, items.violations(w)...)
	bad = append(bad, links.violations(w)...)
	bad = append(bad, nodes.violations(w)...)
	dangling := slices.ContainsFunc(w.items, func(i Item) bool {
		return w.account(i.AccountID) == nil || i.OwnerID != nil && w.account(*i.OwnerID) == nil
	}) || slices.ContainsFunc(w.links, func(l Link) bool {
		return w.account(l.AccountID) == nil || w.item(l.ItemNumber) == nil
	}) || slices.ContainsFunc(w.nodes, func(n Node) bool { return n.ParentID != nil && w.node(*n.ParentID) == nil })
	if dangling {
		bad = append(bad, foreignKey)
	}
	return bad
}

// fold is how NOCASE compares: ASCII letters only.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// same compares rows in their normal form.
func same[M any](a, b *M) bool { return reflect.DeepEqual(a, b) }
