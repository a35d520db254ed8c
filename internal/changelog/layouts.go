package changelog

import "slices"

// layouts is the tables member of a batch as it grows entry by entry, while a
// batch is written and again while it is read. An entry uses the first element
// with its table's name that fits, and opens a new one if none does:
//
//	a row (an insert, or a delete with its old values) fits an element that has
//	exactly its columns, or none yet; the element is closed from then on
//	an update fits an element that has all its columns, or is not closed yet
//	an update or delete also has to fit the key, unless there is none yet
//
// That makes the encoding of a run of log rows the only one.
type layouts struct {
	list   []layout
	byName map[string][]int
}

// layout is one element.
type layout struct {
	Layout
	closed bool
}

// of returns the elements of a table, by index.
func (l *layouts) of(name string) []int { return l.byName[name] }

// open adds an element for a table.
func (l *layouts) open(name string) int {
	if l.byName == nil {
		l.byName = map[string][]int{}
	}
	t := len(l.list)
	l.list = append(l.list, layout{Layout: Layout{Name: name}})
	l.byName[name] = append(l.byName[name], t)
	return t
}

func (l *layouts) reset() {
	clear(l.list)
	l.list = l.list[:0]
	clear(l.byName)
}

// row returns the element for a row with the columns of m; key is nil for an
// insert.
func (l *layouts) row(name string, key, m []member) int {
	t := -1
	for _, i := range l.of(name) {
		e := &l.list[i]
		if (len(e.Columns) == 0 || equal(e.Columns, m)) && e.fitsKey(key) {
			t = i
			break
		}
	}
	if t < 0 {
		t = l.open(name)
	}
	e := &l.list[t]
	if len(e.Columns) == 0 {
		e.Columns = names(m)
	}
	e.closed = true
	e.setKey(key)
	return t
}

// change returns the element for an update of the columns of m, or for a
// delete that logs no values, whose m is empty, and appends to at the index of
// each column in it.
func (l *layouts) change(name string, key, m []member, at []int) (int, []int) {
	t := -1
	for _, i := range l.of(name) {
		e := &l.list[i]
		if !e.fitsKey(key) {
			continue
		}
		var all bool
		if at, all = e.find(m, at[:0]); all || !e.closed {
			t = i
			break
		}
	}
	if t < 0 {
		t = l.open(name)
	}
	e := &l.list[t]
	e.setKey(key)
	at, all := e.find(m, at[:0])
	if all {
		return t, at
	}
	for i := range m {
		if at[i] < 0 {
			at[i] = len(e.Columns)
			e.Columns = append(e.Columns, m[i].name)
		}
	}
	return t, at
}

// find appends the index of each member's column to at, −1 for one that is not
// listed. Members come in the order of the columns, as a rule.
func (e *layout) find(m []member, at []int) (_ []int, all bool) {
	all = true
	next := 0
	for i := range m {
		found := -1
		for range e.Columns {
			if next >= len(e.Columns) {
				next = 0
			}
			if e.Columns[next] == m[i].name {
				found = next
				next++
				break
			}
			next++
		}
		all = all && found >= 0
		at = append(at, found)
	}
	return at, all
}

func (e *layout) fitsKey(key []member) bool {
	return len(key) == 0 || len(e.Key) == 0 || equal(e.Key, key)
}

func (e *layout) setKey(key []member) {
	if len(e.Key) == 0 && len(key) > 0 {
		e.Key = names(key)
	}
}

func equal(columns []string, m []member) bool {
	return slices.EqualFunc(columns, m, func(c string, m member) bool { return c == m.name })
}

func names(m []member) []string {
	n := make([]string, len(m))
	for i := range m {
		n[i] = m[i].name
	}
	return n
}
