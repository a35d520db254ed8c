package gen

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
)

// plans runs the generated tests of the packages that have queries, and reports
// what they say of the plans that SQLite makes. driftgen has no SQLite in it: the
// tests have.
func (v *vetter) plans(ctx context.Context, c Config, all []*collector) error {
	for _, p := range all {
		if len(p.queries) == 0 || len(p.models) == 0 {
			continue
		}
		cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-run", "^TestQueries$", p.pkg.PkgPath) //nolint:gosec // a package that go list has named
		cmd.Dir, cmd.Env = p.pkg.Dir, c.Env
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, failed := cmd.Output()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		said, output := planFindings(out)
		if failed != nil {
			return fmt.Errorf("go test -run TestQueries %s: %w\n%s%s", p.pkg.PkgPath, failed, output, errs.String())
		}
		for _, q := range p.queries {
			for _, m := range q.methods {
				for _, why := range said["TestQueries/"+q.name+"."+m.name] {
					v.warnf(m.pos, "%s: no index serves its conditions: %s", m.name, why)
				}
			}
		}
	}
	return nil
}

// planFindings reads the events of go test -json: what was said of each test, and
// everything that was printed.
func planFindings(events []byte) (said map[string][]string, output string) {
	said = map[string][]string{}
	var all strings.Builder
	lines := bufio.NewScanner(bytes.NewReader(events))
	lines.Buffer(nil, len(events)+1)
	for lines.Scan() {
		var e struct {
			Test   string `json:"Test"`
			Output string `json:"Output"`
		}
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		all.WriteString(e.Output)
		if _, why, ok := strings.Cut(e.Output, ": no index: "); ok {
			said[e.Test] = append(said[e.Test], strings.TrimSpace(why))
		}
	}
	return said, all.String()
}
