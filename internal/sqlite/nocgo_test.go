//go:build !cgo

package sqlite

import (
	"errors"
	"testing"

	"github.com/matryer/is"
)

// TestNoCompiler runs with CGO_ENABLED=0 only.
func TestNoCompiler(t *testing.T) {
	is := is.New(t)
	_, err := Connector("a.sqlite", Writer).Connect(t.Context())
	is.True(errors.Is(err, ErrNoCompiler))
}
