package changelog

import "context"

// inTx is the context key of a running write transaction on the file whose log
// has this generation.
type inTx struct{ generation string }

// WithTx marks ctx as that of a write transaction on the file whose log has
// this generation.
func WithTx(ctx context.Context, generation string) context.Context {
	return context.WithValue(ctx, inTx{generation}, true)
}

// InTx says whether ctx is marked so. Whoever needs the file's write lock would
// wait for its own caller.
func InTx(ctx context.Context, generation string) bool {
	marked, _ := ctx.Value(inTx{generation}).(bool)
	return marked
}

// WithoutTx takes the mark of WithTx off: the transaction has ended.
func WithoutTx(ctx context.Context, generation string) context.Context {
	return context.WithValue(ctx, inTx{generation}, false)
}
