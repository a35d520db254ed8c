package prommetrics_test

import (
	"bytes"
	"os"
	"regexp"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// The alert rules in docs are a file that Prometheus reads.
func TestAlertRules(t *testing.T) {
	b, err := os.ReadFile("../../docs/operations/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				For         string            `yaml:"for"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	if len(file.Groups) != 1 || len(file.Groups[0].Rules) < 5 {
		t.Fatalf("%+v", file)
	}
	expr := regexp.MustCompile(`^(driftdb_[a-z_]+|increase\(driftdb_[a-z_]+_total\[[0-9]+[mh]\]\)|[0-9* ]+|time\(\)|and|==|>|-| )+$`)
	seen := map[string]bool{}
	for _, r := range file.Groups[0].Rules {
		if r.Alert == "" || seen[r.Alert] || !expr.MatchString(r.Expr) || r.Labels["severity"] == "" || r.Annotations["summary"] == "" {
			t.Errorf("%+v", r)
		}
		if _, err := time.ParseDuration(r.For); r.For != "" && err != nil {
			t.Error(err)
		}
		seen[r.Alert] = true
	}
}
