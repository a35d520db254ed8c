package model_test

import (
	"context"
	"errors"
	"slices"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	. "github.com/driftdb/driftdb/gen_test/model"
	"github.com/driftdb/driftdb/orm"
)

// removed is the world after rows have been removed: softly where the model
// has that.
func (v *table[M, K]) removed(rows []M) *world {
	next := v.world.clone()
	for _, m := range rows {
		if v.live == nil {
			v.drop(next, func(x *M) bool { return v.key(x) == v.key(&m) })
			continue
		}
		v.bury(&m, v.clock)
		v.touch(&m, v.clock)
		v.put(next, v.key(&m), m)
	}
	next.settle()
	return next
}

// purged is the world after rows have been removed for good.
func (v *table[M, K]) purged(rows []M) *world {
	next := v.world.clone()
	for i := range rows {
		v.drop(next, func(x *M) bool { return v.key(x) == v.key(&rows[i]) })
	}
	next.settle()
	return next
}

// among returns the row with the key if its deletion is as scope says.
func (v *table[M, K]) among(key K, scope string) []M {
	m := v.get(v.world, key)
	if m == nil || scope != "all" && v.isLive(m) != (scope == "live") {
		return nil
	}
	return []M{*m}
}

func (v *table[M, K]) delete(t *rapid.T) {
	key := v.anyKey(t, v.world)
	rows := v.among(key, "live")
	if v.children && rapid.IntRange(0, 3).Draw(t, "few") != 0 {
		return
	}
	v.found(t, v.removed(rows), nil, rows, func() (bool, error) { return v.kind.table.Delete(v.ctx, v.w, key) })
}

// found runs a verb that says whether there was a row.
func (v *table[M, K]) found(t *rapid.T, next *world, bad []string, rows []M, verb func() (bool, error)) {
	var found bool
	done := v.write(t, next, bad, func() (err error) { found, err = verb(); return err })
	if done && found != (len(rows) > 0) {
		t.Fatalf("it says %v", found)
	}
}

func (v *table[M, K]) deleteRow(t *rapid.T) {
	given := v.draw(t, v.world)
	var bad []string
	rows := v.among(v.anyKey(t, v.world), "all")
	if len(rows) > 0 {
		given = rows[0]
	} else {
		rows = v.among(v.key(&given), "all")
	}
	switch {
	case v.refused(&given):
		bad = []string{refused}
	case len(rows) == 0 || !v.isLive(&rows[0]):
		bad = []string{notFound}
	case v.setVersion != nil:
		if rapid.IntRange(0, 3).Draw(t, "old version") == 0 {
			v.setVersion(&given, -1)
		}
		bad = only(v.version(&given) != v.version(&rows[0]), stale)
	}
	next, m := v.removed(rows), given
	if !v.write(t, next, bad, func() error { return v.kind.table.DeleteRow(v.ctx, v.w, &m) }) {
		return
	}
	if v.live != nil {
		given = *v.get(v.world, v.key(&given)) // m is the row as it stands now
	}
	if !same(&m, &given) {
		t.Fatalf("delete row: want -, got +:\n%s", gocmp.Diff(given, m))
	}
}

func (v *table[M, K]) deleteMany(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "few") != 0 { // or hardly any row would grow old
		return
	}
	q, p, rows := v.scoped(t)
	how := pick(t, "how", []string{"delete", "returning", "purge", "restore"})
	next, bad := v.removed(rows), []string(nil)
	want := rows
	switch how {
	case "purge":
		next = v.purged(rows)
	case "restore":
		next, want = v.world.clone(), nil
		for _, m := range v.matching(p, "deleted") { // whatever the query's scope
			want = append(want, m)
			v.revive(&m)
			v.touch(&m, v.clock)
			v.put(next, v.key(&m), m)
		}
		bad = only(v.live == nil, refused)
	case "returning":
		if v.live != nil {
			want = nil
			for _, m := range rows {
				want = append(want, *v.get(next, v.key(&m)))
			}
		}
		var got []M
		if v.write(t, next, nil, func() (err error) { got, err = q.DeleteReturning(v.ctx, v.w); return err }) {
			v.sameSet(t, "delete returning", got, want)
		}
		return
	}
	var n int64
	if v.write(t, next, bad, func() (err error) {
		n, err = map[string]func(context.Context, orm.Writer) (int64, error){"delete": q.Delete, "purge": q.Purge, "restore": q.Restore}[how](v.ctx, v.w)
		return err
	}) && n != int64(len(want)) {
		t.Fatalf("%s of %d rows, not %d", how, n, len(want))
	}
}

func (v *table[M, K]) restore(t *rapid.T) {
	key := v.anyKey(t, v.world)
	next := v.world.clone()
	var rows []M
	if v.live != nil {
		rows = v.among(key, "deleted")
	}
	for _, m := range rows {
		v.revive(&m)
		v.touch(&m, v.clock)
		v.put(next, key, m)
	}
	v.found(t, next, only(v.live == nil, refused), rows, func() (bool, error) { return v.kind.table.Restore(v.ctx, v.w, key) })
}

func (v *table[M, K]) purge(t *rapid.T) {
	key := v.anyKey(t, v.world)
	rows := v.among(key, "all")
	v.found(t, v.purged(rows), nil, rows, func() (bool, error) { return v.kind.table.Purge(v.ctx, v.w, key) })
}

// raw writes behind the back of the verbs.
func (v *table[M, K]) raw(t *rapid.T) {
	key := v.anyKey(t, v.world)
	where, args := v.keySQL(key)
	rows := v.among(key, "all")
	next, query := v.purged(rows), "DELETE FROM "+v.name+" WHERE "+where
	if rapid.Bool().Draw(t, "no change") {
		column := v.columns[0]
		next, query = v.world, "UPDATE "+v.name+" SET "+column.name+" = "+column.name+" WHERE "+where
	}
	var n int64
	if v.write(t, next, nil, func() (err error) { n, err = orm.Exec(v.ctx, v.w, query, args...); return err }) && n != int64(len(rows)) {
		t.Fatalf("it changed %d rows, not %d", n, len(rows))
	}
}

// byKey runs the verbs of a unique key.
func (v *table[M, K]) byKey(t *rapid.T) {
	u := v.uniques[rapid.IntRange(0, len(v.uniques)-1).Draw(t, "unique key")]
	given := v.draw(t, v.world)
	if rows := *v.rows(v.world); len(rows) > 0 && rapid.Bool().Draw(t, "of a row") {
		m := given
		u.keep(&m, &rows[rapid.IntRange(0, len(rows)-1).Draw(t, "row")])
		given = m
	}
	var rows []M
	if key := u.live(&given); !u.isNull(&given) {
		if m := find(*v.rows(v.world), func(m *M) bool { return v.isLive(m) && u.key(m) == key }); m != nil {
			rows = append(rows, *m)
		}
	}
	verbs := []string{"upsert", "upsert", "find", "update", "delete"}
	if u.isNull(&given) { // the others take the key's value, which cannot be NULL
		verbs = verbs[:1]
	}
	switch pick(t, "verb", verbs) {
	case "find":
		got, err := u.find(v.ctx, v.w, &given)
		v.one(t, "find by key", got, err, rows)
		found, err := u.exists(v.ctx, v.w, &given)
		if err != nil || found != (len(rows) > 0) {
			t.Fatalf("exists: %v, %v", found, err)
		}
	case "update":
		sets := v.sets(t, v.world)
		var old *M
		if len(rows) > 0 {
			old = &rows[0]
		}
		next, bad, _ := v.updated(old, sets)
		v.write(t, next, bad, func() error { return u.update(v.ctx, v.w, &given, plain(sets)...) })
	case "delete":
		v.found(t, v.removed(rows), nil, rows, func() (bool, error) { return u.remove(v.ctx, v.w, &given) })
	default:
		plan := v.upsertOptions(t, &u)
		v.upsertOn(t, given, plan, &u, func(m *M) error { return u.upsert(v.ctx, v.w, m, plan.opts...) })
	}
}

// one compares a row that may not be there.
func (v *table[M, K]) one(t *rapid.T, what string, got *M, err error, want []M) {
	switch {
	case len(want) == 0 && errors.Is(err, orm.ErrNotFound) && got == nil:
	case len(want) == 1 && err == nil && same(got, &want[0]):
	default:
		t.Fatalf("%s: %v: want -, got +:\n%s", what, err, gocmp.Diff(want, one(got)))
	}
}

func (v *table[M, K]) findOrCreate(t *rapid.T) {
	u := v.uniques[rapid.IntRange(0, len(v.uniques)-1).Draw(t, "unique key")]
	given := v.draw(t, v.world)
	want, chosen := v.stored(given, v.clock, 0)
	next := v.world.clone()
	var old *M
	var bad []string
	if u.isNull(&given) {
		bad = []string{refused}
	} else {
		key := u.live(&given)
		old = find(*v.rows(v.world), func(m *M) bool { return v.isLive(m) && u.key(m) == key })
		if old == nil {
			*v.rows(next) = append(*v.rows(next), want)
			bad = only(v.refused(&given), refused)
		}
	}
	var created bool
	m := given
	if !v.write(t, next, bad, func() (err error) { created, err = u.findOrCreate(v.ctx, v.w, &m); return err }) {
		return
	}
	if created != (old == nil) {
		t.Fatalf("find or create says %v", created)
	}
	switch {
	case old != nil:
		want = *old
	case chosen:
		v.settled(t, v.key(&want), &m)
		want = *v.get(v.world, v.key(&m))
	}
	v.agree(t, "find or create", m, &want)
}

// rename gives an account another key; what refers to it follows.
func (m *machine) rename(t *rapid.T) {
	from, to := accounts.anyKey(t, m.world), pick(t, "to", []string{"a", "b", "new", "x\x00y"})
	next := m.world.clone()
	var bad []string
	if old := accounts.get(next, from); old == nil {
		bad = []string{notFound}
	} else {
		old.ID = to
		accounts.touch(old, m.clock)
		if accounts.get(m.world, to) == nil {
			next.renamed(from, to)
		}
	}
	m.write(t, next, bad, func() error { return Accounts.Update(m.ctx, m.w, from, Accounts.ID.Set(to)) })
}

// replace inserts an account with raw SQL, with each way to solve a conflict.
func (m *machine) replace(t *rapid.T) {
	given := accounts.draw(t, m.world)
	given.Tags, given.ID = nil, "raw "+given.ID
	if rows := m.world.accounts; len(rows) > 0 && rapid.Bool().Draw(t, "the key of a row") {
		given.ID = accounts.anyKey(t, m.world)
	}
	if accounts.refused(&given) {
		given.Score = 0
	}
	given.UpdatedAt = given.CreatedAt
	accounts.normal(&given)
	verb := pick(t, "verb", []string{"INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE", "REPLACE"})
	clash := func(a *Account) bool {
		return a.ID == given.ID || slices.ContainsFunc(accounts.uniques, func(u unique[Account]) bool {
			return u.key(a) != nil && u.key(a) == u.key(&given)
		})
	}
	next, want := m.world.clone(), int64(1)
	switch {
	case verb == "INSERT OR IGNORE" && (find(next.accounts, clash) != nil || len(accounts.checks(&given)) > 0):
		want = 0
	case verb == "INSERT" || verb == "INSERT OR IGNORE":
		next.accounts = append(next.accounts, given)
	default:
		accounts.drop(next, clash)
		next.settle()
		next.accounts = append(next.accounts, given)
	}
	var n int64
	if m.write(t, next, nil, func() (err error) {
		n, err = orm.Exec(m.ctx, m.w, verb+` INTO accounts (id, name, email, age, score, active, level, avatar, "group", nick, created_at, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, given.ID, given.Name, given.Email, given.Age, given.Score, given.Active, string(given.Level),
			given.Avatar, given.Group, given.Nick, given.CreatedAt.UnixMilli(), given.UpdatedAt.UnixMilli())
		return err
	}) && n != want {
		t.Fatalf("it changed %d rows, not %d", n, want)
	}
}
