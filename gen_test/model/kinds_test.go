package model_test

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	. "github.com/driftdb/driftdb/gen_test/model"
	"github.com/driftdb/driftdb/orm"
)

// Values that meet often, and odd ones.
var (
	ids    = []string{"", "a", "b", "A", "ä'\"`", "x\x00y"}
	names  = []string{"", "ann", "Ann", "ä'\"`%_", "x\x00y", "\xff", "123456"}
	emails = []string{"a@x", "A@X", "b@x", "c@x", "", "é@x", "É@x"}
	nicks  = []string{"n", "N", "", "o'"}
	floats = []float64{0, 1.5, -1.5, 0.1, 1e15, math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64, 1<<53 + 1}
	titles = []string{"t", "T", "", "ü"}
	tags   = [][]string{nil, {}, {"a"}, {"b\"'", ""}}
	blobs  = [][]byte{nil, {}, {0}, {255, 0, 'a'}}
)

func pick[T any](t *rapid.T, name string, from []T) T { return rapid.SampledFrom(from).Draw(t, name) }

func maybe[T any](t *rapid.T, name string, from []T) *T {
	if rapid.Bool().Draw(t, name+" is nil") {
		return nil
	}
	return new(pick(t, name, from))
}

// some draws from least to three of all, no two of which have one name.
func some[T any](t *rapid.T, what string, all []T, least int, name func(T) string) (list []T) {
	at := rapid.SliceOfNDistinct(rapid.IntRange(0, len(all)-1), least, 3, func(i int) string { return name(all[i]) }).Draw(t, what)
	for _, i := range at {
		list = append(list, all[i])
	}
	return list
}

// accountID draws the key of an account, mostly of one that is there.
func accountID(t *rapid.T, w *world) string {
	if n := rapid.IntRange(0, len(w.accounts)).Draw(t, "account"); n < len(w.accounts) {
		return w.accounts[n].ID
	}
	return "nobody"
}

// setters draws up to three different ones of all.
func setters[M any](t *rapid.T, all []setter[M]) []setter[M] {
	return some(t, "sets", all, 0, func(s setter[M]) string { return s.name })
}

func plain[M any](all []setter[M]) []orm.Set[M] {
	sets := make([]orm.Set[M], len(all))
	for i, s := range all {
		sets[i] = s.set
	}
	return sets
}

// The models. Their parts refer to each other, so describe fills them in.
var (
	accounts = new(kind[Account, string])
	items    = new(kind[Item, int64])
	links    = new(kind[Link, LinkKey])
	nodes    = new(kind[Node, int64])
)

func describe() {
	*accounts, *items, *links, *nodes = describeAccounts(), describeItems(), describeLinks(), describeNodes()
}

func groupNick(m *Account) any {
	if m.Nick == nil {
		return nil
	}
	return AccountGroupNickKey{Group: m.Group, Nick: *m.Nick}
}

func describeAccounts() kind[Account, string] {
	return kind[Account, string]{
		order: accountOrder, keyColumns: 1, cond: accountCond,
		name: "accounts", table: Accounts, children: true,
		rows:   func(w *world) *[]Account { return &w.accounts },
		keySQL: func(k string) (string, []any) { return "id = ?", []any{k} },
		key:    func(m *Account) string { return m.ID },
		setKey: func(m *Account, id string) { m.ID = id },
		fresh:  func(n int) string { return "chosen " + string(rune('0'+n)) },
		uniques: []unique[Account]{
			uniqueOf("accounts_email_key", Accounts.ByEmail,
				func(m *Account) (string, bool) { return m.Email, true },
				func(m *Account) any { return fold(m.Email) }, func(m *Account) any { return fold(m.Email) },
				func(dst, old *Account) { dst.Email = old.Email }),
			uniqueOf("accounts_group_nick_key", Accounts.ByGroupNick,
				func(m *Account) (k AccountGroupNickKey, ok bool) {
					if m.Nick == nil {
						return k, false
					}
					return AccountGroupNickKey{Group: m.Group, Nick: *m.Nick}, true
				},
				groupNick, groupNick,
				func(dst, old *Account) { dst.Group, dst.Nick = old.Group, old.Nick }),
		},
		checks: func(m *Account) (bad []string) {
			name, _, _ := strings.Cut(m.Name, "\x00") // length() ends there
			if len([]rune(name)) > 6 {
				bad = append(bad, "accounts_name_maxlen_check")
			}
			if m.Age != nil && *m.Age < 0 {
				bad = append(bad, "accounts_age_check")
			}
			if m.Level != LevelLow && m.Level != LevelHigh {
				bad = append(bad, "accounts_level_enum_check")
			}
			return bad
		},
		draw: func(t *rapid.T, _ *world) Account {
			a := Account{
				ID: pick(t, "id", ids), Name: pick(t, "name", names), Email: pick(t, "email", emails),
				Age: maybe(t, "age", []int{0, 30, 31}), Score: pick(t, "score", floats),
				Active: rapid.Bool().Draw(t, "active"), Level: pick(t, "level", []Level{"", LevelLow, LevelHigh}),
				Tags: pick(t, "tags", tags), Avatar: pick(t, "avatar", blobs),
				Group: pick(t, "group", []int16{0, math.MinInt16, math.MaxInt16}), Nick: maybe(t, "nick", nicks),
				CreatedAt: pick(t, "created", times),
			}
			switch rapid.IntRange(0, 15).Draw(t, "wrong") {
			case 15:
				a.Name = "1234567"
			case 14:
				a.Age = new(-1)
			case 13:
				a.Level = "odd"
			case 12:
				a.Score = math.NaN()
			}
			return a
		},
		drawKey: func(t *rapid.T, _ *world) string { return pick(t, "id", ids) },
		sets: func(t *rapid.T, w *world) []setter[Account] {
			a := accounts.draw(t, w)
			if a.Level == "" {
				a.Level = LevelHigh // only an insert takes the default
			}
			return setters(t, []setter[Account]{
				{"name", Accounts.Name.Set(a.Name), func(m *Account) { m.Name = a.Name }},
				{"email", Accounts.Email.Set(a.Email), func(m *Account) { m.Email = a.Email }},
				{"age", Accounts.Age.SetPtr(a.Age), func(m *Account) { m.Age = a.Age }},
				{"age", Accounts.Age.SetNull(), func(m *Account) { m.Age = nil }},
				{"age", Accounts.Age.Add(2), func(m *Account) {
					if m.Age != nil {
						m.Age = new(*m.Age + 2)
					}
				}},
				{"score", Accounts.Score.Set(a.Score), func(m *Account) { m.Score = a.Score }},
				{"score", Accounts.Score.Add(0.5), func(m *Account) { m.Score += 0.5 }},
				{"active", Accounts.Active.Set(a.Active), func(m *Account) { m.Active = a.Active }},
				{"level", Accounts.Level.Set(a.Level), func(m *Account) { m.Level = a.Level }},
				{"tags", Accounts.Tags.SetPtr(&a.Tags), func(m *Account) { m.Tags = a.Tags }},
				{"tags", Accounts.Tags.SetNull(), func(m *Account) { m.Tags = nil }},
				{"avatar", Accounts.Avatar.Set(a.Avatar), func(m *Account) { m.Avatar = a.Avatar }},
				{"group", Accounts.Group.Set(a.Group), func(m *Account) { m.Group = a.Group }},
				{"nick", Accounts.Nick.SetPtr(a.Nick), func(m *Account) { m.Nick = a.Nick }},
				{"name", Accounts.Name.SetSQL("upper(name) || ?", "!"), func(m *Account) { m.Name = upper(m.Name) + "!" }},
			})
		},
		columns: []column[Account]{
			{"name", Accounts.Name, func(dst, src *Account) { dst.Name = src.Name }},
			{"age", Accounts.Age, func(dst, src *Account) { dst.Age = src.Age }},
			{"nick", Accounts.Nick, func(dst, src *Account) { dst.Nick = src.Nick }},
			{"level", Accounts.Level, func(dst, src *Account) { dst.Level = src.Level }},
		},
		fill: func(m *Account, now time.Time) {
			if m.CreatedAt.IsZero() {
				m.CreatedAt = now
			}
			if m.UpdatedAt.IsZero() {
				m.UpdatedAt = now
			}
		},
		defs: func(m *Account) {
			m.Active = true // false takes the default
			if m.Level == "" {
				m.Level = LevelLow
			}
		},
		normal: func(m *Account) {
			m.Avatar = bytesOf(m.Avatar)
			m.Score += 0 // −0 is 0
			m.CreatedAt, m.UpdatedAt = cut(m.CreatedAt, time.Millisecond), cut(m.UpdatedAt, time.Millisecond)
		},
		touch:   func(m *Account, now time.Time) { m.UpdatedAt = cut(now, time.Millisecond) },
		fixed:   func(dst, old *Account) { dst.ID, dst.CreatedAt = old.ID, old.CreatedAt },
		refused: func(m *Account) bool { return math.IsNaN(m.Score) },
		blank:   func(*Account) {},
	}
}

// times are those that a caller gives; the zero one means now.
var times = []time.Time{{}, time.UnixMilli(0), time.Unix(1_700_000_000, 123_456_789), time.Date(-4712, 1, 1, 0, 0, 0, 1, time.FixedZone("odd", 3661))}

func cut(t time.Time, unit time.Duration) time.Time {
	// Truncate counts from the year 1; the units go on evenly before it.
	return t.UTC().Truncate(unit)
}

func bytesOf(b []byte) []byte { return append([]byte{}, b...) }

// upper is SQLite's: ASCII letters only.
func upper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

func describeItems() kind[Item, int64] {
	return kind[Item, int64]{
		order: itemOrder, keyColumns: 1, cond: itemCond,
		name: "items", table: Items,
		rows:   func(w *world) *[]Item { return &w.items },
		keySQL: func(k int64) (string, []any) { return "number = ?", []any{k} },
		key:    func(m *Item) int64 { return m.Number },
		uniques: []unique[Item]{uniqueOf("items_title_key", Items.ByTitle,
			func(m *Item) (ItemTitleKey, bool) { return ItemTitleKey{AccountID: m.AccountID, Title: m.Title}, true },
			func(m *Item) any {
				if m.DeletedAt != nil {
					return nil // not in the index
				}
				return ItemTitleKey{AccountID: m.AccountID, Title: m.Title}
			},
			func(m *Item) any { return ItemTitleKey{AccountID: m.AccountID, Title: m.Title} },
			func(dst, old *Item) { dst.AccountID, dst.Title = old.AccountID, old.Title })},
		checks: func(m *Item) (bad []string) {
			if m.Size > 200 {
				bad = append(bad, "items_size_max_check")
			}
			return bad
		},
		draw: func(t *rapid.T, w *world) Item {
			i := Item{
				Number: rapid.Int64Range(0, 9).Draw(t, "number"), AccountID: accountID(t, w), Title: pick(t, "title", titles),
				Size: pick(t, "size", []uint8{0, 1, 199, 200, 0, 1, 201}), At: pick(t, "at", times[1:]),
				DeletedAt: maybe(t, "deleted", times[1:3]),
			}
			if rapid.Bool().Draw(t, "owned") {
				i.OwnerID = new(accountID(t, w))
			}
			if i.DeletedAt != nil && rapid.Bool().Draw(t, "live") {
				i.DeletedAt = nil
			}
			return i
		},
		drawKey: func(t *rapid.T, _ *world) int64 { return rapid.Int64Range(-1, 9).Draw(t, "number") },
		sets: func(t *rapid.T, w *world) []setter[Item] {
			i := items.draw(t, w)
			return setters(t, []setter[Item]{
				{"account", Items.AccountID.Set(i.AccountID), func(m *Item) { m.AccountID = i.AccountID }},
				{"title", Items.Title.Set(i.Title), func(m *Item) { m.Title = i.Title }},
				{"owner", Items.OwnerID.SetPtr(i.OwnerID), func(m *Item) { m.OwnerID = i.OwnerID }},
				{"size", Items.Size.Set(i.Size), func(m *Item) { m.Size = i.Size }},
				{"at", Items.At.Set(i.At), func(m *Item) { m.At = i.At }},
			})
		},
		columns: []column[Item]{
			{"owner_id", Items.OwnerID, func(dst, src *Item) { dst.OwnerID = src.OwnerID }},
			{"size", Items.Size, func(dst, src *Item) { dst.Size = src.Size }},
			{"at", Items.At, func(dst, src *Item) { dst.At = src.At }},
		},
		fill: func(m *Item, now time.Time) {
			if m.ChangedAt.IsZero() {
				m.ChangedAt = now
			}
			if m.Version == 0 {
				m.Version = 1
			}
		},
		defs: func(*Item) {},
		normal: func(m *Item) {
			m.At, m.ChangedAt = cut(m.At, time.Microsecond), cut(m.ChangedAt, time.Second)
			if m.DeletedAt != nil {
				m.DeletedAt = new(cut(*m.DeletedAt, time.Millisecond))
			}
		},
		touch:      func(m *Item, now time.Time) { m.ChangedAt = cut(now, time.Second); m.Version++ },
		fixed:      func(dst, old *Item) { dst.Number, dst.Version = old.Number, old.Version },
		live:       func(m *Item) bool { return m.DeletedAt == nil },
		bury:       func(m *Item, now time.Time) { m.DeletedAt = new(cut(now, time.Millisecond)) },
		revive:     func(m *Item) { m.DeletedAt = nil },
		version:    func(m *Item) int64 { return m.Version },
		setVersion: func(m *Item, v int64) { m.Version = v },
		refused:    func(*Item) bool { return false },
		blank:      func(*Item) {},
	}
}

func describeLinks() kind[Link, LinkKey] {
	return kind[Link, LinkKey]{
		order: linkOrder, keyColumns: 2, cond: linkCond,
		name: "links", table: Links,
		rows: func(w *world) *[]Link { return &w.links },
		keySQL: func(k LinkKey) (string, []any) {
			return "account_id = ? AND item_number = ?", []any{k.AccountID, k.ItemNumber}
		},
		key:    func(m *Link) LinkKey { return LinkKey{AccountID: m.AccountID, ItemNumber: m.ItemNumber} },
		checks: func(*Link) []string { return nil },
		draw: func(t *rapid.T, w *world) Link {
			k := links.drawKey(t, w)
			return Link{AccountID: k.AccountID, ItemNumber: k.ItemNumber, Weight: pick(t, "weight", []float32{0, 0.1, -1, math.MaxFloat32}), Note: pick(t, "note", names)}
		},
		drawKey: func(t *rapid.T, w *world) LinkKey {
			k := LinkKey{AccountID: accountID(t, w), ItemNumber: -1}
			if n := rapid.IntRange(0, len(w.items)).Draw(t, "item"); n < len(w.items) {
				k.ItemNumber = w.items[n].Number
			}
			return k
		},
		sets: func(t *rapid.T, w *world) []setter[Link] {
			l := links.draw(t, w)
			return setters(t, []setter[Link]{
				{"weight", Links.Weight.Set(l.Weight), func(m *Link) { m.Weight = l.Weight }},
				{"weight", Links.Weight.SetSQL("0.5"), func(m *Link) { m.Weight = 0.5 }},
			})
		},
		columns: []column[Link]{{"weight", Links.Weight, func(dst, src *Link) { dst.Weight = src.Weight }}},
		fill:    func(*Link, time.Time) {},
		defs:    func(*Link) {},
		normal:  func(*Link) {},
		touch:   func(*Link, time.Time) {},
		fixed: func(dst, old *Link) {
			dst.AccountID, dst.ItemNumber, dst.Note = old.AccountID, old.ItemNumber, old.Note
		},
		refused: func(*Link) bool { return false },
		blank:   func(*Link) {},
	}
}

// keys are those of nodes.
var keys = func() (all []uuid.UUID) {
	for n := range 9 {
		all = append(all, uuid.UUID{15: byte(n)})
	}
	return all
}()

func describeNodes() kind[Node, int64] {
	return kind[Node, int64]{
		order: nodeOrder, keyColumns: 1, cond: nodeCond,
		name: "nodes", table: Nodes,
		rows:   func(w *world) *[]Node { return &w.nodes },
		keySQL: func(k int64) (string, []any) { return "id = ?", []any{k} },
		key:    func(m *Node) int64 { return m.ID },
		setKey: func(m *Node, id int64) { m.ID = id },
		fresh:  func(n int) int64 { return math.MinInt64 + int64(n) },
		uniques: []unique[Node]{uniqueOf("nodes_key_key", Nodes.ByKey,
			func(m *Node) (uuid.UUID, bool) { return m.Key, true },
			func(m *Node) any { return m.Key }, func(m *Node) any { return m.Key },
			func(dst, old *Node) { dst.Key = old.Key })},
		checks: func(*Node) []string { return nil },
		draw: func(t *rapid.T, w *world) Node {
			n := Node{ID: pick(t, "id", []int64{0, 0, 0, 1000, 2000, math.MinInt64 + 100}), Key: pick(t, "key", keys), Data: pick(t, "data", blobs)}
			if rapid.Bool().Draw(t, "child") {
				n.ParentID = new(pick(t, "parent", []int64{-5, 1000}))
				if at := rapid.IntRange(0, len(w.nodes)).Draw(t, "of a row"); at < len(w.nodes) {
					n.ParentID = new(w.nodes[at].ID)
				}
			}
			return n
		},
		drawKey: func(t *rapid.T, _ *world) int64 { return pick(t, "id", []int64{1, 2, 1000, 2000, 0}) },
		sets: func(t *rapid.T, w *world) []setter[Node] {
			n := nodes.draw(t, w)
			return setters(t, []setter[Node]{
				{"parent", Nodes.ParentID.SetPtr(n.ParentID), func(m *Node) { m.ParentID = n.ParentID }},
				{"key", Nodes.Key.Set(n.Key), func(m *Node) { m.Key = n.Key }},
				{"data", Nodes.Data.SetPtr(&n.Data), func(m *Node) { m.Data = n.Data }},
				{"data", Nodes.Data.SetNull(), func(m *Node) { m.Data = nil }},
			})
		},
		columns: []column[Node]{{"data", Nodes.Data, func(dst, src *Node) { dst.Data = src.Data }}},
		fill:    func(*Node, time.Time) {},
		defs:    func(*Node) {},
		normal: func(m *Node) {
			m.Length, m.Twice = int64(len(m.Data)), int32(2*len(m.Data))
		},
		touch:   func(*Node, time.Time) {},
		fixed:   func(dst, old *Node) { dst.ID = old.ID },
		refused: func(*Node) bool { return false },
		blank:   func(m *Node) { m.Length, m.Twice = 0, 0 },
	}
}

// ordering is an order and how it compares.
type ordering[M any] struct {
	name string
	by   interface {
		Asc() orm.Order[M]
		Desc() orm.Order[M]
	}
	compare func(a, b *M) int
}

func nullsFirst[T any](a, b *T, compare func(a, b T) int) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return compare(*a, *b)
}

var accountOrder = []ordering[Account]{
	{"id", Accounts.ID, func(a, b *Account) int { return strings.Compare(a.ID, b.ID) }},
	{"name", Accounts.Name, func(a, b *Account) int { return strings.Compare(a.Name, b.Name) }},
	{"email", Accounts.Email, func(a, b *Account) int { return strings.Compare(fold(a.Email), fold(b.Email)) }},
	{"age", Accounts.Age, func(a, b *Account) int { return nullsFirst(a.Age, b.Age, cmp.Compare[int]) }},
	{"score", Accounts.Score, func(a, b *Account) int { return cmp.Compare(a.Score, b.Score) }},
	{"active", Accounts.Active, func(a, b *Account) int { return cmp.Compare(integer(a.Active), integer(b.Active)) }},
	{"avatar", Accounts.Avatar, func(a, b *Account) int { return slices.Compare(a.Avatar, b.Avatar) }},
	{"created", Accounts.CreatedAt, func(a, b *Account) int { return a.CreatedAt.Compare(b.CreatedAt) }},
}

var itemOrder = []ordering[Item]{
	{"number", Items.Number, func(a, b *Item) int { return cmp.Compare(a.Number, b.Number) }},
	{"title", Items.Title, func(a, b *Item) int { return strings.Compare(a.Title, b.Title) }},
	{"owner_id", Items.OwnerID, func(a, b *Item) int { return nullsFirst(a.OwnerID, b.OwnerID, strings.Compare) }},
	{"at", Items.At, func(a, b *Item) int { return a.At.Compare(b.At) }},
	{"deleted", Items.DeletedAt, func(a, b *Item) int { return nullsFirst(a.DeletedAt, b.DeletedAt, time.Time.Compare) }},
}

var linkOrder = []ordering[Link]{
	{"account", Links.AccountID, func(a, b *Link) int { return strings.Compare(a.AccountID, b.AccountID) }},
	{"item", Links.ItemNumber, func(a, b *Link) int { return cmp.Compare(a.ItemNumber, b.ItemNumber) }},
	{"weight", Links.Weight, func(a, b *Link) int { return cmp.Compare(a.Weight, b.Weight) }},
}

var nodeOrder = []ordering[Node]{
	{"id", Nodes.ID, func(a, b *Node) int { return cmp.Compare(a.ID, b.ID) }},
	{"key", Nodes.Key, func(a, b *Node) int { return bytes.Compare(a.Key[:], b.Key[:]) }},
	{"data", Nodes.Data, func(a, b *Node) int { return nullsFirst(optional(a.Data), optional(b.Data), slices.Compare[[]byte]) }},
	{"twice", Nodes.Twice, func(a, b *Node) int { return cmp.Compare(a.Twice, b.Twice) }},
}

func optional(b []byte) *[]byte {
	if b == nil {
		return nil
	}
	return &b
}

func integer(b bool) int {
	if b {
		return 1
	}
	return 0
}
