package orm

// rowType is what can be done with the rows and lists of one model: a row is an
// any that holds a *M, a list one that holds a *[]M. An any that holds a pointer
// costs no allocation.
type rowType struct {
	scan func(*Row, any)
	bind func(*Args, any)
	fill func(*Fill, any) // what Create chooses; nil for nothing
	omit func(any) uint64 // the columns that take their default; nil for none
	lock func(any) *int64 // the field of the version column; nil for none

	fresh  func() any         // a zero row
	assign func(to, from any) // copies one row over another
	clone  func(any) any      // a deep copy; nil where a plain copy is one
	list   func(n int) any    // an empty list with room for n
	grow   func(any) any      // adds a zero row to a list and returns it
	at     func(any, int) any // a row of a list
}

// The only functions that are compiled for each model.
func rowTypeOf[M, K any](d *Def[M, K]) rowType {
	t := rowType{
		scan:   func(r *Row, row any) { d.Scan(r, rowOf[M](row)) },
		bind:   func(a *Args, row any) { d.Bind(a, rowOf[M](row)) },
		fresh:  func() any { return new(M) },
		assign: func(to, from any) { *rowOf[M](to) = *rowOf[M](from) },
		list:   func(n int) any { return new(make([]M, 0, n)) },
		at:     func(list any, i int) any { return &(*listOf[M](list))[i] },
		grow: func(list any) any {
			var zero M
			all := listOf[M](list)
			*all = append(*all, zero)
			return &(*all)[len(*all)-1]
		},
	}
	if d.Fill != nil {
		t.fill = func(f *Fill, row any) { d.Fill(f, rowOf[M](row)) }
	}
	if d.Omit != nil {
		t.omit = func(row any) uint64 { return d.Omit(rowOf[M](row)) }
	}
	if d.Lock != nil {
		t.lock = func(row any) *int64 { return d.Lock(rowOf[M](row)) }
	}
	if d.Clone != nil {
		t.clone = func(row any) any { return new(d.Clone(rowOf[M](row))) }
	}
	return t
}

// rowOf is the *M that row holds; nil if it holds none.
func rowOf[M any](row any) *M {
	m, _ := row.(*M)
	return m
}

// listOf is the *[]M that list holds.
func listOf[M any](list any) *[]M {
	l, _ := list.(*[]M)
	return l
}

// anyRow is row as an any, nil for a nil pointer.
func anyRow[M any](row *M) any {
	if row == nil {
		return nil
	}
	return row
}

// copyOf returns a deep copy of row.
func (t *rowType) copyOf(row any) any {
	if t.clone != nil {
		return t.clone(row)
	}
	return t.shallow(row)
}

// shallow returns a copy of row whose pointers lead to what those of row do.
func (t *rowType) shallow(row any) any {
	c := t.fresh()
	t.assign(c, row)
	return c
}

// rows returns the first n rows of a list.
func (t *rowType) rows(list any, n int) []any {
	all := make([]any, n)
	for i := range all {
		all[i] = t.at(list, i)
	}
	return all
}
