package delivery

import (
	"slices"
	"testing"
	"time"
)

func TestNextAttempt_KnowsTheContractsVectors(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		k          int
		jitter     float64
		status     int
		retryAfter string
		want       time.Duration
	}{
		{1, 0, 503, "3", 5 * time.Second},
		{1, 0, 503, "120", 120 * time.Second},
		{1, 0, 503, "7200", 3605 * time.Second},
		{1, 0, 500, "120", 5 * time.Second},
		{1, 1, 500, "", 5 * time.Second},
		{3, 0, 500, "", 1800 * time.Second},
		{3, 1, 500, "", 1980 * time.Second},
		{1, 0, 429, "Thu, 01 Jan 2026 00:01:00 GMT", time.Minute},
		{1, 0, 429, "Wed, 31 Dec 2025 00:01:00 GMT", 5 * time.Second},
		{1, 0, 503, "soon", 5 * time.Second},
		{1, 0, 503, "-1", 5 * time.Second},
		{1, 0, 503, "99999999999999999999", 3605 * time.Second},
		{7, 0, 0, "", 10 * time.Hour},
	} {
		if got := nextAttempt(c.k, end, c.jitter, c.status, c.retryAfter).Sub(end); got != c.want {
			t.Errorf("after attempt %d, jitter %g, status %d, Retry-After %q: %s, want %s", c.k, c.jitter, c.status, c.retryAfter, got, c.want)
		}
	}
}

func TestWindow_IsTheSumOfTheDelays(t *testing.T) {
	t.Parallel()
	var sums []string
	var sum time.Duration
	for _, delay := range RetryDelays() {
		sum += delay
		sums = append(sums, sum.String())
	}
	// The row "nominal sum" of contract section 7.7.
	want := []string{"5s", "5m5s", "35m5s", "2h35m5s", "7h35m5s", "17h35m5s", "27h35m5s"}
	if !slices.Equal(sums, want) {
		t.Errorf("attempts 2 to 8 come %v after the first, want %v", sums, want)
	}
	if Window() != 99_305*time.Second {
		t.Errorf("window %s", Window())
	}
}

func TestInitialExpiry_KnowsTheContractsVectors(t *testing.T) {
	t.Parallel()
	created := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for hours, day := range map[int]int{0: 2, 24: 3, 72: 5, 168: 9} {
		want := time.Date(2026, 1, day, 3, 35, 5, 0, time.UTC)
		if got := initialExpiry(created, time.Duration(hours)*time.Hour); !got.Equal(want) {
			t.Errorf("retention %d h: %s, want %s", hours, got, want)
		}
	}
}
