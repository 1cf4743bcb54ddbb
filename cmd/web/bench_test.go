package main_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What so few deliveries measure says nothing; that each scenario comes to its end, loses nothing and sends nothing twice, does. Growth
// would take minutes, for the pages of each size.
func TestBench_ScenariosGiveTheirFigures(t *testing.T) {
	t.Parallel()
	scenarios := []string{"drain", "end-to-end", "fan-out", "latency", "isolation", "backlog", "retention"}
	path := filepath.Join(t.TempDir(), "bench.json")
	configure(t).command("bench", "--only", strings.Join(scenarios, ","), "--scale", "0.004", "--rows", "2000", "--repeat", "1", "--out", path).Succeed()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var bench struct {
		Figures []struct {
			Scenario, Name, Target string
			Values                 []float64
		}
	}
	decode(t, string(raw), &bench)
	targets := map[string]int{}
	for _, f := range bench.Figures {
		if !slices.Contains(scenarios, f.Scenario) || len(f.Values) != 1 {
			t.Errorf("%s: %s has %v", f.Scenario, f.Name, f.Values)
			continue
		}
		if f.Target != "" {
			targets[f.Scenario]++
		}
		if value := f.Values[0]; strings.HasSuffix(f.Name, "sent twice") && value != 0 || strings.Contains(f.Name, "ratio") && value <= 0 {
			t.Errorf("%s: %s is %v", f.Scenario, f.Name, value)
		}
	}
	for _, scenario := range scenarios {
		if targets[scenario] == 0 {
			t.Errorf("%s has no figure with a target", scenario)
		}
	}
}
