package model_test

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	. "github.com/driftdb/driftdb/gen_test/model"
	"github.com/driftdb/driftdb/orm"
)

// reading runs fn with the writer, or a read transaction where none is open.
func (m *machine) reading(t *rapid.T, fn func(ctx context.Context, r orm.Reader)) {
	db, ok := m.w.(*orm.DB)
	if !ok || !rapid.Bool().Draw(t, "read transaction") {
		fn(m.ctx, m.w)
		return
	}
	if err := db.ReadTx(m.ctx, func(ctx context.Context, tx *orm.ReadTx) error { fn(ctx, tx); return nil }); err != nil {
		t.Fatal(err)
	}
}

func (v *table[M, K]) find(t *rapid.T) {
	key := v.anyKey(t, v.world)
	rows := v.among(key, "live")
	v.reading(t, func(ctx context.Context, r orm.Reader) {
		got, err := v.kind.table.Find(ctx, r, key)
		v.one(t, "find", got, err, rows)
		ok, err := v.kind.table.Exists(ctx, r, key)
		if err != nil || ok != (len(rows) > 0) {
			t.Fatalf("exists: %v, %v", ok, err)
		}
		var all []M
		var list []K
		for range rapid.IntRange(0, 3).Draw(t, "keys") {
			k := v.anyKey(t, v.world)
			if !slices.Contains(list, k) {
				all = append(all, v.among(k, "live")...)
			}
			list = append(list, k)
		}
		many, err := v.kind.table.FindMany(ctx, r, list...)
		v.list(t, "find many", many, err, all)
		if m := v.get(v.world, key); m != nil { // Reload reads deleted rows too
			row := v.draw(t, v.world)
			v.fixed(&row, m)
			if v.refused(&row) {
				return
			}
			if err := v.kind.table.Reload(ctx, r, &row); err != nil || !same(&row, m) {
				t.Fatalf("reload: %v: want -, got +:\n%s", err, gocmp.Diff(*m, row))
			}
		}
	})
}

// list compares rows in their order.
func (v *table[M, K]) list(t *rapid.T, what string, got []M, err error, want []M) {
	if err != nil || !slices.EqualFunc(got, want, func(a, b M) bool { return same(&a, &b) }) {
		t.Fatalf("%s: %v: want -, got +:\n%s", what, err, gocmp.Diff(want, got))
	}
}

// query reads in every way that a query can be read.
func (v *table[M, K]) query(t *rapid.T) {
	q, _, rows := v.scoped(t)
	rows = slices.Clone(rows)
	orders := some(t, "order", v.order, 0, func(o ordering[M]) string { return o.name })
	for _, o := range v.order[:v.keyColumns] { // the key makes the order total
		orders = slices.DeleteFunc(orders, func(x ordering[M]) bool { return x.name == o.name })
	}
	orders = append(orders, v.order[:v.keyColumns]...)
	descending := make([]bool, len(orders))
	for i, o := range orders {
		if descending[i] = rapid.Bool().Draw(t, "descending"); descending[i] {
			q = q.OrderBy(o.by.Desc())
		} else {
			q = q.OrderBy(o.by.Asc())
		}
	}
	slices.SortFunc(rows, func(a, b M) int {
		for i, o := range orders {
			if c := o.compare(&a, &b); c != 0 {
				if descending[i] {
					return -c
				}
				return c
			}
		}
		return 0
	})
	v.reading(t, func(ctx context.Context, r orm.Reader) { v.read(t, ctx, r, q, rows) })
}

// read compares the rows of a query, which has a total order, with rows.
func (v *table[M, K]) read(t *rapid.T, ctx context.Context, r orm.Reader, q orm.Query[M], rows []M) {
	size := rapid.IntRange(1, 3).Draw(t, "size")
	switch pick(t, "verb", []string{"all", "part", "each", "first", "one", "count", "page", "batches"}) {
	case "all":
		got, err := q.All(ctx, r)
		v.list(t, "all", got, err, rows)
	case "part":
		offset := rapid.IntRange(0, 3).Draw(t, "offset")
		rows = rows[min(offset, len(rows)):]
		rows = rows[:min(size, len(rows))]
		got, err := q.Limit(size).Offset(offset).All(ctx, r)
		v.list(t, "limit and offset", got, err, rows)
		n, err := q.Limit(size).Offset(offset).Count(ctx, r)
		if err != nil || n != int64(len(rows)) {
			t.Fatalf("count of a part: %d, %v", n, err)
		}
	case "each":
		got := []M{}
		for m, err := range q.Each(ctx, r) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, *m); len(got) == size {
				break
			}
		}
		v.list(t, "each", got, nil, rows[:min(size, len(rows))])
	case "first":
		got, err := q.First(ctx, r)
		v.one(t, "first", got, err, rows[:min(1, len(rows))])
	case "one":
		got, err := q.One(ctx, r)
		if len(rows) > 1 {
			if !errors.Is(err, orm.ErrNotUnique) {
				t.Fatalf("one of %d: %v", len(rows), err)
			}
			return
		}
		v.one(t, "one", got, err, rows)
	case "count":
		n, err := q.Count(ctx, r)
		ok, err2 := q.Exists(ctx, r)
		if err != nil || err2 != nil || n != int64(len(rows)) || ok != (n > 0) {
			t.Fatalf("count and exists: %d, %v, %v, %v, where there are %d", n, ok, err, err2, len(rows))
		}
	case "page":
		got, after := []M{}, orm.Cursor("")
		for range len(rows)/size + 1 {
			page, err := q.Page(ctx, r, after, size)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, page.Items...)
			if after = page.Next; after == "" {
				break
			}
		}
		v.list(t, "pages", got, nil, rows)
	case "batches":
		got := []M{}
		for batch, err := range q.Batches(ctx, r, size) {
			if err != nil || len(batch) == 0 || len(batch) > size {
				t.Fatalf("a batch of %d: %v", len(batch), err)
			}
			got = append(got, batch...)
		}
		v.list(t, "batches", got, nil, rows)
	}
}

// with loads relations of accounts, and relations of those.
func (m *machine) with(t *rapid.T) {
	p, limit := where(t, m.world, itemCond, 1), rapid.IntRange(0, 2).Draw(t, "limit")
	load := Accounts.Items.Where(p.cond).OrderBy(Items.Number.Asc()).With(Items.Owner)
	if limit > 0 {
		load = load.LimitEach(limit)
	}
	byNumber := func(all []Item) []Item {
		slices.SortFunc(all, func(a, b Item) int { return cmp.Compare(a.Number, b.Number) })
		return append([]Item{}, all...) // loaded and none is not nil
	}
	want := slices.Clone(m.world.accounts)
	for i := range want {
		want[i].Likes = byNumber(likesOf(m.world, &want[i]))
		list := byNumber(itemsOf(m.world, &want[i]))
		list = slices.DeleteFunc(list, func(x Item) bool { return p.holds(m.world, &x) != yes })
		if limit > 0 {
			list = list[:min(limit, len(list))]
		}
		for j := range list {
			if o := list[j].OwnerID; o != nil {
				list[j].Owner = new(*m.world.account(*o))
			}
		}
		want[i].Items = list
	}
	m.reading(t, func(ctx context.Context, r orm.Reader) {
		got, err := Accounts.Where().With(load, Accounts.Likes.OrderBy(Items.Number.Asc())).All(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := byKey(accounts, want), byKey(accounts, got); !reflect.DeepEqual(a, b) {
			t.Fatalf("with: want -, got +:\n%s", gocmp.Diff(a, b))
		}
	})
}

// like changes what an account likes, by way of the table between.
func (m *machine) like(t *rapid.T) {
	a := &Account{ID: accountID(t, m.world)}
	var list []*Item
	for range rapid.IntRange(0, 3).Draw(t, "items") {
		list = append(list, &Item{Number: items.anyKey(t, m.world)})
	}
	next := m.world.clone()
	among := func(l Link) bool {
		return l.AccountID == a.ID && slices.ContainsFunc(list, func(i *Item) bool { return i.Number == l.ItemNumber })
	}
	verb := pick(t, "verb", []string{"add", "remove", "replace"})
	switch verb {
	case "remove":
		next.links = slices.DeleteFunc(next.links, among)
	case "replace":
		next.links = slices.DeleteFunc(next.links, func(l Link) bool { return l.AccountID == a.ID && !among(l) })
	}
	if verb != "remove" {
		for _, i := range list {
			if k := (LinkKey{AccountID: a.ID, ItemNumber: i.Number}); next.link(k) == nil {
				next.links = append(next.links, Link{AccountID: k.AccountID, ItemNumber: k.ItemNumber})
			}
		}
	}
	m.write(t, next, nil, func() error {
		return map[string]func(context.Context, orm.Writer, *Account, ...*Item) error{
			"add": Accounts.Likes.Add, "remove": Accounts.Likes.Remove, "replace": Accounts.Likes.Replace,
		}[verb](m.ctx, m.w, a, list...)
	})
}
