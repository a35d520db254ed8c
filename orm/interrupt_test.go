package orm_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/matryer/is"
)

// TestAnInterruptIsNeverForgotten: the context ends at any moment around the
// first step of a long statement, and the statement ends too.
func TestAnInterruptIsNeverForgotten(t *testing.T) {
	is := is.New(t)
	db := open(t)
	addUser(t, db, "a")
	for i := range 300 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for range i % 30 {
				runtime.Gosched()
			}
			cancel()
		}()
		_, err := users.Where(users.Name.Eq("a")).Update(ctx, db, users.Score.SetSQL("("+endless+")"))
		is.True(errors.Is(err, context.Canceled))
	}
	addUser(t, db, "b")
	is.Equal(count(t, db), int64(2))
}
