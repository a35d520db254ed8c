package model_test

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/driftdb/driftdb/orm"
)

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// table runs the verbs of a model.
type table[M any, K comparable] struct {
	*machine
	*kind[M, K]
}

// agree compares a row that a verb returned or filled in.
func (v *table[M, K]) agree(t *rapid.T, what string, got M, want *M) {
	v.normal(&got)
	if !same(&got, want) {
		t.Fatalf("%s: want -, got +:\n%s", what, gocmp.Diff(*want, got))
	}
}

// write runs a verb that turns the world into next, unless bad or what next
// violates forbids it: then the verb must say so and nothing changes.
func (m *machine) write(t *rapid.T, next *world, bad []string, verb func() error) (done bool) {
	if len(bad) == 0 {
		bad = next.violations()
	}
	err := verb()
	m.done.add(label(err))
	switch {
	case err == nil && len(bad) == 0:
		m.world = next
		return true
	case err == nil:
		t.Fatalf("it succeeded in spite of %q", bad)
	case len(bad) == 0:
		t.Fatalf("%v", err)
	case !slices.Contains(bad, label(err)):
		t.Fatalf("%v (%s), where %q was expected", err, label(err), bad)
	}
	return false
}

// only returns reason if it is so.
func only(so bool, reason string) []string {
	if so {
		return []string{reason}
	}
	return nil
}

// settled puts the key that Create chose in the place of the one that stood
// for it.
func (v *table[M, K]) settled(t *rapid.T, stood K, got *M) {
	key := v.key(got)
	if isZero(key) || v.get(v.world, key) != nil {
		t.Fatalf("Create chose the key %v", key)
	}
	row := *v.get(v.world, stood)
	v.setKey(&row, key)
	v.put(v.world, stood, row)
}

func (v *table[M, K]) create(t *rapid.T) {
	given := v.draw(t, v.world)
	want, chosen := v.stored(given, v.clock, 0)
	next := v.world.clone()
	*v.rows(next) = append(*v.rows(next), want)
	m := given
	if !v.write(t, next, only(v.refused(&given), refused), func() error { return v.kind.table.Create(v.ctx, v.w, &m) }) {
		if !same(v.kind.table.Clone(&m), v.kind.table.Clone(&given)) && !v.refused(&given) { // NaN differs from itself
			t.Fatalf("Create changed a row that it did not insert:\n%s", gocmp.Diff(given, m))
		}
		return
	}
	if chosen {
		v.settled(t, v.key(&want), &m)
		want = *v.get(v.world, v.key(&m))
	}
	v.agree(t, "create", m, &want)
}

// createMany inserts several rows, all or none, with CreateMany, CreateSeq or
// UpsertMany.
func (v *table[M, K]) createMany(t *rapid.T) {
	given := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) M { return v.draw(t, v.world) }), 0, 3).Draw(t, "rows")
	next := v.world.clone()
	want := make([]M, len(given))
	chosen := make([]bool, len(given))
	bad := false
	for i := range given {
		want[i], chosen[i] = v.stored(given[i], v.clock, i)
		bad = bad || v.refused(&given[i])
		*v.rows(next) = append(*v.rows(next), want[i])
	}
	rows := slices.Clone(given)
	verb := func() error { return v.kind.table.CreateMany(v.ctx, v.w, rows) }
	if rapid.Bool().Draw(t, "sequence") {
		verb = func() error {
			n, err := v.kind.table.CreateSeq(v.ctx, v.w, func(yield func(*M) bool) {
				for i := range rows {
					if !yield(&rows[i]) {
						return
					}
				}
			})
			if err == nil && n != int64(len(rows)) {
				t.Fatalf("CreateSeq says %d", n)
			}
			return err
		}
	}
	var reasons []string
	if bad { // or what an earlier row violates
		reasons = append(next.violations(), refused)
	} else if v.dangling(want, chosen) {
		reasons = append(next.violations(), foreignKey)
	}
	if !v.write(t, next, reasons, verb) {
		return
	}
	for i := range rows {
		if chosen[i] {
			v.settled(t, v.key(&want[i]), &rows[i])
			want[i] = *v.get(v.world, v.key(&rows[i]))
		}
		v.agree(t, "create many", rows[i], &want[i])
	}
}

// dangling says whether a row refers to one that is inserted by a later
// statement: rows with a key and rows without are different statements, and a
// statement's references must be right at its end.
func (v *table[M, K]) dangling(rows []M, chosen []bool) bool {
	so := v.world.clone()
	for i := range rows {
		*v.rows(so) = append(*v.rows(so), rows[i])
		if i+1 < len(rows) && chosen[i+1] != chosen[i] && slices.Contains(so.violations(), foreignKey) {
			return true
		}
	}
	return false
}

// upsertPlan is what an upsert does.
type upsertPlan[M any] struct {
	opts  []orm.UpsertOption[M]
	merge func(old, given M) (M, bool) // false leaves old as it is
	bad   bool
}

// upsertOptions draws how a row that is there is updated.
func (v *table[M, K]) upsertOptions(t *rapid.T, target *unique[M]) (p upsertPlan[M]) {
	touch := func(m M) M {
		v.touch(&m, v.clock)
		v.normal(&m)
		return m
	}
	switch pick(t, "option", []string{"all", "all", "nothing", "only", "set", "if"}) {
	case "nothing":
		p.opts = append(p.opts, orm.DoNothing[M]())
		p.merge = func(old, _ M) (M, bool) { return old, false }
		return p
	case "only":
		cols := some(t, "columns", v.columns, 1, func(c column[M]) string { return c.name })
		names := make([]orm.Column[M], len(cols))
		for i, c := range cols {
			names[i] = c.col
		}
		p.opts = append(p.opts, orm.UpdateOnly(names...))
		p.merge = func(old, given M) (M, bool) {
			m := old
			for _, c := range cols {
				c.copy(&m, &given)
			}
			return touch(m), true
		}
		return p
	case "set":
		sets := v.sets(t, v.world)
		p.opts = append(p.opts, orm.UpdateSet(plain(sets)...))
		p.merge = func(old, _ M) (M, bool) {
			m := v.applied(old, sets)
			return touch(m), true
		}
		var m M
		for _, s := range sets {
			s.apply(&m)
		}
		p.bad = v.refused(&m)
		return p
	}
	p.merge = func(old, given M) (M, bool) {
		m := given
		v.fixed(&m, &old)
		if target != nil {
			target.keep(&m, &old)
		}
		return touch(m), true
	}
	if rapid.Bool().Draw(t, "if") {
		c := where(t, v.world, v.cond, 0)
		p.opts = append(p.opts, orm.UpdateIf(c.cond))
		all := p.merge
		world := v.world
		p.merge = func(old, given M) (M, bool) {
			if c.holds(world, &old) != yes {
				return old, false
			}
			return all(old, given)
		}
	}
	return p
}

// applied is m after the setters, in its normal form.
func (k *kind[M, K]) applied(m M, sets []setter[M]) M {
	m = *k.table.Clone(&m)
	for _, s := range sets {
		s.apply(&m)
	}
	k.normal(&m)
	return m
}

func (v *table[M, K]) upsert(t *rapid.T) {
	given := v.draw(t, v.world)
	plan := v.upsertOptions(t, nil)
	v.upsertOn(t, given, plan, nil, func(m *M) error { return v.kind.table.Upsert(v.ctx, v.w, m, plan.opts...) })
}

// upsertOn upserts given by a key, nil for the primary one.
func (v *table[M, K]) upsertOn(t *rapid.T, given M, plan upsertPlan[M], target *unique[M], verb func(*M) error) {
	want, chosen := v.stored(given, v.clock, 0)
	next := v.world.clone()
	var old *M
	if target == nil {
		old = v.get(v.world, v.key(&want))
	} else if key := target.key(&want); key != nil {
		old = find(*v.rows(v.world), func(m *M) bool { return target.key(m) == key })
	}
	var bad []string
	switch {
	case v.refused(&given) || plan.bad:
		bad = []string{refused}
	case target != nil && target.isNull(&given):
		bad = []string{refused}
	default: // what is inserted is checked, even where a row is updated then
		for _, c := range v.checks(&want) {
			bad = append(bad, v.name+" check "+c)
		}
	}
	written := true
	if old == nil {
		*v.rows(next) = append(*v.rows(next), want)
	} else {
		var merged M
		if merged, written = plan.merge(*old, want); written {
			want = merged
			v.put(next, v.key(old), want)
		}
	}
	m := given
	if !v.write(t, next, bad, func() error { return verb(&m) }) {
		return
	}
	switch {
	case !written:
		if !same(v.kind.table.Clone(&m), v.kind.table.Clone(&given)) {
			t.Fatalf("an upsert that wrote nothing changed its row:\n%s", gocmp.Diff(given, m))
		}
	case old == nil && chosen:
		v.settled(t, v.key(&want), &m)
		want = *v.get(v.world, v.key(&m))
		fallthrough
	default:
		v.agree(t, "upsert", m, &want)
	}
}

// save writes a row that was read, with some columns changed, perhaps of an
// old version.
func (v *table[M, K]) save(t *rapid.T) {
	given := v.draw(t, v.world)
	old := v.get(v.world, v.anyKey(t, v.world))
	var bad []string
	if old != nil {
		m := given
		v.fixed(&m, old)
		given = m
		if v.setVersion != nil && rapid.IntRange(0, 3).Draw(t, "old version") == 0 {
			v.setVersion(&given, -1)
			bad = []string{stale}
		}
	} else {
		old = v.get(v.world, v.key(&given))
		if old == nil {
			bad = []string{notFound}
		} else if v.setVersion != nil {
			bad = only(v.version(&given) != v.version(old), stale)
		}
	}
	if v.refused(&given) {
		bad = []string{refused}
	}
	next := v.world.clone()
	var want M
	if len(bad) == 0 {
		want = *v.kind.table.Clone(&given)
		v.normal(&want)
		v.fixed(&want, old)
		v.touch(&want, v.clock)
		v.put(next, v.key(old), want)
	}
	m := given
	if v.write(t, next, bad, func() error { return v.kind.table.Save(v.ctx, v.w, &m) }) {
		v.agree(t, "save", m, &want)
	}
}

// edit changes columns of the row that is there, through Edit or what Diff
// finds.
func (v *table[M, K]) edit(t *rapid.T) {
	key, sets := v.anyKey(t, v.world), v.sets(t, v.world)
	old := v.get(v.world, key)
	next := v.world.clone()
	var bad []string
	var want M
	if old == nil || !v.isLive(old) {
		bad = []string{notFound}
	} else {
		want = v.applied(*old, sets)
		if !same(&want, old) {
			v.touch(&want, v.clock)
			v.put(next, key, want)
		}
		if v.refused(&want) {
			bad = []string{refused}
		}
	}
	undo := rapid.IntRange(0, 5).Draw(t, "undo") == 0
	if undo && old != nil && v.isLive(old) {
		next, bad = v.world, nil
	}
	if rapid.Bool().Draw(t, "diff") && !undo && len(bad) == 0 {
		after := *v.kind.table.Clone(old)
		for _, s := range sets {
			s.apply(&after)
		}
		list := v.kind.table.Diff(old, &after)
		if same(&want, old) {
			if len(list) != 0 {
				t.Fatalf("Diff finds %d changes where there is none", len(list))
			}
			return
		}
		v.write(t, next, bad, func() error { return v.kind.table.Update(v.ctx, v.w, key, list...) })
		return
	}
	var got *M
	done := v.write(t, next, bad, func() (err error) {
		got, err = v.kind.table.Edit(v.ctx, v.w, key, func(m *M) error {
			for _, s := range sets {
				s.apply(m)
			}
			if undo {
				return errUndo
			}
			return nil
		})
		if undo && errors.Is(err, errUndo) {
			return nil
		}
		return err
	})
	if done && !undo {
		v.agree(t, "edit", *got, &want)
	}
}

func (v *table[M, K]) update(t *rapid.T) {
	key, sets := v.anyKey(t, v.world), v.sets(t, v.world)
	old := v.get(v.world, key)
	if old != nil && !v.isLive(old) {
		old = nil
	}
	next, bad, want := v.updated(old, sets)
	if rapid.Bool().Draw(t, "returning") {
		var got *M
		if v.write(t, next, bad, func() (err error) {
			got, err = v.kind.table.UpdateReturning(v.ctx, v.w, key, plain(sets)...)
			return err
		}) {
			v.agree(t, "update returning", *got, &want)
		}
		return
	}
	v.write(t, next, bad, func() error { return v.kind.table.Update(v.ctx, v.w, key, plain(sets)...) })
}

// updated is the world after an update of one row, nil for none.
func (v *table[M, K]) updated(old *M, sets []setter[M]) (next *world, bad []string, want M) {
	next = v.world.clone()
	var probe M
	for _, s := range sets {
		s.apply(&probe)
	}
	switch {
	case len(sets) == 0 || v.refused(&probe):
		return next, []string{refused}, want
	case old == nil:
		return next, []string{notFound}, want
	}
	want = v.applied(*old, sets)
	v.touch(&want, v.clock)
	v.put(next, v.key(old), want)
	return next, nil, want
}

// matching returns the rows of a query in which p holds.
func (v *table[M, K]) matching(p pred[M], scope string) (all []M) {
	for _, m := range *v.rows(v.world) {
		live := v.isLive(&m)
		if (scope == "all" || live == (scope == "live")) && p.holds(v.world, &m) == yes {
			all = append(all, m)
		}
	}
	return all
}

// scoped draws a query of a condition, with or without deleted rows.
func (v *table[M, K]) scoped(t *rapid.T) (orm.Query[M], pred[M], []M) {
	p := where(t, v.world, v.cond, 2)
	q, scope := v.kind.table.Where(p.cond).AllRows(), "live" // a drawn condition may leave no row out
	if v.live != nil {
		scope = pick(t, "scope", []string{"live", "all", "deleted"})
	}
	switch scope {
	case "all":
		q = q.WithDeleted()
	case "deleted":
		q = q.OnlyDeleted()
	}
	return q, p, v.matching(p, scope)
}

func (v *table[M, K]) updateMany(t *rapid.T) {
	q, _, rows := v.scoped(t)
	sets := v.sets(t, v.world)
	next := v.world.clone()
	_, bad, _ := v.updated(new(M), sets)
	want := make([]M, len(rows))
	for i := range rows {
		want[i] = v.applied(rows[i], sets)
		v.touch(&want[i], v.clock)
		v.put(next, v.key(&rows[i]), want[i])
	}
	if rapid.Bool().Draw(t, "returning") {
		var got []M
		if v.write(t, next, bad, func() (err error) {
			got, err = q.UpdateReturning(v.ctx, v.w, plain(sets)...)
			return err
		}) {
			v.sameSet(t, "update returning", got, want)
		}
		return
	}
	var n int64
	if v.write(t, next, bad, func() (err error) {
		n, err = q.Update(v.ctx, v.w, plain(sets)...)
		return err
	}) && n != int64(len(rows)) {
		t.Fatalf("it changed %d rows, not %d", n, len(rows))
	}
}

// sameSet compares rows in any order.
func (v *table[M, K]) sameSet(t *rapid.T, what string, got, want []M) {
	agree := len(got) == len(want)
	for i := 0; i < len(got) && agree; i++ {
		w := find(want, func(m *M) bool { return v.key(m) == v.key(&got[i]) })
		agree = w != nil && same(w, &got[i])
	}
	if !agree {
		t.Fatalf("%s: want -, got +:\n%s", what, gocmp.Diff(byKey(v.kind, want), byKey(v.kind, got)))
	}
}
