package retention

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestNextLimit_FollowsHowLongABatchHeldItsLocks(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		limit int
		took  time.Duration
		want  int
	}{{500, 100 * time.Millisecond, 500}, {500, 101 * time.Millisecond, 250}, {15, time.Second, 10}, {10, time.Minute, 10}, {10, 33 * time.Millisecond, 20}, {400, 0, 500}, {10, 34 * time.Millisecond, 10}} {
		if got := nextLimit(tc.limit, tc.took); got != tc.want {
			t.Errorf("after %d rows in %s: %d, want %d", tc.limit, tc.took, got, tc.want)
		}
	}
}

func TestRest_EndsWithTheProcess(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := rest(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
