package gen

import (
	"context"

	"golang.org/x/tools/go/packages"
)

// Compiled makes c take all types from compiled packages.
func Compiled(c Config) Config {
	c.compiled = true
	return c
}

// FromSource says whether the source of the packages of c was enough.
func FromSource(ctx context.Context, c Config) (bool, error) {
	s, err := find(c.Dir, c.Patterns)
	if err != nil || len(s.patterns) == 0 {
		return true, err
	}
	overlay := map[string][]byte{}
	for path := range s.own {
		overlay[path] = []byte(excluded)
	}
	_, err = loadSource(ctx, &packages.Config{Context: ctx, Dir: c.Dir, Env: c.Env, Overlay: overlay, ParseFile: parseDeclarations}, s.patterns)
	if err == errNeedsCompiler { //nolint:errorlint // wrapped, it is about the standard library
		return false, nil
	}
	return err == nil, err
}
