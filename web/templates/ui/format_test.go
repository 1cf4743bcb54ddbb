package ui

import (
	"testing"
	"time"
)

func TestShortID_CutsTheMiddle(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"whd_01kk8zhp2rf5qt75z6tc846yjg": "whd_01kk8zhp…6yjg",
		"whd_short":                      "whd_short",
		"nounderscoreatall":              "nounderscoreatall",
	} {
		if got := ShortID(id); got != want {
			t.Errorf("ShortID(%q) = %q, want %q", id, got, want)
		}
	}
}

func TestFormats_ReadAsInTheDesign(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		Count(0): "0", Count(999): "999", Count(4839): "4,839", Count(1234567): "1,234,567", Count(-1234): "-1,234",
		Millis(840): "840 ms", Millis(12400): "12.4 s", Millis(1000): "1.0 s",
		Span(41 * time.Second): "41 s", Span(8 * time.Minute): "8 min", Span(72 * time.Minute): "1 h 12 m",
		Span(3*24*time.Hour + 4*time.Hour): "3 d 4 h", Span(-5 * time.Second): "5 s",
		Bytes(142): "142 bytes", Bytes(4 << 20): "4.0 MiB", Bytes(12_700): "12.4 KiB",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAt_IsRelativeWithinADay(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 10, 14, 27, 7, 0, time.UTC)
	for _, c := range []struct {
		shift    time.Duration
		want     string
		relative bool
	}{
		{0, "0 s ago", true},
		{999 * time.Millisecond, "0 s ago", true},
		{time.Second, "in 1 s", true},
		{-41 * time.Second, "41 s ago", true},
		{8 * time.Minute, "in 8 min", true},
		{-23*time.Hour - 59*time.Minute, "23 h 59 m ago", true},
		{-24 * time.Hour, "Mar 9, 14:27", false},
		{24 * time.Hour, "Mar 11, 14:27", false},
		{-400 * 24 * time.Hour, "Feb 3, 2025", false},
	} {
		got := At(now.Add(c.shift), now, time.UTC)
		if got.Text != c.want || got.Relative != c.relative {
			t.Errorf("At(%v) = %q relative %v, want %q %v", c.shift, got.Text, got.Relative, c.want, c.relative)
		}
	}
}

func TestExact_NamesTheZone(t *testing.T) {
	t.Parallel()
	got := Exact(time.Date(2026, 3, 10, 14, 27, 7, 5e6, time.UTC), time.FixedZone("CET", 3600))
	want := Time{RFC3339: "2026-03-10T14:27:07.005Z", Text: "2026-03-10 15:27:07.005 CET", Title: "2026-03-10 15:27:07.005 CET"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
