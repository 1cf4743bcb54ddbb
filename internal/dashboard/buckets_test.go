package dashboard

import (
	"strings"
	"testing"
	"time"

	"kaylehooks/internal/delivery"
)

func TestBucketsOf(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	oslo, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	kolkata, err := time.LoadLocation("Asia/Kolkata")
	if err != nil {
		t.Fatal(err)
	}
	hour := func(at time.Time, n int) delivery.HourStats {
		return delivery.HourStats{Hour: at, Stats: delivery.Stats{FirstAttempts: n}}
	}
	tests := map[string]struct {
		span        string
		zone        *time.Location
		n           int
		first, last string // beginnings in the zone
		firstLabel  string
	}{
		"1 h":             {"1h", time.UTC, 2, "2026-03-02 08:00", "2026-03-02 09:00", "08:00–09:00"},
		"24 h":            {"24h", time.UTC, 24, "2026-03-01 10:00", "2026-03-02 09:00", "10:00–11:00"},
		"7 d":             {"7d", time.UTC, 28, "2026-02-23 12:00", "2026-03-02 06:00", "Feb 23, 12:00–18:00"},
		"30 d":            {"30d", time.UTC, 30, "2026-02-01 00:00", "2026-03-02 00:00", "Sun, Feb 1"},
		"30 d in Oslo":    {"30d", oslo, 30, "2026-02-01 00:00", "2026-03-02 00:00", "Sun, Feb 1"},
		"24 h in Kolkata": {"24h", kolkata, 24, "2026-03-01 15:30", "2026-03-02 14:30", "15:30–16:30"},
	}
	for name, tc := range tests {
		s := spanOf(tc.span)
		got := bucketsOf([]delivery.HourStats{hour(now.Truncate(time.Hour), 3), hour(now.Add(-1000*time.Hour).Truncate(time.Hour), 5)}, s, now, tc.zone)
		if len(got) != tc.n {
			t.Errorf("%s: %d bars, want %d", name, len(got), tc.n)
			continue
		}
		const layout = "2006-01-02 15:04"
		first, last := got[0].From.In(tc.zone).Format(layout), got[len(got)-1].From.In(tc.zone).Format(layout)
		if first != tc.first || last != tc.last {
			t.Errorf("%s: from %s to %s, want %s to %s", name, first, last, tc.first, tc.last)
		}
		if label := got[0].label(s, tc.zone); label != tc.firstLabel {
			t.Errorf("%s: the first bar is %q, want %q", name, label, tc.firstLabel)
		}
		end := got[len(got)-1]
		if label := end.label(s, tc.zone); !strings.HasSuffix(label, " so far") {
			t.Errorf("%s: the last bar is %q, and not over", name, label)
		}
		if !end.SoFar || got[0].SoFar || end.FirstAttempts != 3 || sumOf(got).FirstAttempts != 3 {
			t.Errorf("%s: the last bar is %+v", name, end)
		}
	}
}

// TestBucketsOf_DaysHaveTheLengthOfTheClock: where it was changed they have 23 or 25 hours, and every hour is in the bar of its day.
func TestBucketsOf_DaysHaveTheLengthOfTheClock(t *testing.T) {
	t.Parallel()
	oslo, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	for _, now := range []time.Time{time.Date(2026, 4, 2, 9, 30, 0, 0, time.UTC), time.Date(2026, 10, 28, 9, 30, 0, 0, time.UTC)} {
		for _, name := range []string{"7d", "30d"} {
			s := spanOf(name)
			var hours []delivery.HourStats
			for at := now.Truncate(time.Hour); now.Sub(at) < 35*24*time.Hour; at = at.Add(-time.Hour) {
				hours = append(hours, delivery.HourStats{Hour: at, Stats: delivery.Stats{FirstAttempts: 1}})
			}
			changed := 0
			for i, b := range bucketsOf(hours, s, now, oslo) {
				if from := b.From.In(oslo); from.Hour()%s.step != 0 || from.Minute() != 0 {
					t.Errorf("%s until %s: bar %d begins at %s", name, now, i, from)
				}
				length := int(b.To.Sub(b.From) / time.Hour)
				if length != s.step {
					changed++
				}
				if !b.SoFar && b.FirstAttempts != length {
					t.Errorf("%s until %s: the bar of %s has %d of %d hours", name, now, b.label(s, oslo), b.FirstAttempts, length)
				}
			}
			if changed != 1 {
				t.Errorf("%s until %s: %d bars are of another length, want one", name, now, changed)
			}
		}
	}
}
