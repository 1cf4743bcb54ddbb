package retention

import (
	"context"
	"errors"
	"testing"
	"time"

	"kaylehooks/internal/fixture"
	"kaylehooks/internal/postgres"
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

// A batch that took an hour is followed by a rest of nine: long enough for the process to end in it, before another batch.
func TestRepeat_RestsBetweenBatches(t *testing.T) {
	t.Parallel()
	clock := fixture.NewClock()
	s := &Service{DB: fixture.DBAt(t, clock), Days: 30}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	batches, deleted := 0, int64(0)
	err := s.repeat(ctx, purge{name: "rows", sum: &deleted, run: func(*postgres.Tx, int) (int64, error) {
		if batches++; batches > 1 {
			return 0, nil
		}
		clock.Advance(time.Hour)
		time.AfterFunc(100*time.Millisecond, cancel)
		return 1, nil
	}})
	if !errors.Is(err, context.Canceled) || batches != 1 || deleted != 1 {
		t.Errorf("%d batches deleted %d rows, %v; want one batch and the rest after it cut short", batches, deleted, err)
	}
}
