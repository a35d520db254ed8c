package replicate_test

import (
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/matryer/is"

	"github.com/driftdb/driftdb/replicate/memstore"
)

// The figures say what was done, and docs/operations.md explains each.
func TestMeasurements(t *testing.T) {
	t.Parallel()
	is := is.New(t)
	store := memstore.New()
	a := openApp(t, dbPath(t))
	r := start(t, a, store, fast())
	a.insert(1, 5)
	flush(t, r)
	is.NoErr(r.Snapshot(t.Context()))
	docs, err := os.ReadFile("../docs/operations.md")
	is.NoErr(err)
	values := map[string]float64{}
	for _, m := range r.Measurements() {
		values[m.Name] = m.Value
		is.True(m.Help != "" && m.Unit != "")
		is.Equal(m.Counter, strings.HasSuffix(m.Name, "_total"))
		if !strings.Contains(string(docs), "`"+m.Name+"`") {
			t.Errorf("docs/operations.md does not have %s", m.Name)
		}
	}
	is.Equal(values["driftdb_up"], 1.0)
	is.Equal(values["driftdb_snapshots_total"], 1.0)
	is.Equal(values["driftdb_pending_entries"], 0.0)
	is.Equal(values["driftdb_synced_entries_total"], float64(r.Metrics().TotalSynced))
	is.True(values["driftdb_last_restorable_timestamp_seconds"] > 1e9)

	m := r.Metrics()
	m.LastError = errors.New("text of an error")
	b, err := json.Marshal(m)
	is.NoErr(err)
	is.True(strings.Contains(string(b), `"lastError":"text of an error"`) && strings.Contains(string(b), `"totalSynced":`))
	shutdown(t, r)
	is.Equal(r.Measurements()[0].Value, 0.0)
	for _, name := range []string{"alerts.yaml", "dashboard.json"} { // no figure that there is not
		b, err := os.ReadFile("../docs/operations/" + name)
		is.NoErr(err)
		used := regexp.MustCompile(`driftdb_[a-z_]+`).FindAllString(string(b), -1)
		is.True(len(used) > 5)
		for _, figure := range used {
			if _, ok := values[figure]; !ok {
				t.Errorf("%s uses %s, which is no figure", name, figure)
			}
		}
		is.True(name == "alerts.yaml" || json.Valid(b))
	}
	source, err := os.ReadFile("errors.go")
	is.NoErr(err)
	for line := range strings.Lines(string(source)) {
		if name, _, ok := strings.Cut(strings.TrimSpace(line), " = "); ok && strings.HasPrefix(name, "Err") && !strings.Contains(string(docs), "`"+name+"`") {
			t.Errorf("docs/operations.md does not have %s", name)
		}
	}
}
