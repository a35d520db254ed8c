package model_test

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"pgregory.net/rapid"

	. "github.com/driftdb/driftdb/gen_test/model"
	"github.com/driftdb/driftdb/orm"
)

// truth is what a condition is for a row: SQL has three.
type truth int

const (
	no truth = iota
	null
	yes
)

func is(b bool) truth {
	if b {
		return yes
	}
	return no
}

// pred is a condition and what it means.
type pred[M any] struct {
	cond  orm.Cond[M]
	holds func(*world, *M) truth
}

// where draws a condition of leaves.
func where[M any](t *rapid.T, w *world, leaf func(*rapid.T, *world) pred[M], depth int) pred[M] {
	shape := "leaf"
	if depth > 0 {
		shape = pick(t, "condition", []string{"leaf", "leaf", "and", "or", "not"})
	}
	switch shape {
	case "leaf":
		return leaf(t, w)
	case "not":
		p := where(t, w, leaf, depth-1)
		return pred[M]{orm.Not(p.cond), func(w *world, m *M) truth { return yes - p.holds(w, m) }}
	}
	a, b := where(t, w, leaf, depth-1), where(t, w, leaf, depth-1)
	if shape == "and" {
		return pred[M]{orm.And(a.cond, b.cond), func(w *world, m *M) truth { return min(a.holds(w, m), b.holds(w, m)) }}
	}
	return pred[M]{orm.Or(a.cond, b.cond), func(w *world, m *M) truth { return max(a.holds(w, m), b.holds(w, m)) }}
}

// on is a condition on the value that of returns, which is nil for NULL.
func on[M, T any](c orm.Cond[M], of func(*M) *T, holds func(T) bool) pred[M] {
	return pred[M]{c, func(_ *world, m *M) truth {
		v := of(m)
		if v == nil {
			return null
		}
		return is(holds(*v))
	}}
}

// comparable columns.
type comparing[M, T any] interface {
	Eq(v T) orm.Cond[M]
	Ne(v T) orm.Cond[M]
	In(v ...T) orm.Cond[M]
	NotIn(v ...T) orm.Cond[M]
	Gt(v T) orm.Cond[M]
	Gte(v T) orm.Cond[M]
	Lt(v T) orm.Cond[M]
	Lte(v T) orm.Cond[M]
	Between(a, b T) orm.Cond[M]
}

// compared draws a comparison of a column with values from some.
func compared[M, T any](t *rapid.T, c comparing[M, T], of func(*M) *T, compare func(a, b T) int, from []T) pred[M] {
	a, b := pick(t, "a", from), pick(t, "b", from)
	in := func(v T) bool { return compare(v, a) == 0 || compare(v, b) == 0 }
	switch pick(t, "operator", []string{"=", "<>", "in", "not in", "in ()", ">", ">=", "<", "<=", "between"}) {
	case "=":
		return on(c.Eq(a), of, func(v T) bool { return compare(v, a) == 0 })
	case "<>":
		return on(c.Ne(a), of, func(v T) bool { return compare(v, a) != 0 })
	case "in":
		return on(c.In(a, b), of, in)
	case "not in":
		return on(c.NotIn(a, b), of, func(v T) bool { return !in(v) })
	case "in ()":
		return pred[M]{c.In(), func(*world, *M) truth { return no }}
	case ">":
		return on(c.Gt(a), of, func(v T) bool { return compare(v, a) > 0 })
	case ">=":
		return on(c.Gte(a), of, func(v T) bool { return compare(v, a) >= 0 })
	case "<":
		return on(c.Lt(a), of, func(v T) bool { return compare(v, a) < 0 })
	case "<=":
		return on(c.Lte(a), of, func(v T) bool { return compare(v, a) <= 0 })
	}
	return on(c.Between(a, b), of, func(v T) bool { return compare(v, a) >= 0 && compare(v, b) <= 0 })
}

// text draws a condition that text columns alone have.
func text[M any](t *rapid.T, c interface {
	HasPrefix(string) orm.Cond[M]
	Contains(string) orm.Cond[M]
	EqualFold(string) orm.Cond[M]
}, of func(*M) *string, from []string) pred[M] {
	s := pick(t, "text", from)
	if rapid.Bool().Draw(t, "a part") {
		s = s[:len(s)/2]
	}
	switch pick(t, "operator", []string{"prefix", "contains", "fold"}) {
	case "prefix":
		return on(c.HasPrefix(s), of, func(v string) bool { return strings.HasPrefix(v, s) })
	case "contains":
		return on(c.Contains(s), of, func(v string) bool { return strings.Contains(v, s) })
	}
	return on(c.EqualFold(s), of, func(v string) bool { return foldedCompare(v, s) == 0 })
}

func foldedCompare(a, b string) int { return strings.Compare(fold(a), fold(b)) }

// isNull draws a condition that nullable columns alone have.
func isNull[M, T any](t *rapid.T, c interface {
	IsNull() orm.Cond[M]
	NotNull() orm.Cond[M]
	EqPtr(*T) orm.Cond[M]
}, of func(*M) *T, eq func(a, b T) bool, v *T) pred[M] {
	switch pick(t, "operator", []string{"null", "not null", "pointer"}) {
	case "null":
		return pred[M]{c.IsNull(), func(_ *world, m *M) truth { return is(of(m) == nil) }}
	case "not null":
		return pred[M]{c.NotNull(), func(_ *world, m *M) truth { return is(of(m) != nil) }}
	}
	if v == nil {
		return pred[M]{c.EqPtr(nil), func(_ *world, m *M) truth { return is(of(m) == nil) }}
	}
	return on(c.EqPtr(v), of, func(x T) bool { return eq(x, *v) })
}

// related draws a condition on the rows that others returns.
func related[M, R any](t *rapid.T, x interface {
	Some(...orm.Cond[R]) orm.Cond[M]
	None(...orm.Cond[R]) orm.Cond[M]
	Every(...orm.Cond[R]) orm.Cond[M]
}, p pred[R], others func(*world, *M) []R) pred[M] {
	hits := func(w *world, m *M) (n, all int) {
		list := others(w, m)
		for i := range list {
			if p.holds(w, &list[i]) == yes {
				n++
			}
		}
		return n, len(list)
	}
	switch pick(t, "operator", []string{"some", "none", "every"}) {
	case "some":
		return pred[M]{x.Some(p.cond), func(w *world, m *M) truth { n, _ := hits(w, m); return is(n > 0) }}
	case "none":
		return pred[M]{x.None(p.cond), func(w *world, m *M) truth { n, _ := hits(w, m); return is(n == 0) }}
	}
	return pred[M]{x.Every(p.cond), func(w *world, m *M) truth { n, all := hits(w, m); return is(n == all) }}
}

func accountCond(t *rapid.T, w *world) pred[Account] {
	name := func(m *Account) *string { return &m.Name }
	email := func(m *Account) *string { return &m.Email }
	age := func(m *Account) *int { return m.Age }
	nick := func(m *Account) *string { return m.Nick }
	switch pick(t, "column", []string{"id", "name", "name text", "email", "age", "age null", "score", "active", "level", "tags", "avatar", "group", "nick", "nick null", "created", "items", "likes", "sub-query", "sql", "column"}) {
	case "id":
		return compared(t, Accounts.ID, func(m *Account) *string { return &m.ID }, strings.Compare, append([]string{accountID(t, w)}, ids...))
	case "name":
		return compared(t, Accounts.Name, name, strings.Compare, names)
	case "name text":
		return text(t, Accounts.Name, name, names)
	case "email":
		return compared(t, Accounts.Email, email, foldedCompare, emails)
	case "age":
		return compared(t, Accounts.Age, age, cmp.Compare[int], []int{0, 30, 31, -1})
	case "age null":
		return isNull(t, Accounts.Age, age, func(a, b int) bool { return a == b }, maybe(t, "age", []int{0, 30}))
	case "score":
		return compared(t, Accounts.Score, func(m *Account) *float64 { return &m.Score }, cmp.Compare[float64], floats)
	case "active":
		return on(Accounts.Active.IsTrue(), func(m *Account) *bool { return &m.Active }, func(v bool) bool { return v })
	case "level":
		l := pick(t, "level", LevelValues())
		return on(Accounts.Level.Eq(l), func(m *Account) *Level { return &m.Level }, func(v Level) bool { return v == l })
	case "tags":
		first := func(m *Account) *string {
			if len(m.Tags) == 0 {
				return nil
			}
			return &m.Tags[0]
		}
		s := pick(t, "tag", []string{"a", "b\"'", "c"})
		return on(Accounts.Tags.Path("$[0]").Eq(s), first, func(v string) bool { return v == s })
	case "avatar":
		b := pick(t, "bytes", blobs)
		return on(Accounts.Avatar.Eq(b), func(m *Account) *[]byte { return &m.Avatar }, func(v []byte) bool { return bytes.Equal(v, b) })
	case "group":
		return compared(t, Accounts.Group, func(m *Account) *int16 { return &m.Group }, cmp.Compare[int16], []int16{0, -32768, 32767})
	case "nick":
		return compared(t, Accounts.Nick, nick, strings.Compare, nicks)
	case "nick null":
		return isNull(t, Accounts.Nick, nick, func(a, b string) bool { return a == b }, maybe(t, "nick", nicks))
	case "created":
		at := cut(pick(t, "time", times[1:]), 1e6)
		return on(Accounts.CreatedAt.Gt(at), func(m *Account) *int64 { return new(m.CreatedAt.UnixMilli()) }, func(v int64) bool { return v > at.UnixMilli() })
	case "items":
		return related(t, Accounts.Items, where(t, w, itemCond, 1), itemsOf)
	case "likes":
		return related(t, Accounts.Likes, where(t, w, itemCond, 1), likesOf)
	case "sub-query":
		p := where(t, w, itemCond, 1)
		return pred[Account]{Accounts.ID.InQuery(orm.Sub1(Items.Where(p.cond), Items.AccountID)), func(w *world, m *Account) truth {
			return is(slices.ContainsFunc(itemsOf(w, m), func(i Item) bool { return p.holds(w, &i) == yes }))
		}}
	case "column":
		return pred[Account]{Accounts.Name.EqCol(Accounts.ID), func(_ *world, m *Account) truth { return is(m.Name == m.ID) }}
	}
	s := pick(t, "text", names)
	return on(orm.SQL[Account]("name = ? AND 1", s), name, func(v string) bool { return v == s })
}

func itemsOf(w *world, a *Account) (all []Item) {
	for _, i := range w.items {
		if i.AccountID == a.ID && i.DeletedAt == nil {
			all = append(all, i)
		}
	}
	return all
}

func likesOf(w *world, a *Account) (all []Item) {
	for _, i := range w.items {
		if i.DeletedAt == nil && w.link(LinkKey{AccountID: a.ID, ItemNumber: i.Number}) != nil {
			all = append(all, i)
		}
	}
	return all
}

func childrenOf(w *world, n *Node) (all []Node) {
	for _, c := range w.nodes {
		if c.ParentID != nil && *c.ParentID == n.ID {
			all = append(all, c)
		}
	}
	return all
}

// at most one row, as a list.
func one[M any](m *M) []M {
	if m == nil {
		return nil
	}
	return []M{*m}
}

func itemCond(t *rapid.T, w *world) pred[Item] {
	owner := func(m *Item) *string { return m.OwnerID }
	switch pick(t, "column", []string{"number", "title", "size", "owner", "owner null", "account", "owner row", "version"}) {
	case "number":
		return compared(t, Items.Number, func(m *Item) *int64 { return &m.Number }, cmp.Compare[int64], []int64{0, 1, 2, 5, 9})
	case "title":
		return compared(t, Items.Title, func(m *Item) *string { return &m.Title }, strings.Compare, titles)
	case "size":
		return compared(t, Items.Size, func(m *Item) *uint8 { return &m.Size }, cmp.Compare[uint8], []uint8{0, 1, 200, 255})
	case "owner":
		return compared(t, Items.OwnerID, owner, strings.Compare, []string{accountID(t, w), "a"})
	case "owner null":
		return isNull(t, Items.OwnerID, owner, func(a, b string) bool { return a == b }, maybe(t, "owner", []string{accountID(t, w), "a"}))
	case "account":
		age := compared(t, Accounts.Age, func(m *Account) *int { return m.Age }, cmp.Compare[int], []int{0, 30, 31})
		return related(t, Items.Account, age, func(w *world, m *Item) []Account { return one(w.account(m.AccountID)) })
	case "owner row":
		name := compared(t, Accounts.Name, func(m *Account) *string { return &m.Name }, strings.Compare, names)
		return related(t, Items.Owner, name, func(w *world, m *Item) []Account {
			if m.OwnerID == nil {
				return nil
			}
			return one(w.account(*m.OwnerID))
		})
	}
	return compared(t, Items.Version, func(m *Item) *int64 { return &m.Version }, cmp.Compare[int64], []int64{1, 2, 3})
}

func linkCond(t *rapid.T, w *world) pred[Link] {
	switch pick(t, "column", []string{"account", "item", "weight", "note"}) {
	case "account":
		return compared(t, Links.AccountID, func(m *Link) *string { return &m.AccountID }, strings.Compare, []string{accountID(t, w), "a"})
	case "item":
		return compared(t, Links.ItemNumber, func(m *Link) *int64 { return &m.ItemNumber }, cmp.Compare[int64], []int64{0, 1, 5})
	case "weight":
		return compared(t, Links.Weight, func(m *Link) *float32 { return &m.Weight }, cmp.Compare[float32], []float32{0, 0.1, -1})
	}
	return text(t, Links.Note, func(m *Link) *string { return &m.Note }, names)
}

func nodeCond(t *rapid.T, _ *world) pred[Node] {
	parent := func(m *Node) *int64 { return m.ParentID }
	switch pick(t, "column", []string{"id", "parent", "parent null", "key", "data null", "length", "children", "parent row"}) {
	case "id":
		return compared(t, Nodes.ID, func(m *Node) *int64 { return &m.ID }, cmp.Compare[int64], []int64{1, 2, 7})
	case "parent":
		return compared(t, Nodes.ParentID, parent, cmp.Compare[int64], []int64{1, 2, 7})
	case "parent null":
		return isNull(t, Nodes.ParentID, parent, func(a, b int64) bool { return a == b }, maybe(t, "parent", []int64{1, 2}))
	case "key":
		k := pick(t, "key", keys)
		return pred[Node]{Nodes.Key.In(k, keys[0]), func(_ *world, m *Node) truth { return is(m.Key == k || m.Key == keys[0]) }}
	case "data null":
		return isNull(t, Nodes.Data, func(m *Node) *[]byte { return optional(m.Data) }, bytes.Equal, optional(pick(t, "bytes", blobs)))
	case "length":
		return compared(t, Nodes.Length, func(m *Node) *int64 { return &m.Length }, cmp.Compare[int64], []int64{0, 1, 3})
	case "children":
		p := compared(t, Nodes.Twice, func(m *Node) *int32 { return &m.Twice }, cmp.Compare[int32], []int32{0, 2, 6})
		return related(t, Nodes.Children, p, childrenOf)
	}
	p := compared(t, Nodes.Twice, func(m *Node) *int32 { return &m.Twice }, cmp.Compare[int32], []int32{0, 2, 6})
	return related(t, Nodes.Parent, p, func(w *world, m *Node) []Node {
		if m.ParentID == nil {
			return nil
		}
		return one(w.node(*m.ParentID))
	})
}
