package orm

import "context"

// T2 is a row of two values.
type T2[A, B any] struct {
	A A
	B B
}

// T3 is a row of three values.
type T3[A, B, C any] struct {
	A A
	B B
	C C
}

// T4 is a row of four values.
type T4[A, B, C, D any] struct {
	A A
	B B
	C C
	D D
}

// Pluck returns one expression for each row of q, or for each of its groups. A
// NULL in a column is an error; the column's Null() takes it.
func Pluck[M, A any](ctx context.Context, r Reader, q Query[M], a Expr[M, A]) ([]A, error) {
	all := []A{}
	if a == nil {
		return nil, q.q.m.wrap("select", errNoCol)
	}
	err := q.q.project(ctx, r, func(row *Row) {
		var v A
		a.scan(row, 0, &v)
		all = append(all, v)
	}, a.expr())
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Value returns one expression of the only row of q, as an aggregate without
// groups has it: ErrNotFound without a row, ErrNotUnique with more.
func Value[M, A any](ctx context.Context, r Reader, q Query[M], a Expr[M, A]) (A, error) {
	var zero A
	if !q.q.limit.set || q.q.limit.n > 2 {
		q = q.Limit(2)
	}
	all, err := Pluck(ctx, r, q, a)
	if err == nil {
		err = q.q.m.wrap("select", oneOf(len(all)))
	}
	if err != nil {
		return zero, err
	}
	return all[0], nil
}

// Select2 returns two expressions for each row of q, or for each of its groups.
func Select2[M, A, B any](ctx context.Context, r Reader, q Query[M], a Expr[M, A], b Expr[M, B]) ([]T2[A, B], error) {
	if a == nil || b == nil {
		return nil, q.q.m.wrap("select", errNoCol)
	}
	all := []T2[A, B]{}
	err := q.q.project(ctx, r, func(row *Row) {
		var v T2[A, B]
		a.scan(row, 0, &v.A)
		b.scan(row, 1, &v.B)
		all = append(all, v)
	}, a.expr(), b.expr())
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Select3 returns three expressions for each row of q, or for each of its
// groups.
func Select3[M, A, B, C any](ctx context.Context, r Reader, q Query[M], a Expr[M, A], b Expr[M, B], c Expr[M, C]) ([]T3[A, B, C], error) {
	if a == nil || b == nil || c == nil {
		return nil, q.q.m.wrap("select", errNoCol)
	}
	all := []T3[A, B, C]{}
	err := q.q.project(ctx, r, func(row *Row) {
		var v T3[A, B, C]
		a.scan(row, 0, &v.A)
		b.scan(row, 1, &v.B)
		c.scan(row, 2, &v.C)
		all = append(all, v)
	}, a.expr(), b.expr(), c.expr())
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Select4 returns four expressions for each row of q, or for each of its
// groups.
func Select4[M, A, B, C, D any](ctx context.Context, r Reader, q Query[M], a Expr[M, A], b Expr[M, B], c Expr[M, C], d Expr[M, D]) ([]T4[A, B, C, D], error) {
	if a == nil || b == nil || c == nil || d == nil {
		return nil, q.q.m.wrap("select", errNoCol)
	}
	all := []T4[A, B, C, D]{}
	err := q.q.project(ctx, r, func(row *Row) {
		var v T4[A, B, C, D]
		a.scan(row, 0, &v.A)
		b.scan(row, 1, &v.B)
		c.scan(row, 2, &v.C)
		d.scan(row, 3, &v.D)
		all = append(all, v)
	}, a.expr(), b.expr(), c.expr(), d.expr())
	if err != nil {
		return nil, err
	}
	return all, nil
}
