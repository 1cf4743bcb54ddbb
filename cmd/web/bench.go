package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

type benchCommand struct {
	Only   []string `help:"Run only these scenarios." placeholder:"NAME" enum:"drain,end-to-end,fan-out,latency,isolation,growth,backlog,retention" sep:","`
	Repeat int      `help:"How often each scenario runs." default:"3"`
	Scale  float64  `help:"Size of the scenarios: 1 is what the targets are defined for." default:"1"`
	Rows   []int    `help:"Numbers of stored deliveries of the growth scenario; the first is also that of retention." default:"1000000,10000000" sep:","`
	Out    string   `help:"File for the figures." default:"bench.json" type:"path"`

	Profile string `help:"Directory for processor profiles of web and worker, and the costliest statements of each database. Profiling costs some speed." type:"path" placeholder:"DIR"`
}

// Help is shown below the usage.
func (benchCommand) Help() string {
	return "Starts private servers, a sink, and real web and worker processes, and prints figures of this machine. Speeds are also given as ratios to " +
		"limit loops measured next to them: L1 signs, posts and writes in groups of 50; L2 also encrypts; L3 is one post and one commit.\n\n" +
		"Example:\n  web bench --only drain,latency --scale 0.2 --repeat 1"
}

// scenario is one row of the benchmark. It runs once per repetition, on a database of its own.
type scenario struct {
	name string
	run  func(*bench) error
}

var scenarios = []scenario{
	{"drain", (*bench).drain},
	{"end-to-end", (*bench).endToEnd},
	{"fan-out", (*bench).fanOut},
	{"latency", (*bench).latency},
	{"isolation", (*bench).isolation},
	{"growth", (*bench).growth},
	{"backlog", (*bench).backlog},
	{"retention", (*bench).retention},
}

// bench is one run of the benchmark.
type bench struct {
	benchCommand
	*benchStack
	ctx context.Context
	say func(string, ...any)

	scenario string
	figures  []*figure
}

// figure is one measured quantity over the repetitions.
type figure struct {
	Scenario string    `json:"scenario"`
	Name     string    `json:"name"`
	Unit     string    `json:"unit"`
	Values   []float64 `json:"values"`
	Target   string    `json:"target,omitempty"`
}

// note keeps a measured value.
func (b *bench) note(name, unit, target string, value float64) {
	for _, f := range b.figures {
		if f.Scenario == b.scenario && f.Name == name {
			f.Values = append(f.Values, value)
			return
		}
	}
	b.figures = append(b.figures, &figure{b.scenario, name, unit, []float64{value}, target})
}

// scaled is n at the chosen scale.
func (b *bench) scaled(n int) int { return max(1, int(float64(n)*b.Scale)) }

// Run measures, prints and writes the figures.
func (c benchCommand) Run(env environment) error {
	if c.Repeat < 1 || c.Scale <= 0 {
		return usagef("--repeat and --scale must be positive")
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(env.stdout, format+"\n", args...) }
	stack, err := startBenchStack(env, c.Profile)
	if err != nil {
		return err
	}
	defer stack.stop()
	b := &bench{benchCommand: c, benchStack: stack, ctx: env.ctx, say: say}
	facts, err := b.surroundings()
	if err != nil {
		return err
	}
	for _, f := range facts {
		say("%-12s %s", f[0], f[1])
	}
	for _, s := range scenarios {
		if len(c.Only) > 0 && !slices.Contains(c.Only, s.name) {
			continue
		}
		b.scenario = s.name
		for i := range c.Repeat {
			began := time.Now()
			if err := s.run(b); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			say("%s %d/%d took %s", s.name, i+1, c.Repeat, time.Since(began).Round(time.Second))
		}
		b.print(s.name)
		if err := b.write(c.Out, facts); err != nil { // what is measured is kept if the run is stopped
			return err
		}
	}
	say("wrote %s", c.Out)
	return nil
}

// print shows the figures of a scenario.
func (b *bench) print(scenario string) {
	b.say("\n%-12s %-44s %10s %10s %10s  %-10s %s", scenario, "", "min", "median", "max", "unit", "target")
	for _, f := range b.figures {
		if f.Scenario == scenario {
			b.say("%-12s %-44s %10s %10s %10s  %-10s %s", "", f.Name, digits(slices.Min(f.Values)), digits(median(f.Values)), digits(slices.Max(f.Values)), f.Unit, f.Target)
		}
	}
	b.say("")
}

func median(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

func digits(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func (b *bench) write(path string, facts [][2]string) error {
	surroundings := map[string]string{}
	for _, f := range facts {
		surroundings[f[0]] = f[1]
	}
	out, err := json.MarshalIndent(map[string]any{"surroundings": surroundings, "scale": b.Scale, "figures": b.figures}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode figures: %w", err)
	}
	const readable = 0o644
	if err := os.WriteFile(filepath.Clean(path), append(out, '\n'), readable); err != nil {
		return usagef("--out: %w", err)
	}
	return nil
}

// surroundings names what the figures depend on.
func (b *bench) surroundings() ([][2]string, error) {
	settings := []string{"fsync", "synchronous_commit", "shared_buffers", "max_wal_size", "full_page_writes"}
	values := make([]string, len(settings))
	for i, name := range settings {
		var value string
		if err := b.admin.QueryRow(b.ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
			return nil, fmt.Errorf("read setting %s: %w", name, err)
		}
		values[i] = name + "=" + value
	}
	var postgresVersion string
	if err := b.admin.QueryRow(b.ctx, "SELECT current_setting('server_version')").Scan(&postgresVersion); err != nil {
		return nil, fmt.Errorf("read version: %w", err)
	}
	info, err := b.redis.InfoMap(b.ctx, "server").Result()
	if err != nil {
		return nil, fmt.Errorf("read version of Redis: %w", err)
	}
	return [][2]string{
		{"date", time.Now().UTC().Format(time.RFC3339)},
		{"cpu", fmt.Sprintf("%d × %s", runtime.NumCPU(), cpuModel())},
		{"program", fmt.Sprintf("%s, %s", version(), runtime.Version())},
		{"PostgreSQL", postgresVersion + "; " + strings.Join(values, ", ")},
		{"Redis", info["Server"]["redis_version"]},
		{"settings", strings.Join(benchSettings, ", ")},
	}, nil
}

func cpuModel() string {
	raw, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(raw)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimSpace(strings.TrimLeft(name, "\t :"))
		}
	}
	return runtime.GOARCH
}
