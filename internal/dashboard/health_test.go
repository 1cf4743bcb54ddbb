package dashboard

import (
	"os"
	"strings"
	"testing"

	"kaylehooks/internal/delivery"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	day := func(first, ok int) delivery.Stats {
		return delivery.Stats{Attempts: first, FirstAttempts: first, FirstSucceeded: ok, Succeeded: ok}
	}
	tests := map[string]struct {
		v    vitals
		want health
	}{
		"paused wins over everything":        {vitals{RecentFailures: 10}, healthPaused},
		"no key":                             {vitals{Enabled: true, Day: day(100, 100), Proven: true}, healthNoKey},
		"nothing happened yet":               {vitals{Enabled: true, HasKey: true}, healthUnproven},
		"one failure is no verdict":          {vitals{Enabled: true, HasKey: true, RecentFailures: 1, Hour: day(1, 0), Day: day(1, 0)}, healthUnproven},
		"ten attempts without a 2xx":         {vitals{Enabled: true, HasKey: true, Proven: true, RecentFailures: 10}, healthFailing},
		"an hour without a 2xx":              {vitals{Enabled: true, HasKey: true, Proven: true, Hour: day(3, 0), Day: day(100, 97)}, healthFailing},
		"two tries in an hour are too few":   {vitals{Enabled: true, HasKey: true, Proven: true, Hour: day(2, 0), Day: day(10, 8)}, healthOK},
		"below 99 % with 20 attempts":        {vitals{Enabled: true, HasKey: true, Proven: true, Day: day(20, 19)}, healthDegraded},
		"below 99 % with 19 attempts":        {vitals{Enabled: true, HasKey: true, Proven: true, Day: day(19, 18)}, healthOK},
		"exactly 99 %":                       {vitals{Enabled: true, HasKey: true, Proven: true, Day: day(100, 99)}, healthOK},
		"just below 99 %":                    {vitals{Enabled: true, HasKey: true, Proven: true, Day: day(1000, 989)}, healthDegraded},
		"quiet today, delivered before":      {vitals{Enabled: true, HasKey: true, Proven: true}, healthOK},
		"the first 2xx came from the rollup": {vitals{Enabled: true, HasKey: true, Day: day(1, 1)}, healthOK},
	}
	for name, tc := range tests {
		if got := judge(tc.v); got != tc.want {
			t.Errorf("%s: got %s, want %s", name, got, tc.want)
		}
	}
}

// TestHealthRule_IsInTheDocumentation as the badges have it.
func TestHealthRule_IsInTheDocumentation(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for sentence := range strings.SplitSeq(strings.TrimSuffix(healthRuleSummary, "."), ". ") {
		name, rule, _ := strings.Cut(sentence, ": ")
		if want := "| " + name + " | " + upperFirst(rule) + ". |"; !strings.Contains(string(readme), want) {
			t.Errorf("README.md does not say %q", want)
		}
	}
}

func TestVerdict_EveryHealthSaysWhatAndWhatNext(t *testing.T) {
	t.Parallel()
	for _, h := range healths() {
		b := healthBadge(h)
		if b.Label == "" || b.Tone == "" || b.Icon == "" || b.Title == "" {
			t.Errorf("%s has the badge %+v", h, b)
		}
		v := verdict(h, delivery.Standing{Waiting: 2, Parked: 1, RecentFailures: 10}, delivery.Stats{FirstAttempts: 100, FirstSucceeded: 90})
		if !strings.HasSuffix(v.Say, ".") || !strings.HasSuffix(v.Next, ".") {
			t.Errorf("%s says %q, %q", h, v.Say, v.Next)
		}
	}
	for say, day := range map[string]delivery.Stats{"no 2xx in its latest attempts": {Attempts: 20, Succeeded: 1}, "no 2xx in 24 h": {Attempts: 20}} {
		if got := verdict(healthFailing, delivery.Standing{Waiting: 1, RecentFailures: 10}, day); got.Say != "This endpoint is failing: "+say+"." ||
			!strings.Contains(got.Next, "1 delivery waits and goes on by itself") {
			t.Errorf("got %q, %q", got.Say, got.Next)
		}
	}
}
