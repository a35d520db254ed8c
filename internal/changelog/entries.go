package changelog

import (
	"maps"
	"slices"
)

// entryReader reads the entries of a document and makes sure that the encoder
// would have written them just so.
type entryReader struct {
	d *Document
	c cursor
	e Entry

	n     int64   // entries read
	rows  bool    // a row entry was read
	state []state // of the elements of tables used so far, in order
	same  map[string][]int
}

// state is how far an element of tables has grown: see layouts.
type state struct {
	columns int // how many of its columns were named so far
	closed  bool
	key     bool
	alone   bool // the first element of its table
}

// ahead returns a reader of what follows, which r reads again.
func (r *entryReader) ahead() *entryReader {
	p := *r
	p.e, p.state, p.same = Entry{}, slices.Clone(r.state), maps.Clone(r.same)
	return &p
}

// next reads an entry. It reports false at the end and after an error.
func (r *entryReader) next() bool {
	c, e := &r.c, &r.e
	total := r.d.To - r.d.From + 1
	if r.n == total {
		c.lit(`]}`)
		r.end()
		return false
	}
	if r.n > 0 {
		c.lit(`,`)
	}
	if c.err == nil && len(c.s)-c.i < 7 {
		c.fail("want an entry")
	}
	if c.err != nil {
		return false
	}
	*e = Entry{Sequence: r.d.From + r.n, Op: Op(c.s[c.i+2]), Key: e.Key[:0], Columns: e.Columns[:0], New: e.New[:0], Old: e.Old[:0]}
	c.lit(`["`)
	c.i++
	c.lit(`",`)
	dt := c.integer(-2*maxTime, 2*maxTime)
	e.Time = r.d.Time + dt
	if r.n == 0 && dt != 0 || e.Time > r.d.MaxTime || e.Time < -maxTime {
		c.fail("the time does not fit the batch's")
	}
	r.body()
	c.lit(`]`)
	r.n++
	return c.err == nil
}

func (r *entryReader) body() {
	c, e := &r.c, &r.e
	switch e.Op {
	case Mark:
		return
	case Schema:
		c.lit(`,`)
		e.Schema = c.object()
		if c.err == nil && (r.rows || !canonicalSchema(e.Schema)) {
			c.fail("the schema entry is misplaced or not in its canonical form")
		}
		return
	case Insert, Update, Delete:
	default:
		c.fail("unknown kind of entry")
		return
	}
	r.rows = true
	c.lit(`,`)
	e.Table = int(c.integer(0, int64(len(r.d.Tables)-1)))
	c.lit(`,`)
	if e.Op != Insert {
		e.Key = c.values(e.Key)
		c.lit(`,`)
	}
	switch e.Op {
	case Update:
		c.lit(`[`)
		for c.err == nil && !c.has(']') {
			if len(e.Columns) > 0 {
				c.lit(`,`)
			}
			e.Columns = append(e.Columns, int(c.integer(0, maxColumns)))
		}
		c.lit(`],`)
		e.New = c.values(e.New)
		c.lit(`,`)
		e.Old = c.values(e.Old)
	case Delete:
		e.Old = c.values(e.Old)
	default:
		e.New = c.values(e.New)
	}
	if c.err == nil && !r.fits() {
		c.fail("the entry does not fit the batch's tables")
	}
}

// fits grows the elements of tables by the entry, as layouts did, and says
// whether the result is what the document lists.
func (r *entryReader) fits() bool {
	e := &r.e
	t := &r.d.Tables[e.Table]
	opened := e.Table < len(r.state)
	if !opened {
		if e.Table > len(r.state) {
			return false
		}
		if r.same == nil {
			r.same = map[string][]int{}
		}
		r.state = append(r.state, state{alone: len(r.same[t.Name]) == 0})
		r.same[t.Name] = append(r.same[t.Name], e.Table)
	}
	if !r.state[e.Table].alone && !r.firstFit(t.Name) {
		return false
	}
	s := &r.state[e.Table]
	if e.Op != Insert {
		if len(e.Key) == 0 || len(e.Key) != len(t.Key) {
			return false
		}
		s.key = true
	}
	switch {
	case e.Op == Insert || e.Op == Delete && len(e.Old) > 0:
		values := e.New
		if e.Op == Delete {
			values = e.Old
		}
		if len(values) == 0 || len(values) != len(t.Columns) || s.columns != 0 && s.columns != len(t.Columns) {
			return false
		}
		s.columns, s.closed = len(t.Columns), true
	case e.Op == Update:
		if len(e.Columns) == 0 || len(e.New) != len(e.Columns) || len(e.Old) != 0 && len(e.Old) != len(e.Columns) {
			return false
		}
		return r.grow(s, len(t.Columns))
	}
	return true
}

// grow lets an update name columns: known ones, or the next ones of an element
// that is not closed.
func (r *entryReader) grow(s *state, columns int) bool {
	highest := -1
	for i, c := range r.e.Columns {
		if c <= highest && slices.Contains(r.e.Columns[:i], c) {
			return false
		}
		highest = max(highest, c)
		if c < s.columns {
			continue
		}
		if c != s.columns || c >= columns || s.closed {
			return false
		}
		s.columns++
	}
	return true
}

// firstFit says that the entry fits no element of its table before its own.
func (r *entryReader) firstFit(name string) bool {
	e := &r.e
	own := &r.d.Tables[e.Table]
	for _, i := range r.same[name] {
		if i == e.Table {
			return true
		}
		s, l := r.state[i], &r.d.Tables[i]
		if e.Op != Insert && s.key && !slices.Equal(l.Key, own.Key) {
			continue
		}
		listed := l.Columns[:s.columns]
		switch {
		case e.Op == Update:
			if !s.closed {
				return false
			}
			all := true
			for _, c := range e.Columns {
				if c >= len(own.Columns) {
					return false
				}
				all = all && slices.Contains(listed, own.Columns[c])
			}
			if all {
				return false
			}
		case e.Op == Delete && len(e.Old) == 0:
			return false
		default:
			if len(listed) == 0 || slices.Equal(listed, own.Columns) {
				return false
			}
		}
	}
	return true
}

// end checks that the document is over and that every element of tables was
// used up.
func (r *entryReader) end() {
	c := &r.c
	if c.err == nil && c.i != len(c.s) {
		c.fail("something follows the batch")
	}
	if c.err == nil && len(r.state) != len(r.d.Tables) {
		c.fail("a table is listed that no entry names")
	}
	for i := range r.state {
		t := &r.d.Tables[i]
		if c.err == nil && (r.state[i].columns != len(t.Columns) || r.state[i].key != (len(t.Key) > 0)) {
			c.fail("a column is listed that no entry names")
		}
	}
}
