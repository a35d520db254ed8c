package orm

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/driftdb/driftdb/schema"
)

// Cond is a condition on rows of M. The zero Cond is no condition. Conditions
// are values: combining them changes none of them.
type Cond[M any] struct {
	_ [0]func(M)
	n *node
}

// Order is one term of an ORDER BY over M.
type Order[M any] struct {
	_ [0]func(M)
	orderTerm
}

// Set gives one column of M a value in an update.
type Set[M any] struct {
	_ [0]func(M)
	set
}

// set is a Set without its model, so that the code that works on it is
// compiled once.
type set struct {
	col  ref
	sql  string // SQL of the value
	self bool   // sql is followed by the column itself
	tail string // and that by tail
	args []driver.Value
	err  error
}

// opKind is what a node of a condition does.
type opKind int

const (
	opAnd opKind = iota
	opOr
	opNot
	opCompare
	opIn
	opNotIn
	opNull
	opInstr
	opSQL
	opExpr // an expression compared with a value
	opSub  // a column or expression in what a query returns
	opEqual
	opOn      // sql, in which %s stands for the column
	opWrite   // what sub writes
	opNotTrue // false or NULL
)

// node is a condition without its model's type.
type node struct {
	op     opKind
	col    ref
	left   *expr // instead of col
	right  *expr // of opEqual
	sub    func(*text)
	sql    string
	suffix string
	args   []driver.Value
	kids   []*node
	err    error
}

func cond[M any](n *node) Cond[M] { return Cond[M]{n: n} }

func errorAt(c ref, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s.%s: %w", c.table, c.name, err)
}

// And matches rows that match every one of c.
func And[M any](c ...Cond[M]) Cond[M] { return cond[M](&node{op: opAnd, kids: nodes(c)}) }

// Or matches rows that match at least one of c; none if c is empty.
func Or[M any](c ...Cond[M]) Cond[M] { return cond[M](&node{op: opOr, kids: nodes(c)}) }

// Not matches rows for which c is false. SQL has three values: where c is
// NULL, because a column is, Not is NULL too and the row does not match.
func Not[M any](c Cond[M]) Cond[M] { return cond[M](&node{op: opNot, kids: []*node{c.n}}) }

// SQL is a condition in SQL, in which ? stands for args in turn. The text is
// not checked; never build it from input.
func SQL[M any](fragment string, args ...any) Cond[M] {
	values, err := encodeAny(args)
	return cond[M](&node{op: opSQL, sql: fragment, args: values, err: err})
}

func nodes[M any](c []Cond[M]) []*node {
	all := make([]*node, len(c))
	for i := range c {
		all[i] = c[i].n
	}
	return all
}

// constant says whether n is the same for every row, and what it is then: nil,
// And() and NotIn() are true, Or() and In() are false.
func (n *node) constant() (value, ok bool) {
	if n == nil {
		return true, true
	}
	switch n.op {
	case opAnd, opOr:
		decides := n.op == opOr // the value of a part that is that of the whole
		ok = true
		for _, k := range n.kids {
			v, known := k.constant()
			if known && v == decides {
				return decides, true
			}
			ok = ok && known
		}
		return !decides, ok
	case opNot:
		v, known := n.kids[0].constant()
		return !v, known
	case opIn:
		return false, len(n.args) == 0
	case opNotIn:
		return true, len(n.args) == 0
	case opSQL:
		return true, strings.TrimSpace(n.sql) == ""
	}
	return false, false
}

// effective says whether n can leave a row out, as a write of many rows must.
// nil, And() and NotIn() cannot, nor can an Or with a part that cannot, nor a
// Not of what is always false. A Not of no condition matches no row; it does
// not count, for it is a slip.
func (n *node) effective() bool {
	if v, ok := n.constant(); ok && v {
		return false
	}
	switch n.op {
	case opAnd:
		for _, k := range n.kids {
			if k.effective() {
				return true
			}
		}
		return false
	case opOr:
		for _, k := range n.kids {
			if !k.effective() {
				return false
			}
		}
		return true // an empty Or matches nothing
	case opNot:
		return n.kids[0].effective()
	}
	return true
}

// text builds a statement and its arguments.
type text struct {
	strings.Builder
	args []driver.NamedValue
	err  error
	head func(columns []string) error // checks the columns of the result; may be nil
}

func (t *text) bind(values ...driver.Value) {
	for _, v := range values {
		t.args = append(t.args, driver.NamedValue{Ordinal: len(t.args) + 1, Value: v})
	}
}

func (t *text) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

func (t *text) column(c ref) {
	if c.name == "" {
		t.fail(errNoCol)
	}
	t.WriteString(schema.QuoteIdent(c.table))
	t.WriteByte('.')
	t.WriteString(schema.QuoteIdent(c.name))
}

// where writes the conditions, if any leaves a row out.
func (t *text) where(conds []*node) {
	all := &node{op: opAnd, kids: conds}
	if v, ok := all.constant(); ok && v {
		t.check(all)
		return
	}
	t.WriteString(" WHERE ")
	t.node(all)
}

// check keeps the errors of conditions that are not written.
func (t *text) check(n *node) {
	if n == nil {
		return
	}
	if n.err != nil {
		t.fail(n.err)
	}
	for _, k := range n.kids {
		t.check(k)
	}
}

func (t *text) node(n *node) {
	if n == nil {
		t.WriteByte('1')
		return
	}
	if n.err != nil {
		t.fail(n.err)
	}
	switch n.op {
	case opAnd:
		t.join(n.kids, " AND ", "1")
	case opOr:
		t.join(n.kids, " OR ", "0")
	case opNot:
		t.WriteString("NOT ")
		t.paren(n.kids[0])
	case opCompare:
		t.column(n.col)
		t.WriteString(n.sql)
		t.WriteByte('?')
		t.WriteString(n.suffix)
		t.bind(n.args...)
	case opIn:
		t.in(n, " IN ", "0")
	case opNotIn:
		t.in(n, " NOT IN ", "1")
	case opNull:
		t.column(n.col)
		t.WriteString(n.sql)
	case opInstr:
		t.WriteString("instr(")
		t.column(n.col)
		t.WriteString(", ?)")
		t.WriteString(n.sql)
		t.bind(n.args...)
	case opExpr:
		t.expr(*n.left)
		t.WriteString(n.sql)
		t.WriteByte('?')
		t.bind(n.args...)
	case opOn:
		if n.col.name == "" {
			t.fail(errNoCol)
		}
		col := schema.QuoteIdent(n.col.table) + "." + schema.QuoteIdent(n.col.name)
		t.WriteString("(" + strings.ReplaceAll(n.sql, "%s", col) + ")")
		t.bind(n.args...)
	case opWrite:
		n.sub(t)
	case opNotTrue:
		t.paren(n.kids[0])
		t.WriteString(" IS NOT TRUE")
	case opEqual:
		t.column(n.col)
		t.WriteString(" = ")
		t.expr(*n.right)
	case opSub:
		t.column(n.col)
		t.WriteString(n.sql)
		t.WriteByte('(')
		n.sub(t)
		t.WriteByte(')')
	case opSQL:
		if strings.TrimSpace(n.sql) == "" {
			t.WriteByte('1')
			return
		}
		t.WriteString(inParens(n.sql))
		t.bind(n.args...)
	}
}

// inParens puts parentheses around SQL of the application, whose last line may be
// a comment.
func inParens(sql string) string {
	if strings.Contains(sql, "--") {
		return "(" + sql + "\n)"
	}
	return "(" + sql + ")"
}

func (t *text) paren(n *node) {
	t.WriteByte('(')
	t.node(n)
	t.WriteByte(')')
}

// joinMax is how many conditions stand side by side. SQLite allows expressions
// 1000 deep, and each operator is one deeper than the one before it.
const joinMax = 100

func (t *text) join(kids []*node, with, empty string) {
	if len(kids) == 0 {
		t.WriteString(empty)
		return
	}
	if half := len(kids) / 2; len(kids) > joinMax {
		t.WriteByte('(')
		t.join(kids[:half], with, empty)
		t.WriteString(")" + with + "(")
		t.join(kids[half:], with, empty)
		t.WriteByte(')')
		return
	}
	for i, k := range kids {
		if i > 0 {
			t.WriteString(with)
		}
		for k != nil && (k.op == opAnd || k.op == opOr) && len(k.kids) == 1 { // what it holds may need the parentheses
			k = k.kids[0]
		}
		if k != nil && (k.op == opAnd || k.op == opOr) && len(kids) > 1 {
			t.paren(k)
			continue
		}
		t.node(k)
	}
}

const (
	// inMax is how many values an IN lists as parameters. SQLite allows 32,766
	// in a statement; more values than this go as one.
	inMax = 2000
	// argMax is how many parameters a statement has before its lists go as one
	// value each. What is left of 32,766 is for the padding of the last list.
	argMax = 30000
	// inExact is up to which length every list is a statement of its own.
	inExact = 8
)

func (t *text) in(n *node, op, empty string) {
	if len(n.args) == 0 {
		t.WriteString(empty)
		return
	}
	t.column(n.col)
	t.WriteString(op)
	if len(n.args) > inMax || len(t.args)+len(n.args) > argMax {
		t.inMany(n.args)
		return
	}
	size := len(n.args)
	if size > inExact && size <= inMax { // the last value again and again: few statements are prepared and kept
		size = 1 << bits.Len(uint(size-1))
	}
	t.WriteString("(?" + strings.Repeat(", ?", size-1) + ")")
	t.bind(n.args...)
	for range size - len(n.args) {
		t.bind(n.args[len(n.args)-1])
	}
}

// inMany binds the values as one JSON array: numbers as they are, the bytes
// of everything else in hexadecimal, so that nothing is lost on the way.
func (t *text) inMany(values []driver.Value) {
	var b strings.Builder
	cast := ""
	for i, v := range values {
		b.WriteByte("[,"[min(i, 1)])
		switch x := v.(type) {
		case int64:
			fmt.Fprintf(&b, "%d", x)
		case float64: // 17 digits are exact; JSON has no infinity but what overflows is one
			switch {
			case math.IsInf(x, 1):
				b.WriteString("9e999")
			case math.IsInf(x, -1):
				b.WriteString("-9e999")
			default:
				b.WriteString(strconv.FormatFloat(x, 'e', 16, 64))
			}
		case string:
			cast = "CAST(unhex(value) AS TEXT)"
			fmt.Fprintf(&b, `"%x"`, x)
		case []byte:
			cast = "unhex(value)"
			fmt.Fprintf(&b, `"%x"`, x)
		default:
			t.fail(fmt.Errorf("more than %d values of type %T cannot stand in one IN", inMax, v))
			return
		}
	}
	if cast == "" {
		cast = "value"
	}
	t.WriteString("(SELECT " + cast + " FROM json_each(?))")
	t.bind(b.String() + "]")
}

// encodeAny turns arguments of raw SQL into what a driver takes.
func encodeAny(args []any) ([]driver.Value, error) {
	values := make([]driver.Value, len(args))
	for i, a := range args {
		v, err := encodeOne(a)
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		values[i] = v
	}
	return values, nil
}

var errTimeArg = errors.New("a time has no one form in SQL: pass t.UnixMilli(), or what the column's unit is")

func encodeOne(a any) (driver.Value, error) {
	switch v := a.(type) {
	case bool:
		return boolean(v), nil
	case float64:
		return number(v)
	case float32:
		return number(v)
	case time.Time, *time.Time:
		return nil, errTimeArg
	case []byte:
		if v == nil {
			return nil, nil
		}
		return append([]byte{}, v...), nil
	case driver.Valuer:
		if p := reflect.ValueOf(a); p.Kind() == reflect.Pointer && p.IsNil() {
			return nil, nil // as database/sql has it
		}
		x, err := v.Value()
		if err != nil {
			return nil, err
		}
		return encodeOne(x)
	}
	v, err := driver.DefaultParameterConverter.ConvertValue(a)
	if f, ok := v.(float64); ok {
		return number(f)
	}
	return v, err
}
